package plan

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Tally is the state of every replica of a job, and the pods behind it.
type Tally struct {
	// Tally is what the author's code gets.
	jobkit.Tally

	// byType are the same replicas with their pods.
	byType []typeTally
	// names are those of the pods, by type.
	names []podNames
	// unexpectedPods are the pods that belong to no replica that the job wants.
	unexpectedPods []*corev1.Pod
	// unwanted are those of them that have not ended, as replicas: a gang waits for them, too.
	unwanted []replica
	// lost are the lost replicas of a job that restarts as a whole (see lostReplicas).
	lost    []*replica
	inDoubt bool
	// hangs are the replicas that hang, in the order of time; nextHang is when another may.
	hangs    []hang
	nextHang time.Time
	// mute is true if the replica of which the first report is expected cannot send any.
	mute bool
}

// typeTally is the state of the replicas of one type, and the pods behind it.
type typeTally struct {
	*jobkit.TypeTally

	replicas []replica
	// departed is how many of those that are counted as failed have pods that are gone.
	departed int32
}

// replica is a replica that the job wants, and the pod that it has.
type replica struct {
	typ     commonv1.ReplicaType
	index   int32
	name    string // of its pod
	attempt int32  // the replica's attempt in the status
	label   int32  // the attempt in the pod's label, 0 if that is not a number; unread until it is needed
	state   jobkit.ReplicaState
	pod     *corev1.Pod // nil if missing, or if it is gone and its end is on record
	gone    bool        // the pod is among Input.Departed
	left    bool        // it has failed for good and was left alone, by the status
	// beforeResume is true if the pod has succeeded and was created before the job was last resumed.
	// A failure of before counts, as every failure does, whenever it is seen.
	beforeResume bool
}

// unread is the label of a replica before it was read. Most jobs are in their first attempt, in
// which no label is of an earlier one, and to read the labels of ten thousand pods is much of a
// pass.
const unread = -1

// each calls f for every replica, in order.
func (t *Tally) each(f func(*replica)) {
	for i := range t.byType {
		for j := range t.byType[i].replicas {
			f(&t.byType[i].replicas[j])
		}
	}
}

// TallyOf finds the state of every replica that the job wants. A pod belongs to a
// replica by its name, which is unique and cannot change, so a strange label neither
// hides a pod nor makes one count twice.
func TallyOf(in *Input) *Tally {
	in = withUnpackedStatus(in)
	t := &Tally{}
	for _, typ := range in.types() {
		n := in.replicas(typ)
		t.Types = append(t.Types, jobkit.TypeTally{
			Type:   typ,
			States: make([]jobkit.ReplicaState, n),
			Pods:   make([]bool, n),
			Ready:  make([]bool, n),
			Counts: commonv1.ReplicaStatus{Selector: typeLabels(in.Kind, in.Job.Name, typ).String()},
		})
		t.byType = append(t.byType, typeTally{replicas: make([]replica, n)})
		t.names = append(t.names, podNamesOf(&in.Kind, in.Job.Name, typ))
	}
	for i := range t.byType {
		t.byType[i].TypeTally = &t.Types[i]
	}
	t.assign(in)
	for i := range t.byType {
		t.byType[i].fill(in)
	}
	t.findUnwanted(in)
	t.findLost(in)
	t.findHangs(in)
	t.doubtEnds(in)
	return t
}

// findUnwanted finds the replicas of the pods that run although the job does not want them: it was
// scaled down, or a type was removed. What has a name that the job never gave has no type.
func (t *Tally) findUnwanted(in *Input) {
	if len(t.unexpectedPods) == 0 {
		return
	}
	types := in.Kind.Types()
	for _, p := range t.unexpectedPods {
		if hasEnded(p) {
			continue
		}
		s := replica{name: p.Name, index: -1, pod: p, label: unread}
		for _, typ := range types {
			if index, ok := podNamesOf(&in.Kind, in.Job.Name, typ).index(p.Name); ok && index < jobkit.MaxReplicas {
				s.typ, s.index = typ, int32(index) //nolint:gosec // below MaxReplicas
			}
		}
		s.attempt = attemptOf(&in.Status, s.typ, s.index)
		s.state = s.classify(nil)
		t.unwanted = append(t.unwanted, s)
	}
}

// AllRun is the tally that a job would have if all its pods ran: what the kind wants for such
// a job is all that it ever wants.
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
		if s := t.replicaOf(p.Name); s != nil {
			s.pod = p
		} else {
			t.unexpectedPods = append(t.unexpectedPods, p)
		}
	}
	t.assignDeparted(in)
}

// replicaOf finds the replica whose pod has a name, or nil.
func (t *Tally) replicaOf(pod string) *replica {
	if i, index := t.positionOf(pod); i >= 0 {
		return &t.byType[i].replicas[index]
	}
	return nil
}

// positionOf finds the type and the index of the replica whose pod has a name; -1 if there is none.
func (t *Tally) positionOf(pod string) (typ, index int) {
	for i := range t.byType {
		if index, ok := t.names[i].index(pod); ok && index < len(t.byType[i].replicas) {
			return i, index
		}
	}
	return -1, -1
}

// fill sets the state of each replica of a type.
func (t *typeTally) fill(in *Input) {
	done, left := in.succeededBefore(t.Type), in.leftAloneBefore(t.Type)
	rs, resumed := in.Status.ReplicaStatuses[t.Type], in.resumedAt()
	for i := range t.replicas {
		s := &t.replicas[i]
		s.typ, s.index = t.Type, int32(i)
		s.attempt, s.left = attemptIn(&in.Status, rs, s.index), left[s.index]
		if s.pod != nil {
			s.name, s.label = s.pod.Name, unread
		} else {
			s.name = in.Kind.PodName(in.Job.Name, t.Type, s.index)
		}
		if s.isOlderThanRecord(done[s.index]) {
			s.pod = nil
		}
		s.beforeResume = s.pod != nil && s.pod.Status.Phase == corev1.PodSucceeded && s.pod.CreationTimestamp.Time.Before(resumed)
		s.forgetGone(done[s.index] || s.left)
		s.state = s.classify(done)
		t.States[i], t.Pods[i], t.Ready[i] = s.state, s.pod != nil && !s.gone, s.state == jobkit.Active && isReady(s.pod)
		failed := t.Counts.Failed
		if t.count(in, s); s.gone && s.pod != nil {
			t.departed += t.Counts.Failed - failed
		}
	}
}

// isOlderThanRecord reports whether the view of a replica's pod is older than the record of its end: it
// is of an earlier attempt, or still runs. A pod that is disrupted has failed while it runs.
func (s *replica) isOlderThanRecord(done bool) bool {
	switch {
	case s.pod == nil:
		return false
	case s.left && !hasEnded(s.pod):
		return disruption(s.pod) == nil
	default:
		return (done || s.left) && s.isBefore(s.attempt)
	}
}

// count counts the pod of a replica.
func (t *typeTally) count(in *Input, s *replica) {
	switch {
	case s.state == jobkit.Succeeded:
		t.Counts.Succeeded++
	case s.isGoneForGood():
		t.Counts.Failed++
	case s.pod == nil:
	case (s.state == jobkit.Terminating || s.state == jobkit.Superseded && !endedByItself(s.pod)) && hasEnded(s.pod):
		// It was stopped: this is neither a success nor a failure.
	case in.Status.Finished() && s.state == jobkit.Failed && s.pod.DeletionTimestamp != nil && !endedByItself(s.pod):
		// It was disrupted when its job had finished and, as far as a new process knows, had been stopped.
	case s.state == jobkit.Failed && s.pod.Status.Phase == corev1.PodSucceeded:
		t.Counts.Failed++ // It was disrupted, and exited with 0 when it was stopped for that.
	default:
		countPhase(&t.Counts, s.pod.Status.Phase)
	}
}

// attemptOf is the attempt of a replica in a status.
func attemptOf(status *commonv1.JobStatus, t commonv1.ReplicaType, index int32) int32 {
	return attemptIn(status, status.ReplicaStatuses[t], index)
}

// attemptIn is the attempt of a replica in a status that counts its type in rs.
func attemptIn(status *commonv1.JobStatus, rs *commonv1.ReplicaStatus, index int32) int32 {
	n := status.Attempt
	if rs != nil {
		if n += rs.Attempt; len(rs.Attempts) > 0 {
			n += rs.Attempts[strconv.Itoa(int(index))]
		}
	}
	return n
}

// classify returns the state of a replica. The first case that matches decides.
func (s *replica) classify(done indexes) jobkit.ReplicaState {
	switch {
	case s.pod == nil && done[s.index]:
		return jobkit.Succeeded
	case s.pod == nil && s.left:
		return jobkit.Failed
	case s.pod == nil:
		return jobkit.Missing
	case s.isBefore(s.attempt):
		return jobkit.Superseded
	case done[s.index] && s.pod.Status.Phase != corev1.PodFailed:
		return jobkit.Succeeded // A view that shows it running is older than the record.
	case s.left && hasEnded(s.pod):
		return jobkit.Failed // If it was deleted afterwards, it may look as if it had been stopped.
	case s.beforeResume && s.pod.DeletionTimestamp != nil:
		return jobkit.Terminating // The suspension deleted it. It is no success of the run that was resumed.
	case disruption(s.pod) != nil:
		return jobkit.Failed
	case s.pod.Status.Phase == corev1.PodSucceeded && endedByItself(s.pod):
		return jobkit.Succeeded
	case s.pod.Status.Phase == corev1.PodFailed && endedByItself(s.pod):
		return jobkit.Failed
	case s.pod.DeletionTimestamp != nil:
		return jobkit.Terminating
	case s.pod.Status.Phase == corev1.PodRunning:
		return jobkit.Active
	default:
		return jobkit.Pending
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

// maxAttempt bounds the attempt that is read from a label; larger values are treated as
// invalid.
const maxAttempt = 1 << 30

// podAttempt is the attempt of the replica's pod, by its label; at is the attempt of the
// replica. An invalid label stands for the first attempt.
func (s *replica) podAttempt(at int32) int32 {
	label := s.attemptLabel()
	if label > max(at, maxAttempt) {
		return 0
	}
	return label
}

// isBefore reports whether the replica's pod is of an attempt before the given one.
func (s *replica) isBefore(attempt int32) bool { return attempt > 0 && s.podAttempt(attempt) < attempt }

// attemptLabel is the attempt in the label of the replica's pod.
func (s *replica) attemptLabel() int32 {
	if s.label == unread {
		s.label = attemptLabel(s.pod)
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
