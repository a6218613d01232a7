package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// failures deals with replicas that failed: the job fails, or they are restarted.
//
// A restart takes two looks. The first counts it, by raising the attempt that the
// status records for the replica. From then on the failed pod is one of an earlier
// attempt: it is Replaced, and no later look can count it again. Looks that follow
// delete it when its delay has passed, and create the next attempt when it is gone.
func failures(d *decision) bool {
	var failed []failedReplica
	var fatal *failedReplica
	d.tally.each(func(s *slot) {
		if s.state != Failed {
			return
		}
		f := failedReplica{slot: s, failure: failureOf(s.pod, d.in.Kind.ContainerName)}
		failed = append(failed, f)
		if fatal == nil && !f.failure.retryable(d.in.Replicas[s.typ].RestartPolicy) {
			fatal = &failed[len(failed)-1]
		}
	})
	switch {
	case fatal != nil:
		d.fail(d.failedMessage(fatal, failed, ""))
	case d.exceedsBackoffLimit(failed):
		var first *failedReplica
		if len(failed) > 0 {
			first = &failed[0]
		}
		d.fail(d.failedMessage(first, failed, fmt.Sprintf(
			"it has reached the specified backoff limit: runPolicy.backoffLimit is %d", *d.in.RunPolicy.BackoffLimit)))
	default:
		d.restart(failed)
		d.deleteReplaced()
		return false
	}
	d.record(failed)
	d.cleanUp()
	return true
}

// failedReplica is a replica that failed, and why.
type failedReplica struct {
	slot    *slot
	failure failure
}

// exceedsBackoffLimit tells whether the restarts that these failures ask for are
// more than the job may have.
func (d *decision) exceedsBackoffLimit(failed []failedReplica) bool {
	limit := d.in.RunPolicy.BackoffLimit
	if limit == nil {
		return false
	}
	wanted := int64(len(failed))
	if d.in.restartScope() == commonv1.RestartScopeJob {
		wanted = min(wanted, 1)
	}
	return int64(d.plan.Status.Restarts)+wanted > int64(*limit)
}

// restart counts the restart of failed replicas, or of the whole job.
func (d *decision) restart(failed []failedReplica) {
	if len(failed) == 0 {
		return
	}
	status := &d.plan.Status
	if d.in.restartScope() == commonv1.RestartScopeJob {
		status.Attempt++
		status.Restarts++
	}
	d.record(failed)
	for i := range failed {
		f := &failed[i]
		if d.in.restartScope() == commonv1.RestartScopeReplica {
			rs := d.replicaStatus(f.slot.typ)
			if rs.Attempts == nil {
				rs.Attempts = map[string]int32{}
			}
			// Above the pod's own attempt, whatever its label says, so that the pod
			// counts as one of an earlier attempt from now on.
			index := strconv.Itoa(int(f.slot.index))
			rs.Attempts[index] = max(rs.Attempts[index], podAttempt(f.slot.pod)-status.Attempt) + 1
			status.Restarts++
		}
	}
	d.become(commonv1.JobRestarting, d.reason(string(commonv1.JobRestarting)), fmt.Sprintf(
		"%s %s is restarting because %s replica(s) failed.", d.in.Kind.Name, d.in.Job.Name, failedTypes(failed)))
}

// deleteReplaced deletes the pods of earlier attempts: those that failed when
// their delay has passed, so that a replica which keeps failing is not a busy
// loop; the others at once.
func (d *decision) deleteReplaced() {
	d.tally.each(func(s *slot) {
		if !d.replaced(s) || s.pod.DeletionTimestamp != nil {
			return
		}
		attempt := d.attempt(s)
		if s.pod.Status.Phase == corev1.PodFailed {
			f := failureOf(s.pod, d.in.Kind.ContainerName)
			if due := f.at.Add(d.in.Backoff.delay(attempt, f.ran)); d.in.Now.Before(due) {
				d.wakeAt(due)
				return
			}
		}
		d.act(DeletePod{Name: s.pod.Name, UID: s.pod.UID, Reason: fmt.Sprintf("attempt %d takes its place", attempt)})
	})
}

// attempt is the attempt that a replica is at by the planned status.
func (d *decision) attempt(s *slot) int32 {
	return attemptOf(&d.plan.Status, s.typ, s.index)
}

// replaced tells whether the pod of a replica is of an earlier attempt than the
// planned status says.
func (d *decision) replaced(s *slot) bool {
	return s.pod != nil && podAttempt(s.pod) < d.attempt(s)
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

// restarts counts the restarts of containers in place. The status keeps the count
// of each pod under its UID; when another pod takes the replica's place the count
// of the old one is carried over, in the same write.
func restarts(d *decision) bool {
	status := &d.plan.Status
	d.tally.each(func(s *slot) {
		if s.pod != nil && s.state != Replaced {
			d.countInPlace(s)
		}
	})
	total := int64(status.Attempt)
	for _, rs := range status.ReplicaStatuses {
		if rs != nil {
			total += restartsOf(rs)
		}
	}
	status.Restarts = max(status.Restarts, int32(min(total, math.MaxInt32))) //nolint:gosec // bounded by min
	return false
}

// countInPlace brings the count of a replica's restarts in place up to date.
func (d *decision) countInPlace(s *slot) {
	rs, index := d.replicaStatus(s.typ), strconv.Itoa(int(s.index))
	n, old := restartsInPlace(s.pod), rs.InPlaceRestarts[index]
	switch {
	case old.PodUID == s.pod.UID && n <= old.Count, n == 0:
		return
	case old.PodUID != "" && old.PodUID != s.pod.UID:
		if olderThan(s.pod.ResourceVersion, old.PodResourceVersion) {
			// A stale view: this pod was counted, and carried over, before that one came.
			return
		}
		rs.ContainerRestarts += old.Count
	}
	if rs.InPlaceRestarts == nil {
		rs.InPlaceRestarts = map[string]commonv1.InPlaceRestarts{}
	}
	rs.InPlaceRestarts[index] = commonv1.InPlaceRestarts{PodUID: s.pod.UID, Count: n, PodResourceVersion: s.pod.ResourceVersion}
}

// restartsOf is how many restarts a replica type has had, those of the whole job
// aside.
func restartsOf(rs *commonv1.ReplicaStatus) int64 {
	total := int64(rs.ContainerRestarts)
	for _, n := range rs.Attempts {
		total += int64(n)
	}
	for _, r := range rs.InPlaceRestarts {
		total += int64(r.Count)
	}
	return total
}

// olderThan tells whether a resource version is older than another.
func olderThan(a, b string) bool {
	n, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && n < 0
}

// maxMessage is how much of a termination message the status keeps.
const maxMessage = 256

// record writes down failures that are dealt with in this look, and tells of exit
// codes. The look that deals with a failure is the only one that sees it, so each
// is recorded once.
func (d *decision) record(failed []failedReplica) {
	status := &d.plan.Status
	for i := range failed {
		slot, f := failed[i].slot, &failed[i].failure
		entry := commonv1.ReplicaFailure{
			Time: metav1.NewTime(f.at), Type: slot.typ, Index: slot.index, Attempt: podAttempt(slot.pod),
			Node: slot.pod.Spec.NodeName, Reason: f.reason, Message: f.message[:min(len(f.message), maxMessage)],
		}
		entry.Message = strings.ToValidUTF8(entry.Message, "")
		if f.exitCode != 0 {
			entry.ExitCode = &f.exitCode
			d.event(true, "ExitedWithCode", fmt.Sprintf("Pod: %s.%s exited with code %d", d.in.Job.Namespace, slot.pod.Name, f.exitCode))
		}
		status.Failures = append(status.Failures, entry)
	}
	if extra := len(status.Failures) - commonv1.MaxFailures; extra > 0 {
		status.Failures = slices.Clone(status.Failures[extra:])
	}
}

// failedMessage says why the job failed: what ended it, and the replica to look at.
func (d *decision) failedMessage(first *failedReplica, failed []failedReplica, why string) string {
	if why == "" {
		n := 0
		for i := range failed {
			if failed[i].slot.typ == first.slot.typ {
				n++
			}
		}
		why = fmt.Sprintf("%d %s replica(s) failed", n, first.slot.typ)
	}
	message := fmt.Sprintf("%s has failed because %s.", d.jobName(), why)
	if first != nil {
		message += fmt.Sprintf(" First failure: pod %s, %s, restart policy %s.",
			first.slot.pod.Name, first.failure, d.in.Replicas[first.slot.typ].RestartPolicy)
	}
	return message
}

// failedTypes names the types of failed replicas, each once.
func failedTypes(failed []failedReplica) string {
	var names []string
	for i := range failed {
		if name := string(failed[i].slot.typ); len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
