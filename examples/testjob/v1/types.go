// Package v1 holds the types of TestJob, the teaching example: kubeflow.org/v1
// TestJob, with the replica types Master and Worker.
//
// +kubebuilder:object:generate=true
// +groupName=kubeflow.org
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Replica types of a TestJob.
const (
	Master commonv1.ReplicaType = "Master"
	Worker commonv1.ReplicaType = "Worker"
)

// What a TestJob's main container and its port are called.
const (
	ContainerName = "test-container"
	PortName      = "job-port"
	PortNumber    = 2222
)

// TestJob runs a Master and any number of Workers. It succeeds when its Master
// does or, without one, when all its Workers do.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=testjobs,singular=testjob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.testReplicaSpecs.Worker.replicas,statuspath=.status.replicaStatuses.Worker.active,selectorpath=.status.replicaStatuses.Worker.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.trainerStatus.progressPercentage`
// +kubebuilder:printcolumn:name="Remaining",type=integer,priority=1,JSONPath=`.status.trainerStatus.estimatedRemainingSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TestJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the job.
	Spec TestJobSpec `json:"spec"`
	// Status is the observed state of the job.
	// +optional
	Status commonv1.JobStatus `json:"status,omitempty"`
}

// TestJobSpec is the desired state of a TestJob.
type TestJobSpec struct {
	// RunPolicy holds the policies of the job as a whole.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`

	// TestReplicaSpecs describes the replicas: Master (1) and Worker (any number).
	TestReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"testReplicaSpecs"`
}

// TestJobList is a list of TestJobs.
//
// +kubebuilder:object:root=true
type TestJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TestJob `json:"items"`
}

// GroupVersion of TestJob.
var GroupVersion = schema.GroupVersion{Group: "kubeflow.org", Version: "v1"}

// AddToScheme makes the types known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &TestJob{}, &TestJobList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
