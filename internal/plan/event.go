package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// Event is something that happened once and that people should know.
type Event struct {
	// Warning tells a warning from a normal event.
	Warning bool
	// Reason is a word for machines, Message is for people.
	Reason, Message string
	// Pod is the pod that it is about, or the first of several. Recorders merge events of
	// a job that differ in nothing but their message: so that those of different pods stay
	// apart, the shell names the pod as the related object.
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
