package plan

import (
	"fmt"
	"slices"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// limitExceeded says why failures end the job, and which was the first; "" if they do not.
func (d *decision) limitExceeded(failed []failedReplica) (string, *failedReplica) {
	for i := range failed {
		if failed[i].response == responseFail {
			return replicasFailed(failed, failed[i].replica.typ), &failed[i]
		}
	}
	why, first := d.replicaLimitExceeded(failed)
	if why != "" {
		why = d.restartInstead(why, first)
	}
	if limit := d.in.RunPolicy.BackoffLimit; limit != nil && d.overLimit(failed, *limit) {
		return fmt.Sprintf("it has reached the specified backoff limit: runPolicy.backoffLimit is %d%s", *limit, d.window()), firstOf(failed)
	}
	if why, first := d.roleLimitExceeded(failed); why != "" {
		return why, first
	}
	return why, first
}

// overLimit reports whether failures ask for more restarts than the job may have.
func (d *decision) overLimit(failed []failedReplica, limit int32) bool {
	if w := d.in.RunPolicy.BackoffLimitWindowSeconds; w != nil {
		fresh := freshRestarts{all: slices.Clone(d.fresh.all)}
		d.asked(&fresh, failed)
		return overWindow(d.in.Status.RestartTimes, fresh.all, limit, seconds(*w), d.in.Now)
	}
	return int64(d.plan.Status.Restarts)+int64(d.countedRestarts(failed)) > int64(limit)
}

// roleLimitExceeded says which replica type has asked for more restarts than it may.
func (d *decision) roleLimitExceeded(failed []failedReplica) (string, *failedReplica) {
	for i := range d.tally.byType {
		t := d.tally.byType[i].Type
		limit := d.in.Replicas[t].BackoffLimit
		if limit == nil || int64(d.replicaStatus(t).Restarts)+int64(d.countedForRole(failed, t)) <= int64(*limit) {
			continue
		}
		first := max(slices.IndexFunc(failed, func(f failedReplica) bool { return f.replica.typ == t }), 0)
		return fmt.Sprintf("%s has reached its backoff limit: %s is %d",
			t, belowSpec(&d.in.Kind, t, "backoffLimit"), *limit), firstOf(failed[min(first, len(failed)):])
	}
	return "", nil
}

// countForRole counts restarts that replicas of a type asked for, if the type has a limit.
func (d *decision) countForRole(t commonv1.ReplicaType, n int32) {
	if n > 0 && d.in.Replicas[t].BackoffLimit != nil {
		rs := d.replicaStatus(t)
		rs.Restarts = addCounts(rs.Restarts, n)
	}
}

// countedForRole is how many of the counted restarts are those of a type. A restart of the whole job
// is that of the type whose failure was its cause.
func (d *decision) countedForRole(failed []failedReplica, t commonv1.ReplicaType) int32 {
	if d.in.Replicas[t].BackoffLimit == nil || len(failed) == 0 {
		return 0
	}
	if !d.restartsWhole(failed) {
		return d.countedRestarts(slices.DeleteFunc(slices.Clone(failed), func(f failedReplica) bool { return f.replica.typ != t }))
	}
	counted := slices.DeleteFunc(slices.Clone(failed), func(f failedReplica) bool { return f.response == responseIgnore })
	if len(counted) == 0 {
		return 0
	}
	cause := max(slices.IndexFunc(counted, func(f failedReplica) bool {
		return !f.consequence && (d.restartsJob(&f) || f.replica == d.spentBy)
	}), 0)
	if counted[cause].replica.typ == t {
		return 1
	}
	return 0
}

// replicaLimitExceeded says which replica has had more restarts than its limit.
func (d *decision) replicaLimitExceeded(failed []failedReplica) (string, *failedReplica) {
	limit := d.in.RunPolicy.BackoffLimitPerReplica
	if limit == nil {
		return "", nil
	}
	if !d.restartsWhole(failed) {
		for i := range failed {
			if failed[i].response == responseRestart && d.in.scopeOf(failed[i].replica.typ) == commonv1.RestartScopeReplica &&
				d.overReplicaLimit(failed[i].replica, failed[i:i+1], *limit) {
				return d.replicaLimitReached(failed[i].replica, *limit), &failed[i]
			}
		}
	}
	why := ""
	d.tally.each(func(s *replica) {
		if why == "" && d.overReplicaLimit(s, nil, *limit) {
			why = d.replicaLimitReached(s, *limit)
		}
	})
	return why, firstOf(failed)
}

// warnOfLimitPerReplica emits one warning if the limit of each replica has no effect, because none
// restarts alone. It is no mistake that fails or stalls the job: such jobs run already.
func (d *decision) warnOfLimitPerReplica() {
	alone := func(t commonv1.ReplicaType) bool { return d.in.scopeOf(t) == commonv1.RestartScopeReplica }
	if d.in.RunPolicy.BackoffLimitPerReplica == nil || slices.ContainsFunc(d.in.types(), alone) {
		return
	}
	d.event(true, "BackoffLimitPerReplicaUnused", "runPolicy.backoffLimitPerReplica has no effect, because no replica restarts alone: "+
		"set backoffLimit of runPolicy or of a replica spec, or restartScope Replica.")
}

// overReplicaLimit reports whether a replica has had, or its failure asks for, more restarts
// than it may have.
func (d *decision) overReplicaLimit(s *replica, failed []failedReplica, limit int32) bool {
	if w := d.in.RunPolicy.BackoffLimitWindowSeconds; w != nil {
		fresh := slices.Clone(d.fresh.of[s])
		for i := range failed {
			fresh = append(fresh, at(countedAt(&failed[i])))
		}
		return overWindow(d.in.restartTimes(s), fresh, limit, seconds(*w), d.in.Now)
	}
	return addCounts(d.restartsOfReplica(s), int32(len(failed))) > limit //nolint:gosec // one or none
}

func (d *decision) replicaLimitReached(s *replica, limit int32) string {
	return fmt.Sprintf("replica %d of %s has reached its backoff limit: runPolicy.backoffLimitPerReplica is %d%s", s.index, s.typ, limit, d.window())
}

func firstOf(failed []failedReplica) *failedReplica {
	if len(failed) == 0 {
		return nil
	}
	return &failed[0]
}

// countedRestarts is how many restarts the failures cause that count against the limit.
func (d *decision) countedRestarts(failed []failedReplica) int32 {
	n := int32(0)
	var roles []commonv1.ReplicaType
	for i := range failed {
		t := failed[i].replica.typ
		if failed[i].response == responseIgnore || slices.Contains(roles, t) {
			continue
		}
		if n++; d.in.scopeOf(t) == commonv1.RestartScopeRole {
			roles = append(roles, t)
		}
	}
	if d.restartsWhole(failed) {
		n = min(n, 1)
	}
	return n
}
