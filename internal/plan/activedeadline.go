package plan

import (
	"fmt"
)

// failPastDeadline fails a job that has been active for too long.
func failPastDeadline(d *decision) bool {
	limit, start := notNegative(d.in.RunPolicy.ActiveDeadlineSeconds), d.plan.Status.StartTime
	if limit == nil || start == nil {
		return false
	}
	at := start.Add(seconds(*limit))
	if d.in.Now.Before(at) {
		d.requeueAt(at)
		return false
	}
	d.fail(fmt.Sprintf("%s because it was active longer than specified deadline: runPolicy.activeDeadlineSeconds is %d.", d.hasFailed(), *limit))
	d.cleanUp()
	return true
}
