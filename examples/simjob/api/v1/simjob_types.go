// Package v1 holds the types of SimJob, of the group sim.example.com.
//
// +kubebuilder:object:generate=true
// +groupName=sim.example.com
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// The replica types of a SimJob.
const (
	Coordinator commonv1.ReplicaType = "Coordinator"
	Solver      commonv1.ReplicaType = "Solver"
)

// What the main container of a replica and its port are called.
const (
	ContainerName = "main"
	PortName      = "peer"
	PortNumber    = 29500
)

// SimJob is a job of these replica types: Coordinator (1) and Solver (any number).
// It succeeds when its Coordinator does.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=simjobs,singular=simjob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicaSpecs.Solver.replicas,statuspath=.status.replicaStatuses.Solver.active,selectorpath=.status.replicaStatuses.Solver.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.trainerStatus.progressPercentage`
// +kubebuilder:printcolumn:name="Remaining",type=integer,priority=1,JSONPath=`.status.trainerStatus.estimatedRemainingSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SimJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the job.
	Spec SimJobSpec `json:"spec"`
	// Status is the observed state of the job.
	// +optional
	Status commonv1.JobStatus `json:"status,omitempty"`
}

// SimJobSpec is the desired state of a SimJob. Add fields of your own here, then run "make
// generate".
type SimJobSpec struct {
	// RunPolicy holds the policies of the job as a whole.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`

	// ReplicaSpecs describes the replicas by type: Coordinator (1) and Solver (any number).
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"replicaSpecs"`
}

// SimJobList is a list of SimJobs.
//
// +kubebuilder:object:root=true
type SimJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SimJob `json:"items"`
}

// GroupVersion of SimJob.
var GroupVersion = schema.GroupVersion{Group: "sim.example.com", Version: "v1"}

// AddToScheme makes the types known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &SimJob{}, &SimJobList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
