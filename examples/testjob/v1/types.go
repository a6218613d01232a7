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
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name"
// +kubebuilder:validation:XValidation:rule="self.spec.testReplicaSpecs.all(t, size(self.metadata.name) + size(t) + size(string(has(self.spec.testReplicaSpecs[t].replicas) && self.spec.testReplicaSpecs[t].replicas > 0 ? self.spec.testReplicaSpecs[t].replicas - 1 : 0)) + 2 <= 63)",message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: shorten the name"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.runPolicy) || !has(self.spec.runPolicy.successPolicy) || self.spec.runPolicy.successPolicy.rules.all(r, self.spec.testReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))",fieldPath=".spec.runPolicy.successPolicy",message="a rule names a replica type that the job does not have: use a type of testReplicaSpecs, or add it",messageExpression="self.spec.runPolicy.successPolicy.rules.filter(r, !self.spec.testReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii())).map(r, 'the job has no replica type \"%s\", so the rule never holds: use a type of testReplicaSpecs, or add it'.format([r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.runPolicy) || !has(self.spec.runPolicy.successPolicy) || self.spec.runPolicy.successPolicy.rules.all(r, !has(r.count) || self.spec.testReplicaSpecs.all(t, t != r.replicaType || !has(self.spec.testReplicaSpecs[t].replicas) || r.count <= self.spec.testReplicaSpecs[t].replicas))",fieldPath=".spec.runPolicy.successPolicy",message="count is more than there are replicas: lower it, or raise replicas",messageExpression="self.spec.runPolicy.successPolicy.rules.filter(r, has(r.count) && self.spec.testReplicaSpecs.exists(t, t == r.replicaType && has(self.spec.testReplicaSpecs[t].replicas) && r.count > self.spec.testReplicaSpecs[t].replicas)).map(r, 'count is %d, and the job has %d replicas of %s, so the rule never holds: lower count, or raise replicas'.format([r.count, self.spec.testReplicaSpecs[r.replicaType].replicas, r.replicaType]))[0]"
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
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=2
	// +kubebuilder:validation:XValidation:rule="self.all(t, t in ['Master', 'Worker'])",message="the replica types of a TestJob are Master and Worker, spelled so: remove or rename the others"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t != 'Master' || !has(self[t].replicas) || self[t].replicas <= 1)",message="a TestJob has at most one Master: set replicas of Master to 1"
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.exists(t, !has(self[t].replicas) || self[t].replicas != 0)",optionalOldSelf=true,message="a new TestJob needs at least one replica: set replicas of Master or Worker to 1 or more; to hold a job back use runPolicy.suspend"
	// +kubebuilder:validation:XValidation:rule="self.all(t, self[t].template.spec.containers.exists(c, c.name == 'test-container'))",message="each replica type needs a container named \"test-container\" in template.spec.containers: give the main container this name"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(self[t].template.metadata) || !has(self[t].template.metadata.labels) || !self[t].template.metadata.labels.exists(l, l.startsWith('training.kubeflow.org/')))",message="the labels under training.kubeflow.org/ in template.metadata.labels are set by the controller: remove them"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(self[t].startAfter) || self[t].startAfter.replicaType in self && self[t].startAfter.replicaType != t && !has(self[self[t].startAfter.replicaType].startAfter))",message="startAfter.replicaType must be another replica type of the job, which starts after none: name one, or remove startAfter"
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
