package controller

import (
	"slices"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// How long progress waits to be written. Times of a status are stored in whole seconds: one
// of them may be of this moment or a second old.
const (
	// sinceStart counts from the start of a job that has no status yet, and from that of
	// the first container of one that did not run before.
	sinceStart = time.Second
	// sinceWrite counts from the last write, so that there is at most one a second.
	sinceWrite = 2 * time.Second
)

// pace is when the status of a plan is written: now, or, if nothing else happens, after a
// while. Neither is set if it does not differ.
type pace struct {
	now   bool
	after time.Duration
}

// paceStatus decides when the status of a plan is written. News is written at once. Progress
// waits for a moment, because more of the same is about to follow.
func paceStatus(in *plan.Input, p *plan.Plan) pace {
	switch p.StatusChange {
	case plan.StatusUnchanged:
		return pace{}
	case plan.StatusCounts, plan.StatusProgress:
		// Clocks of nodes and of other leaders may differ: none makes it wait for longer.
		if wait := progressDue(in, p).Sub(in.Now); wait > 0 && wait <= sinceWrite {
			return pace{after: wait}
		}
	case plan.StatusNews:
	}
	return pace{now: true}
}

// progressDue is until when progress can wait. Only the counts wait for more than the first
// batch of actions, because these take a while.
func progressDue(in *plan.Input, p *plan.Plan) time.Time {
	was, is := &in.Status, &p.Status
	switch {
	case p.StatusChange == plan.StatusProgress && len(p.Actions) > firstBatch:
		return time.Time{}
	case was.LastReconcileTime != nil && is.IsTrue(commonv1.JobRunning) && !was.IsTrue(commonv1.JobRunning):
		written, ran := was.LastReconcileTime.Add(sinceWrite), firstRun(in).Add(sinceStart)
		if ran.After(written) {
			return ran
		}
		return written
	case was.LastReconcileTime != nil:
		return was.LastReconcileTime.Add(sinceWrite)
	case !in.FirstPod().IsZero():
		return in.FirstPod().Add(sinceStart)
	case slices.ContainsFunc(p.Actions, func(a plan.Action) bool { _, ok := a.(plan.CreatePod); return ok }):
		return in.Now.Add(sinceStart)
	}
	return time.Time{}
}

// firstRun is when the first container began to run; zero if that is unknown.
func firstRun(in *plan.Input) time.Time {
	var first time.Time
	for _, pod := range in.Pods {
		for i := range pod.Status.ContainerStatuses {
			r := pod.Status.ContainerStatuses[i].State.Running
			if r != nil && !r.StartedAt.IsZero() && (first.IsZero() || r.StartedAt.Time.Before(first)) {
				first = r.StartedAt.Time
			}
		}
	}
	return first
}
