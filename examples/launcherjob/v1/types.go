// Package v1 holds the types of LauncherJob.
//
// +kubebuilder:object:generate=true
// +groupName=example.com
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Replica types of a LauncherJob, and the main container of both.
const (
	Launcher      commonv1.ReplicaType = "Launcher"
	Worker        commonv1.ReplicaType = "Worker"
	ContainerName                      = "main"
)

// LauncherJob runs a Launcher, which starts processes in the Workers, as mpirun does.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type LauncherJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              LauncherJobSpec    `json:"spec"`
	Status            commonv1.JobStatus `json:"status,omitempty"`
}

// LauncherJobSpec is the specification of a LauncherJob.
type LauncherJobSpec struct {
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`
	// SlotsPerWorker is how many processes are started in each Worker. Default: 1.
	// +kubebuilder:validation:Minimum=1
	// +optional
	SlotsPerWorker int32 `json:"slotsPerWorker,omitempty"`
	// ReplicaSpecs describes the Launcher and the Workers.
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"replicaSpecs"`
}

// LauncherJobList is a list of LauncherJobs.
//
// +kubebuilder:object:root=true
type LauncherJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LauncherJob `json:"items"`
}

// AddToScheme makes the types known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "example.com", Version: "v1"}
	s.AddKnownTypes(version, &LauncherJob{}, &LauncherJobList{})
	metav1.AddToGroupVersion(s, version)
	return nil
}
