package plan

import (
	"cmp"
	"fmt"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// succeed ends the job when its rules are met. It takes precedence over every failure, so
// that a job succeeds whatever its last replicas do.
func succeed(d *decision) bool {
	message := cmp.Or(d.in.Rules.Messages.Succeeded, fmt.Sprintf("%s successfully completed.", d.jobName()))
	switch v := d.outcome; {
	case v == nil:
		if !d.in.Rules.Succeeded(&d.tally.Tally) {
			return false
		}
	case v.Succeeded:
		message = cmp.Or(v.Message, message)
	case v.Failed:
		d.fail(cmp.Or(v.Message, d.hasFailed()+"."))
		d.cleanUp()
		return true
	default:
		return false
	}
	d.setTrue(commonv1.JobSucceeded, d.reason(string(commonv1.JobSucceeded)), message)
	d.cleanUp()
	return true
}
