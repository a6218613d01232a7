package plan

import (
	"fmt"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reportUnreadable handles a job that cannot be decoded. It is the user's mistake, and the
// job itself is the only place to report it. A job that was never accepted fails. One that was
// accepted, to run or to wait suspended, is stalled, and nothing of it is changed: which replicas
// it wants, when its deadline is and whether it is suspended is unknown until it is fixed.
func reportUnreadable(d *decision) bool {
	if d.in.Unreadable == "" {
		return false
	}
	if d.plan.Status.Finished() {
		return true // Its clean-up waits for the fix as well.
	}
	message := fmt.Sprintf("%s cannot be read: %s", d.jobName(), d.in.Unreadable)
	if d.in.accepted() || d.in.Status.Condition(commonv1.JobRunning) != nil || d.in.Status.Restarts > 0 {
		d.setTrue(commonv1.JobStalled, d.reason(reasonFailedValidation), message)
		return true
	}
	acceptJob(d)
	d.setTrue(commonv1.JobFailed, d.reason(reasonFailedValidation), message)
	return true
}
