// Package v1 holds the types of ArrayJob.
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

// Task is the only replica type of an ArrayJob.
const Task commonv1.ReplicaType = "Task"

// ContainerName is the name of the main container of its pods.
const ContainerName = "main"

// ArrayJob runs one program many times, once for each index from 0.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type ArrayJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ArrayJobSpec   `json:"spec"`
	Status            ArrayJobStatus `json:"status,omitempty"`
}

// ArrayJobSpec is the specification of an ArrayJob.
type ArrayJobSpec struct {
	// BackoffLimitPerReplica is how many restarts one index may have. Default: 2.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`
	// Arguments are one for each index, in the variable TASK_ARGUMENT. Default: none.
	// +kubebuilder:validation:MaxItems=10000
	// +optional
	Arguments []string `json:"arguments,omitempty"`
	// ReplicaSpecs describes the Tasks.
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"replicaSpecs"`
}

// ArrayJobStatus is the library's status, and which indexes have succeeded.
type ArrayJobStatus struct {
	commonv1.JobStatus `json:",inline"`

	// CompletedIndexes are the indexes that have succeeded, such as "0-3,7": at most 100 ranges.
	CompletedIndexes string `json:"completedIndexes,omitempty"`
}

// ArrayJobList is a list of ArrayJobs.
//
// +kubebuilder:object:root=true
type ArrayJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ArrayJob `json:"items"`
}

// AddToScheme makes the types known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "example.com", Version: "v1"}
	s.AddKnownTypes(version, &ArrayJob{}, &ArrayJobList{})
	metav1.AddToGroupVersion(s, version)
	return nil
}
