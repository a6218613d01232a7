package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

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
