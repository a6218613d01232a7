package plan

import "fmt"

// limitExceeded says why failures end the job, and which was the first; "" if they do not.
func (d *decision) limitExceeded(failed []failedReplica) (string, *failedReplica) {
	for i := range failed {
		if failed[i].response == responseFail {
			return replicasFailed(failed, failed[i].replica.typ), &failed[i]
		}
	}
	if limit := d.in.RunPolicy.BackoffLimit; limit != nil && int64(d.plan.Status.Restarts)+int64(d.countedRestarts(failed)) > int64(*limit) {
		return fmt.Sprintf("it has reached the specified backoff limit: runPolicy.backoffLimit is %d", *limit), firstOf(failed)
	}
	return d.replicaLimitExceeded(failed)
}

// replicaLimitExceeded says which replica has had more restarts than its limit.
func (d *decision) replicaLimitExceeded(failed []failedReplica) (string, *failedReplica) {
	limit := d.in.RunPolicy.BackoffLimitPerReplica
	if limit == nil {
		return "", nil
	}
	if !d.restartsWhole(failed) {
		for i := range failed {
			if failed[i].response == responseRestart && d.restartsOfReplica(failed[i].replica) >= *limit {
				return replicaLimitReached(failed[i].replica, *limit), &failed[i]
			}
		}
	}
	why := ""
	d.tally.each(func(s *replica) {
		if why == "" && d.restartsOfReplica(s) > *limit {
			why = replicaLimitReached(s, *limit)
		}
	})
	return why, firstOf(failed)
}

func replicaLimitReached(s *replica, limit int32) string {
	return fmt.Sprintf("replica %d of %s has reached its backoff limit: runPolicy.backoffLimitPerReplica is %d", s.index, s.typ, limit)
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
	for i := range failed {
		if failed[i].response != responseIgnore {
			n++
		}
	}
	if d.restartsWhole(failed) {
		n = min(n, 1)
	}
	return n
}
