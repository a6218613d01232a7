package plan

import (
	"cmp"
	"fmt"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// succeed ends the job when its rules are met: those of the user or, without any, those of
// the kind. It takes precedence over every failure, so that a job succeeds whatever its
// last replicas do.
func succeed(d *decision) bool {
	rule, policy := d.successRule(), d.in.RunPolicy.SuccessPolicy != nil
	reason, v := d.reason(string(commonv1.JobSucceeded)), d.outcome
	switch {
	case rule >= 0:
		reason = d.reason(reasonSuccessPolicy)
	case v != nil && v.Failed && (policy || !v.Succeeded):
		d.setTrue(commonv1.JobFailed, cmp.Or(v.Reason, d.reason(string(commonv1.JobFailed))), cmp.Or(v.Message, d.hasFailed()+"."))
		d.cleanUp()
		return true
	case policy, v != nil && !v.Succeeded, v == nil && !d.in.Rules.Succeeded(&d.tally.Tally):
		return false
	}
	message := cmp.Or(d.in.Rules.Messages.Succeeded, fmt.Sprintf("%s successfully completed.", d.jobName()))
	switch {
	case rule >= 0:
		message += fmt.Sprintf(" Matched rules at index %d of runPolicy.successPolicy.", rule)
	case v != nil:
		reason, message = cmp.Or(v.Reason, reason), cmp.Or(v.Message, message)
	}
	d.setTrue(commonv1.JobSucceeded, reason, message)
	d.cleanUp()
	return true
}
