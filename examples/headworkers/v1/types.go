// Package v1 holds the types of HeadWorkersJob.
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

// Replica types of a HeadWorkersJob, and the main container of both.
const (
	Head          commonv1.ReplicaType = "Head"
	Worker        commonv1.ReplicaType = "Worker"
	ContainerName                      = "main"
)

// HeadWorkersJob runs a program on one Head, which hands out work, and any number of Workers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type HeadWorkersJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              HeadWorkersJobSpec `json:"spec"`
	Status            commonv1.JobStatus `json:"status,omitempty"`
}

// HeadWorkersJobSpec is the specification of a HeadWorkersJob.
type HeadWorkersJobSpec struct {
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`
	// ReplicaSpecs describes the Head and the Workers.
	// +kubebuilder:validation:XValidation:rule="'Head' in self && self.all(t, t in ['Head', 'Worker'])",message="a HeadWorkersJob has a Head, and Workers: add the Head, remove other types"
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"replicaSpecs"`
}

// HeadWorkersJobList is a list of HeadWorkersJobs.
//
// +kubebuilder:object:root=true
type HeadWorkersJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HeadWorkersJob `json:"items"`
}

// AddToScheme makes the types known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "example.com", Version: "v1"}
	s.AddKnownTypes(version, &HeadWorkersJob{}, &HeadWorkersJobList{})
	metav1.AddToGroupVersion(s, version)
	return nil
}
