package v1

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ReplicaType is the role of a replica within a job, for example "Worker". Each
// kind says which types it knows.
type ReplicaType string

// ReplicaSpec describes the replicas of one type.
type ReplicaSpec struct {
	// Replicas is how many replicas of this type to run. It can be changed at any
	// time. 0 runs none and leaves the other types alone.
	// Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// Template is the pod that each replica runs. The controller sets its
	// labels under training.kubeflow.org/, the owner reference, the name and the
	// restart policy, so the template must not.
	// +optional
	Template corev1.PodTemplateSpec `json:"template,omitempty"`

	// RestartPolicy says what happens when a replica ends or fails.
	// Default: set by the kind; Never where the kind sets none.
	// +optional
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty"`

	// RestartScope says how much restarts when one replica of this type fails.
	// Default: runPolicy.restartScope; where that is not set either, what the kind says.
	// An addition to kubeflow.org/v1.
	// +optional
	RestartScope *RestartScope `json:"restartScope,omitempty"`

	// BackoffLimit is how many restarts that replicas of this type ask for may happen before
	// the job fails, counted as for runPolicy.backoffLimit, which holds as well. A restart of
	// several replicas together is one, and counts for the type whose replica was the cause.
	// Restarts are counted while the field is set. Default: set by the kind; no limit where the
	// kind sets none. An addition to kubeflow.org/v1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// StartAfter creates the pods of this type only when all replicas of another type
	// are in a state. Default: set by the kind; all types start together where the kind
	// sets none. An addition to kubeflow.org/v1.
	// +optional
	StartAfter *StartAfter `json:"startAfter,omitempty"`

	// VolumeClaimTemplates give each replica of the type persistent volume claims of its
	// own, named <template>-<pod>, and the pod a volume of the template's name. They are
	// created with the pod and kept across restarts. Where one of that name exists that
	// belongs to no job, it is used as it is, unless persistentVolumeClaimRetentionPolicy
	// deletes it with the job. Default: none. An addition to kubeflow.org/v1.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	VolumeClaimTemplates []corev1.PersistentVolumeClaimTemplate `json:"volumeClaimTemplates,omitempty"`

	// PersistentVolumeClaimRetentionPolicy says when those claims are deleted.
	// Default: never. An addition to kubeflow.org/v1.
	// +optional
	PersistentVolumeClaimRetentionPolicy *VolumeClaimRetentionPolicy `json:"persistentVolumeClaimRetentionPolicy,omitempty"`
}

// StartAfter says what the pods of a replica type wait for. Each pod is created while all
// replicas of the other type are in the state. What they do after that does not matter:
// pods that exist stay. A restart of the whole job, and a resume, begin with the order
// again. It is an addition to kubeflow.org/v1.
type StartAfter struct {
	// ReplicaType is the type that goes first. The job must have it. One with 0 replicas
	// keeps nothing waiting.
	ReplicaType ReplicaType `json:"replicaType"`
	// State is what all its replicas must have reached.
	State StartAfterState `json:"state"`
}

// StartAfterState is what the replicas of a type must have reached before those of another
// are created. It is an addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Running;Ready;Succeeded
type StartAfterState string

const (
	// StartAfterRunning is reached by a replica that runs or has succeeded.
	StartAfterRunning StartAfterState = "Running"
	// StartAfterReady is reached by a replica that runs and is ready, where its template
	// has a probe or a readiness gate that says so, or that has succeeded.
	StartAfterReady StartAfterState = "Ready"
	// StartAfterSucceeded is reached by a replica that has succeeded.
	StartAfterSucceeded StartAfterState = "Succeeded"
)

// RestartPolicy says what happens when a replica ends or fails.
// +kubebuilder:validation:Enum=Always;OnFailure;Never;ExitCode;""
type RestartPolicy string

const (
	// RestartPolicyAlways restarts the containers whenever they end, and recreates
	// a pod that fails as a whole (evicted, node lost).
	RestartPolicyAlways RestartPolicy = "Always"
	// RestartPolicyOnFailure restarts containers that end with an error, and
	// recreates a pod that fails as a whole (evicted, node lost).
	RestartPolicyOnFailure RestartPolicy = "OnFailure"
	// RestartPolicyNever restarts nothing: a replica that fails, or that is preempted,
	// evicted or drained, fails the job.
	RestartPolicyNever RestartPolicy = "Never"
	// RestartPolicyExitCode lets the exit code of the main container decide: 1 to
	// 127 is a permanent error and fails the job, 128 to 255 is retryable and
	// recreates the pod. A pod that failed without an exit code (evicted, node
	// lost, preempted) is recreated too.
	RestartPolicyExitCode RestartPolicy = "ExitCode"
)

// CleanPodPolicy says which pods are deleted when a job has finished.
// +kubebuilder:validation:Enum=All;Running;None;""
type CleanPodPolicy string

const (
	// CleanPodPolicyUndefined is the absence of a policy; it means None.
	CleanPodPolicyUndefined CleanPodPolicy = ""
	// CleanPodPolicyAll deletes every pod, also those that ended.
	CleanPodPolicyAll CleanPodPolicy = "All"
	// CleanPodPolicyRunning deletes every pod that has not ended (running, pending,
	// or about to be retried) and keeps the ended ones, with their logs.
	CleanPodPolicyRunning CleanPodPolicy = "Running"
	// CleanPodPolicyNone deletes no pod.
	CleanPodPolicyNone CleanPodPolicy = "None"
)

// ServiceMode says which services a job gets. It is an addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=PerReplica;PerJob;None
type ServiceMode string

const (
	// ServiceModePerReplica gives each replica a headless service of its pod's name.
	ServiceModePerReplica ServiceMode = "PerReplica"
	// ServiceModePerJob gives the job one headless service of the job's name; each
	// pod gets its name as hostname and the job's name as subdomain, so that it is
	// reached as <pod>.<job>.
	ServiceModePerJob ServiceMode = "PerJob"
	// ServiceModeNone gives the job no service.
	ServiceModeNone ServiceMode = "None"
)

// RestartScope says how much of a job restarts when one replica fails. It is an
// addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Replica;Role;Job
type RestartScope string

const (
	// RestartScopeReplica restarts the replica that failed.
	RestartScopeReplica RestartScope = "Replica"
	// RestartScopeRole restarts the replicas of one type together when one of them must be
	// replaced, and counts that as one restart if it failed or was disrupted. The replicas of
	// other types go on. The node restarts no container in place.
	RestartScopeRole RestartScope = "Role"
	// RestartScopeJob restarts every replica of the job together when one must be
	// replaced, and counts that as one restart if it failed or was disrupted. The node
	// restarts no container in place.
	RestartScopeJob RestartScope = "Job"
)

// Values of RunPolicy.ManagedBy that are known to this library.
const (
	// ManagedByTrainingOperator is this controller; so is an absent or empty value.
	ManagedByTrainingOperator = "kubeflow.org/training-operator"
	// ManagedByMultiKueue leaves the job to Kueue's MultiKueue.
	ManagedByMultiKueue = "kueue.x-k8s.io/multikueue"
)

// BackoffLimitPerReplicaAction is what follows when a replica has used up its own backoff
// limit. It is an addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=FailJob;RestartJob
type BackoffLimitPerReplicaAction string

const (
	// BackoffLimitPerReplicaFailJob fails the job.
	BackoffLimitPerReplicaFailJob BackoffLimitPerReplicaAction = "FailJob"
	// BackoffLimitPerReplicaRestartJob restarts every replica of the job together, and each
	// has its whole budget again.
	BackoffLimitPerReplicaRestartJob BackoffLimitPerReplicaAction = "RestartJob"
)

// StartDeadlineAction is what follows when replicas have not started in time. It is an
// addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=FailJob;RestartJob
type StartDeadlineAction string

const (
	// StartDeadlineFailJob fails the job.
	StartDeadlineFailJob StartDeadlineAction = "FailJob"
	// StartDeadlineRestartJob restarts every replica of the job together.
	StartDeadlineRestartJob StartDeadlineAction = "RestartJob"
)

// RunPolicy holds the policies of a job as a whole.
//
// +kubebuilder:validation:XValidation:rule="!has(self.backoffLimitWindowSeconds) || has(self.backoffLimit) || has(self.backoffLimitPerReplica)",fieldPath=".backoffLimitWindowSeconds",message="it says nothing without backoffLimit or backoffLimitPerReplica: add one of them, or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.backoffLimitWindowSeconds) || !has(self.backoffLimit) || self.backoffLimit <= 1000",fieldPath=".backoffLimit",message="with backoffLimitWindowSeconds the status holds the time of each restart: use at most 1000, or remove backoffLimitWindowSeconds"
// +kubebuilder:validation:XValidation:rule="!has(self.onBackoffLimitPerReplica) || has(self.backoffLimitPerReplica)",fieldPath=".onBackoffLimitPerReplica",message="it says nothing without backoffLimitPerReplica: add that, or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.maxJobRestarts) || has(self.onBackoffLimitPerReplica) && self.onBackoffLimitPerReplica == 'RestartJob' || has(self.onStartDeadline) && self.onStartDeadline == 'RestartJob'",fieldPath=".maxJobRestarts",message="it says nothing unless onBackoffLimitPerReplica or onStartDeadline is RestartJob: set one of them, or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.onStartDeadline) || has(self.startDeadlineSeconds)",fieldPath=".onStartDeadline",message="it says nothing without startDeadlineSeconds: add that, or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.onStartDeadline) || self.onStartDeadline != 'RestartJob' || !has(self.startDeadlineSeconds) || self.startDeadlineSeconds > 0",fieldPath=".startDeadlineSeconds",message="with 0 the job would restart forever: use 1 or more, or set onStartDeadline to FailJob"
// +kubebuilder:validation:XValidation:rule="!has(self.hostPortRange) || has(self.hostPorts)",fieldPath=".hostPortRange",message="it says nothing without hostPorts: add that, or remove it"
type RunPolicy struct {
	// CleanPodPolicy says which pods are deleted when the job has finished.
	// Default: set by the kind; None where the kind sets none.
	// +optional
	CleanPodPolicy *CleanPodPolicy `json:"cleanPodPolicy,omitempty"`

	// TTLSecondsAfterFinished deletes the job, and all it owns, this many seconds
	// after it finished. 0 deletes it at once. Default: never.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// ActiveDeadlineSeconds fails the job when it has been active for this many
	// seconds. Time spent suspended does not count: the clock starts again at zero at
	// resume. Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`

	// StartDeadlineSeconds fails the job when a replica has not started this many seconds
	// after its pod was created: at the start, at a resume, and at each restart. Of an elastic
	// job, minReplicas must start. Where a gang scheduler or a scheduling gate holds pods
	// back, the time begins when they get a node. The reason is <kind>StartDeadlineExceeded.
	// Default: no limit. An addition to kubeflow.org/v1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StartDeadlineSeconds *int64 `json:"startDeadlineSeconds,omitempty"`

	// OnStartDeadline says what follows when replicas have not started by then. RestartJob
	// restarts the whole job, which counts as one restart against backoffLimit and
	// maxJobRestarts; a pod of a later attempt gets 10 s, 20 s, 40 s, up to 10 minutes at
	// least. It fails the job all the same where a restart cannot help: when an old pod does
	// not go, or a pod cannot be created. Default: FailJob. An addition to kubeflow.org/v1.
	// +optional
	OnStartDeadline *StartDeadlineAction `json:"onStartDeadline,omitempty"`

	// BackoffLimit is how many restarts the job may have before it fails: recreated
	// pods, restarts of the whole job, and restarts of containers in place, of all
	// replicas together. 0 fails the job at the first failure. Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// BackoffLimitPerReplica is how many restarts a single replica may have before
	// the job fails: recreated pods, and restarts of containers in place. Restarts of
	// the whole job do not count. Default: no limit. An addition to kubeflow.org/v1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BackoffLimitPerReplica *int32 `json:"backoffLimitPerReplica,omitempty"`

	// BackoffLimitWindowSeconds makes only the restarts of so many last seconds count
	// against backoffLimit (then at most 1000) and backoffLimitPerReplica. Default: all
	// restarts count. An addition to kubeflow.org/v1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	BackoffLimitWindowSeconds *int64 `json:"backoffLimitWindowSeconds,omitempty"`

	// OnBackoffLimitPerReplica says what follows when a replica needs more restarts than
	// backoffLimitPerReplica. RestartJob restarts the whole job, which counts as one restart
	// against backoffLimit. Default: FailJob. An addition to kubeflow.org/v1.
	// +optional
	OnBackoffLimitPerReplica *BackoffLimitPerReplicaAction `json:"onBackoffLimitPerReplica,omitempty"`

	// MaxJobRestarts is how often replicas that have used up their own limit, or that have
	// not started in time, may restart the whole job. The next such replica fails it.
	// Default: no limit. An addition to kubeflow.org/v1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxJobRestarts *int32 `json:"maxJobRestarts,omitempty"`

	// PodFailurePolicy says what to do about pods that fail in certain ways. If none of its
	// rules matches, the replica's restart policy decides. Default: no rules. An addition to
	// kubeflow.org/v1.
	// +optional
	PodFailurePolicy *PodFailurePolicy `json:"podFailurePolicy,omitempty"`

	// SuccessPolicy says when the job has succeeded, in place of the kind's own rules, a
	// TFJob's spec.successPolicy among them. Default: the kind's rules. An addition to
	// kubeflow.org/v1.
	// +optional
	SuccessPolicy *SuccessPolicy `json:"successPolicy,omitempty"`

	// ProgressPolicy says how the job shows that it makes progress, and what follows when it
	// hangs. Default: nothing watches over it. An addition to kubeflow.org/v1.
	// +optional
	ProgressPolicy *ProgressPolicy `json:"progressPolicy,omitempty"`

	// SchedulingPolicy is used when gang scheduling is enabled.
	// +optional
	SchedulingPolicy *SchedulingPolicy `json:"schedulingPolicy,omitempty"`

	// Suspend deletes the pods and services of a job that has not finished. None are created
	// until it is false again. Default: false.
	// +optional
	// +kubebuilder:default:=false
	Suspend *bool `json:"suspend,omitempty"`

	// ManagedBy names the controller that runs the job. Absent, empty or
	// "kubeflow.org/training-operator" is this one; a job with any other value is
	// left alone.
	// +optional
	ManagedBy *string `json:"managedBy,omitempty"`

	// RestartScope says how much of the job restarts when one replica fails.
	// Default: Replica. An addition to kubeflow.org/v1.
	// +optional
	RestartScope *RestartScope `json:"restartScope,omitempty"`

	// ForceDeleteAfterSeconds deletes by force a pod that still exists this many seconds
	// after its grace period ended, because its node does not answer. The containers may
	// still run there, so set it only if that does no harm. Pods on nodes that no longer
	// exist, or are tainted as out of service, are deleted by force after 30 seconds in any
	// case. Default: never. An addition to kubeflow.org/v1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ForceDeleteAfterSeconds *int64 `json:"forceDeleteAfterSeconds,omitempty"`

	// AvoidNodes keeps new pods away from nodes on which replicas of the job failed. Default:
	// they may start anywhere. An addition to kubeflow.org/v1.
	// +optional
	AvoidNodes *AvoidNodes `json:"avoidNodes,omitempty"`

	// ServiceMode says which services the job gets. Default: set by the kind;
	// PerJob where the kind sets none. An addition to kubeflow.org/v1.
	// +optional
	ServiceMode *ServiceMode `json:"serviceMode,omitempty"`

	// HostPorts Allocate gives the ports of replicas with hostNetwork numbers of a range, so
	// that no two replicas of the job need the same port of a node. Each declared port of
	// each container gets one; containers have it in the variable HOST_PORT_<NAME>, and the
	// replicas learn those of the others as the kind passes them. It cannot be changed.
	// Default: the ports are those of the templates. An addition to kubeflow.org/v1.
	// +optional
	HostPorts *HostPortPolicy `json:"hostPorts,omitempty"`

	// HostPortRange is the range of hostPorts, with a port for each port of each replica.
	// Default: 20000 to 29999. An addition to kubeflow.org/v1.
	// +optional
	HostPortRange *HostPortRange `json:"hostPortRange,omitempty"`
}

// HostPortPolicy says which ports replicas have that use the network of their node. It is an
// addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Allocate
type HostPortPolicy string

// HostPortsAllocate gives each port of each such replica a number of its own.
const HostPortsAllocate HostPortPolicy = "Allocate"

// HostPortRange is a range of ports. It is an addition to kubeflow.org/v1.
//
// +kubebuilder:validation:XValidation:rule="self.first <= self.last",message="first is more than last: lower first, or raise last"
type HostPortRange struct {
	// First is the lowest port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	First int32 `json:"first"`
	// Last is the highest port.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Last int32 `json:"last"`
}

// SchedulingPolicy says how the pods of a job are scheduled together.
type SchedulingPolicy struct {
	// MinAvailable is how many pods must fit before any of them starts.
	// Default: all replicas of the job.
	// +optional
	MinAvailable *int32 `json:"minAvailable,omitempty"`
	// Queue is the scheduler's queue that the job waits in.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.runPolicy.schedulingPolicy.queue is immutable"
	Queue string `json:"queue,omitempty"`
	// MinResources are the resources that must be free before any pod starts.
	// Default: computed from the first minAvailable pods.
	// +optional
	MinResources *map[corev1.ResourceName]resource.Quantity `json:"minResources,omitempty"`
	// PriorityClass is the priority class of the group of pods.
	// +optional
	PriorityClass string `json:"priorityClass,omitempty"`
	// ScheduleTimeoutSeconds is how long the scheduler waits for the group to fit.
	// +optional
	ScheduleTimeoutSeconds *int32 `json:"scheduleTimeoutSeconds,omitempty"`
}

// PodFailurePolicy says what to do about failed pods, in the manner of batch/v1
// Job. It applies to pods that failed as a whole, or that are preempted, evicted or drained.
// It does not apply to containers that the kubelet restarts in place (restart policies Always
// and OnFailure, with restart scope Replica).
type PodFailurePolicy struct {
	// Rules are evaluated in order: the first that matches a failed pod decides.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	Rules []PodFailurePolicyRule `json:"rules"`
}

// PodFailurePolicyRule says what to do about pods that fail in one way. Exactly one
// of OnExitCodes and OnPodConditions must be set.
//
// +kubebuilder:validation:XValidation:rule="has(self.onExitCodes) != (has(self.onPodConditions) && size(self.onPodConditions) > 0)",message="a rule of podFailurePolicy needs exactly one of onExitCodes and onPodConditions: remove one, or add one"
type PodFailurePolicyRule struct {
	// Action is what to do.
	Action PodFailurePolicyAction `json:"action"`

	// ReplicaTypes are the types whose pods the rule is for. Default: all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	ReplicaTypes []ReplicaType `json:"replicaTypes,omitempty"`

	// OnExitCodes matches a pod of which a container, init containers included, ended with
	// such an exit code, not 0.
	// +optional
	OnExitCodes *batchv1.PodFailurePolicyOnExitCodesRequirement `json:"onExitCodes,omitempty"`

	// OnPodConditions matches a pod that has one of these conditions, for example
	// DisruptionTarget, which preempted, evicted and drained pods have: such a pod has
	// failed from that moment on.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	OnPodConditions []batchv1.PodFailurePolicyOnPodConditionsPattern `json:"onPodConditions,omitempty"`
}

// PodFailurePolicyAction is what to do about a failed pod.
// +kubebuilder:validation:Enum=FailJob;Ignore;Count;RestartJob
type PodFailurePolicyAction string

const (
	// PodFailurePolicyActionFailJob fails the job at once.
	PodFailurePolicyActionFailJob PodFailurePolicyAction = "FailJob"
	// PodFailurePolicyActionIgnore restarts the replica, and counts that against no limit.
	PodFailurePolicyActionIgnore PodFailurePolicyAction = "Ignore"
	// PodFailurePolicyActionCount restarts the replica, and counts that.
	PodFailurePolicyActionCount PodFailurePolicyAction = "Count"
	// PodFailurePolicyActionRestartJob restarts every replica of the job together,
	// whatever its restart scope, and counts that as one restart.
	PodFailurePolicyActionRestartJob PodFailurePolicyAction = "RestartJob"
)
