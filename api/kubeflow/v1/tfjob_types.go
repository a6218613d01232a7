package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Replica types of a TFJob.
const (
	// TFJobReplicaTypePS is a parameter server.
	TFJobReplicaTypePS commonv1.ReplicaType = "PS"
	// TFJobReplicaTypeWorker trains.
	TFJobReplicaTypeWorker commonv1.ReplicaType = "Worker"
	// TFJobReplicaTypeChief is the replica that leads the others and writes
	// checkpoints. There is at most one. Without it Worker 0 leads.
	TFJobReplicaTypeChief commonv1.ReplicaType = "Chief"
	// TFJobReplicaTypeMaster is the name of Chief in TensorFlow 1. A job has one or
	// the other.
	TFJobReplicaTypeMaster commonv1.ReplicaType = "Master"
	// TFJobReplicaTypeEval evaluates checkpoints while the others train.
	TFJobReplicaTypeEval commonv1.ReplicaType = "Evaluator"
)

// Names of TFJob, and its defaults.
const (
	TFJobKind     = "TFJob"
	TFJobPlural   = "tfjobs"
	TFJobSingular = "tfjob"
	// TFJobFrameworkName is the value of the label framework of its metrics.
	TFJobFrameworkName = "tensorflow"
	// TFJobDefaultContainerName is the container that every replica must have.
	TFJobDefaultContainerName = "tensorflow"
	// TFJobDefaultPortName and TFJobDefaultPort are the port of that container at
	// which the replicas reach one another.
	TFJobDefaultPortName       = "tfjob-port"
	TFJobDefaultPort     int32 = 2222
	// TFJobDefaultRestartPolicy is that of replicas which name none.
	TFJobDefaultRestartPolicy = commonv1.RestartPolicyNever
)

// TFJob trains with TensorFlow: a Chief (or Master), Workers, parameter servers and
// Evaluators, which find one another through the environment variable TF_CONFIG.
//
// It succeeds when its Chief does or, without one, when Worker 0 does, or as
// successPolicy says.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=tfjobs,singular=tfjob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.tfReplicaSpecs.Worker.replicas,statuspath=.status.replicaStatuses.Worker.active,selectorpath=.status.replicaStatuses.Worker.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.spec.tfReplicaSpecs.Worker.replicas`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.replicaStatuses.Worker.active`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.trainerStatus.progressPercentage`
// +kubebuilder:printcolumn:name="Remaining",type=integer,priority=1,JSONPath=`.status.trainerStatus.estimatedRemainingSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name",messageExpression="'metadata.name \"%s\" must start with a lower-case letter, hold lower-case letters, digits and \\'-\\' only, and end with a letter or digit, because the pods and services are named after it: choose another name'.format([self.metadata.name])"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || size(self.spec.tfReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.tfReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.tfReplicaSpecs[t].replicas) && self.spec.tfReplicaSpecs[t].replicas > 0 ? self.spec.tfReplicaSpecs[t].replicas - 1 : 0))).max() <= 63",optionalOldSelf=true,message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.tfReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.tfReplicaSpecs[t].replicas) && self.spec.tfReplicaSpecs[t].replicas > 0 ? self.spec.tfReplicaSpecs[t].replicas - 1 : 0))).max()])"
// +kubebuilder:validation:XValidation:rule="size(self.spec.tfReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.tfReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.tfReplicaSpecs[t].replicas) && self.spec.tfReplicaSpecs[t].replicas > 0 ? self.spec.tfReplicaSpecs[t].replicas - 1 : 0))).max() <= 63 || !(size(oldSelf.spec.tfReplicaSpecs) == 0 || size(oldSelf.metadata.name) + oldSelf.spec.tfReplicaSpecs.map(t, size(t) + 2 + size(string(has(oldSelf.spec.tfReplicaSpecs[t].replicas) && oldSelf.spec.tfReplicaSpecs[t].replicas > 0 ? oldSelf.spec.tfReplicaSpecs[t].replicas - 1 : 0))).max() <= 63)",message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long for so many replicas: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.tfReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.tfReplicaSpecs[t].replicas) && self.spec.tfReplicaSpecs[t].replicas > 0 ? self.spec.tfReplicaSpecs[t].replicas - 1 : 0))).max()])"
type TFJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the job.
	Spec TFJobSpec `json:"spec"`
	// Status is the observed state of the job.
	// +optional
	Status commonv1.JobStatus `json:"status,omitempty"`
}

// TFJobSpec is the desired state of a TFJob.
//
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.managedBy) || self.runPolicy.managedBy in [\"\", 'kubeflow.org/training-operator', 'kueue.x-k8s.io/multikueue']",fieldPath=".runPolicy.managedBy",message="no controller of that name is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue",messageExpression="'no controller \"%s\" is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue'.format([self.runPolicy.managedBy])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.managedBy) ? self.runPolicy.managedBy : \"\") == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")",fieldPath=".runPolicy.managedBy",message="it is immutable: keep its value, or delete the job and create it again",messageExpression="'it is immutable and was \"%s\": keep that, or delete the job and create it again'.format([(has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.hostPorts)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPorts)) && (has(self.runPolicy) && has(self.runPolicy.hostPortRange)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPortRange)) && (!has(self.runPolicy) || !has(self.runPolicy.hostPortRange) || self.runPolicy.hostPortRange == oldSelf.runPolicy.hostPortRange)",fieldPath=".runPolicy",message="hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports: undo the change, or create another job"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, self.tfReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))",fieldPath=".runPolicy.successPolicy",message="a rule names a replica type that the job does not have: use a type of tfReplicaSpecs, or add it",messageExpression="self.runPolicy.successPolicy.rules.filter(r, !self.tfReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii())).map(r, 'the job has no replica type \"%s\", so the rule never holds: use a type of tfReplicaSpecs, or add it'.format([r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, !has(r.count) || self.tfReplicaSpecs.all(t, t != r.replicaType || !has(self.tfReplicaSpecs[t].replicas) || r.count <= self.tfReplicaSpecs[t].replicas))",fieldPath=".runPolicy.successPolicy",message="count is more than there are replicas: lower it, or raise replicas",messageExpression="self.runPolicy.successPolicy.rules.filter(r, has(r.count) && self.tfReplicaSpecs.exists(t, t == r.replicaType && has(self.tfReplicaSpecs[t].replicas) && r.count > self.tfReplicaSpecs[t].replicas)).map(r, 'count is %d, and the job has %d replicas of %s, so the rule never holds: lower count, or raise replicas'.format([r.count, self.tfReplicaSpecs[r.replicaType].replicas, r.replicaType]))[0]"
type TFJobSpec struct {
	// RunPolicy holds the policies of the job as a whole.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`

	// SuccessPolicy says when a job without Chief and Master has succeeded: "" when
	// Worker 0 or all Workers have, AllWorkers when all Workers have. With a Chief
	// or Master it has no effect: that one decides. Nor has it any with
	// runPolicy.successPolicy, which goes first. Default: "".
	// +optional
	SuccessPolicy *SuccessPolicy `json:"successPolicy,omitempty"`

	// TFReplicaSpecs describes the replicas: Chief or Master (at most 1), Worker, PS
	// and Evaluator (any number).
	// +kubebuilder:validation:MaxProperties=5
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() in ['chief', 'evaluator', 'master', 'ps', 'worker'])",message="a TFJob has the replica types Chief, Evaluator, Master, PS and Worker only: remove or rename the others",messageExpression="[self.filter(t, !(t.lowerAscii() in ['chief', 'evaluator', 'master', 'ps', 'worker']))].map(l, 'unknown replica type %s%s: a TFJob has the replica types Chief, Evaluator, Master, PS and Worker only: remove or rename it'.format([l[0], size(l) > 1 ? ', %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t in ['Chief', 'Evaluator', 'Master', 'PS', 'Worker'] || !['Chief', 'Evaluator', 'Master', 'PS', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii()) || oldSelf.hasValue() && t in oldSelf.value())",optionalOldSelf=true,message="the letter case of replica types counts: write Chief, Evaluator, Master, PS, Worker",messageExpression="[self.filter(t, !(t in ['Chief', 'Evaluator', 'Master', 'PS', 'Worker']) && ['Chief', 'Evaluator', 'Master', 'PS', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii())).map(t, '%s: the letter case counts, write %s'.format([t, ['Chief', 'Evaluator', 'Master', 'PS', 'Worker'].filter(k, k.lowerAscii() == t.lowerAscii())[0]]))].map(l, 'unknown replica type %s%s'.format([l[0], size(l) > 1 ? '; %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'tensorflow'))",message="a replica type has no container named \"tensorflow\" in template.spec.containers: give its main container this name",messageExpression="self.filter(t, !(has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'tensorflow'))).map(t, !has(self[t].template) ? 'the replica type %s has no template: add one, with a container named \"tensorflow\"'.format([t]) : !has(self[t].template.spec) || size(self[t].template.spec.containers) == 0 ? 'the replica type %s has no container in template.spec.containers: add one named \"tensorflow\"'.format([t]) : 'the replica type %s has no container named \"tensorflow\" in template.spec.containers, only %s%s%s: give the main container this name'.format([t, self[t].template.spec.containers[0].name, size(self[t].template.spec.containers) > 1 ? ', %s'.format([self[t].template.spec.containers[1].name]) : '', size(self[t].template.spec.containers) > 2 ? ' and others' : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.filter(t, t.lowerAscii() in ['chief', 'master']).size() <= 1",message="Chief and Master are two names of one role, of which a TFJob has one replica: remove one of them"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() != 'chief' || !has(self[t].replicas) || self[t].replicas <= 1)",message="a TFJob has at most one Chief: set Chief.replicas to 1",messageExpression="'Chief.replicas is %d, and a TFJob has at most one Chief: set Chief.replicas to 1'.format([self.filter(t, t.lowerAscii() == 'chief').map(t, self[t].replicas)[0]])"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() != 'master' || !has(self[t].replicas) || self[t].replicas <= 1)",message="a TFJob has at most one Master: set Master.replicas to 1",messageExpression="'Master.replicas is %d, and a TFJob has at most one Master: set Master.replicas to 1'.format([self.filter(t, t.lowerAscii() == 'master').map(t, self[t].replicas)[0]])"
	TFReplicaSpecs ReplicaSpecs `json:"tfReplicaSpecs"`

	// EnableDynamicWorker tells each Worker of itself and of the parameter servers
	// only, so that Workers can be added, removed and lost while the job runs; a
	// Worker that fails does not fail the job, unless its restart policy is ExitCode
	// and its exit code one that no restart helps. Default: false.
	// +optional
	EnableDynamicWorker bool `json:"enableDynamicWorker,omitempty"`
}

// SuccessPolicy says when a TFJob without Chief and Master has succeeded.
//
// +kubebuilder:validation:Enum="";AllWorkers
type SuccessPolicy string

const (
	// SuccessPolicyDefault is success when Worker 0 or all Workers have succeeded.
	SuccessPolicyDefault SuccessPolicy = ""
	// SuccessPolicyAllWorkers is success when all Workers have succeeded.
	SuccessPolicyAllWorkers SuccessPolicy = "AllWorkers"
)

// TFJobList is a list of TFJobs.
//
// +kubebuilder:object:root=true
type TFJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TFJob `json:"items"`
}
