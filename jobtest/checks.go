package jobtest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// exclusive are the conditions of which at most one is True, besides that a job may run
// in part while the rest of it restarts.
func exclusive() []commonv1.JobConditionType {
	return []commonv1.JobConditionType{
		commonv1.JobRunning, commonv1.JobRestarting, commonv1.JobSuspended, commonv1.JobSucceeded, commonv1.JobFailed,
	}
}

// maxTurns is how often conditions of one job may become True. A job that does so
// more often flaps.
const maxTurns = 60

// jobChanged checks a write of a job against the state before it.
func (m *monitor) jobChanged(before, after client.Object) {
	if !asksForReports(m.w.parts(before).RunPolicy) && asksForReports(m.w.parts(after).RunPolicy) {
		m.ledger(after.GetUID()).asked = m.w.now
	}
	old, status := m.w.parts(before).Status, m.w.parts(after).Status
	if old == nil || status == nil || m.w.actor == nil {
		return
	}
	m.checkConditions(m.ledger(after.GetUID()), old, status)
	m.checkTimes(old, status)
	m.checkHangs(before, old, status)
	was := recreations(m.ledger(after.GetUID()), old)
	m.checkCounts(before, old, status, was)
	m.checkLimit(before, old, status, was)
	m.checkRoleLimit(before, old, status)
	m.checkBudgets(before, old, status)
	m.checkFailedNodes(before, old, status)
	m.checkSeconds(before, old, status)
	m.checkReason(before, old, status)
	m.checkSucceeded(before, old, status)
	m.checkReclaimable(before, after, old, status)
	m.checkRunningWritten(before, status)
	m.checkStartsWritten(before, old, status)
	if status.ObservedGeneration > after.GetGeneration() || status.ObservedGeneration < old.ObservedGeneration {
		m.w.violatef("status", "observedGeneration went from %d to %d, the generation is %d",
			old.ObservedGeneration, status.ObservedGeneration, after.GetGeneration())
	}
}

// checkConditions checks how the conditions of a job changed.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkConditions(l *ledger, old, status *commonv1.JobStatus) {
	w := m.w
	var holds []commonv1.JobConditionType
	for _, t := range exclusive() {
		if status.IsTrue(t) {
			holds = append(holds, t)
		}
	}
	if len(holds) > 1 && !slices.Equal(holds, []commonv1.JobConditionType{commonv1.JobRunning, commonv1.JobRestarting}) {
		w.violatef("conditions", "%v are True at the same time", holds)
	}
	for _, t := range []commonv1.JobConditionType{commonv1.JobSucceeded, commonv1.JobFailed} {
		if old.IsTrue(t) && !status.IsTrue(t) {
			w.violatef("P5", "the job was %s, and no longer is", t)
		}
	}
	for _, t := range append([]commonv1.JobConditionType{commonv1.JobStalled, commonv1.JobHung}, exclusive()...) {
		if status.IsTrue(t) && !old.IsTrue(t) {
			if l.turns++; l.turns > maxTurns {
				w.violatef("conditions", "they flap: one became True for the %dth time, now %s", l.turns, t)
			}
		}
	}
	var last commonv1.JobConditionType
	seen := map[commonv1.JobConditionType]bool{}
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if seen[c.Type] {
			w.violatef("conditions", "there are two conditions %s", c.Type)
		}
		seen[c.Type] = true
		if c.Status == corev1.ConditionTrue {
			last = c.Type
		}
		if was := old.Condition(c.Type); was != nil && was.Status == c.Status && !was.LastTransitionTime.Equal(&c.LastTransitionTime) {
			w.violatef("conditions", "condition %s stayed %s, but its lastTransitionTime changed", c.Type, c.Status)
		}
	}
	if status.State != last {
		w.violatef("conditions", "state is %q, but the last condition that is True is %q", status.State, last)
	}
}

// checkTimes checks how the times of a job changed.
func (m *monitor) checkTimes(old, status *commonv1.JobStatus) {
	w := m.w
	if status.Finished() != (status.CompletionTime != nil) {
		w.violatef("status", "finished is %t, completionTime is %v", status.Finished(), status.CompletionTime)
	}
	if old.CompletionTime != nil && !old.CompletionTime.Equal(status.CompletionTime) {
		w.violatef("status", "completionTime changed from %v to %v", old.CompletionTime, status.CompletionTime)
	}
	if status.CompletionTime != nil && status.StartTime != nil && status.CompletionTime.Before(status.StartTime) {
		w.violatef("status", "completionTime %v is before startTime %v", status.CompletionTime, status.StartTime)
	}
	resumed := old.IsTrue(commonv1.JobSuspended) && !status.IsTrue(commonv1.JobSuspended)
	if began := w.actor.pass.began.Truncate(time.Second); resumed && !status.Finished() &&
		(status.StartTime == nil || status.StartTime.Time.Before(began) || status.StartTime.After(w.now)) {
		w.violatef("status", "the job was resumed between %v and %v, but startTime is %v", began, w.now, status.StartTime)
	}
	if old.StartTime != nil && !old.StartTime.Equal(status.StartTime) && !resumed {
		w.violatef("status", "startTime changed from %v to %v without a resume", old.StartTime, status.StartTime)
	}
}

// checkCounts checks that no count falls, and that each count of a restart is that
// of a pod which really failed. was is how many were counted before.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkCounts(job client.Object, old, status *commonv1.JobStatus, was int64) {
	w := m.w
	if status.Restarts < old.Restarts || status.Attempt < old.Attempt {
		w.violatef("P6", "restarts went from %d to %d, attempt from %d to %d", old.Restarts, status.Restarts, old.Attempt, status.Attempt)
	}
	for t, was := range old.ReplicaStatuses {
		is := status.ReplicaStatuses[t]
		if is == nil {
			w.violatef("status", "the status of %s is gone", t)
			continue
		}
		for index, before := range was.InPlaceRestarts {
			if now := is.InPlaceRestarts[index]; now.Earlier+now.Count < before.Earlier+before.Count {
				w.violatef("P6", "the restarts in place of %s %s fell from %+v to %+v", t, index, before, now)
			}
		}
		if is.Attempt < was.Attempt || is.Restarts < was.Restarts {
			w.violatef("P6", "%s went from attempt %d to %d, and from %d restarts to %d", t, was.Attempt, is.Attempt, was.Restarts, is.Restarts)
		}
		if old.Finished() && (is.Succeeded < was.Succeeded || is.Failed < was.Failed) {
			w.violatef("status", "the job has finished, but of %s succeeded went from %d to %d, failed from %d to %d",
				t, was.Succeeded, is.Succeeded, was.Failed, is.Failed)
		}
		for index, n := range was.Attempts {
			if is.Attempts[index] < n {
				w.violatef("P6", "the attempt of %s %s fell from %d to %d", t, index, n, is.Attempts[index])
			}
		}
	}
	l := m.ledger(job.GetUID())
	for _, rs := range status.ReplicaStatuses {
		for _, r := range rs.InPlaceRestarts {
			l.seen[r.PodUID] = max(l.seen[r.PodUID], r.Count)
		}
	}
	forStart := restartsForStart(old, status)
	if forStart {
		l.startRestarts++
		m.checkStartRestart(job, old, status)
	}
	counts := status.Restarts - old.Restarts - (inPlace(status) - inPlace(old))
	whole, counted := status.Attempt > old.Attempt, counts > 0
	if counted {
		l.free += m.freeRoles(job, old, status, int32(recreations(l, status)-was)-counts) //nolint:gosec // a few
	} else {
		l.free += status.Attempt - old.Attempt + roleAttempts(status) - roleAttempts(old)
	}
	if l.touched {
		return // A label that a user raises after the count makes one failure two.
	}
	if is, failed := recreations(l, status), int64(len(m.failedOf(l)))+int64(l.startRestarts); is > was && is > failed {
		w.violatef("P6", "%d restarts were counted, but only %d pods failed", is, failed)
	}
	if whole && !forStart && status.JobRestarts == old.JobRestarts {
		m.checkWhole(job, old, status, counted)
	}
	m.checkRoles(job, old, status, counted)
	for t, is := range status.ReplicaStatuses {
		for index, n := range is.Attempts {
			i, err := strconv.ParseInt(index, 10, 32)
			if err != nil {
				w.violatef("status", "attempts of %s has the index %q", t, index)
				continue
			}
			was := int32(0)
			if o := old.ReplicaStatuses[t]; o != nil {
				was = o.Attempts[index]
			}
			if n > was && (n > was+1 || !m.replicaFailed(job, l, old, t, int32(i))) {
				w.violatef("P6", "a restart of %s %s was counted (%d to %d), but its pod of attempt %d did not fail", t, index, was, n, attemptOf(old, t, int32(i)))
			}
		}
	}
}

// checkWhole checks a restart of the whole job: a replica of the present attempt failed,
// which counts, or was lost by a deletion, which does not.
func (m *monitor) checkWhole(job client.Object, old, status *commonv1.JobStatus, counted bool) {
	l, known := m.ledger(job.GetUID()), m.knewOfDisruption(job, old)
	switch {
	case status.Attempt > old.Attempt+1, counted && !m.anyFailed(job, l, old, ""):
		m.w.violatef("P6", "a restart of the whole job was counted (%d to %d), but no replica of the present attempt failed", old.Attempt, status.Attempt)
	case !counted && !m.mayRestartFree(job, l, old, ""):
		m.w.violatef("P6", "the whole job restarts (%d to %d) without a count, but no pod of the present attempt was deleted", old.Attempt, status.Attempt)
	case !counted && !m.ignores(job) && known != "":
		m.w.violatef("P6", "the whole job restarts without a count, but it was known that pod %s was disrupted", known)
	}
}

// mayRestartFree reports whether replicas, of a type or of any, may restart together without a
// count: one was lost by a deletion, or a rule may ignore its failure.
func (m *monitor) mayRestartFree(job client.Object, l *ledger, old *commonv1.JobStatus, of commonv1.ReplicaType) bool {
	return m.anyLost(job, l, old, of) || m.ignores(job) && m.anyFailed(job, l, old, of)
}

// ignores reports whether the job has a rule by which failures restart replicas and do not count.
func (m *monitor) ignores(job client.Object) bool {
	p := m.w.parts(job).RunPolicy.PodFailurePolicy
	return p != nil && slices.ContainsFunc(p.Rules, func(r commonv1.PodFailurePolicyRule) bool {
		return r.Action == commonv1.PodFailurePolicyActionIgnore
	})
}

// roleAttempts is how often roles were restarted together.
func roleAttempts(s *commonv1.JobStatus) int32 {
	n := int32(0)
	for _, rs := range s.ReplicaStatuses {
		n += rs.Attempt
	}
	return n
}

// freeRoles is how many roles restart for a replica that was lost, which counts for nothing, while
// something else restarts for a failure, which counts. uncounted is how many restarts a status does not count. A
// replica that failed and went unseen is lost, too.
func (m *monitor) freeRoles(job client.Object, old, status *commonv1.JobStatus, uncounted int32) int32 {
	l, n := m.ledger(job.GetUID()), int32(0)
	for t, is := range status.ReplicaStatuses {
		if was := old.ReplicaStatuses[t]; was != nil && is.Attempt > was.Attempt && m.mayRestartFree(job, l, old, t) {
			n += is.Attempt - was.Attempt
		}
	}
	return max(min(n, uncounted), 0)
}

// checkRoles checks restarts of roles: a replica of the role failed, which counts, or was
// lost by a deletion, which does not. If all roles have limits, and always had, each restart
// that the job counts is one of a role.
func (m *monitor) checkRoles(job client.Object, old, status *commonv1.JobStatus, counted bool) {
	l, parts := m.ledger(job.GetUID()), m.w.parts(job)
	sum, all := int32(0), job.GetGeneration() <= 1
	for t, is := range status.ReplicaStatuses {
		was := old.ReplicaStatuses[t]
		if was == nil {
			was = &commonv1.ReplicaStatus{}
		}
		sum += is.Restarts
		switch scope := m.scopeOf(parts, t); {
		case is.Attempt == was.Attempt:
		case is.Attempt > was.Attempt+1, scope != commonv1.RestartScopeRole && status.ObservedGeneration == job.GetGeneration():
			m.w.violatef("restart scope Role", "%s with restart scope %s went from attempt %d to %d", t, scope, was.Attempt, is.Attempt)
		case status.Attempt > old.Attempt:
			m.w.violatef("restart scope Role", "%s restarts together, and so does the whole job", t)
		case (!counted || !m.anyFailed(job, l, old, t)) && !m.mayRestartFree(job, l, old, t):
			m.w.violatef("restart scope Role", "%s restarts together (%d to %d), counted: %t, but none of its pods of the present attempt failed or was deleted",
				t, was.Attempt, is.Attempt, counted)
		}
	}
	for _, spec := range parts.ReplicaSpecs {
		all = all && spec != nil && spec.BackoffLimit != nil
	}
	if all && sum != status.Restarts {
		m.w.violatef("P6", "the roles counted %d restarts, the job %d", sum, status.Restarts)
	}
}

// inPlace is how many restarts in place a status counts.
func inPlace(s *commonv1.JobStatus) int32 {
	n := int32(0)
	for _, rs := range s.ReplicaStatuses {
		for _, r := range rs.InPlaceRestarts {
			n += r.Earlier + r.Count
		}
	}
	return n
}

// anyLost reports whether a pod of the present attempt of any replica that had a node, of a
// type or of any, is being deleted, or is gone.
func (m *monitor) anyLost(job client.Object, l *ledger, status *commonv1.JobStatus, of commonv1.ReplicaType) bool {
	// What an edit since the last status has made unwanted was one of the gang that the status counts.
	observed := m.asObserved(job, status)
	for uid, pod := range l.pods {
		there := m.w.kubelet.pods.get(client.ObjectKeyFromObject(pod))
		gone := there == nil || there.GetUID() != uid || !metav1.IsControlledBy(there, job)
		typ, i, wanted := m.replica(job, pod)
		if !wanted && observed != nil {
			typ, i, wanted = m.replica(observed, pod)
		}
		wanted = wanted && (of == "" || typ == of)
		if wanted && attemptLabel(pod) == attemptOf(status, typ, i) && pod.Spec.NodeName != "" && (gone || pod.DeletionTimestamp != nil) {
			return true
		}
	}
	return false
}

// asObserved is the job as it was when its status was written, or nil if it was not edited since.
func (m *monitor) asObserved(job client.Object, status *commonv1.JobStatus) client.Object {
	if status.ObservedGeneration == job.GetGeneration() {
		return nil
	}
	for _, c := range slices.Backward(m.w.jobs.log) {
		if c.object.GetUID() == job.GetUID() && c.object.GetGeneration() == status.ObservedGeneration {
			return c.object
		}
	}
	return nil
}

// checkLimit checks that a job has no more restarts than its backoffLimit allows,
// and that it does not fail for that reason before there were more failures. was is how many it had before: an
// edit may have lowered the limit since.
func (m *monitor) checkLimit(job client.Object, old, status *commonv1.JobStatus, was int64) {
	policy := m.w.parts(job).RunPolicy
	l := m.ledger(job.GetUID())
	if policy.BackoffLimit == nil || policy.BackoffLimitWindowSeconds != nil || l.touched {
		return
	}
	limit := int64(*policy.BackoffLimit)
	if is := recreations(l, status); is > limit && is > was && status.Restarts > old.Restarts {
		m.w.violatef("P7", "%d restarts were counted, backoffLimit is %d", is, limit)
	}
	c := status.Condition(commonv1.JobFailed)
	if old.IsTrue(commonv1.JobFailed) || c == nil || !strings.Contains(c.Message, "runPolicy.backoffLimit is ") {
		return
	}
	failures := int64(len(m.failedOf(l))) + int64(l.startRestarts)
	if strings.HasSuffix(c.Reason, reasonStartDeadline) {
		failures++ // That of the start which is late now.
	}
	for _, pod := range l.pods {
		failures += int64(restartCount(pod))
	}
	if failures <= limit {
		m.w.violatef("P7", "the job failed because of its backoffLimit %d, but only %d replicas failed", limit, failures)
	}
}

// checkRoleLimit checks that a job which fails because of the limit of a role has had more
// failures of that role, and that the record has one of them. A pod whose container has ended with
// an error, by itself, has failed: the kubelet has yet to say so.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkRoleLimit(job client.Object, old, status *commonv1.JobStatus) {
	c, l := status.Condition(commonv1.JobFailed), m.ledger(job.GetUID())
	if old.IsTrue(commonv1.JobFailed) || c == nil || l.touched {
		return
	}
	for t, spec := range m.w.parts(job).ReplicaSpecs {
		if spec == nil || spec.BackoffLimit == nil || !strings.Contains(c.Message, "["+string(t)+"].backoffLimit is ") {
			continue
		}
		failures, failed := l.startRestarts, m.failedOf(l)
		if strings.HasSuffix(c.Reason, reasonStartDeadline) {
			failures++
		}
		unrecorded := failures == 0 && len(status.Failures) < commonv1.MaxFailures &&
			!slices.ContainsFunc(status.Failures, func(f commonv1.ReplicaFailure) bool { return f.Type == t })
		for uid, pod := range l.pods {
			if typ, _, _ := m.replica(job, pod); typ == t {
				unrecorded = unrecorded && restartCount(pod) == 0 // A container may end without an error, and run again.
				failures += int32(restartCount(pod))              //nolint:gosec // a handful
				if failed[uid] || l.erred[uid] {
					failures++
				}
			}
		}
		if unrecorded {
			m.w.violatef("P7", "the job failed because of the backoffLimit of %s, but status.failures has no failure of it", t)
		}
		if failures <= *spec.BackoffLimit {
			m.w.violatef("P7", "the job failed because of the backoffLimit %d of %s, but only %d of its replicas failed", *spec.BackoffLimit, t, failures)
		}
	}
}

// checkSucceeded checks that each replica which a status begins to list as succeeded has
// really done so: a pod that was stopped has not, whatever its exit code. The success of
// a job follows from that of its replicas.
func (m *monitor) checkSucceeded(job client.Object, old, status *commonv1.JobStatus) {
	if m.ledger(job.GetUID()).touched {
		return
	}
	for t := range status.ReplicaStatuses {
		spec := m.w.parts(job).ReplicaSpecs[t]
		if spec == nil {
			continue
		}
		for i := range wantedReplicas(spec) {
			m.checkLeftAlone(job, t, i, old, status)
			if saysSucceeded(status, t, i) && !saysSucceeded(old, t, i) && !m.succeededOnce(job, t, i, attemptOf(old, t, i)) {
				m.w.violatef("success", "the status says that %s %d has succeeded, but no pod of its attempt %d has by itself", t, i, attemptOf(old, t, i))
			}
		}
	}
	m.checkRecord(job, status)
	m.checkSuccessPolicy(job, old, status)
}

// checkRecord checks that a job which has finished reports no more successes than there
// were: what clean-up killed has not succeeded.
func (m *monitor) checkRecord(job client.Object, status *commonv1.JobStatus) {
	if !status.Finished() {
		return
	}
	names := map[commonv1.ReplicaType]map[string]bool{}
	for uid, pod := range m.ledger(job.GetUID()).pods {
		if t, _, _ := m.replica(job, pod); m.succeeded[uid] {
			if names[t] == nil {
				names[t] = map[string]bool{}
			}
			names[t][pod.Name] = true
		}
	}
	for t, rs := range status.ReplicaStatuses {
		if int(rs.Succeeded) > len(names[t]) {
			m.w.violatef("status", "the job has finished, and counts %d successes of %s, but %d of its replicas succeeded", rs.Succeeded, t, len(names[t]))
		}
	}
}

// checkReason checks that a job which fails has a reason to: a mistake of its user, a
// deadline, or replicas that really failed. An error of the API server is none.
func (m *monitor) checkReason(job client.Object, old, status *commonv1.JobStatus) {
	c := status.Condition(commonv1.JobFailed)
	if old.IsTrue(commonv1.JobFailed) || c == nil {
		return
	}
	l, policy := m.ledger(job.GetUID()), m.w.parts(job).RunPolicy
	if strings.HasSuffix(c.Reason, "FailedValidation") {
		if says := func(words string) bool { return strings.Contains(c.Message, words) }; !l.invalid &&
			!says(" is not valid: ") && !says(" cannot be read: ") && !says("terminal error") {
			m.w.violatef("P12", "the job failed because of %q, but the server found nothing of it invalid", c.Message)
		}
		return
	}
	if limit := policy.ActiveDeadlineSeconds; limit != nil && status.StartTime != nil &&
		!m.w.now.Before(status.StartTime.Add(time.Duration(*limit)*time.Second)) {
		return
	}
	if strings.HasSuffix(c.Reason, reasonStartDeadline) {
		m.checkStartDeadline(job, policy.StartDeadlineSeconds, c.Message)
		return
	}
	failures := len(m.failedOf(l)) + int(l.startRestarts)
	for _, pod := range l.pods {
		failures += restartCount(pod)
	}
	if failures == 0 {
		m.w.violatef("P12", "the job failed because of %q, but no replica did", c.Message)
	}
}

// checkStartDeadline checks that a job which failed because its replicas did not start in time has
// a pod that did not, one that is stuck in place of one, or one that could not be created.
func (m *monitor) checkStartDeadline(job client.Object, limit *int64, message string) {
	l := m.ledger(job.GetUID())
	if limit == nil {
		m.w.violatef("P7", "the job failed because of %q, but has no such limit", message)
		return
	}
	was := m.w.parts(job).Status.Condition(commonv1.JobStalled)
	if l.touched || was != nil && obstructed(m.w.parts(job).Status) {
		return
	}
	for _, pod := range l.pods {
		due := pod.CreationTimestamp.Add(time.Duration(*limit) * time.Second)
		began := m.w.kubelet.beganAt(pod)
		if pod.DeletionTimestamp != nil || !m.w.now.Before(due) && (began.IsZero() || began.After(due)) {
			return
		}
	}
	m.w.violatef("P7", "the job failed because of %q, but all its pods started in time", message)
}

// recreations are the restarts that a status counts, those in place left out.
func recreations(l *ledger, s *commonv1.JobStatus) int64 {
	n := int64(s.Attempt) - int64(l.free) + int64(roleAttempts(s))
	for _, rs := range s.ReplicaStatuses {
		for index, attempts := range rs.Attempts {
			n += int64(attempts) - int64(rs.IgnoredAttempts[index])
		}
	}
	return n
}

// replicaFailed reports whether a pod of the present attempt of a replica failed.
func (m *monitor) replicaFailed(job client.Object, l *ledger, status *commonv1.JobStatus, t commonv1.ReplicaType, index int32) bool {
	for uid := range m.failedOf(l) {
		pod := l.pods[uid]
		typ, i, _ := m.replica(job, pod)
		if typ == t && i == index && attemptLabel(pod) == attemptOf(status, t, index) {
			return true
		}
	}
	return false
}

// anyFailed reports whether a pod of the present attempt of any replica, of a type or of any,
// failed.
func (m *monitor) anyFailed(job client.Object, l *ledger, status *commonv1.JobStatus, of commonv1.ReplicaType) bool {
	for uid := range m.failedOf(l) {
		pod := l.pods[uid]
		typ, i, wanted := m.replica(job, pod)
		if wanted && (of == "" || typ == of) && attemptLabel(pod) == attemptOf(status, typ, i) {
			return true
		}
	}
	return false
}

// failedOf are the pods of a job that failed by themselves, or may be taken for that.
func (m *monitor) failedOf(l *ledger) map[types.UID]bool {
	out := map[types.UID]bool{}
	for uid := range l.pods {
		if m.failed[uid] || m.doubtful[uid] {
			out[uid] = true
		}
	}
	return out
}
