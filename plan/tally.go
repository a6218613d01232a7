package plan

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// ReplicaState is the state of one replica: where its pod stands, in one word.
type ReplicaState string

// The states of a replica.
const (
	// Missing: there is no pod.
	Missing ReplicaState = "Missing"
	// Pending: the pod waits to be scheduled or started.
	Pending ReplicaState = "Pending"
	// Active: the pod runs.
	Active ReplicaState = "Active"
	// Succeeded: the pod ended well. It may be gone since.
	Succeeded ReplicaState = "Succeeded"
	// Failed: the pod ended with an error, or is being ended from outside, which is yet
	// to be dealt with.
	Failed ReplicaState = "Failed"
	// Replaced: the pod belongs to an attempt that has been given up; the next one
	// starts when it is gone.
	Replaced ReplicaState = "Replaced"
	// Leaving: somebody deletes the pod, and it did not end before by itself.
	Leaving ReplicaState = "Leaving"
)

// Tally is the state of every replica of a job.
type Tally struct {
	Types []TypeTally

	// names are those of the pods, by type.
	names []podNames
	// strays are the pods that are no replica which the job wants.
	strays []*corev1.Pod
}

// TypeTally is the state of the replicas of one type.
type TypeTally struct {
	Type commonv1.ReplicaType
	// States holds the state of each replica, by index.
	States []ReplicaState
	// Counts are what status.replicaStatuses reports: the phases of the pods.
	Counts commonv1.ReplicaStatus

	slots []slot
}

// slot is a replica that the job wants, and the pod that it has.
type slot struct {
	typ     commonv1.ReplicaType
	index   int32
	name    string // of its pod
	attempt int32  // the attempt that the status says the replica is at
	label   int32  // the attempt that the pod's label says it is, 0 if that makes no sense
	state   ReplicaState
	pod     *corev1.Pod // nil if missing
}

// Of returns the tally of a type, or nil.
func (t *Tally) Of(typ commonv1.ReplicaType) *TypeTally {
	for i := range t.Types {
		if t.Types[i].Type == typ {
			return &t.Types[i]
		}
	}
	return nil
}

// HasPod reports whether a replica has a pod, in whatever state. A nil tally has none.
func (t *TypeTally) HasPod(index int32) bool {
	return t != nil && index >= 0 && int(index) < len(t.slots) && t.slots[index].pod != nil
}

// Count is how many replicas of the type are in a state.
func (t *TypeTally) Count(s ReplicaState) int {
	n := 0
	for _, state := range t.States {
		if state == s {
			n++
		}
	}
	return n
}

// Count is how many replicas of the job are in a state.
func (t *Tally) Count(s ReplicaState) int {
	n := 0
	for i := range t.Types {
		n += t.Types[i].Count(s)
	}
	return n
}

// each calls f for every replica, in order.
func (t *Tally) each(f func(*slot)) {
	for i := range t.Types {
		for j := range t.Types[i].slots {
			f(&t.Types[i].slots[j])
		}
	}
}

// TallyOf finds the state of every replica that the job wants. A pod belongs to a
// replica by its name, which cannot change and of which there is only one, so a
// strange label neither hides a pod nor makes one count twice.
func TallyOf(in *Input) *Tally {
	in = unpacked(in)
	t := &Tally{}
	for _, typ := range in.types() {
		n := in.replicas(typ)
		t.Types = append(t.Types, TypeTally{
			Type:   typ,
			States: make([]ReplicaState, n),
			Counts: commonv1.ReplicaStatus{Selector: TypeLabels(in.Kind, in.Job.Name, typ).String()},
			slots:  make([]slot, n),
		})
		t.names = append(t.names, in.Kind.podNames(in.Job.Name, typ))
	}
	t.assign(in)
	for i := range t.Types {
		t.Types[i].fill(in)
	}
	return t
}

// AllRun is the tally of a job all of whose pods run: what its kind wants for such a job
// is all that it ever wants.
func AllRun(in *Input) *Tally {
	full := *in
	full.Pods = nil
	for _, t := range in.types() {
		for i := range in.replicas(t) {
			pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}
			pod.Name = in.Kind.PodName(in.Job.Name, t, i)
			full.Pods = append(full.Pods, pod)
		}
	}
	full.Status = commonv1.JobStatus{}
	return TallyOf(&full)
}

// assign gives each pod to the replica whose name it has.
func (t *Tally) assign(in *Input) {
	for _, p := range in.Pods {
		if s := t.slotOf(p.Name); s != nil {
			s.pod = p
		} else {
			t.strays = append(t.strays, p)
		}
	}
}

// slotOf finds the replica whose pod has a name, or nil.
func (t *Tally) slotOf(pod string) *slot {
	for i := range t.Types {
		if index, ok := t.names[i].index(pod); ok && index < len(t.Types[i].slots) {
			return &t.Types[i].slots[index]
		}
	}
	return nil
}

// fill says of each replica of a type where its pod stands.
func (t *TypeTally) fill(in *Input) {
	done := in.remembered(t.Type)
	for i := range t.slots {
		s := &t.slots[i]
		s.typ, s.index = t.Type, int32(i)
		s.attempt = attemptOf(&in.Status, t.Type, s.index)
		if s.pod != nil {
			s.name, s.label = s.pod.Name, attemptLabel(s.pod)
		} else {
			s.name = in.Kind.PodName(in.Job.Name, t.Type, s.index)
		}
		s.state = s.classify(done)
		t.States[i] = s.state
		switch {
		case s.pod != nil && (s.state == Leaving || s.state == Replaced && !endedByItself(s.pod)) && hasEnded(s.pod):
			// It was stopped, which is neither a success nor a failure.
		case s.pod != nil && s.state == Failed && s.pod.Status.Phase == corev1.PodSucceeded:
			t.Counts.Failed++ // It was disrupted, and exited with 0 when it was stopped for that.
		case s.pod != nil:
			countPhase(&t.Counts, s.pod.Status.Phase)
		case s.state == Succeeded:
			t.Counts.Succeeded++
		}
	}
}

// attemptOf is the attempt that a status says a replica is at.
func attemptOf(status *commonv1.JobStatus, t commonv1.ReplicaType, index int32) int32 {
	n := status.Attempt
	if rs := status.ReplicaStatuses[t]; rs != nil && len(rs.Attempts) > 0 {
		n += rs.Attempts[strconv.Itoa(int(index))]
	}
	return n
}

// classify names the state of a replica. The first case that fits decides.
func (s *slot) classify(done indexes) ReplicaState {
	switch {
	case s.pod == nil && done[s.index]:
		return Succeeded
	case s.pod == nil:
		return Missing
	case s.podAttempt(s.attempt) < s.attempt:
		return Replaced
	case s.pod.Status.Phase == corev1.PodSucceeded && done[s.index]:
		return Succeeded
	case disruption(s.pod) != nil:
		return Failed
	case s.pod.Status.Phase == corev1.PodSucceeded && endedByItself(s.pod):
		return Succeeded
	case s.pod.Status.Phase == corev1.PodFailed && endedByItself(s.pod):
		return Failed
	case s.pod.DeletionTimestamp != nil:
		return Leaving
	case s.pod.Status.Phase == corev1.PodRunning:
		return Active
	default:
		return Pending
	}
}

func countPhase(c *commonv1.ReplicaStatus, phase corev1.PodPhase) {
	switch phase {
	case corev1.PodRunning:
		c.Active++
	case corev1.PodSucceeded:
		c.Succeeded++
	case corev1.PodFailed:
		c.Failed++
	case corev1.PodPending, corev1.PodUnknown:
	}
}

// maxAttempt is the highest attempt that a label is believed. Nobody restarts a
// billion times.
const maxAttempt = 1 << 30

// podAttempt is the attempt that the replica's pod is, by its label; at is the one that
// the replica is at. A label that makes no sense stands for the first attempt.
func (s *slot) podAttempt(at int32) int32 {
	if s.label > max(at, maxAttempt) {
		return 0
	}
	return s.label
}

// attemptLabel reads the label.
func attemptLabel(p *corev1.Pod) int32 {
	n, err := strconv.ParseInt(p.Labels[commonv1.AttemptLabel], 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int32(n)
}
