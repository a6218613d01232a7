package v1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Replica types of a PaddleJob.
const (
	// PaddleJobReplicaTypeMaster is a parameter server. A job without one trains
	// collectively, led by Worker 0.
	PaddleJobReplicaTypeMaster commonv1.ReplicaType = "Master"
	// PaddleJobReplicaTypeWorker is a trainer.
	PaddleJobReplicaTypeWorker commonv1.ReplicaType = "Worker"
)

// Names of PaddleJob, and its defaults.
const (
	PaddleJobKind     = "PaddleJob"
	PaddleJobPlural   = "paddlejobs"
	PaddleJobSingular = "paddlejob"
	// PaddleJobFrameworkName is the value of the label framework of its metrics.
	PaddleJobFrameworkName = "paddle"
	// PaddleJobDefaultContainerName is the container that every replica must have.
	PaddleJobDefaultContainerName = "paddle"
	// PaddleJobDefaultPortName and PaddleJobDefaultPort are the port of that
	// container at which the replicas reach one another.
	PaddleJobDefaultPortName       = "master"
	PaddleJobDefaultPort     int32 = 36543
	// PaddleJobDefaultRestartPolicy is that of replicas which name none.
	PaddleJobDefaultRestartPolicy = commonv1.RestartPolicyOnFailure
)

// PaddleJob trains with PaddlePaddle: Workers alone, or Workers with Masters, which
// are parameter servers.
//
// It succeeds when its Masters do or, without any, when all its Workers do.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=paddlejobs,singular=paddlejob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.paddleReplicaSpecs.Worker.replicas,statuspath=.status.replicaStatuses.Worker.active,selectorpath=.status.replicaStatuses.Worker.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.spec.paddleReplicaSpecs.Worker.replicas`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.replicaStatuses.Worker.active`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.trainerStatus.progressPercentage`
// +kubebuilder:printcolumn:name="Remaining",type=integer,priority=1,JSONPath=`.status.trainerStatus.estimatedRemainingSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name",messageExpression="'metadata.name \"%s\" must start with a lower-case letter, hold lower-case letters, digits and \\'-\\' only, and end with a letter or digit, because the pods and services are named after it: choose another name'.format([self.metadata.name])"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || size(self.spec.paddleReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.paddleReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.paddleReplicaSpecs[t].replicas) && self.spec.paddleReplicaSpecs[t].replicas > 0 ? self.spec.paddleReplicaSpecs[t].replicas - 1 : 0))).max() <= 63",optionalOldSelf=true,message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.paddleReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.paddleReplicaSpecs[t].replicas) && self.spec.paddleReplicaSpecs[t].replicas > 0 ? self.spec.paddleReplicaSpecs[t].replicas - 1 : 0))).max()])"
// +kubebuilder:validation:XValidation:rule="size(self.spec.paddleReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.paddleReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.paddleReplicaSpecs[t].replicas) && self.spec.paddleReplicaSpecs[t].replicas > 0 ? self.spec.paddleReplicaSpecs[t].replicas - 1 : 0))).max() <= 63 || !(size(oldSelf.spec.paddleReplicaSpecs) == 0 || size(oldSelf.metadata.name) + oldSelf.spec.paddleReplicaSpecs.map(t, size(t) + 2 + size(string(has(oldSelf.spec.paddleReplicaSpecs[t].replicas) && oldSelf.spec.paddleReplicaSpecs[t].replicas > 0 ? oldSelf.spec.paddleReplicaSpecs[t].replicas - 1 : 0))).max() <= 63)",message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long for so many replicas: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.paddleReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.paddleReplicaSpecs[t].replicas) && self.spec.paddleReplicaSpecs[t].replicas > 0 ? self.spec.paddleReplicaSpecs[t].replicas - 1 : 0))).max()])"
type PaddleJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the job.
	Spec PaddleJobSpec `json:"spec"`
	// Status is the observed state of the job.
	// +optional
	Status commonv1.JobStatus `json:"status,omitempty"`
}

// PaddleJobSpec is the desired state of a PaddleJob.
//
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.managedBy) || self.runPolicy.managedBy in [\"\", 'kubeflow.org/training-operator', 'kueue.x-k8s.io/multikueue']",fieldPath=".runPolicy.managedBy",message="no controller of that name is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue",messageExpression="'no controller \"%s\" is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue'.format([self.runPolicy.managedBy])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.managedBy) ? self.runPolicy.managedBy : \"\") == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")",fieldPath=".runPolicy.managedBy",message="it is immutable: keep its value, or delete the job and create it again",messageExpression="'it is immutable and was \"%s\": keep that, or delete the job and create it again'.format([(has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.hostPorts)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPorts)) && (has(self.runPolicy) && has(self.runPolicy.hostPortRange)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPortRange)) && (!has(self.runPolicy) || !has(self.runPolicy.hostPortRange) || self.runPolicy.hostPortRange == oldSelf.runPolicy.hostPortRange)",fieldPath=".runPolicy",message="hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports: undo the change, or create another job"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, self.paddleReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))",fieldPath=".runPolicy.successPolicy",message="a rule names a replica type that the job does not have: use a type of paddleReplicaSpecs, or add it",messageExpression="self.runPolicy.successPolicy.rules.filter(r, !self.paddleReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii())).map(r, 'the job has no replica type \"%s\", so the rule never holds: use a type of paddleReplicaSpecs, or add it'.format([r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, !has(r.count) || self.paddleReplicaSpecs.all(t, t != r.replicaType || !has(self.paddleReplicaSpecs[t].replicas) || r.count <= self.paddleReplicaSpecs[t].replicas))",fieldPath=".runPolicy.successPolicy",message="count is more than there are replicas: lower it, or raise replicas",messageExpression="self.runPolicy.successPolicy.rules.filter(r, has(r.count) && self.paddleReplicaSpecs.exists(t, t == r.replicaType && has(self.paddleReplicaSpecs[t].replicas) && r.count > self.paddleReplicaSpecs[t].replicas)).map(r, 'count is %d, and the job has %d replicas of %s, so the rule never holds: lower count, or raise replicas'.format([r.count, self.paddleReplicaSpecs[r.replicaType].replicas, r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.elasticPolicy) || self.paddleReplicaSpecs.exists(t, t.lowerAscii() == 'worker')",fieldPath=".elasticPolicy",message="it scales Workers, and the job has none: add Worker to paddleReplicaSpecs, or remove elasticPolicy"
type PaddleJobSpec struct {
	// RunPolicy holds the policies of the job as a whole.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`

	// ElasticPolicy limits the number of Workers when the job is scaled.
	// Default: none; the number is fixed.
	// +optional
	ElasticPolicy *PaddleElasticPolicy `json:"elasticPolicy,omitempty"`

	// PaddleReplicaSpecs describes the replicas: Master and Worker (any number).
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() in ['master', 'worker'])",message="a PaddleJob has the replica types Master and Worker only: remove or rename the others",messageExpression="[self.filter(t, !(t.lowerAscii() in ['master', 'worker']))].map(l, 'unknown replica type %s%s: a PaddleJob has the replica types Master and Worker only: remove or rename it'.format([l[0], size(l) > 1 ? ', %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t in ['Master', 'Worker'] || !['Master', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii()) || oldSelf.hasValue() && t in oldSelf.value())",optionalOldSelf=true,message="the letter case of replica types counts: write Master, Worker",messageExpression="[self.filter(t, !(t in ['Master', 'Worker']) && ['Master', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii())).map(t, '%s: the letter case counts, write %s'.format([t, ['Master', 'Worker'].filter(k, k.lowerAscii() == t.lowerAscii())[0]]))].map(l, 'unknown replica type %s%s'.format([l[0], size(l) > 1 ? '; %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'paddle'))",message="a replica type has no container named \"paddle\" in template.spec.containers: give its main container this name",messageExpression="self.filter(t, !(has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'paddle'))).map(t, !has(self[t].template) ? 'the replica type %s has no template: add one, with a container named \"paddle\"'.format([t]) : !has(self[t].template.spec) || size(self[t].template.spec.containers) == 0 ? 'the replica type %s has no container in template.spec.containers: add one named \"paddle\"'.format([t]) : 'the replica type %s has no container named \"paddle\" in template.spec.containers, only %s%s%s: give the main container this name'.format([t, self[t].template.spec.containers[0].name, size(self[t].template.spec.containers) > 1 ? ', %s'.format([self[t].template.spec.containers[1].name]) : '', size(self[t].template.spec.containers) > 2 ? ' and others' : '']))[0]"
	PaddleReplicaSpecs ReplicaSpecs `json:"paddleReplicaSpecs"`
}

// PaddleElasticPolicy says between which numbers of Workers a PaddleJob can be
// scaled.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",fieldPath=".minReplicas",message="it is more than maxReplicas: lower it, or raise maxReplicas",messageExpression="'%d is more than maxReplicas, %d: lower it, or raise maxReplicas'.format([self.minReplicas, self.maxReplicas])"
type PaddleElasticPolicy struct {
	// MinReplicas is the lowest number of Workers with which the job continues.
	// Default: maxReplicas; the replicas of Worker if that is absent too.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// MaxReplicas is the highest number of Workers to which the job can be scaled.
	// Default: minReplicas; the replicas of Worker if that is absent too.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxReplicas *int32 `json:"maxReplicas,omitempty"`

	// MaxRestarts has no effect: runPolicy.backoffLimit limits the restarts of the
	// job. It is here so that manifests which have it are taken.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`

	// Metrics are the metrics by which a HorizontalPodAutoscaler is to choose the
	// number of Workers. Default: none; there is no autoscaler.
	// +optional
	// +listType=atomic
	Metrics []autoscalingv2.MetricSpec `json:"metrics,omitempty"`
}

// PaddleJobList is a list of PaddleJobs.
//
// +kubebuilder:object:root=true
type PaddleJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PaddleJob `json:"items"`
}
