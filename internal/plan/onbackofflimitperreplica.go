package plan

import (
	"fmt"
	"slices"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// restartsJobInstead reports whether a replica that has used up its own limit restarts the
// job instead of failing it.
func (in *Input) restartsJobInstead() bool {
	a := in.RunPolicy.OnBackoffLimitPerReplica
	return a != nil && *a == commonv1.BackoffLimitPerReplicaRestartJob
}

// restartInstead has the whole job restart because a replica has used up its own limit, or
// says why the job fails. by is the failure that did it, or the first that came with it, or nil.
func (d *decision) restartInstead(why string, by *failedReplica) string {
	if !d.in.restartsJobInstead() {
		return why
	}
	if no := d.noMoreJobRestarts(); no != "" {
		return why + no
	}
	if d.spent = why; by != nil {
		d.spentBy = by.replica
	}
	return ""
}

// noMoreJobRestarts is what messages add if replicas may restart the whole job no more.
func (d *decision) noMoreJobRestarts() string {
	if most := d.in.RunPolicy.MaxJobRestarts; most != nil && d.plan.Status.JobRestarts >= *most {
		return fmt.Sprintf(", and the job may not restart for that again: runPolicy.maxJobRestarts is %d", *most)
	}
	return ""
}

// restartForBudget restarts the whole job because a replica has used up its own limit. Each
// replica has its whole limit again. Restarts in place were counted when they were seen, so
// that only failures count here, as one.
func (d *decision) restartForBudget(failed []failedReplica) {
	status := &d.plan.Status
	if len(failed) > 0 {
		d.recordFailures(d.andUnreported(failed, false))
		cause := slices.IndexFunc(failed, func(f failedReplica) bool { return f.replica == d.spentBy && f.response != responseIgnore })
		if cause < 0 {
			cause = max(slices.IndexFunc(failed, func(f failedReplica) bool { return !f.consequence && f.response != responseIgnore }), 0)
		}
		d.countByCause(&failed[cause])
	}
	status.JobRestarts = addCounts(status.JobRestarts, 1)
	d.restartAll()
	for _, rs := range status.ReplicaStatuses {
		if rs != nil {
			rs.RestartTimes, rs.EarlierRestarts = nil, allRestarts(rs)
		}
	}
	d.setRestarting(d.spent)
}

// allRestarts are the restarts that the replicas of a type have had and that count.
func allRestarts(rs *commonv1.ReplicaStatus) map[string]int32 {
	var all map[string]int32
	add := func(index string, n int32) {
		if n <= 0 {
			return
		}
		if all == nil {
			all = map[string]int32{}
		}
		all[index] = addCounts(all[index], n)
	}
	for index, n := range rs.Attempts {
		add(index, n-rs.IgnoredAttempts[index])
	}
	for index, r := range rs.InPlaceRestarts {
		add(index, addCounts(r.Earlier, r.Count))
	}
	return all
}
