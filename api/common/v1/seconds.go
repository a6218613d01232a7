package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// JobSeconds is how long a job was in each state, in whole seconds. It is written when the state
// changes, so the time since then is not in it: it belongs to the present state. While the job
// waits and starts, the two are told apart when it leaves that state. It is an addition to
// kubeflow.org/v1.
type JobSeconds struct {
	// Since is until when the seconds are counted: when the present state began, by the clock of
	// the API server if that is known, or when the job ended.
	Since metav1.Time `json:"since"`
	// Waiting is how long pods of it had no node: before they were created, in a queue, for a
	// gang, or for room.
	// +optional
	Waiting int64 `json:"waiting,omitempty"`
	// Starting is how long it took from the last pod's node until the job ran.
	// +optional
	Starting int64 `json:"starting,omitempty"`
	// Running is how long it was Running, and neither Restarting nor Hung.
	// +optional
	Running int64 `json:"running,omitempty"`
	// Restarting is how long it was Restarting, by the cause of the first failure.
	// +optional
	Restarting *RestartingSeconds `json:"restarting,omitempty"`
	// Hung is how long it was Hung.
	// +optional
	Hung int64 `json:"hung,omitempty"`
	// Suspended is how long it was suspended.
	// +optional
	Suspended int64 `json:"suspended,omitempty"`
	// RestartCause is the cause of the restart that is under way.
	// +optional
	RestartCause RestartCause `json:"restartCause,omitempty"`
}

// RestartCause is why a job is Restarting. It is an addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Failed;Disrupted;Hung;Deleted
type RestartCause string

const (
	// RestartFailed is that a container ended with an error, or the node refused the pod.
	RestartFailed RestartCause = "Failed"
	// RestartDisrupted is that the pod was preempted, evicted or drained, or its node was lost.
	RestartDisrupted RestartCause = "Disrupted"
	// RestartHung is that a replica made no progress.
	RestartHung RestartCause = "Hung"
	// RestartDeleted is that another client deleted pods.
	RestartDeleted RestartCause = "Deleted"
)

// RestartingSeconds is how long a job was Restarting, by cause.
type RestartingSeconds struct {
	// +optional
	Failed int64 `json:"failed,omitempty"`
	// +optional
	Disrupted int64 `json:"disrupted,omitempty"`
	// +optional
	Hung int64 `json:"hung,omitempty"`
	// +optional
	Deleted int64 `json:"deleted,omitempty"`
}

// Of is how long a job was Restarting for a cause.
func (s *RestartingSeconds) Of(cause RestartCause) int64 {
	if s == nil {
		return 0
	}
	switch cause {
	case RestartFailed:
		return s.Failed
	case RestartDisrupted:
		return s.Disrupted
	case RestartHung:
		return s.Hung
	case RestartDeleted:
		return s.Deleted
	default:
		return 0
	}
}

// RestartCauses are all causes of restarts.
func RestartCauses() []RestartCause {
	return []RestartCause{RestartFailed, RestartDisrupted, RestartHung, RestartDeleted}
}
