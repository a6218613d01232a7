package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// JAXJobReplicaTypeWorker is the only replica type of a JAXJob. Worker 0 is the
// coordinator.
const JAXJobReplicaTypeWorker commonv1.ReplicaType = "Worker"

// Names of JAXJob, and its defaults.
const (
	JAXJobKind     = "JAXJob"
	JAXJobPlural   = "jaxjobs"
	JAXJobSingular = "jaxjob"
	// JAXJobFrameworkName is the value of the label framework of its metrics.
	JAXJobFrameworkName = "jax"
	// JAXJobDefaultContainerName is the container that every replica must have.
	JAXJobDefaultContainerName = "jax"
	// JAXJobDefaultPortName and JAXJobDefaultPort are the port of that container at
	// which Worker 0 coordinates the others.
	JAXJobDefaultPortName       = "jaxjob-port"
	JAXJobDefaultPort     int32 = 6666
	// JAXJobDefaultRestartPolicy is that of replicas which name none.
	JAXJobDefaultRestartPolicy = commonv1.RestartPolicyNever
)

// JAXJob runs a JAX program in any number of Workers, coordinated by Worker 0.
//
// It succeeds when all its Workers do.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=jaxjobs,singular=jaxjob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.jaxReplicaSpecs.Worker.replicas,statuspath=.status.replicaStatuses.Worker.active,selectorpath=.status.replicaStatuses.Worker.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.spec.jaxReplicaSpecs.Worker.replicas`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.replicaStatuses.Worker.active`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.trainerStatus.progressPercentage`
// +kubebuilder:printcolumn:name="Remaining",type=integer,priority=1,JSONPath=`.status.trainerStatus.estimatedRemainingSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name",messageExpression="'metadata.name \"%s\" must start with a lower-case letter, hold lower-case letters, digits and \\'-\\' only, and end with a letter or digit, because the pods and services are named after it: choose another name'.format([self.metadata.name])"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || size(self.spec.jaxReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.jaxReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.jaxReplicaSpecs[t].replicas) && self.spec.jaxReplicaSpecs[t].replicas > 0 ? self.spec.jaxReplicaSpecs[t].replicas - 1 : 0))).max() <= 63",optionalOldSelf=true,message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.jaxReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.jaxReplicaSpecs[t].replicas) && self.spec.jaxReplicaSpecs[t].replicas > 0 ? self.spec.jaxReplicaSpecs[t].replicas - 1 : 0))).max()])"
// +kubebuilder:validation:XValidation:rule="size(self.spec.jaxReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.jaxReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.jaxReplicaSpecs[t].replicas) && self.spec.jaxReplicaSpecs[t].replicas > 0 ? self.spec.jaxReplicaSpecs[t].replicas - 1 : 0))).max() <= 63 || !(size(oldSelf.spec.jaxReplicaSpecs) == 0 || size(oldSelf.metadata.name) + oldSelf.spec.jaxReplicaSpecs.map(t, size(t) + 2 + size(string(has(oldSelf.spec.jaxReplicaSpecs[t].replicas) && oldSelf.spec.jaxReplicaSpecs[t].replicas > 0 ? oldSelf.spec.jaxReplicaSpecs[t].replicas - 1 : 0))).max() <= 63)",message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long for so many replicas: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.jaxReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.jaxReplicaSpecs[t].replicas) && self.spec.jaxReplicaSpecs[t].replicas > 0 ? self.spec.jaxReplicaSpecs[t].replicas - 1 : 0))).max()])"
type JAXJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the job.
	Spec JAXJobSpec `json:"spec"`
	// Status is the observed state of the job.
	// +optional
	Status commonv1.JobStatus `json:"status,omitempty"`
}

// JAXJobSpec is the desired state of a JAXJob.
//
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.managedBy) || self.runPolicy.managedBy in [\"\", 'kubeflow.org/training-operator', 'kueue.x-k8s.io/multikueue']",fieldPath=".runPolicy.managedBy",message="no controller of that name is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue",messageExpression="'no controller \"%s\" is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue'.format([self.runPolicy.managedBy])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.managedBy) ? self.runPolicy.managedBy : \"\") == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")",fieldPath=".runPolicy.managedBy",message="it is immutable: keep its value, or delete the job and create it again",messageExpression="'it is immutable and was \"%s\": keep that, or delete the job and create it again'.format([(has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.hostPorts)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPorts)) && (has(self.runPolicy) && has(self.runPolicy.hostPortRange)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPortRange)) && (!has(self.runPolicy) || !has(self.runPolicy.hostPortRange) || self.runPolicy.hostPortRange == oldSelf.runPolicy.hostPortRange)",fieldPath=".runPolicy",message="hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports: undo the change, or create another job"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, self.jaxReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))",fieldPath=".runPolicy.successPolicy",message="a rule names a replica type that the job does not have: use a type of jaxReplicaSpecs, or add it",messageExpression="self.runPolicy.successPolicy.rules.filter(r, !self.jaxReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii())).map(r, 'the job has no replica type \"%s\", so the rule never holds: use a type of jaxReplicaSpecs, or add it'.format([r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, !has(r.count) || self.jaxReplicaSpecs.all(t, t != r.replicaType || !has(self.jaxReplicaSpecs[t].replicas) || r.count <= self.jaxReplicaSpecs[t].replicas))",fieldPath=".runPolicy.successPolicy",message="count is more than there are replicas: lower it, or raise replicas",messageExpression="self.runPolicy.successPolicy.rules.filter(r, has(r.count) && self.jaxReplicaSpecs.exists(t, t == r.replicaType && has(self.jaxReplicaSpecs[t].replicas) && r.count > self.jaxReplicaSpecs[t].replicas)).map(r, 'count is %d, and the job has %d replicas of %s, so the rule never holds: lower count, or raise replicas'.format([r.count, self.jaxReplicaSpecs[r.replicaType].replicas, r.replicaType]))[0]"
type JAXJobSpec struct {
	// RunPolicy holds the policies of the job as a whole.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`

	// JAXReplicaSpecs describes the replicas: Worker (any number).
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() in ['worker'])",message="a JAXJob has the replica type Worker only: remove or rename the others",messageExpression="[self.filter(t, !(t.lowerAscii() in ['worker']))].map(l, 'unknown replica type %s%s: a JAXJob has the replica type Worker only: remove or rename it'.format([l[0], size(l) > 1 ? ', %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t in ['Worker'] || !['Worker'].exists(k, k.lowerAscii() == t.lowerAscii()) || oldSelf.hasValue() && t in oldSelf.value())",optionalOldSelf=true,message="the letter case of replica types counts: write Worker",messageExpression="[self.filter(t, !(t in ['Worker']) && ['Worker'].exists(k, k.lowerAscii() == t.lowerAscii())).map(t, '%s: the letter case counts, write %s'.format([t, ['Worker'].filter(k, k.lowerAscii() == t.lowerAscii())[0]]))].map(l, 'unknown replica type %s%s'.format([l[0], size(l) > 1 ? '; %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'jax'))",message="a replica type has no container named \"jax\" in template.spec.containers: give its main container this name",messageExpression="self.filter(t, !(has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'jax'))).map(t, !has(self[t].template) ? 'the replica type %s has no template: add one, with a container named \"jax\"'.format([t]) : !has(self[t].template.spec) || size(self[t].template.spec.containers) == 0 ? 'the replica type %s has no container in template.spec.containers: add one named \"jax\"'.format([t]) : 'the replica type %s has no container named \"jax\" in template.spec.containers, only %s%s%s: give the main container this name'.format([t, self[t].template.spec.containers[0].name, size(self[t].template.spec.containers) > 1 ? ', %s'.format([self[t].template.spec.containers[1].name]) : '', size(self[t].template.spec.containers) > 2 ? ' and others' : '']))[0]"
	JAXReplicaSpecs ReplicaSpecs `json:"jaxReplicaSpecs"`
}

// JAXJobList is a list of JAXJobs.
//
// +kubebuilder:object:root=true
type JAXJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JAXJob `json:"items"`
}
