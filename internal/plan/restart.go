package plan

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// restartOrFail handles replicas that failed: the job fails, or they are restarted.
//
// A restart takes several passes. The first counts it, by raising the attempt that the
// status records for the replica. From then on the failed pod is of an earlier attempt: it is
// Superseded, and no later pass can count it again. Later passes delete it when its delay has
// passed, and create the next attempt when it is gone.
func restartOrFail(d *decision) bool {
	failed, left := apart(byTime(append(d.failedReplicas(), d.hungReplicas()...)))
	if failed, d.tooEarly = d.attributeConsequences(failed); d.tooEarly {
		d.deleteSuperseded()
		return false
	}
	d.recordLeftAlone(left)
	why, first := d.limitExceeded(failed)
	if why == "" && len(failed) == 0 && d.spent == "" {
		why, first = d.onlyLeftAlone(left)
	}
	if why == "" {
		d.restart(failed)
		if counted := len(failed) > 0 || d.spent != ""; !d.restartGang(counted) && !counted {
			d.restartPastStartDeadline()
		}
		d.deleteSuperseded()
		return false
	}
	d.setTrue(commonv1.JobFailed, d.failedReason(first), d.failedMessage(why, first))
	d.recordFailures(d.andUnreported(failed, true))
	d.cleanUp()
	return true
}

// failedReplica is a replica that failed, why, and what to do about it.
type failedReplica struct {
	replica  *replica
	failure  failure
	response response
	// because says why this is the response; byRule is true if a rule is the reason.
	because string
	byRule  bool
	// consequence is true if the failure of another replica was its cause, and whole if that
	// restarts the whole job.
	consequence, whole bool
}

// failedReplica finds why a replica failed, and what to do about it.
func (d *decision) failedReplica(s *replica) failedReplica {
	f := failedReplica{replica: s, failure: d.failureOf(s)}
	f.response, f.because, f.byRule = d.respond(s, &f.failure)
	if s.left {
		f.response = responseLeave // Whatever an edit says now.
	}
	return f
}

// failedReplicas are the replicas that failed, in the order of time.
func (d *decision) failedReplicas() []failedReplica {
	var out []failedReplica
	d.tally.each(func(s *replica) {
		if s.state == jobkit.Failed && !s.isGoneForGood() {
			out = append(out, d.failedReplica(s))
		}
	})
	return byTime(out)
}

// allEnded reports whether no replica is left that could still make the job succeed.
func (d *decision) allEnded() bool {
	for i := range d.tally.byType {
		tt := &d.tally.byType[i]
		missing := tt.Count(jobkit.Missing)
		if tt.Count(jobkit.Failed)+tt.Count(jobkit.Succeeded)+missing < len(tt.States) || missing > 0 && !d.neverStarts(tt.Type) {
			return false
		}
	}
	return true
}

// neverStarts reports whether the missing replicas of a type start after one that was left alone when
// it failed, or after one that never starts for that reason. No type starts after itself (Validate).
func (d *decision) neverStarts(t commonv1.ReplicaType) bool {
	after := d.in.Replicas[t].StartAfter
	return after != nil && slices.ContainsFunc(d.before(after), func(s *replica) bool {
		return s.state == jobkit.Failed || s.state == jobkit.Missing && d.neverStarts(s.typ)
	})
}

// restartsWhole reports whether failures restart the whole job.
func (d *decision) restartsWhole(failed []failedReplica) bool {
	return d.spent != "" || slices.ContainsFunc(failed, func(f failedReplica) bool { return d.restartsJob(&f) })
}

// restart counts the restart of failed replicas, of their roles, or of the whole job.
func (d *decision) restart(failed []failedReplica) {
	if len(failed) == 0 && d.spent == "" {
		return
	}
	status := &d.plan.Status
	status.Restarts = addCounts(status.Restarts, d.countedRestarts(failed))
	for i := range d.tally.byType {
		t := d.tally.byType[i].Type
		d.countForRole(t, d.countedForRole(failed, t))
	}
	d.noteRestarts(failed)
	d.noteFailedNodes(failed)
	d.noteRestart(failed)
	if d.spent != "" {
		d.restartForBudget(failed)
		return
	}
	d.recordFailures(d.andUnreported(failed, false))
	if d.restartsWhole(failed) {
		d.restartAll()
		cause := max(slices.IndexFunc(failed, func(f failedReplica) bool { return !f.consequence }), 0)
		d.countByCause(&failed[cause])
	} else {
		for i := range failed {
			if d.in.scopeOf(failed[i].replica.typ) != commonv1.RestartScopeRole {
				d.raiseAttempt(&failed[i])
				d.countByCause(&failed[i])
			}
		}
		d.restartRoles(failed)
	}
	d.setRestarting(replicasFailed(failed, ""))
}

// restartRoles restarts the roles with restart scope Role of which replicas failed.
func (d *decision) restartRoles(failed []failedReplica) {
	for i := range d.tally.byType {
		t := d.tally.byType[i].Type
		of := func(f failedReplica) bool { return f.replica.typ == t }
		first := slices.IndexFunc(failed, of)
		if first < 0 || d.in.scopeOf(t) != commonv1.RestartScopeRole {
			continue
		}
		if cause := slices.IndexFunc(failed, func(f failedReplica) bool { return of(f) && !f.consequence }); cause >= 0 {
			first = cause
		}
		if _, whole := d.stillLost(); whole < 0 { // Otherwise the role restarts with the whole job.
			d.restartRole(t)
		}
		d.countByCause(&failed[first])
	}
}

// restartAll moves all replicas of the job on to their next attempt.
func (d *decision) restartAll() {
	d.plan.Status.Attempt++
	d.tally.each(d.supersede)
}

// restartRole moves all replicas of a type on to their next attempt.
func (d *decision) restartRole(t commonv1.ReplicaType) {
	d.replicaStatus(t).Attempt++
	d.tally.each(func(s *replica) {
		if s.typ == t {
			d.supersede(s)
		}
	})
}

// setRestarting sets the condition Restarting, with the cause.
func (d *decision) setRestarting(why string) {
	d.setTrue(commonv1.JobRestarting, d.reason(string(commonv1.JobRestarting)), fmt.Sprintf("%s because %s.", d.isRestarting(), why))
}

// countByCause counts a restart under its cause.
func (d *decision) countByCause(f *failedReplica) {
	by := &d.plan.Restarts
	switch {
	case f.response == responseIgnore:
		by.Ignored++
	case f.failure.hung:
		by.Hung++
	case f.failure.infrastructure:
		by.Disrupted++
	default:
		by.Failed++
	}
}

// raiseAttempt raises a replica to its next attempt.
func (d *decision) raiseAttempt(f *failedReplica) {
	ignored := int32(0)
	if f.response == responseIgnore {
		ignored = 1
	}
	d.addAttempts(f.replica, 1, ignored)
	d.supersede(f.replica)
}

// supersede makes sure that the pod of a replica that is being restarted counts as one of
// an earlier attempt from now on, even if its label was changed. The attempts that are
// skipped for that count against no limit.
func (d *decision) supersede(s *replica) {
	if s.pod == nil {
		return
	}
	at := d.attempt(s)
	if skipped := s.podAttempt(at) + 1 - at; skipped > 0 {
		d.addAttempts(s, skipped, skipped)
	}
}

// addAttempts raises the attempt of a replica. Ignored attempts count against no limit.
func (d *decision) addAttempts(s *replica, n, ignored int32) {
	rs, index := d.replicaStatus(s.typ), strconv.Itoa(int(s.index))
	if rs.Attempts == nil {
		rs.Attempts = map[string]int32{}
	}
	rs.Attempts[index] += n
	if ignored == 0 {
		return
	}
	if rs.IgnoredAttempts == nil {
		rs.IgnoredAttempts = map[string]int32{}
	}
	rs.IgnoredAttempts[index] += ignored
}

// deleteSuperseded deletes the pods of earlier attempts: failed ones after their delay, so
// that a replica that keeps failing is not a busy loop; the others without delay.
func (d *decision) deleteSuperseded() {
	d.tally.each(func(s *replica) {
		if !d.superseded(s) || s.gone || s.pod.DeletionTimestamp != nil {
			return
		}
		attempt := d.attempt(s)
		if s.pod.Status.Phase == corev1.PodFailed {
			if due := d.failedSince(s).Add(d.in.Backoff.delay(attempt, d.failureOf(s).ran)); d.in.Now.Before(due) {
				d.requeueAt(due)
				return
			}
		}
		d.act(DeletePod{Name: s.pod.Name, UID: s.pod.UID, Reason: fmt.Sprintf("attempt %d takes its place", attempt)})
	})
}

// failureOf reads the cause from the failed pod of a replica.
func (d *decision) failureOf(s *replica) failure {
	return failureOf(s.pod, d.in.mainContainer(s.typ), d.in.Now)
}

// failedSince is when the delay of a replica's restart began (see failedSince).
func (d *decision) failedSince(s *replica) time.Time {
	return failedSince(&d.plan.Status, s.pod, commonv1.ReplicaFailure{Type: s.typ, Index: s.index, Attempt: s.attemptLabel()}, d.in.Now)
}

// attempt is the attempt of a replica in the planned status.
func (d *decision) attempt(s *replica) int32 {
	return attemptOf(&d.plan.Status, s.typ, s.index)
}

// superseded reports whether the pod of a replica is of an earlier attempt than in the
// planned status.
func (d *decision) superseded(s *replica) bool {
	if s.pod == nil {
		return false
	}
	at := d.attempt(s)
	return s.isBefore(at)
}

// delay is how long after a failure the given attempt may start. ran is how long
// the failed attempt ran.
func (b Backoff) delay(attempt int32, ran time.Duration) time.Duration {
	if attempt <= 1 || b.Base <= 0 || ran > b.Max {
		return 0
	}
	if doublings := attempt - 2; doublings < 32 {
		if d := b.Base << doublings; d>>doublings == b.Base {
			return min(d, b.Max)
		}
	}
	return b.Max
}
