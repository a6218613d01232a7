package simulate

import (
	"fmt"
	"slices"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Timeline is what happened to a job, in order.
type Timeline struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Roles are the replica types that the job has, in the kind's order.
	Roles []Role `json:"roles"`
	// Setting is what was to happen, in words.
	Setting []string `json:"setting"`
	// Entries are what happened.
	Entries []Entry `json:"entries"`
	// State is the job's state at the end, in one word, and Deleted whether it was gone then.
	State   string `json:"state"`
	Deleted bool   `json:"deleted,omitempty"`
	// Seconds is how long the job took; until the end of the simulation if it did not end.
	Seconds float64 `json:"seconds"`
	// Status is the last that the job had.
	Status commonv1.JobStatus `json:"status"`

	// limits are the job's limits in words, took is Seconds, lanes are the replicas' lives.
	limits string
	took   time.Duration
	lanes  []lane
	states []span
}

// Role is one replica type of a job.
type Role struct {
	Type     commonv1.ReplicaType `json:"type"`
	Replicas int                  `json:"replicas"`
}

// theJob is the subject of entries about the job.
const theJob = "job"

// What is a kind of entry.
type What string

// The kinds of entries.
const (
	Submitted  What = "submitted"
	Provoked   What = "fault"     // something goes wrong, or is done to the job, because a flag says so
	Condition  What = "condition" // a condition of the job becomes true
	EventIs    What = "event"     // the operator records an event
	Created    What = "created"   // a pod, or another object
	Runs       What = "runs"
	Succeeded  What = "succeeded"
	Failed     What = "failed"
	InPlace    What = "restarted in place"
	Disrupted  What = "disrupted"
	Stops      What = "stopping"
	Gone       What = "gone"
	JobDeleted What = "deleted"
	StillGoing What = "still going"
)

// Entry is one thing that happened.
type Entry struct {
	// Seconds is when, since the job was submitted.
	Seconds float64 `json:"seconds"`
	// Subject is what it happened to: "job", a replica such as "worker-1", a node, or an
	// object with its kind.
	Subject string `json:"subject"`
	What    What   `json:"what"`
	// State is the condition that became true.
	State string `json:"state,omitempty"`
	// Message says more, for people.
	Message string `json:"message,omitempty"`
	// Node is where a pod runs, Attempt which one of the replica it is, ExitCode how its main
	// container ended.
	Node     string `json:"node,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`
	ExitCode *int32 `json:"exitCode,omitempty"`
	// Warning is set for an event that is one.
	Warning bool `json:"warning,omitempty"`

	at time.Duration
}

// pod reports whether an entry is about a replica.
func (e *Entry) pod() bool {
	return slices.Contains([]What{Created, Runs, Succeeded, Failed, InPlace, Disrupted, Stops, Gone}, e.What)
}

// lane is the life of one replica: what it did, from when on.
type lane struct {
	name  string
	spans []span
	marks []mark
}

// span is a state from a moment on, until the next one begins.
type span struct {
	from  time.Duration
	state string
}

// mark is a moment at which a replica ended.
type mark struct {
	at time.Duration
	ok bool
}

// The states of a replica in the chart.
const (
	laneNone    = ""
	laneWaits   = "waits"
	laneRuns    = "runs"
	laneStops   = "stops"
	laneNoReply = "no reply"
)

// eventful reports whether something went wrong with the replica.
func (l *lane) eventful() bool {
	return slices.ContainsFunc(l.marks, func(m mark) bool { return !m.ok })
}

// clock writes a time since the start: "0.0s", "12.5s", "2m05s", "1h02m03s".
func clock(d time.Duration) string {
	d = d.Round(100 * time.Millisecond)
	switch {
	case d < time.Minute && d%time.Second == 0:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm%02ds", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}
