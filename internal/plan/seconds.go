package plan

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// A job accounts for its time: the status has the sum for each state, and since when the
// present one lasts. Both change only when the conditions say that the job is in another state,
// so no write is for them alone. The sums follow from what the last write said, whatever
// happened to the operator in between: each second is counted once, and in one state.

// state is what a job does, as its conditions say. Waiting and starting are one: the conditions do
// not tell them apart, the pods do.
type state int

// The states.
const (
	stateNone state = iota // not accepted yet, or ended
	statePending
	stateRunning
	stateRestarting
	stateHung
	stateSuspended
)

// doing is the state of a job by its conditions.
func doing(s *commonv1.JobStatus) state {
	switch {
	case s.Finished() || s.Condition(commonv1.JobCreated) == nil:
		return stateNone
	case s.IsTrue(commonv1.JobSuspended):
		return stateSuspended
	case s.IsTrue(commonv1.JobHung):
		return stateHung
	case s.IsTrue(commonv1.JobRestarting):
		return stateRestarting
	case s.IsTrue(commonv1.JobRunning):
		return stateRunning
	default:
		return statePending
	}
}

// accountForTime adds the time in the state that the job was in, if the planned status is the
// first to say that it is in another. was is that state, by the status before.
func (d *decision) accountForTime(was state) {
	status, is := &d.plan.Status, doing(&d.plan.Status)
	if status.Seconds == nil {
		was = d.beginToAccount(was, is)
	}
	if status.Seconds == nil || was == stateNone {
		return
	}
	s := status.Seconds.DeepCopy()
	if was != is {
		until := d.changedAt(was, is, s.Since.Time)
		d.add(s, was, is, until)
		s.Since, s.RestartCause = metav1.NewTime(until), ""
	}
	if is == stateRestarting && s.RestartCause == "" {
		s.RestartCause = cmp.Or(d.restartCause, commonv1.RestartDeleted)
	}
	status.Seconds = s
}

// beginToAccount begins to account for the time of a job, and returns the state that it is in since
// then. A new job has waited, or been suspended, since its creation. What a job did before this
// version of the operator came, no one has counted.
func (d *decision) beginToAccount(was, is state) state {
	status := &d.plan.Status
	switch {
	case was == stateNone && d.in.Status.Finished():
	case is == stateNone && !status.Finished(): // A job that cannot be read is not accepted yet.
	case was == stateNone && is == stateSuspended:
		status.Seconds = &commonv1.JobSeconds{Since: d.in.created()}
		return is
	case was == stateNone:
		status.Seconds = &commonv1.JobSeconds{Since: d.in.created()}
		return statePending
	case is != stateNone:
		status.Seconds = &commonv1.JobSeconds{Since: d.in.nowInSeconds()}
		return is
	}
	return stateNone
}

// created is when the job was created, to the second and not in the future; now if that is unknown.
func (in *Input) created() metav1.Time {
	if at := in.Job.Created; !at.IsZero() && at.Before(in.Now) {
		return metav1.NewTime(at.Truncate(time.Second))
	}
	return in.nowInSeconds()
}

// changedAt is when the state changed, to the second: now, or when the first failure was that
// restarts the job. It is not before the time at which the last state began, unless a clock was set
// back. A suspended job does not restart before it is resumed, whatever failed before that.
func (d *decision) changedAt(was, is state, since time.Time) time.Time {
	at := d.in.nowInSeconds().Time
	switch {
	case is == stateRestarting && was != stateSuspended && !d.failedFrom.IsZero() && d.failedFrom.Before(at):
		if first := d.failedFrom.Truncate(time.Second); !first.Before(since) {
			return first
		}
		return earliest(at, since)
	case is == stateNone && d.plan.Status.CompletionTime != nil:
		return d.plan.Status.CompletionTime.Time
	}
	return at
}

// add adds the time since the last change to the state that the job was in. If the clock was set
// back, that is nothing.
func (d *decision) add(s *commonv1.JobSeconds, was, is state, until time.Time) {
	took := wholeSeconds(s.Since.Time, until)
	switch was {
	case statePending:
		waiting := wholeSeconds(s.Since.Time, d.placedAt(is, until))
		waiting = min(waiting, took)
		s.Waiting += waiting
		s.Starting += took - waiting
	case stateRunning:
		s.Running += took
	case stateHung:
		s.Hung += took
	case stateSuspended:
		s.Suspended += took
	case stateRestarting:
		addRestarting(s, took)
	case stateNone:
	}
}

// addRestarting adds to the time of restarts of a cause.
func addRestarting(s *commonv1.JobSeconds, took int64) {
	if s.Restarting == nil {
		s.Restarting = &commonv1.RestartingSeconds{}
	}
	switch s.RestartCause {
	case commonv1.RestartFailed:
		s.Restarting.Failed += took
	case commonv1.RestartDisrupted:
		s.Restarting.Disrupted += took
	case commonv1.RestartHung:
		s.Restarting.Hung += took
	case commonv1.RestartDeleted:
		s.Restarting.Deleted += took
	default: // what another client wrote
		s.Restarting.Deleted += took
	}
}

// wholeSeconds is the time from one moment to another, 0 if that is the earlier.
func wholeSeconds(from, to time.Time) int64 { return max(int64(to.Sub(from)/time.Second), 0) }

// placedAt is when the last pod got its node, by the clock of the API server; the given time if pods
// of a job that does not run have none.
func (d *decision) placedAt(is state, until time.Time) time.Time {
	var last time.Time
	all := true
	d.tally.each(func(s *replica) {
		switch {
		case s.pod != nil && s.pod.Spec.NodeName != "":
			last = later(last, later(scheduledAt(s.pod), s.pod.CreationTimestamp.Time))
		case s.state != jobkit.Succeeded && !s.isGoneForGood():
			all = false
		}
	})
	if last.IsZero() || !all && is != stateRunning {
		return until
	}
	return last
}

// noteRestart notes since when and why the job restarts, and on which nodes it failed.
func (d *decision) noteRestart(failed []failedReplica) {
	d.restartCause = commonv1.RestartFailed // if a replica has used up its limit by restarts in place
	for i := range failed {
		f := &failed[i]
		at := toldAt(f.replica.pod)
		if f.failure.cause() == commonv1.AvoidNodesHung {
			at = f.failure.at // The pod has not ended, so what it reported last was something else.
		}
		d.failedFrom = earliest(d.failedFrom, at)
	}
	for i, f := range d.firstFailures(failed) {
		cause := commonv1.RestartCause(f.failure.cause())
		if i == 0 {
			d.restartCause = cause
		}
		if node := f.replica.pod.Spec.NodeName; node != "" {
			d.plan.NodeFailures = append(d.plan.NodeFailures, NodeFailure{Node: node, Cause: cause})
		}
	}
}

// NodeFailure is a failure on a node for which a restart is counted.
type NodeFailure struct {
	Node  string
	Cause commonv1.RestartCause
}
