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

// failPastStartDeadline fails a job of which too many replicas have not started in time. All
// moments that count are in objects that exist (see startDue): an operator that was down, or
// one that takes over, neither loses nor adds any time.
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
	late, n := d.tally.lateStarts(d.in)
	if late == nil || d.superseded(late) {
		return false
	}
	why := ""
	if late.pod != nil && late.state == jobkit.Pending {
		c := startCauseOf(late.pod)
		what, words := c.describe(late.pod)
		why = fmt.Sprintf(" The first of them is %s: %s%s", late.pod.Name, what, words)
	}
	d.setTrue(commonv1.JobFailed, d.reason(reasonStartDeadline), fmt.Sprintf(
		"%s because %d of %d pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is %d.%s",
		d.hasFailed(), n, d.tally.size(), *limit, why))
	d.cleanUp()
	return true
}

// lateStarts are the first replica that has not started in time, and how many there are, if
// they are too many: if more of a type than may be absent. Otherwise the first is nil.
func (t *Tally) lateStarts(in *Input) (*replica, int) {
	if in.RunPolicy.StartDeadlineSeconds == nil || !in.mayLose() {
		return nil, 0
	}
	var first *replica
	tooMany, n := false, 0
	late := map[commonv1.ReplicaType]int32{}
	t.each(func(s *replica) {
		due := in.startDue(s)
		if due.IsZero() || in.Now.Before(due) {
			return
		}
		n++
		if late[s.typ]++; in.replicas(s.typ)-late[s.typ] < in.fewest(s.typ) {
			tooMany = true
		}
		if first == nil {
			first = s
		}
	})
	if !tooMany {
		return nil, 0
	}
	return first, n
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
	case s.state != jobkit.Pending || !IsLive(s.pod) || len(s.pod.Spec.SchedulingGates) > 0:
		return time.Time{}
	}
	since := s.pod.CreationTimestamp.Time
	if in.Gang != nil || len(in.Replicas[s.typ].Template.Spec.SchedulingGates) > 0 {
		if s.pod.Spec.NodeName == "" {
			return time.Time{}
		}
		since = later(since, scheduledAt(s.pod))
	}
	return since.Add(limit)
}

// refusedSince is since when pods of the job cannot be created, zero if they can, or if this
// process has not tried lately.
func (in *Input) refusedSince() time.Time {
	c := in.Status.Condition(commonv1.JobStalled)
	if c == nil || c.Status != corev1.ConditionTrue || len(in.Status.ReplicaStatuses) == 0 {
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
