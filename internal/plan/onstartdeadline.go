package plan

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// restartsPastStartDeadline reports whether replicas that have not started in time restart the
// job instead of failing it.
func (in *Input) restartsPastStartDeadline() bool {
	a := in.RunPolicy.OnStartDeadline
	return a != nil && *a == commonv1.StartDeadlineRestartJob
}

// startsWithin is how long a pod may take to start. Where the job restarts for that, one of a
// later attempt may take at least as long as the delay between restarts: what never starts must
// not keep the cluster busy.
func (in *Input) startsWithin(s *replica, limit time.Duration) time.Duration {
	if !in.restartsPastStartDeadline() {
		return limit
	}
	return max(limit, in.Backoff.delay(addCounts(attemptOf(&in.Status, s.typ, s.index), 1), 0))
}

// restartPastStartDeadline restarts the whole job because replicas have not started in time. It
// counts as one restart, of the time at which the deadline passed.
func (d *decision) restartPastStartDeadline() {
	if !d.in.restartsPastStartDeadline() {
		return
	}
	late := d.tally.lateStarts(d.in)
	if late == nil || d.noRestartFor(late) != "" {
		return
	}
	status := &d.plan.Status
	status.Restarts, status.JobRestarts = addCounts(status.Restarts, 1), addCounts(status.JobRestarts, 1)
	d.countForRole(late.first.typ, 1)
	if d.in.RunPolicy.BackoffLimitWindowSeconds != nil {
		d.fresh.add(nil, at(d.in.startDue(late.first)))
	}
	d.plan.Restarts.Failed++
	d.restartAll()
	d.setRestarting(d.notInTime(late))
}

// noRestartFor says why replicas that have not started in time do not restart the job, as
// messages add it; "" if they do.
func (d *decision) noRestartFor(late *lateStarts) string {
	limits, status := &d.in.RunPolicy, &d.plan.Status
	if late.hopeless {
		return ", and a restart of the job would wait for the same"
	}
	if no := d.noMoreJobRestarts(); no != "" {
		return no
	}
	if limit := limits.BackoffLimit; limit != nil {
		over := status.Restarts >= *limit
		if w := limits.BackoffLimitWindowSeconds; w != nil {
			fresh := append(slices.Clone(d.fresh.all), at(d.in.startDue(late.first)))
			over = overWindow(d.in.Status.RestartTimes, fresh, *limit, seconds(*w), d.in.Now)
		}
		if over {
			return fmt.Sprintf(", and it has reached the specified backoff limit: runPolicy.backoffLimit is %d%s", *limit, d.window())
		}
	}
	t := late.first.typ
	if limit := d.in.Replicas[t].BackoffLimit; limit != nil && d.replicaStatus(t).Restarts >= *limit {
		return fmt.Sprintf(", and %s has reached its backoff limit: %s is %d",
			t, belowSpec(&d.in.Kind, t, "backoffLimit"), *limit)
	}
	return ""
}

// restarted reports whether this pass has restarted a replica, or more.
func (d *decision) restarted() bool {
	return allAttempts(&d.plan.Status) != allAttempts(&d.in.Status)
}

// allAttempts is a number that each restart of a pod raises.
func allAttempts(s *commonv1.JobStatus) int64 {
	n := int64(s.Attempt)
	for _, rs := range s.ReplicaStatuses {
		if rs == nil {
			continue
		}
		n += int64(rs.Attempt)
		for _, of := range rs.Attempts {
			n += int64(of)
		}
	}
	return n
}

// validateOnStartDeadline checks what follows when replicas have not started in time.
func validateOnStartDeadline(p *commonv1.RunPolicy, path *field.Path) field.ErrorList {
	action, limit := p.OnStartDeadline, p.StartDeadlineSeconds
	errs := oneOf(path.Child("onStartDeadline"), action, commonv1.StartDeadlineFailJob, commonv1.StartDeadlineRestartJob)
	switch {
	case action == nil:
	case limit == nil:
		errs = append(errs, field.Invalid(path.Child("onStartDeadline"), *action, "it says nothing without startDeadlineSeconds: add that, or remove it"))
	case *limit == 0 && *action == commonv1.StartDeadlineRestartJob:
		errs = append(errs, field.Invalid(path.Child("startDeadlineSeconds"), *limit,
			"with 0 the job would restart forever: use 1 or more, or set onStartDeadline to FailJob"))
	}
	return errs
}
