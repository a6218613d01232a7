// Package v1 holds the types that every job kind shares: the replica
// specification, the run policy, the status with its conditions, and the labels
// that pods and services carry. Import it as commonv1.
//
// A job kind embeds them in its own types:
//
//	type TestJobSpec struct {
//		RunPolicy        commonv1.RunPolicy                              `json:"runPolicy,omitempty"`
//		TestReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"testReplicaSpecs"`
//	}
//
//	type TestJob struct {
//		metav1.TypeMeta   `json:",inline"`
//		metav1.ObjectMeta `json:"metadata,omitempty"`
//		Spec              TestJobSpec        `json:"spec,omitempty"`
//		Status            commonv1.JobStatus `json:"status,omitempty"`
//	}
//
// # Compatibility
//
// JSON names, condition types, reasons and labels are those of kubeflow.org/v1
// (training-operator v1), because queueing systems, tuners and SDKs read them.
// Fields that training-operator v1 does not have are additions which its clients
// ignore; each says so.
//
// # Reading a status
//
// Conditions are listed in the order of their last change. The last one whose
// status is True names the state of the job, and status.state repeats it. A job
// is finished when Succeeded or Failed is True, and stays finished.
//
// +kubebuilder:object:generate=true
package v1
