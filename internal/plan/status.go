package plan

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// FirstBatch is how many neighbouring actions are executed at once before any of them is
// known to succeed.
const FirstBatch = 8

// StatusChange is how a planned status differs from the observed one. A write costs the API
// server twice as much as a pod does, so what only reports how far the job has come may wait
// for more of the same. The shell decides for how long.
type StatusChange int

// The kinds of change.
const (
	// StatusUnchanged: nothing differs.
	StatusUnchanged StatusChange = iota
	// StatusCounts: only the numbers of pods in each phase differ. The write may wait.
	StatusCounts
	// StatusProgress: the job was accepted, or a part of it runs. The write may wait.
	StatusProgress
	// StatusNews: anything else. The status is written before any action.
	StatusNews
)

// finishStatus sets what follows from the rest, and how the status differs from the observed
// one.
func (d *decision) finishStatus() {
	in, status := d.in, &d.plan.Status
	if in.Unreadable == "" {
		d.countReplicas()
		d.recordEnded()
	}
	status.ObservedGeneration = in.Job.Generation
	status.State = stateOf(status)
	if d.plan.StatusChange = d.statusChange(); d.plan.StatusChange != StatusUnchanged {
		d.accountForTime(doing(&in.Status))
	}
}

// statusChange is how the planned status differs from the observed one. That all replicas
// run is news; and so is the first active pod to a queue, which takes the job for one that
// has no pods.
func (d *decision) statusChange() StatusChange {
	status, was := &d.plan.Status, &d.in.Status
	switch {
	case equality.Semantic.DeepEqual(status, was):
		return StatusUnchanged
	case len(d.plan.Events) > 0 || !onlyProgress(status, was):
		return StatusNews
	case d.in.Job.Queued && active(was) == 0 && active(status) > 0:
		return StatusNews
	case sameConditions(status, was):
		return StatusCounts
	case d.complete():
		return StatusNews
	default:
		return StatusProgress
	}
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

// onlyProgress reports whether a status says no more than the one before it but that the
// job was taken up, that it runs, how many pods are in which phase, and why others do not start.
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
	// Fewer pods are left that do not start, or others.
	if said, says := was.Condition(commonv1.JobStalled), is.Condition(commonv1.JobStalled); said != nil && says != nil &&
		said.Reason == says.Reason && strings.HasSuffix(says.Reason, reasonNotStarting) {
		said.Message, said.LastUpdateTime = says.Message, says.LastUpdateTime
	}
	clearCounts(is)
	clearCounts(was)
	return equality.Semantic.DeepEqual(is, was)
}

// without removes the conditions of a type from a list.
func without(list []commonv1.JobCondition, t commonv1.JobConditionType) []commonv1.JobCondition {
	return slices.DeleteFunc(list, func(c commonv1.JobCondition) bool { return c.Type == t })
}

// clearCounts removes from the replica statuses what changes with every pod.
func clearCounts(status *commonv1.JobStatus) {
	for t, rs := range status.ReplicaStatuses {
		if rs != nil {
			rs.Active, rs.Succeeded, rs.Failed, rs.SucceededIndexes, rs.Reclaimable, rs.Selector = 0, 0, 0, "", 0, ""
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
		if d.tally.Of(t) == nil && rs != nil && !status.Finished() && !d.keepPods {
			// The job no longer has this type.
			rs.Active, rs.Succeeded, rs.Failed, rs.SucceededIndexes, rs.FailedIndexes, rs.Reclaimable = 0, 0, 0, "", "", 0
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
		if !d.recordsEnds() {
			// Only this process knows of these: another would write another count, and the two in turn.
			counts.Failed -= tt.departed
		}
		rs.Active, rs.Succeeded, rs.Failed, rs.Selector = counts.Active, counts.Succeeded, counts.Failed, counts.Selector
	}
	d.countSurplus()
}

// countSurplus counts the pods that still run of replicas that the job no longer wants, if it is in a
// queue: that takes a suspended job of which no pod is active for one that needs no room.
func (d *decision) countSurplus() {
	if !d.in.Job.Queued || d.plan.Status.Finished() || len(d.tally.byType) == 0 {
		return
	}
	for _, p := range d.tally.unexpectedPods {
		if p.Status.Phase != corev1.PodRunning {
			continue
		}
		of := d.tally.byType[0].Type
		for _, t := range d.in.Kind.Types() {
			if strings.EqualFold(string(t), p.Labels[commonv1.ReplicaTypeLabel]) {
				of = t
			}
		}
		d.replicaStatus(of).Active++
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
