package plan

import (
	"fmt"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// clearStalled removes the condition Stalled when nothing is left to do. While there are
// actions, their result decides: if one policy removed the condition before an update and
// another set it again afterwards, the job would be written twice in each pass, forever. An
// object that is only known from a pending write is not enough to remove it: the cache may
// show another state.
func clearStalled(d *decision) bool {
	switch {
	case d.in.Uncached || d.isStalledByWait() || d.isStalledUndecided():
	case len(d.plan.Actions) > 0:
		d.plan.Open = true
	default:
		d.remove(commonv1.JobStalled)
	}
	return false
}

// stallOnOperatorError stalls a job whose operator's own code failed: it is not known whether
// the job has succeeded or what its pods should be. Its deadline still applies.
func stallOnOperatorError(d *decision) bool {
	if d.in.OperatorError == "" {
		return false
	}
	if !failPastDeadline(d) {
		d.stall(OperatorError, fmt.Sprintf("%s cannot continue: %s", d.jobName(), d.in.OperatorError))
	}
	return true
}

// Halt plans for a job of which too little is known, because the kind's own code fails on it or
// the operator may not read the rest: the job is stalled. Everything else stays as it is.
func Halt(in *Input) Plan {
	d := &decision{in: in}
	d.plan.Status = *in.Status.DeepCopy()
	if in.Job.Deleted || in.foreignManager() || in.Status.Finished() {
		return d.plan
	}
	d.stall(in.Halted, fmt.Sprintf("%s cannot continue: %s", d.jobName(), in.HaltedWhy))
	d.plan.Status.State = stateOf(&d.plan.Status)
	if !sameConditions(&d.plan.Status, &in.Status) {
		d.plan.StatusChange = StatusNews
	}
	return d.plan
}

// stall makes the job Stalled, and requeues it after the time that it has been stalled,
// within bounds.
func (d *decision) stall(o Obstacle, message string) {
	d.setTrue(commonv1.JobStalled, d.reason(string(o)), message)
	d.requeueAt(d.in.Now.Add(d.retryAfter()))
}

// stalledFor is the condition Stalled if its reason has this ending, or nil.
func (d *decision) stalledFor(ending string) *commonv1.JobCondition {
	if c := d.plan.Status.Condition(commonv1.JobStalled); c != nil && c.Reason == d.reason(ending) {
		return c
	}
	return nil
}

// retryAfter is how long after a refusal to retry: the time that the job has been stalled,
// within bounds.
func (d *decision) retryAfter() time.Duration {
	c := d.plan.Status.Condition(commonv1.JobStalled)
	if c == nil {
		return minStalledRetry
	}
	return min(max(d.in.Now.Sub(c.LastTransitionTime.Time), minStalledRetry), maxStalledRetry)
}
