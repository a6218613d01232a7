package plan

import (
	"fmt"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reportUnreadable deals with a job that cannot be decoded. It is the user's mistake, and one
// that nothing but the job itself can tell of. One that never ran fails. One that did is
// stalled, and nothing of it is touched: which replicas it wants, when its time is up and
// whether it is suspended, nobody knows until it is mended.
func reportUnreadable(d *decision) bool {
	if d.in.Unreadable == "" {
		return false
	}
	if d.plan.Status.Finished() {
		return true // Its clean-up waits for the mend as well.
	}
	message := fmt.Sprintf("%s cannot be read: %s", d.jobName(), d.in.Unreadable)
	if d.in.begun() || d.in.Status.Condition(commonv1.JobRunning) != nil || d.in.Status.Restarts > 0 {
		d.setTrue(commonv1.JobStalled, d.reason(reasonFailedValidation), message)
		return true
	}
	acceptJob(d)
	d.setTrue(commonv1.JobFailed, d.reason(reasonFailedValidation), message)
	return true
}
