package jobtest

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// budgetBook is what is true of the budgets of one job.
type budgetBook struct {
	// inPlace is when containers of each pod were restarted.
	inPlace map[types.UID][]time.Time
	// spent are the pods of before the last restart of the job that a replica asked for by
	// using up its limit.
	spent map[types.UID]bool
	// generation is that of the job as it was last written, and since is when it changed:
	// limits may be others since.
	generation int64
	since      time.Time
}

// failedNow takes in when a pod fails.
func (m *monitor) failedNow(uid types.UID) {
	if _, known := m.failedAt[uid]; !known {
		m.failedAt[uid] = m.w.now
	}
}

// enter takes in when the containers of a pod are restarted in place.
func (m *monitor) enter(l *ledger, uid types.UID, restarts int) {
	b := &l.budgets
	if b.inPlace == nil {
		b.inPlace, b.spent = map[types.UID][]time.Time{}, map[types.UID]bool{}
	}
	for len(b.inPlace[uid]) < restarts {
		b.inPlace[uid] = append(b.inPlace[uid], m.w.now)
	}
}

// checkBudgets checks that limits count what they should: the restarts in the window, if
// there is one, and those since the job restarted because a replica had used up its limit.
func (m *monitor) checkBudgets(job client.Object, old, status *commonv1.JobStatus) {
	l, p := m.ledger(job.GetUID()), m.w.parts(job).RunPolicy
	if b := &l.budgets; b.generation != job.GetGeneration() {
		b.generation, b.since = job.GetGeneration(), m.w.now
	}
	m.checkTimesBounded(job, status)
	if l.touched {
		return
	}
	c := status.Condition(commonv1.JobFailed)
	failsNow := c != nil && !old.IsTrue(commonv1.JobFailed)
	switch {
	case restartsForStart(old, status), failsNow && l.startRestarts > 0:
		// A restart for a late start is in no list of failures (see checkStartRestart).
	case failsNow && strings.HasSuffix(c.Reason, reasonStartDeadline):
	case failsNow && strings.Contains(c.Message, "it has reached the specified backoff limit"):
		if n := mostWithin(m.failures(l, nil), p, time.Second); p.BackoffLimitWindowSeconds != nil && n <= int(*p.BackoffLimit) {
			m.w.violatef("P7", "the job failed because of its backoffLimit %d in %d seconds, but there were at most %d restarts in so many",
				*p.BackoffLimit, *p.BackoffLimitWindowSeconds, n)
		}
	case failsNow && strings.Contains(c.Message, "runPolicy.backoffLimitPerReplica is "), status.JobRestarts > old.JobRestarts:
		m.checkSpent(job, l, old, status)
	case !status.Finished() && status.Restarts > old.Restarts:
		m.checkUnspent(job, l, status)
	}
}

// checkTimesBounded checks that a status holds no more times than its limits need.
func (m *monitor) checkTimesBounded(job client.Object, status *commonv1.JobStatus) {
	p := m.w.parts(job).RunPolicy
	check := func(list []metav1.Time, limit *int32, what string) {
		if len(list) == 0 || status.ObservedGeneration != job.GetGeneration() {
			return
		}
		if limit == nil || p.BackoffLimitWindowSeconds == nil || len(list) > int(*limit)+1 ||
			!slices.IsSortedFunc(list, func(a, b metav1.Time) int { return a.Compare(b.Time) }) {
			m.w.violatef("status", "the status holds %d times of %s, more than it needs, or not in order", len(list), what)
		}
	}
	if status.Finished() {
		return
	}
	check(status.RestartTimes, p.BackoffLimit, "restarts")
	for t, rs := range status.ReplicaStatuses {
		for index, list := range rs.RestartTimes {
			check(list, p.BackoffLimitPerReplica, string(t)+" "+index)
		}
	}
}

// checkSpent checks that a replica has really used up its limit, for which the job fails or
// restarts.
func (m *monitor) checkSpent(job client.Object, l *ledger, old, status *commonv1.JobStatus) {
	p, restarts := m.w.parts(job).RunPolicy, status.JobRestarts > old.JobRestarts
	instead := p.OnBackoffLimitPerReplica != nil && *p.OnBackoffLimitPerReplica == commonv1.BackoffLimitPerReplicaRestartJob
	switch most := p.MaxJobRestarts; {
	case p.BackoffLimitPerReplica == nil:
		m.w.violatef("P7", "a limit of replicas took effect, but there is none")
		return
	case restarts && (!instead || status.JobRestarts != old.JobRestarts+1 || status.Attempt != old.Attempt+1 ||
		most != nil && status.JobRestarts > *most):
		m.w.violatef("P7", "the job restarted because of a replica %d times after %d, attempt %d after %d", status.JobRestarts, old.JobRestarts, status.Attempt, old.Attempt)
	case !restarts && instead && (most == nil || old.JobRestarts < *most):
		m.w.violatef("P7", "the job failed because of a replica after %d restarts for that, but should restart", old.JobRestarts)
	}
	spent := false
	for name := range m.namesOf(l) {
		spent = spent || mostWithin(m.failures(l, &name), p, time.Second) > int(*p.BackoffLimitPerReplica)
	}
	if !spent {
		m.w.violatef("P7", "no replica has had more than %d restarts", *p.BackoffLimitPerReplica)
	}
	if restarts {
		for uid := range l.pods {
			l.budgets.spent[uid] = true
		}
	}
}

// checkUnspent checks that a job which goes on with one more restart may: of the failures
// that were counted one by one, no limit was exceeded.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkUnspent(job client.Object, l *ledger, status *commonv1.JobStatus) {
	parts := m.w.parts(job)
	p := parts.RunPolicy
	if status.Attempt > status.JobRestarts || obstructed(status) {
		return
	}
	for t := range parts.ReplicaSpecs {
		if m.scopeOf(parts, t) != commonv1.RestartScopeReplica {
			return // One restart is that of several replicas.
		}
	}
	// Of the pods of one attempt the last is the one that was counted: what is disrupted may
	// be gone before it is seen.
	type attempt struct {
		name string
		n    int32
	}
	counted := map[attempt]types.UID{}
	for uid, pod := range l.pods {
		typ, index, wanted := m.replica(job, pod)
		at, failed := m.failedAt[uid]
		if !wanted || !failed || m.doubtful[uid] || m.stopped[uid] || at.Before(l.budgets.since) ||
			attemptLabel(pod) >= attemptOf(status, typ, index) {
			continue
		}
		key := attempt{pod.Name, attemptLabel(pod)}
		if was, ok := counted[key]; !ok || m.failedAt[was].Before(at) {
			counted[key] = uid
		}
	}
	var all []time.Time
	of := map[string][]time.Time{}
	for key, uid := range counted {
		all = append(all, m.failedAt[uid])
		if !l.budgets.spent[uid] {
			of[key.name] = append(of[key.name], m.failedAt[uid])
		}
	}
	if limit := p.BackoffLimit; limit != nil && p.BackoffLimitWindowSeconds != nil && status.JobRestarts == 0 &&
		mostWithin(all, p, -time.Second) > int(*limit) {
		m.w.violatef("P7", "the job goes on after restarts at %v, backoffLimit is %d in %d seconds", all, *limit, *p.BackoffLimitWindowSeconds)
	}
	for name, times := range of {
		if limit := p.BackoffLimitPerReplica; limit != nil && mostWithin(times, p, -time.Second) > int(*limit) {
			m.w.violatef("P7", "the job goes on after restarts of %s at %v, backoffLimitPerReplica is %d", name, times, *limit)
		}
	}
}

// namesOf are the names of the pods that a job ever had.
func (m *monitor) namesOf(l *ledger) map[string]bool {
	names := map[string]bool{}
	for _, pod := range l.pods {
		names[pod.Name] = true
	}
	return names
}

// failures are the times of all that may count as a restart: of a job, or of one replica
// since its limit began again.
func (m *monitor) failures(l *ledger, name *string) []time.Time {
	var out []time.Time
	for uid, pod := range l.pods {
		if name != nil && (pod.Name != *name || l.budgets.spent[uid]) {
			continue
		}
		if at, failed := m.failedAt[uid]; failed {
			out = append(out, at)
		}
		out = append(out, l.budgets.inPlace[uid]...)
	}
	return out
}

// mostWithin is how many of some times are in one window, which is taken to be longer by
// some tolerance; all of them if there is no window.
func mostWithin(times []time.Time, p *commonv1.RunPolicy, tolerance time.Duration) int {
	if p.BackoffLimitWindowSeconds == nil {
		return len(times)
	}
	window := time.Duration(*p.BackoffLimitWindowSeconds)*time.Second + tolerance
	slices.SortFunc(times, time.Time.Compare)
	most, first := 0, 0
	for last, at := range times {
		for at.Sub(times[first]) >= window && first < last {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}
