// Package v1 is kubeflow.org/v1.
//
// +kubebuilder:object:generate=true
// +groupName=kubeflow.org
package v1
