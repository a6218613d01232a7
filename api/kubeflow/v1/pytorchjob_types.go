package v1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Replica types of a PyTorchJob.
const (
	// PyTorchJobReplicaTypeMaster is the replica with rank 0, at whose address the
	// others meet. A job without it is led by Worker 0.
	PyTorchJobReplicaTypeMaster commonv1.ReplicaType = "Master"
	// PyTorchJobReplicaTypeWorker is any other replica.
	PyTorchJobReplicaTypeWorker commonv1.ReplicaType = "Worker"
)

// Names of PyTorchJob, and its defaults.
const (
	PyTorchJobKind     = "PyTorchJob"
	PyTorchJobPlural   = "pytorchjobs"
	PyTorchJobSingular = "pytorchjob"
	// PyTorchJobFrameworkName is the value of the label framework of its metrics.
	PyTorchJobFrameworkName = "pytorch"
	// PyTorchJobDefaultContainerName is the container that every replica must have.
	PyTorchJobDefaultContainerName = "pytorch"
	// PyTorchJobDefaultPortName and PyTorchJobDefaultPort are the port of that
	// container at which the replicas reach one another.
	PyTorchJobDefaultPortName       = "pytorchjob-port"
	PyTorchJobDefaultPort     int32 = 23456
	// PyTorchJobDefaultRestartPolicy is that of replicas which name none.
	PyTorchJobDefaultRestartPolicy = commonv1.RestartPolicyOnFailure
	// PyTorchJobDefaultNprocPerNode lets torchrun count the processes of a replica.
	PyTorchJobDefaultNprocPerNode = "auto"
)

// PyTorchJob trains with PyTorch: at most one Master and any number of Workers,
// which get the environment variables that torchrun and torch.distributed read.
//
// It succeeds when its Master does or, without one, when all its Workers do; with
// an elasticPolicy one Worker is enough.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=pytorchjobs,singular=pytorchjob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.pytorchReplicaSpecs.Worker.replicas,statuspath=.status.replicaStatuses.Worker.active,selectorpath=.status.replicaStatuses.Worker.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.spec.pytorchReplicaSpecs.Worker.replicas`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.replicaStatuses.Worker.active`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.trainerStatus.progressPercentage`
// +kubebuilder:printcolumn:name="Remaining",type=integer,priority=1,JSONPath=`.status.trainerStatus.estimatedRemainingSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="metadata.name must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name",messageExpression="'metadata.name \"%s\" must start with a lower-case letter, hold lower-case letters, digits and \\'-\\' only, and end with a letter or digit, because the pods and services are named after it: choose another name'.format([self.metadata.name])"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || size(self.spec.pytorchReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.pytorchReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.pytorchReplicaSpecs[t].replicas) && self.spec.pytorchReplicaSpecs[t].replicas > 0 ? self.spec.pytorchReplicaSpecs[t].replicas - 1 : 0))).max() <= 63",optionalOldSelf=true,message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.pytorchReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.pytorchReplicaSpecs[t].replicas) && self.spec.pytorchReplicaSpecs[t].replicas > 0 ? self.spec.pytorchReplicaSpecs[t].replicas - 1 : 0))).max()])"
// +kubebuilder:validation:XValidation:rule="size(self.spec.pytorchReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.pytorchReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.pytorchReplicaSpecs[t].replicas) && self.spec.pytorchReplicaSpecs[t].replicas > 0 ? self.spec.pytorchReplicaSpecs[t].replicas - 1 : 0))).max() <= 63 || !(size(oldSelf.spec.pytorchReplicaSpecs) == 0 || size(oldSelf.metadata.name) + oldSelf.spec.pytorchReplicaSpecs.map(t, size(t) + 2 + size(string(has(oldSelf.spec.pytorchReplicaSpecs[t].replicas) && oldSelf.spec.pytorchReplicaSpecs[t].replicas > 0 ? oldSelf.spec.pytorchReplicaSpecs[t].replicas - 1 : 0))).max() <= 63)",message="metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long for so many replicas: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.pytorchReplicaSpecs.map(t, size(t) + 2 + size(string(has(self.spec.pytorchReplicaSpecs[t].replicas) && self.spec.pytorchReplicaSpecs[t].replicas > 0 ? self.spec.pytorchReplicaSpecs[t].replicas - 1 : 0))).max()])"
type PyTorchJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the job.
	Spec PyTorchJobSpec `json:"spec"`
	// Status is the observed state of the job.
	// +optional
	Status commonv1.JobStatus `json:"status,omitempty"`
}

// PyTorchJobSpec is the desired state of a PyTorchJob.
//
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.managedBy) || self.runPolicy.managedBy in [\"\", 'kubeflow.org/training-operator', 'kueue.x-k8s.io/multikueue']",fieldPath=".runPolicy.managedBy",message="no controller of that name is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue",messageExpression="'no controller \"%s\" is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue'.format([self.runPolicy.managedBy])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.managedBy) ? self.runPolicy.managedBy : \"\") == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")",fieldPath=".runPolicy.managedBy",message="it is immutable: keep its value, or delete the job and create it again",messageExpression="'it is immutable and was \"%s\": keep that, or delete the job and create it again'.format([(has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.hostPorts)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPorts)) && (has(self.runPolicy) && has(self.runPolicy.hostPortRange)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPortRange)) && (!has(self.runPolicy) || !has(self.runPolicy.hostPortRange) || self.runPolicy.hostPortRange == oldSelf.runPolicy.hostPortRange)",fieldPath=".runPolicy",message="hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports: undo the change, or create another job"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, self.pytorchReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))",fieldPath=".runPolicy.successPolicy",message="a rule names a replica type that the job does not have: use a type of pytorchReplicaSpecs, or add it",messageExpression="self.runPolicy.successPolicy.rules.filter(r, !self.pytorchReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii())).map(r, 'the job has no replica type \"%s\", so the rule never holds: use a type of pytorchReplicaSpecs, or add it'.format([r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, !has(r.count) || self.pytorchReplicaSpecs.all(t, t != r.replicaType || !has(self.pytorchReplicaSpecs[t].replicas) || r.count <= self.pytorchReplicaSpecs[t].replicas))",fieldPath=".runPolicy.successPolicy",message="count is more than there are replicas: lower it, or raise replicas",messageExpression="self.runPolicy.successPolicy.rules.filter(r, has(r.count) && self.pytorchReplicaSpecs.exists(t, t == r.replicaType && has(self.pytorchReplicaSpecs[t].replicas) && r.count > self.pytorchReplicaSpecs[t].replicas)).map(r, 'count is %d, and the job has %d replicas of %s, so the rule never holds: lower count, or raise replicas'.format([r.count, self.pytorchReplicaSpecs[r.replicaType].replicas, r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.elasticPolicy) || self.pytorchReplicaSpecs.exists(t, t.lowerAscii() == 'worker')",fieldPath=".elasticPolicy",message="it scales Workers, and the job has none: add Worker to pytorchReplicaSpecs, or remove elasticPolicy"
// +kubebuilder:validation:XValidation:rule="!has(self.nprocPerNode) || !has(self.elasticPolicy) || !has(self.elasticPolicy.nProcPerNode)",fieldPath=".elasticPolicy.nProcPerNode",message="it says the same as spec.nprocPerNode: remove it, it is deprecated"
type PyTorchJobSpec struct {
	// RunPolicy holds the policies of the job as a whole.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`

	// ElasticPolicy lets the number of Workers change while the job runs.
	// Default: none; the number is fixed.
	// +optional
	ElasticPolicy *ElasticPolicy `json:"elasticPolicy,omitempty"`

	// PyTorchReplicaSpecs describes the replicas: Master (at most 1) and Worker (any
	// number).
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() in ['master', 'worker'])",message="a PyTorchJob has the replica types Master and Worker only: remove or rename the others",messageExpression="[self.filter(t, !(t.lowerAscii() in ['master', 'worker']))].map(l, 'unknown replica type %s%s: a PyTorchJob has the replica types Master and Worker only: remove or rename it'.format([l[0], size(l) > 1 ? ', %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t in ['Master', 'Worker'] || !['Master', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii()) || oldSelf.hasValue() && t in oldSelf.value())",optionalOldSelf=true,message="the letter case of replica types counts: write Master, Worker",messageExpression="[self.filter(t, !(t in ['Master', 'Worker']) && ['Master', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii())).map(t, '%s: the letter case counts, write %s'.format([t, ['Master', 'Worker'].filter(k, k.lowerAscii() == t.lowerAscii())[0]]))].map(l, 'unknown replica type %s%s'.format([l[0], size(l) > 1 ? '; %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'pytorch'))",message="a replica type has no container named \"pytorch\" in template.spec.containers: give its main container this name",messageExpression="self.filter(t, !(has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, c.name == 'pytorch'))).map(t, !has(self[t].template) ? 'the replica type %s has no template: add one, with a container named \"pytorch\"'.format([t]) : !has(self[t].template.spec) || size(self[t].template.spec.containers) == 0 ? 'the replica type %s has no container in template.spec.containers: add one named \"pytorch\"'.format([t]) : 'the replica type %s has no container named \"pytorch\" in template.spec.containers, only %s%s%s: give the main container this name'.format([t, self[t].template.spec.containers[0].name, size(self[t].template.spec.containers) > 1 ? ', %s'.format([self[t].template.spec.containers[1].name]) : '', size(self[t].template.spec.containers) > 2 ? ' and others' : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() != 'master' || !has(self[t].replicas) || self[t].replicas == 1)",message="a PyTorchJob has one Master or none: set Master.replicas to 1, or remove Master",messageExpression="'Master.replicas is %d, and a PyTorchJob has one Master or none: set Master.replicas to 1, or remove Master'.format([self.filter(t, t.lowerAscii() == 'master').map(t, self[t].replicas)[0]])"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() != 'worker' || !has(self[t].replicas) || self[t].replicas >= 1)",message="a PyTorchJob that names Worker has at least one: set Worker.replicas to 1 or more, or remove Worker",messageExpression="'Worker.replicas is %d, and a PyTorchJob that names Worker has at least one: set Worker.replicas to 1 or more, or remove Worker'.format([self.filter(t, t.lowerAscii() == 'worker').map(t, self[t].replicas)[0]])"
	PyTorchReplicaSpecs ReplicaSpecs `json:"pytorchReplicaSpecs"`

	// NprocPerNode is how many processes torchrun starts in each replica: a number,
	// or "auto", "cpu", "gpu" or another word that torchrun takes.
	// Default: "auto".
	// +optional
	NprocPerNode *string `json:"nprocPerNode,omitempty"`
}

// ElasticPolicy says how torchrun forms the group of Workers of a PyTorchJob, and
// between which numbers of Workers it can be scaled.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",fieldPath=".minReplicas",message="it is more than maxReplicas: lower it, or raise maxReplicas",messageExpression="'%d is more than maxReplicas, %d: lower it, or raise maxReplicas'.format([self.minReplicas, self.maxReplicas])"
type ElasticPolicy struct {
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

	// RDZVBackend is where the Workers meet: c10d, etcd, etcd-v2 or another backend
	// that the image has. Default: c10d.
	// +optional
	RDZVBackend *RDZVBackend `json:"rdzvBackend,omitempty"`

	// RDZVPort is the port at which the Workers meet.
	// Default: the port "pytorchjob-port" of Worker.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	RDZVPort *int32 `json:"rdzvPort,omitempty"`

	// RDZVHost is the host at which the Workers meet. Default: Worker 0.
	// +optional
	RDZVHost *string `json:"rdzvHost,omitempty"`

	// RDZVID tells the job from others that use the same backend.
	// Default: none; torchrun chooses.
	// +optional
	RDZVID *string `json:"rdzvId,omitempty"` //nolint:tagliatelle // so it is called in kubeflow.org/v1

	// RDZVConf are further settings of the backend. Default: none.
	// +optional
	// +listType=atomic
	RDZVConf []RDZVConf `json:"rdzvConf,omitempty"`

	// Standalone has each replica train by itself, with a meeting point of its own.
	// torchrun then ignores the other rdzv settings. Default: false.
	// +optional
	Standalone *bool `json:"standalone,omitempty"`

	// NProcPerNode is the older place of spec.nprocPerNode, which is to be used
	// instead; only one of the two can be set. Default: spec.nprocPerNode.
	// +optional
	NProcPerNode *int32 `json:"nProcPerNode,omitempty"`

	// MaxRestarts is how often torchrun restarts the processes of a replica by
	// itself. These restarts do not count against runPolicy.backoffLimit.
	// Default: torchrun's.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`

	// Metrics has a HorizontalPodAutoscaler, named as the job, choose the number of
	// Workers by these metrics. Default: none; there is no autoscaler.
	// +optional
	// +listType=atomic
	Metrics []autoscalingv2.MetricSpec `json:"metrics,omitempty"`
}

// RDZVConf is a setting of a rendezvous backend.
type RDZVConf struct {
	// Key is the name of the setting.
	// +optional
	Key string `json:"key,omitempty"`
	// Value is its value.
	// +optional
	Value string `json:"value,omitempty"`
}

// RDZVBackend names a rendezvous backend of torchrun.
type RDZVBackend string

const (
	// BackendC10D is a store that one of the Workers serves. It needs nothing else.
	BackendC10D RDZVBackend = "c10d"
	// BackendETCD is an etcd server.
	BackendETCD RDZVBackend = "etcd"
	// BackendETCDV2 is an etcd server, through torchrun's newer client.
	BackendETCDV2 RDZVBackend = "etcd-v2"
)

// PyTorchJobList is a list of PyTorchJobs.
//
// +kubebuilder:object:root=true
type PyTorchJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PyTorchJob `json:"items"`
}
