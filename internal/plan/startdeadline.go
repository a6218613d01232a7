package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reasonStartDeadline ends the reason of the condition Failed of a job whose replicas have not
// started in time.
const reasonStartDeadline = "StartDeadlineExceeded"

// failPastStartDeadline fails a job of which too many replicas have not started in time, unless
// they restart it (see restartPastStartDeadline). All moments that count are in objects that
// exist (see startDue): an operator that was down, or one that takes over, neither loses nor
// adds any time.
func failPastStartDeadline(d *decision) bool {
	limit := d.in.RunPolicy.StartDeadlineSeconds
	if limit == nil || d.tooEarly {
		return false
	}
	d.tally.each(func(s *replica) {
		if due := d.in.startDue(s); d.in.Now.Before(due) {
			d.requeueAt(due)
		}
	})
	late := d.tally.lateStarts(d.in)
	if late == nil || late.first.state != jobkit.Superseded && d.superseded(late.first) {
		return false
	}
	no := ""
	if d.in.restartsPastStartDeadline() {
		if d.restarted() {
			d.requeueAt(d.in.Now) // One restart a pass is counted; the next one decides on this.
			return false
		}
		no = d.noRestartFor(late)
	}
	d.setTrue(commonv1.JobFailed, d.reason(reasonStartDeadline),
		fmt.Sprintf("%s because %s%s.%s", d.hasFailed(), d.notInTime(late), no, late.cause()))
	d.cleanUp()
	return true
}

// lateStarts are replicas that have not started in time.
type lateStarts struct {
	// first is the first of them, in the order of replicas.
	first *replica
	// n is how many there are.
	n int
	// hopeless is true if one of them does not wait for its pod to start, but for an old pod
	// to go, or for its own to be admitted.
	hopeless bool
}

// notInTime says that replicas have not started in time.
func (d *decision) notInTime(late *lateStarts) string {
	return fmt.Sprintf("%d of %d pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is %d",
		late.n, d.tally.size(), *d.in.RunPolicy.StartDeadlineSeconds)
}

// cause says why the first of them has not started, if its pod tells.
func (l *lateStarts) cause() string {
	if l.first.pod == nil || l.first.state != jobkit.Pending {
		return ""
	}
	c := startCauseOf(l.first.pod)
	what, words := c.describe(l.first.pod)
	return fmt.Sprintf(" The first of them is %s: %s%s", l.first.pod.Name, what, words)
}

// lateStarts are the replicas that have not started in time, if they are too many: if more of
// a type than may be absent. Otherwise it is nil.
func (t *Tally) lateStarts(in *Input) *lateStarts {
	if in.RunPolicy.StartDeadlineSeconds == nil || !in.mayLose() {
		return nil
	}
	tooMany, all := false, lateStarts{}
	late := map[commonv1.ReplicaType]int32{}
	t.each(func(s *replica) {
		due := in.startDue(s)
		if due.IsZero() || in.Now.Before(due) {
			return
		}
		all.n++
		all.hopeless = all.hopeless || s.state != jobkit.Pending
		if late[s.typ]++; in.replicas(s.typ)-late[s.typ] < in.fewest(s.typ) {
			tooMany = true
		}
		if all.first == nil {
			all.first = s
		}
	})
	if !tooMany {
		return nil
	}
	return &all
}

// fewest is how many replicas of a type must start.
func (in *Input) fewest(t commonv1.ReplicaType) int32 {
	if n, ok := in.Rules.MinReplicas[t]; ok {
		return min(max(n, 0), in.replicas(t))
	}
	return in.replicas(t)
}

// startDue is when a replica that has not started must have; zero if it has started, or waits
// for nothing that counts: for a queue, the others of a gang, or others that start first. The
// time begins when its pod was created; where a gang or a queue holds pods back, when it got
// its node; if its old pod is stuck, when that had to be gone; and if its pod cannot be created,
// when the job was stalled for that.
func (in *Input) startDue(s *replica) time.Time {
	limit := seconds(*in.RunPolicy.StartDeadlineSeconds)
	switch {
	case s.state == jobkit.Missing:
		if since := in.refusedSince(); !since.IsZero() {
			return since.Add(limit)
		}
		return time.Time{}
	case s.pod == nil || s.pod.CreationTimestamp.IsZero():
		return time.Time{}
	case s.state == jobkit.Terminating, s.state == jobkit.Superseded:
		if s.pod.DeletionTimestamp == nil {
			return time.Time{}
		}
		return s.pod.DeletionTimestamp.Add(limit)
	case s.state != jobkit.Pending || !IsLive(s.pod) || len(s.pod.Spec.SchedulingGates) > 0 || hasRun(s.pod):
		return time.Time{}
	}
	since := startsSince(s.pod, in.Gang != nil || len(in.Replicas[s.typ].Template.Spec.SchedulingGates) > 0)
	if since.IsZero() {
		return time.Time{}
	}
	return since.Add(in.startsWithin(s, limit))
}

// startsSince is since when a pod is expected to start; zero if it is held back and has no node.
// When a queue removed the gates of a pod is not known, but that it had gated it.
func startsSince(pod *corev1.Pod, heldBack bool) time.Time {
	since := pod.CreationTimestamp.Time
	if !heldBack && pod.Labels[managedByQueue] == "" {
		return since
	}
	if pod.Spec.NodeName == "" {
		return time.Time{}
	}
	return later(since, scheduledAt(pod))
}

// refusedSince is since when pods of the job cannot be created, zero if they can, if this process
// has not tried lately, or if they wait for the others of a gang, or have done so until now.
func (in *Input) refusedSince() time.Time {
	c := in.Status.Condition(commonv1.JobStalled)
	if c == nil || c.Status != corev1.ConditionTrue || len(in.Status.ReplicaStatuses) == 0 ||
		in.gangHolds() || c.Reason == in.Kind.Name+reasonGangWaits {
		return time.Time{}
	}
	for i := range in.Tried {
		t := &in.Tried[i]
		// One that is due again was refused all the same: what this pass does comes too late.
		if _, creates := t.Action.(CreatePod); creates {
			since := later(c.LastTransitionTime.Time, t.Since)
			if n := len(in.Status.Failures); n > 0 {
				since = later(since, in.Status.Failures[n-1].Time.Time)
			}
			return since
		}
	}
	return time.Time{}
}
