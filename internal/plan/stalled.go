package plan

import (
	"fmt"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// clearStalled ends the condition Stalled when nothing is left to do. While there is,
// whatever it is, the outcome decides: if one policy took the condition away before
// an update is tried, and another put it back after, the job would be written twice in
// each look, without end. What is only remembered to be there is no reason: another
// process, which does not remember it, may know better.
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

func wantsCreate(actions []Action) bool {
	for _, a := range actions {
		switch a.(type) {
		case CreatePod, CreateService, CreateObject:
			return true
		}
	}
	return false
}

// stallOnOperatorError stalls a job whose operator's own code failed: nobody can tell whether it
// has succeeded or what its pods should be like. Its time runs on.
func stallOnOperatorError(d *decision) bool {
	if d.in.OperatorError == "" {
		return false
	}
	if !failPastDeadline(d) {
		d.stall(OperatorError, fmt.Sprintf("%s cannot go on: %s", d.jobName(), d.in.OperatorError))
	}
	return true
}

// Halt plans what a job says whose specification cannot be read, because the kind's own
// code fails on it: that it is stalled. All else stays as it is.
func Halt(in *Input) Plan {
	d := &decision{in: in, tally: &Tally{}}
	d.plan.Status = *in.Status.DeepCopy()
	if in.Job.Deleted || in.foreignManager() || in.Status.Finished() {
		return d.plan
	}
	d.stall(OperatorError, fmt.Sprintf("%s cannot go on: %s", d.jobName(), in.OperatorError))
	d.plan.Status.State = stateOf(&d.plan.Status)
	if now := in.nowInSeconds(); !sameConditions(&d.plan.Status, &in.Status) {
		d.plan.Status.LastReconcileTime = &now
		d.plan.WriteStatus = true
	}
	return d.plan
}

// stall makes the job Stalled, and has it looked at again after the time that it has
// been so, within bounds.
func (d *decision) stall(o Obstacle, message string) {
	d.setTrue(commonv1.JobStalled, d.reason(string(o)), message)
	d.requeueAt(d.in.Now.Add(d.retryAfter()))
}

// retryAfter is how long after a refusal to try again: the time that the job has been
// stalled, within bounds.
func (d *decision) retryAfter() time.Duration {
	c := d.plan.Status.Condition(commonv1.JobStalled)
	if c == nil {
		return minStalledRetry
	}
	return min(max(d.in.Now.Sub(c.LastTransitionTime.Time), minStalledRetry), maxStalledRetry)
}
