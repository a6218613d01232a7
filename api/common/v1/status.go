package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// JobStatus is what the controller reports about a job.
type JobStatus struct {
	// Conditions are the observed conditions of the job, in the order of their last
	// change. The last one with status True names the state of the job.
	// +optional
	// +listType=atomic
	Conditions []JobCondition `json:"conditions,omitempty"`

	// ReplicaStatuses counts the replicas of each type.
	// +optional
	ReplicaStatuses map[ReplicaType]*ReplicaStatus `json:"replicaStatuses,omitempty"`

	// StartTime is when the job's first pod was created or the controller accepted the job,
	// whichever came first, or when the job was last resumed.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// CompletionTime is when the job succeeded or failed. It is set once.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// LastReconcileTime is when this status was last written. The status is not written
	// only to change this time.
	// +optional
	LastReconcileTime *metav1.Time `json:"lastReconcileTime,omitempty"`

	// State is the type of the last condition with status True: the state of the job in one
	// word. An addition to kubeflow.org/v1.
	// +optional
	State JobConditionType `json:"state,omitempty"`

	// ObservedGeneration is the generation of the job that this status describes.
	// An addition to kubeflow.org/v1.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Restarts is how many restarts count against backoffLimit: recreated pods,
	// restarts of the whole job, and restarts of containers in place. It never
	// falls. An addition to kubeflow.org/v1.
	// +optional
	Restarts int32 `json:"restarts"`

	// Attempt is how many times the job was restarted as a whole (restart scope Job). It
	// includes restarts that count against no limit, because a user or another controller
	// deleted a pod. An addition to kubeflow.org/v1.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`

	// RestartTimes are the times of the last restarts that count against backoffLimit while
	// backoffLimitWindowSeconds is set: no more than that needs, in order. An addition to
	// kubeflow.org/v1.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1001
	RestartTimes []metav1.Time `json:"restartTimes,omitempty"`

	// JobRestarts is how often a replica that had used up its own limit, or that had not
	// started in time, restarted the whole job (onBackoffLimitPerReplica, onStartDeadline).
	// An addition to kubeflow.org/v1.
	// +optional
	JobRestarts int32 `json:"jobRestarts,omitempty"`

	// Seconds is how long the job was in each state. An addition to kubeflow.org/v1.
	// +optional
	Seconds *JobSeconds `json:"seconds,omitempty"`

	// FailedNodes are the nodes on which replicas failed, while avoidNodes is set, the one with
	// the newest failure last. It says which of them are avoided. An addition to kubeflow.org/v1.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	FailedNodes []FailedNode `json:"failedNodes,omitempty"`

	// Failures are the last failures of replicas, and of containers that were restarted
	// in place, the newest last. An addition to kubeflow.org/v1.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Failures []ReplicaFailure `json:"failures,omitempty"`

	// TrainerStatus is the last report of the training code (progressPolicy). The server that
	// receives reports writes it, and nothing else does. An addition to kubeflow.org/v1.
	// +optional
	TrainerStatus *TrainerStatus `json:"trainerStatus,omitempty"`
}

// MaxFailures is how many failures a status holds.
const MaxFailures = 10

// ReplicaFailure records why a replica failed, for when its pod is gone.
type ReplicaFailure struct {
	// Time is when the pod failed: when that was reported, by the clock of the API
	// server, if it is known.
	Time metav1.Time `json:"time"`
	// Type, Index and Attempt say which pod of which replica it was.
	Type    ReplicaType `json:"type"`
	Index   int32       `json:"index"`
	Attempt int32       `json:"attempt"`
	// Node is where the pod ran.
	// +optional
	Node string `json:"node,omitempty"`
	// Reason is the pod's own (Evicted) or its container's (OOMKilled).
	// +optional
	Reason string `json:"reason,omitempty"`
	// ExitCode is the exit code of the container that decided the failure. It is absent if no
	// container ended with an error.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`
	// Message is the termination message of the container, or the kubelet's message about
	// the pod, shortened.
	// +optional
	Message string `json:"message,omitempty"`
	// LastReportTime and ProgressPercentage are of the last report before a replica hung
	// (reason Hung), if there was one.
	// +optional
	LastReportTime *metav1.Time `json:"lastReportTime,omitempty"`
	// +optional
	ProgressPercentage *int32 `json:"progressPercentage,omitempty"`
}

// ReplicaStatus counts the replicas of one type. A replica that is waiting to be
// scheduled or started is in none of the three counts.
type ReplicaStatus struct {
	// Active is how many pods are running, including those that are terminating.
	// +optional
	Active int32 `json:"active,omitempty"`
	// Succeeded is how many pods ended without an error.
	// +optional
	Succeeded int32 `json:"succeeded,omitempty"`
	// Failed is how many existing pods ended with an error, and how many replicas are in
	// failedIndexes whose pods are gone.
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// LabelSelector is not used. Deprecated: use Selector.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// SucceededIndexes are the replicas that have succeeded, as in "0-2,5". They do not
	// run again when their pods are deleted. It is emptied when the whole job restarts and
	// when the job is suspended. An addition to kubeflow.org/v1.
	// +optional
	SucceededIndexes string `json:"succeededIndexes,omitempty"`
	// FailedIndexes are the replicas that have failed for good while the job goes on without
	// them, as in "3,7-8", in kinds whose rules allow that. They do not run again when their
	// pods are deleted. It is emptied when the whole job restarts and when the job is suspended.
	// An addition to kubeflow.org/v1.
	// +optional
	FailedIndexes string `json:"failedIndexes,omitempty"`
	// Reclaimable is how many pods of this type the job needs no more, so that a queue can
	// give their quota to others: those of replicas that have succeeded. It is 0 where they may
	// have to run again, because something in the job can restart several replicas together.
	// It is reported of jobs in a queue of Kueue. An addition to kubeflow.org/v1.
	// +optional
	Reclaimable int32 `json:"reclaimable,omitempty"`
	// Selector selects the pods of this type, in the form that the scale
	// subresource needs.
	// +optional
	Selector string `json:"selector,omitempty"`
	// Attempt is how many times the replicas of this type were restarted together (restart
	// scope Role), also if no limit counts that because a pod was deleted. An addition to
	// kubeflow.org/v1.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// Restarts is how many restarts count against backoffLimit of the replica spec, while that
	// is set. It never falls. An addition to kubeflow.org/v1.
	// +optional
	Restarts int32 `json:"restarts,omitempty"`
	// Attempts is, for each replica that was ever recreated after a failure, the
	// attempt it is now at, by index. The first attempt is 0 and is not listed. It
	// is written before the failed pod is deleted, so that no restart is ever lost
	// or counted twice. An addition to kubeflow.org/v1.
	// +optional
	Attempts map[string]int32 `json:"attempts,omitempty"`
	// IgnoredAttempts is, for each replica, how many of its attempts count against no
	// limit, because a rule of podFailurePolicy says Ignore. An addition to
	// kubeflow.org/v1.
	// +optional
	IgnoredAttempts map[string]int32 `json:"ignoredAttempts,omitempty"`
	// InPlaceRestarts is how often containers of a replica were restarted in place,
	// by index. Replicas without such restarts are not listed. An addition to kubeflow.org/v1.
	// +optional
	InPlaceRestarts map[string]InPlaceRestarts `json:"inPlaceRestarts,omitempty"`
	// RestartTimes are, for each replica, the times of its last restarts that count against
	// backoffLimitPerReplica while backoffLimitWindowSeconds is set, by index, in order. An
	// addition to kubeflow.org/v1.
	// +optional
	RestartTimes map[string][]metav1.Time `json:"restartTimes,omitempty"`
	// EarlierRestarts is, for each replica, how many restarts it had when its limit
	// began again, because a replica restarted the whole job (onBackoffLimitPerReplica). An
	// addition to kubeflow.org/v1.
	// +optional
	EarlierRestarts map[string]int32 `json:"earlierRestarts,omitempty"`
	// Record holds succeededIndexes, failedIndexes, attempts, ignoredAttempts, inPlaceRestarts,
	// restartTimes and earlierRestarts of a job with many replicas in a packed form; those fields are then
	// absent. The form is internal to the controller. An addition to kubeflow.org/v1.
	// +optional
	Record string `json:"record,omitempty"`
}

// InPlaceRestarts counts the restarts of the containers of one replica.
type InPlaceRestarts struct {
	// PodUID is the UID of the replica's last pod that had such restarts.
	PodUID types.UID `json:"podUID"`
	// Count is how often its containers were restarted.
	Count int32 `json:"count"`
	// PodResourceVersion is the version of the pod that showed that count. It distinguishes
	// later pods of the same name from earlier ones.
	// +optional
	PodResourceVersion string `json:"podResourceVersion,omitempty"`
	// Earlier is how often containers were restarted in the pods that the replica had
	// before that one.
	// +optional
	Earlier int32 `json:"earlier,omitempty"`
}

// JobConditionType is the type of a condition.
type JobConditionType string

const (
	// JobCreated is True from the moment the controller accepts the job.
	JobCreated JobConditionType = "Created"
	// JobRunning is True while replicas run that make the job count as running, also
	// while others are being replaced, and no longer.
	JobRunning JobConditionType = "Running"
	// JobRestarting is True from a failure that is retried until the replicas run again,
	// and while none of the replicas that make the job count as running is running.
	// If both are True, it comes after Running, and names the state.
	JobRestarting JobConditionType = "Restarting"
	// JobSuspended is True while the job is suspended.
	JobSuspended JobConditionType = "Suspended"
	// JobStalled is True while something that the controller cannot fix keeps it from
	// creating, updating or deleting objects, for example an object of the wanted name that
	// belongs to another owner, a quota or a policy; or keeps its pods from starting or from
	// terminating, for example a lack of resources, or a node that does not answer. The job
	// continues by itself when the cause is gone. An addition to kubeflow.org/v1.
	JobStalled JobConditionType = "Stalled"
	// JobHung is True while a replica hangs (progressPolicy with action Report): it has
	// reported no progress, or was not ready, for too long. It is removed when the replica
	// goes on. It comes last in the list, and names the state. An addition to kubeflow.org/v1.
	JobHung JobConditionType = "Hung"
	// JobSucceeded is True when the job has succeeded. It is never undone.
	JobSucceeded JobConditionType = "Succeeded"
	// JobFailed is True when the job has failed. It is never undone.
	JobFailed JobConditionType = "Failed"
)

// JobCondition is one observed condition of a job.
type JobCondition struct {
	// Type of the condition.
	Type JobConditionType `json:"type"`
	// Status is True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
	// Reason is one word for programs: the kind and what happened, for example
	// "TestJobRunning".
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message is for people. It holds no times and no counters that change.
	// +optional
	Message string `json:"message,omitempty"`
	// LastUpdateTime is when any field of this condition last changed.
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`
	// LastTransitionTime is when the status of this condition last changed.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// Condition returns the condition of the given type, or nil.
func (s *JobStatus) Condition(t JobConditionType) *JobCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// IsTrue reports whether the condition of the given type is True.
func (s *JobStatus) IsTrue(t JobConditionType) bool {
	c := s.Condition(t)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Finished reports whether the job has succeeded or failed.
func (s *JobStatus) Finished() bool {
	return s.IsTrue(JobSucceeded) || s.IsTrue(JobFailed)
}
