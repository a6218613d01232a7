package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Replica types of an MPIJob.
const (
	// MPIJobReplicaTypeLauncher is the replica that calls mpirun. There is one, and
	// its pod is named <job>-launcher, without an index.
	MPIJobReplicaTypeLauncher commonv1.ReplicaType = "Launcher"
	// MPIJobReplicaTypeWorker is a replica in which the launcher starts processes.
	MPIJobReplicaTypeWorker commonv1.ReplicaType = "Worker"
)

// Names of MPIJob, and its defaults.
const (
	MPIJobKind     = "MPIJob"
	MPIJobPlural   = "mpijobs"
	MPIJobSingular = "mpijob"
	// MPIJobFrameworkName is the value of the label framework of its metrics.
	MPIJobFrameworkName = "mpi"
	// MPIJobDefaultContainerName is the main container of a replica that has one of
	// this name. In others the first container is.
	MPIJobDefaultContainerName = "mpi"
	// MPIJobDefaultPortName and MPIJobDefaultPort name a port for containers that
	// want one. MPI itself needs none: the launcher reaches Workers through the API
	// server.
	MPIJobDefaultPortName       = "mpi-port"
	MPIJobDefaultPort     int32 = 9999
	// MPIJobDefaultRestartPolicy is that of replicas which name none.
	MPIJobDefaultRestartPolicy = commonv1.RestartPolicyNever
	// MPIJobDefaultSlotsPerWorker is spec.slotsPerWorker where it is absent.
	MPIJobDefaultSlotsPerWorker int32 = 1
)

// MPIJob runs an MPI program: a Launcher, which calls mpirun, and any number of
// Workers, in which it starts processes.
//
// It succeeds when its Launcher does.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=mpijobs,singular=mpijob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.mpiReplicaSpecs.Worker.replicas,statuspath=.status.replicaStatuses.Worker.active,selectorpath=.status.replicaStatuses.Worker.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.spec.mpiReplicaSpecs.Worker.replicas`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.replicaStatuses.Worker.active`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.trainerStatus.progressPercentage`
// +kubebuilder:printcolumn:name="Remaining",type=integer,priority=1,JSONPath=`.status.trainerStatus.estimatedRemainingSeconds`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !(has(self.spec.runPolicy) && has(self.spec.runPolicy.serviceMode) && self.spec.runPolicy.serviceMode != 'None') || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",optionalOldSelf=true,message="with serviceMode PerReplica or PerJob, metadata.name must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name, or set runPolicy.serviceMode to None",messageExpression="'metadata.name \"%s\" must start with a lower-case letter, hold lower-case letters, digits and \\'-\\' only, and end with a letter or digit, because the pods and services are named after it: choose another name, or set runPolicy.serviceMode to None'.format([self.metadata.name])"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || size(self.metadata.name) <= 63",optionalOldSelf=true,message="metadata.name is too long: it is the value of a label and can have 63 characters: use a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long: it is the value of a label and can have 63 characters: use a shorter name'.format([self.metadata.name, size(self.metadata.name)])"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !(has(self.spec.runPolicy) && has(self.spec.runPolicy.serviceMode) && self.spec.runPolicy.serviceMode != 'None') || size(self.spec.mpiReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.mpiReplicaSpecs.map(t, t.lowerAscii() == 'launcher' ? 9 : size(t) + 2 + size(string(has(self.spec.mpiReplicaSpecs[t].replicas) && self.spec.mpiReplicaSpecs[t].replicas > 0 ? self.spec.mpiReplicaSpecs[t].replicas - 1 : 0))).max() <= 63",optionalOldSelf=true,message="with serviceMode PerReplica or PerJob, metadata.name is too long: <name>-launcher or <name>-worker-<index> is the name of a pod and a service and can have 63 characters: use a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long: <name>-launcher or <name>-worker-<index> is the name of a pod and a service and can have 63 characters: use a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.mpiReplicaSpecs.map(t, t.lowerAscii() == 'launcher' ? 9 : size(t) + 2 + size(string(has(self.spec.mpiReplicaSpecs[t].replicas) && self.spec.mpiReplicaSpecs[t].replicas > 0 ? self.spec.mpiReplicaSpecs[t].replicas - 1 : 0))).max()])"
// +kubebuilder:validation:XValidation:rule="!(has(self.spec.runPolicy) && has(self.spec.runPolicy.serviceMode) && self.spec.runPolicy.serviceMode != 'None') || size(self.spec.mpiReplicaSpecs) == 0 || size(self.metadata.name) + self.spec.mpiReplicaSpecs.map(t, t.lowerAscii() == 'launcher' ? 9 : size(t) + 2 + size(string(has(self.spec.mpiReplicaSpecs[t].replicas) && self.spec.mpiReplicaSpecs[t].replicas > 0 ? self.spec.mpiReplicaSpecs[t].replicas - 1 : 0))).max() <= 63 || (has(oldSelf.spec.runPolicy) && has(oldSelf.spec.runPolicy.serviceMode) && oldSelf.spec.runPolicy.serviceMode != 'None') && !(size(oldSelf.spec.mpiReplicaSpecs) == 0 || size(oldSelf.metadata.name) + oldSelf.spec.mpiReplicaSpecs.map(t, t.lowerAscii() == 'launcher' ? 9 : size(t) + 2 + size(string(has(oldSelf.spec.mpiReplicaSpecs[t].replicas) && oldSelf.spec.mpiReplicaSpecs[t].replicas > 0 ? oldSelf.spec.mpiReplicaSpecs[t].replicas - 1 : 0))).max() <= 63)",message="with serviceMode PerReplica or PerJob, metadata.name is too long: <name>-launcher or <name>-worker-<index> is the name of a pod and a service and can have 63 characters: use fewer replicas, or a new job with a shorter name",messageExpression="'metadata.name \"%s\" has %d characters, which is too long for so many replicas: <name>-launcher or <name>-worker-<index> is the name of a pod and a service and can have 63 characters: use fewer replicas, or a new job with a name of at most %d characters'.format([self.metadata.name, size(self.metadata.name), 63 - self.spec.mpiReplicaSpecs.map(t, t.lowerAscii() == 'launcher' ? 9 : size(t) + 2 + size(string(has(self.spec.mpiReplicaSpecs[t].replicas) && self.spec.mpiReplicaSpecs[t].replicas > 0 ? self.spec.mpiReplicaSpecs[t].replicas - 1 : 0))).max()])"
type MPIJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the desired state of the job.
	Spec MPIJobSpec `json:"spec"`
	// Status is the observed state of the job.
	// +optional
	Status commonv1.JobStatus `json:"status,omitempty"`
}

// MPIJobSpec is the desired state of an MPIJob.
//
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.managedBy) || self.runPolicy.managedBy in [\"\", 'kubeflow.org/training-operator', 'kueue.x-k8s.io/multikueue']",fieldPath=".runPolicy.managedBy",message="no controller of that name is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue",messageExpression="'no controller \"%s\" is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue'.format([self.runPolicy.managedBy])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.managedBy) ? self.runPolicy.managedBy : \"\") == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")",fieldPath=".runPolicy.managedBy",message="it is immutable: keep its value, or delete the job and create it again",messageExpression="'it is immutable and was \"%s\": keep that, or delete the job and create it again'.format([(has(oldSelf.runPolicy) && has(oldSelf.runPolicy.managedBy) ? oldSelf.runPolicy.managedBy : \"\")])"
// +kubebuilder:validation:XValidation:rule="(has(self.runPolicy) && has(self.runPolicy.hostPorts)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPorts)) && (has(self.runPolicy) && has(self.runPolicy.hostPortRange)) == (has(oldSelf.runPolicy) && has(oldSelf.runPolicy.hostPortRange)) && (!has(self.runPolicy) || !has(self.runPolicy.hostPortRange) || self.runPolicy.hostPortRange == oldSelf.runPolicy.hostPortRange)",fieldPath=".runPolicy",message="hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports: undo the change, or create another job"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, self.mpiReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))",fieldPath=".runPolicy.successPolicy",message="a rule names a replica type that the job does not have: use a type of mpiReplicaSpecs, or add it",messageExpression="self.runPolicy.successPolicy.rules.filter(r, !self.mpiReplicaSpecs.exists(t, t.lowerAscii() == r.replicaType.lowerAscii())).map(r, 'the job has no replica type \"%s\", so the rule never holds: use a type of mpiReplicaSpecs, or add it'.format([r.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="!has(self.runPolicy) || !has(self.runPolicy.successPolicy) || self.runPolicy.successPolicy.rules.all(r, !has(r.count) || self.mpiReplicaSpecs.all(t, t != r.replicaType || !has(self.mpiReplicaSpecs[t].replicas) || r.count <= self.mpiReplicaSpecs[t].replicas))",fieldPath=".runPolicy.successPolicy",message="count is more than there are replicas: lower it, or raise replicas",messageExpression="self.runPolicy.successPolicy.rules.filter(r, has(r.count) && self.mpiReplicaSpecs.exists(t, t == r.replicaType && has(self.mpiReplicaSpecs[t].replicas) && r.count > self.mpiReplicaSpecs[t].replicas)).map(r, 'count is %d, and the job has %d replicas of %s, so the rule never holds: lower count, or raise replicas'.format([r.count, self.mpiReplicaSpecs[r.replicaType].replicas, r.replicaType]))[0]"
type MPIJobSpec struct {
	// SlotsPerWorker is how many processes MPI may start in each Worker, as the
	// hostfile says. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SlotsPerWorker *int32 `json:"slotsPerWorker,omitempty"`

	// CleanPodPolicy says which pods are deleted when the job has finished. It is
	// the older place of runPolicy.cleanPodPolicy, which wins if both are set.
	// Default: runPolicy.cleanPodPolicy; None if that is absent too.
	// +optional
	CleanPodPolicy *commonv1.CleanPodPolicy `json:"cleanPodPolicy,omitempty"`

	// MPIReplicaSpecs describes the replicas: Launcher (exactly 1) and Worker (any
	// number; default 0).
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() in ['launcher', 'worker'])",message="an MPIJob has the replica types Launcher and Worker only: remove or rename the others",messageExpression="[self.filter(t, !(t.lowerAscii() in ['launcher', 'worker']))].map(l, 'unknown replica type %s%s: an MPIJob has the replica types Launcher and Worker only: remove or rename it'.format([l[0], size(l) > 1 ? ', %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t in ['Launcher', 'Worker'] || !['Launcher', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii()) || oldSelf.hasValue() && t in oldSelf.value())",optionalOldSelf=true,message="the letter case of replica types counts: write Launcher, Worker",messageExpression="[self.filter(t, !(t in ['Launcher', 'Worker']) && ['Launcher', 'Worker'].exists(k, k.lowerAscii() == t.lowerAscii())).map(t, '%s: the letter case counts, write %s'.format([t, ['Launcher', 'Worker'].filter(k, k.lowerAscii() == t.lowerAscii())[0]]))].map(l, 'unknown replica type %s%s'.format([l[0], size(l) > 1 ? '; %s'.format([l[1]]) : '']))[0]"
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(self[t].template) && has(self[t].template.spec) && size(self[t].template.spec.containers) > 0)",message="a replica type has no container in template.spec.containers: add one",messageExpression="self.filter(t, !(has(self[t].template) && has(self[t].template.spec) && size(self[t].template.spec.containers) > 0)).map(t, has(self[t].template) ? 'the replica type %s has no container in template.spec.containers: add one'.format([t]) : 'the replica type %s has no template: add one, with a container'.format([t]))[0]"
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.exists(t, t.lowerAscii() == 'launcher')",message="an MPIJob needs a Launcher: add one"
	// +kubebuilder:validation:XValidation:rule="!('Worker' in self) || !has(self['Worker'].startAfter)",message="the Launcher of an MPIJob starts after the Workers, so Workers cannot start after it: remove Worker.startAfter"
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.lowerAscii() != 'launcher' || !has(self[t].replicas) || self[t].replicas == 1)",message="an MPIJob has exactly one Launcher: set Launcher.replicas to 1, or leave it out",messageExpression="'Launcher.replicas is %d, and an MPIJob has exactly one Launcher: set Launcher.replicas to 1, or leave it out'.format([self.filter(t, t.lowerAscii() == 'launcher').map(t, self[t].replicas)[0]])"
	MPIReplicaSpecs ReplicaSpecs `json:"mpiReplicaSpecs"`

	// MainContainer is the container that runs MPI: of a Worker, in which the launcher
	// starts processes, and of the launcher if it has one of that name. Default: the
	// container named mpi, or else the first.
	// +optional
	MainContainer string `json:"mainContainer,omitempty"`

	// LauncherCreationPolicy says when the launcher is created: WaitForWorkersReady, when
	// all Workers run and are ready (where they have a probe that says so), because mpirun
	// gives up on Workers that do not run yet; or AtStartup, as soon as their pods exist, as
	// training-operator v1 did. If a scheduler needs all pods before it starts any (a gang
	// scheduler, a queue with scheduling gates), the launcher is created at once in either
	// case. It is an addition to kubeflow.org/v1, with the name
	// that it has in v2beta1. Default: WaitForWorkersReady.
	// +optional
	LauncherCreationPolicy *LauncherCreationPolicy `json:"launcherCreationPolicy,omitempty"`

	// RunPolicy holds the policies of the job as a whole.
	// +optional
	RunPolicy commonv1.RunPolicy `json:"runPolicy,omitempty"`
}

// LauncherCreationPolicy says when the launcher of an MPIJob is created.
//
// +kubebuilder:validation:Enum=AtStartup;WaitForWorkersReady
type LauncherCreationPolicy string

// The launcher creation policies.
const (
	// LauncherCreationAtStartup creates the launcher as soon as the Workers' pods exist.
	LauncherCreationAtStartup LauncherCreationPolicy = "AtStartup"
	// LauncherCreationWaitForWorkersReady creates it when all Workers are ready.
	LauncherCreationWaitForWorkersReady LauncherCreationPolicy = "WaitForWorkersReady"
)

// MPIJobList is a list of MPIJobs.
//
// +kubebuilder:object:root=true
type MPIJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MPIJob `json:"items"`
}
