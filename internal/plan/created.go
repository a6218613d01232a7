package plan

import (
	"fmt"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// acceptJob accepts a job: it sets the condition Created and the start time.
func acceptJob(d *decision) bool {
	status := &d.plan.Status
	if status.Condition(commonv1.JobCreated) == nil {
		d.setTrue(commonv1.JobCreated, d.reason(string(commonv1.JobCreated)),
			fmt.Sprintf("%s %s is created.", d.in.Kind.Name, d.in.Job.Name))
		d.warnOfRestartPolicy()
		d.warnOfLimitPerReplica()
		for _, w := range d.in.Warnings {
			d.event(true, w.Reason, w.Message)
		}
	}
	if status.StartTime == nil && !d.in.suspended() {
		start := d.in.start()
		status.StartTime = &start
	}
	return false
}
