package plan

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// FirstBatch is how many neighbouring actions are executed at once before any of them is
// known to succeed.
const FirstBatch = 8

// How long progress waits to be written. Times of a status are stored in whole seconds:
// one of them may just have been, or have been for a second.
const (
	// sinceStart counts from the start of a job that has no status yet, and from that of
	// the first container of one that did not run before.
	sinceStart = time.Second
	// sinceWrite counts from the last write, so that there is at most one a second.
	sinceWrite = 2 * time.Second
)

// finishStatus fills in what follows from the rest, and says when to write. A write
// costs the API server twice as much as a pod does: what only tells how far the job has
// come waits for a moment, because more of the same is about to follow.
func (d *decision) finishStatus() {
	in, status := d.in, &d.plan.Status
	if in.Unreadable == "" {
		d.countReplicas()
		d.recordSucceeded()
	}
	status.ObservedGeneration = in.Job.Generation
	status.State = stateOf(status)
	if equality.Semantic.DeepEqual(status, &in.Status) {
		return
	}
	// Clocks of nodes and of other leaders may differ: none makes it wait for longer.
	if wait := d.progressWaits().Sub(in.Now); wait > 0 && wait <= sinceWrite {
		d.plan.StatusAfter = wait
		return
	}
	now := in.nowInSeconds()
	status.LastReconcileTime = &now
	d.plan.WriteStatus = true
}

// progressWaits is until when the status can wait, if it says nothing but that the job
// was taken up, that it runs and how many of its pods do. It cannot once all run, unless
// only the counts are new; nor while more is to be created than goes out at once, which
// takes a while; nor while a queue takes the job for one that has no pods.
func (d *decision) progressWaits() time.Time {
	status, was := &d.plan.Status, &d.in.Status
	switch {
	case len(d.plan.Events) > 0 || !onlyProgress(status, was):
	case d.in.Job.Queued && active(was) == 0 && active(status) > 0:
	case !sameConditions(status, was) && (d.complete() || len(d.plan.Actions) > FirstBatch):
	case was.LastReconcileTime != nil && status.IsTrue(commonv1.JobRunning) && !was.IsTrue(commonv1.JobRunning):
		return later(was.LastReconcileTime.Add(sinceWrite), d.in.firstRun().Add(sinceStart))
	case was.LastReconcileTime != nil:
		return was.LastReconcileTime.Add(sinceWrite)
	case !d.in.firstPod().IsZero():
		return d.in.firstPod().Add(sinceStart)
	case slices.ContainsFunc(d.plan.Actions, func(a Action) bool { _, ok := a.(CreatePod); return ok }):
		return d.in.Now.Add(sinceStart)
	}
	return time.Time{}
}

// active is how many pods a status counts as running.
func active(s *commonv1.JobStatus) int32 {
	n := int32(0)
	for _, rs := range s.ReplicaStatuses {
		if rs != nil {
			n = addCounts(n, rs.Active)
		}
	}
	return n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// complete reports whether all replicas run or have succeeded.
func (d *decision) complete() bool {
	for i := range d.tally.byType {
		tt := &d.tally.byType[i]
		if tt.Counts.Active+tt.Counts.Succeeded < d.in.replicas(tt.Type) {
			return false
		}
	}
	return true
}

// onlyProgress tells whether a status says no more than the one before it but that the
// job was taken up, that it runs, and how many pods are in which phase.
func onlyProgress(is, was *commonv1.JobStatus) bool {
	is, was = is.DeepCopy(), was.DeepCopy()
	if was.Condition(commonv1.JobCreated) == nil {
		is.Conditions = without(is.Conditions, commonv1.JobCreated)
		was.StartTime, was.ObservedGeneration = is.StartTime, is.ObservedGeneration
	}
	if is.IsTrue(commonv1.JobRunning) {
		is.Conditions = without(is.Conditions, commonv1.JobRunning)
		was.Conditions = without(was.Conditions, commonv1.JobRunning)
	}
	is.State = was.State
	clearCounts(is)
	clearCounts(was)
	return equality.Semantic.DeepEqual(is, was)
}

// without removes the conditions of a type from a list.
func without(list []commonv1.JobCondition, t commonv1.JobConditionType) []commonv1.JobCondition {
	return slices.DeleteFunc(list, func(c commonv1.JobCondition) bool { return c.Type == t })
}

// clearCounts leaves of the replica statuses what does not change with every pod.
func clearCounts(status *commonv1.JobStatus) {
	for t, rs := range status.ReplicaStatuses {
		if rs != nil {
			rs.Active, rs.Succeeded, rs.Failed, rs.SucceededIndexes, rs.Selector = 0, 0, 0, "", ""
		}
		if equality.Semantic.DeepEqual(rs, &commonv1.ReplicaStatus{}) {
			delete(status.ReplicaStatuses, t)
		}
	}
}

// countReplicas reports the phases of the pods.
func (d *decision) countReplicas() {
	status := &d.plan.Status
	for t, rs := range status.ReplicaStatuses {
		if d.tally.Of(t) == nil && rs != nil && !status.Finished() {
			rs.Active, rs.Succeeded, rs.Failed, rs.SucceededIndexes = 0, 0, 0, "" // the job no longer has this type
		}
	}
	for i := range d.tally.byType {
		tt := &d.tally.byType[i]
		rs := d.replicaStatus(tt.Type)
		counts := tt.Counts
		if d.in.Status.Finished() {
			// What ended stays counted when its pod is cleaned up. What the clean-up stopped
			// has neither succeeded nor failed.
			counts.Succeeded = max(counts.Succeeded, rs.Succeeded)
			counts.Failed = max(counts.Failed, rs.Failed)
			// What ended does not run again: a view that shows it running is stale.
			counts.Active = max(min(counts.Active, d.in.replicas(tt.Type)-counts.Succeeded-counts.Failed), 0)
		}
		rs.Active, rs.Succeeded, rs.Failed, rs.Selector = counts.Active, counts.Succeeded, counts.Failed, counts.Selector
	}
}

// replicaStatus returns the status of a replica type, to be changed in place.
func (d *decision) replicaStatus(t commonv1.ReplicaType) *commonv1.ReplicaStatus {
	status := &d.plan.Status
	if status.ReplicaStatuses == nil {
		status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{}
	}
	rs := status.ReplicaStatuses[t]
	if rs == nil {
		rs = &commonv1.ReplicaStatus{}
		status.ReplicaStatuses[t] = rs
	}
	return rs
}
