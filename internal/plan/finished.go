package plan

import (
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// cleanUpFinished handles a job that has ended: clean-up, and the time to live.
func cleanUpFinished(d *decision) bool {
	status := &d.plan.Status
	if !status.Finished() {
		return false
	}
	if status.CompletionTime == nil {
		// The status was written by another controller: the condition has the time.
		at := d.in.nowInSeconds()
		for _, t := range []commonv1.JobConditionType{commonv1.JobFailed, commonv1.JobSucceeded} {
			if c := status.Condition(t); c != nil && !c.LastTransitionTime.IsZero() {
				at = c.LastTransitionTime
			}
		}
		status.CompletionTime = &at
	}
	d.cleanUp()
	if d.keepClaimOwners(d.wantedClaims()) {
		d.requeueAt(d.in.Now.Add(claimRequeue))
		return true // The claims that are to outlive the job would go with it.
	}
	d.deleteAfterTTL()
	return true
}
