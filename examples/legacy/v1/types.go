// Package v1 holds the types of BagJob, as an operator on kubeflow/common had them.
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

// What is the same for all BagJobs.
const (
	Master        commonv1.ReplicaType = "Master"
	Worker        commonv1.ReplicaType = "Worker"
	Kind                               = "BagJob"
	ContainerName                      = "bag"
	PortName                           = "bag-port"
	Port          int32                = 7000
)

// GroupVersion is that of the kind.
var GroupVersion = schema.GroupVersion{Group: "example.com", Version: "v1"}

// BagJob has a Master that hands out a bag of tasks, and Workers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type BagJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              BagJobSpec         `json:"spec"`
	Status            commonv1.JobStatus `json:"status,omitempty"`
}

// BagJobSpec is the specification of a BagJob.
type BagJobSpec struct {
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`
	// BagReplicaSpecs describes the Master and the Workers.
	BagReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"bagReplicaSpecs"`
}

// BagJobList is a list of BagJobs.
//
// +kubebuilder:object:root=true
type BagJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BagJob `json:"items"`
}

// AddToScheme makes the types known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &BagJob{}, &BagJobList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
