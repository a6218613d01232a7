package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// Event is something that happened once and that users should know.
type Event struct {
	// Warning is true for a warning, false for a normal event.
	Warning bool
	// Reason is a word for machines, Message is for people.
	Reason, Message string
	// Pod is the pod that it is about, or the first of several. The shell names it as the
	// related object, because recorders merge events of a job that differ only in their
	// message.
	Pod PodRef
}

// PodRef names a pod of a job. The UID is empty if it is not known.
type PodRef struct {
	Name string
	UID  types.UID
}

// String returns the event as a line of a transcript.
func (e Event) String() string {
	kind := "normal"
	if e.Warning {
		kind = "warning"
	}
	return fmt.Sprintf("%s event %s: %s", kind, e.Reason, e.Message)
}
