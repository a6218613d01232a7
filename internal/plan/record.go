package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// MaxFailureMessage is how much of the reason and the message of a failure the status keeps.
const MaxFailureMessage = 256

// recordFailures records the failures that are handled in this pass, and emits their exit
// codes. Only one pass handles a failure, so each is recorded once.
func (d *decision) recordFailures(failed []failedReplica) {
	status := &d.plan.Status
	var exits []*failedReplica
	for i := range failed {
		replica, f := failed[i].replica, &failed[i].failure
		entry := commonv1.ReplicaFailure{
			Time: metav1.NewTime(f.at.Truncate(time.Second)), Type: replica.typ, Index: replica.index, Attempt: replica.podAttempt(replica.attempt),
			Node: replica.pod.Spec.NodeName, Reason: cutText(f.reason, MaxFailureMessage), Message: cutText(f.message, MaxFailureMessage),
		}
		if f.exitCode != 0 {
			entry.ExitCode = &f.exitCode
			exits = append(exits, &failed[i])
		}
		if f.hung {
			d.addLastReport(&entry)
		}
		status.Failures = append(status.Failures, entry)
	}
	d.recordExits(exits)
	d.keepLastFailures()
}

// keepLastFailures drops the oldest failures if there are too many.
func (d *decision) keepLastFailures() {
	status := &d.plan.Status
	if extra := len(status.Failures) - commonv1.MaxFailures; extra > 0 {
		status.Failures = slices.Clone(status.Failures[extra:])
	}
}

// recordInPlace records why the last run of a container ended that the node restarted in
// place. This information is lost at its next restart.
func (d *decision) recordInPlace(s *replica) {
	c := lastCulprit(s.pod, d.in.mainContainer(s.typ))
	if c == nil {
		return
	}
	last := c.LastTerminationState.Terminated
	at := reportedAt(s.pod)
	if at.IsZero() {
		at = later(last.FinishedAt.Time, s.pod.CreationTimestamp.Time)
	}
	if at.After(d.in.Now) {
		at = d.in.Now
	}
	status := &d.plan.Status
	status.Failures = append(status.Failures, commonv1.ReplicaFailure{
		Time: metav1.NewTime(at.Truncate(time.Second)), Type: s.typ, Index: s.index, Attempt: s.podAttempt(s.attempt),
		Node: s.pod.Spec.NodeName, Reason: cutText(last.Reason, MaxFailureMessage), ExitCode: new(last.ExitCode),
		Message: cutText(last.Message, MaxFailureMessage),
	})
	d.keepLastFailures()
}

// recordExits emits exit codes: one event for one pod, and one for many.
func (d *decision) recordExits(exits []*failedReplica) {
	if len(exits) == 0 {
		return
	}
	first := exits[0]
	message := fmt.Sprintf("Pod: %s.%s exited with code %d", d.in.Job.Namespace, first.replica.pod.Name, first.failure.exitCode)
	if len(exits) > 1 {
		list := make([]string, 0, len(exits))
		for _, f := range exits {
			list = append(list, fmt.Sprintf("%s with code %d", f.replica.pod.Name, f.failure.exitCode))
		}
		message = fmt.Sprintf("%d pods exited with an error: %s", len(exits), andMore(list))
	}
	d.event(true, "ExitedWithCode", message)
	d.eventsAreAbout(len(d.plan.Events)-1, refTo(first.replica.pod))
}

// failedMessage says why the job failed: what ended it, and the replica that failed first.
func (d *decision) failedMessage(why string, first *failedReplica) string {
	message := fmt.Sprintf("%s because %s.", d.hasFailed(), why)
	if first != nil && first.replica.pod != nil {
		message += fmt.Sprintf(" First failure: pod %s, %s, %s.", first.replica.pod.Name, first.failure, first.because)
	}
	return message
}

// replicasFailed says how many replicas of a type failed, or of each type if only is
// empty.
func replicasFailed(failed []failedReplica, only commonv1.ReplicaType) string {
	var types []commonv1.ReplicaType
	count := map[commonv1.ReplicaType]int{}
	for i := range failed {
		if t := failed[i].replica.typ; only == "" || t == only {
			if count[t]++; count[t] == 1 {
				types = append(types, t)
			}
		}
	}
	parts := make([]string, 0, len(types))
	for _, t := range types {
		parts = append(parts, fmt.Sprintf("%d %s", count[t], t))
	}
	if !slices.ContainsFunc(failed, func(f failedReplica) bool { return !f.failure.hung && (only == "" || f.replica.typ == only) }) {
		return strings.Join(parts, ", ") + " replica(s) hung"
	}
	return strings.Join(parts, ", ") + " replica(s) failed"
}

// failedReason is the reason of the condition Failed: the kind's own if the failure of a
// replica ended the job, and not a limit.
func (d *decision) failedReason(first *failedReplica) string {
	reason := d.reason(string(commonv1.JobFailed))
	if first != nil && first.failure.hung && first.response == responseFail {
		return d.reason(reasonHung)
	}
	if first != nil && (first.response == responseFail || first.response == responseLeave) {
		return cmp.Or(d.in.Rules.Messages.FailedReason, reason)
	}
	return reason
}
