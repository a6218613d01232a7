package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// suspend keeps a suspended job without pods, services and other objects, and resumes it.
func suspend(d *decision) bool {
	status, in := &d.plan.Status, d.in
	if !in.suspended() {
		if status.IsTrue(commonv1.JobSuspended) {
			reason := d.reason(reasonResumed)
			message := fmt.Sprintf("%s %s is resumed.", in.Kind.Name, in.Job.Name)
			d.set(commonv1.JobSuspended, corev1.ConditionFalse, reason, message)
			d.event(false, reason, message)
			// The deadline counts active time only: it starts again.
			now := in.nowInSeconds()
			status.StartTime = &now
		}
		return false
	}
	d.setTrue(commonv1.JobSuspended, d.reason(string(commonv1.JobSuspended)),
		fmt.Sprintf("%s %s is suspended.", in.Kind.Name, in.Job.Name))
	for _, p := range in.Pods {
		if p.DeletionTimestamp == nil {
			d.act(DeletePod{Name: p.Name, UID: p.UID, Reason: "the job is suspended"})
		}
	}
	d.deleteServices("the job is suspended")
	d.deleteObjects(func(o *Object) bool { return o.KeepSuspended }, "the job is suspended")
	d.keepClaimOwners(d.wantedClaims())
	d.deleteClaimsOfSuspended()
	clearStalled(d)
	return true
}

// resumedAt is when a job was last resumed, zero if it never was: all its pods of before then were
// deleted. It is a time of the operator, and those of pods are of the API server, so alone it
// decides nothing: either the pod is being deleted as well, or it is read again (see doubtEnds).
func (in *Input) resumedAt() time.Time {
	c := in.Status.Condition(commonv1.JobSuspended)
	switch {
	case c == nil || in.suspended() || in.Status.Finished():
		return time.Time{}
	case c.Status == corev1.ConditionTrue:
		return in.Now.Add(time.Second) // This pass resumes it.
	case in.Status.StartTime == nil:
		return time.Time{}
	default:
		return in.Status.StartTime.Time
	}
}

// doubtEnds is in doubt about pods of before the job was resumed that have succeeded, and are not on
// record nor being deleted: a cache shows them that is older than the suspension.
func (t *Tally) doubtEnds(in *Input) {
	if t.inDoubt || in.resumedAt().IsZero() || !in.mayLose() {
		return
	}
	for i := range t.byType {
		done := in.succeededBefore(t.byType[i].Type)
		for j := range t.byType[i].replicas {
			s := &t.byType[i].replicas[j]
			t.inDoubt = t.inDoubt || s.state == jobkit.Succeeded && s.beforeResume && s.pod != nil && !done[s.index]
		}
	}
}
