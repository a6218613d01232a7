package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reportDelay is how long it may take from the end of a container until the kubelet's report
// that the pod has failed arrives. Real kubelets take 1.1 to 1.5 seconds.
const reportDelay = 3 * time.Second

// attributeConsequences finds out which failures of a gang are the consequence of another:
// when one replica is killed, its peers lose the connection and exit with their own error in
// the same moment. A failure that would end the job by its restart policy is a consequence if
// one that restarts the whole job was reported before it, or at most slack after it; it then
// gets the response of that one. It returns the failures with those that are not reported yet
// and restart together with them. It returns true if it is too early to know: others still
// run, and a report of their failure may be on its way.
func (d *decision) attributeConsequences(failed []failedReplica) ([]failedReplica, bool) {
	if len(failed) == 0 || !d.restartsTogether() {
		return failed, false
	}
	unreported := d.endedUnreported()
	causes := d.causes(failed, unreported)
	d.attributeToUncounted(failed, causes)
	d.attributeToUncounted(unreported, causes)
	wait := false
	for i := range failed {
		if f := &failed[i]; f.endsJobByPolicy() && !d.attribute(f, causes) {
			wait = wait || d.reportsMayFollow(f)
		}
	}
	// What fails the job by a rule does not wait for anything.
	wait = wait && !slices.ContainsFunc(failed, func(f failedReplica) bool { return f.response == responseFail && f.byRule })
	return d.withUnreported(failed, unreported, causes), wait
}

// endsJobByPolicy reports whether a failure ends the job by its restart policy.
func (f *failedReplica) endsJobByPolicy() bool { return f.response == responseFail && !f.byRule }

// attributeToUncounted makes what fails later than something that no limit counts, and that
// restarts it too, a consequence of that. If a pass had come between the two, its pod would be of an
// earlier attempt and count for nothing; how many passes there are decides nothing.
func (d *decision) attributeToUncounted(failed, causes []failedReplica) {
	for i := range failed {
		f := &failed[i]
		if f.response != responseRestart && f.response != responseRestartJob {
			continue
		}
		if c := d.uncountedCause(f, causes); c != nil {
			f.follow(c, d.restartsJob(c))
		}
	}
}

// uncountedCause is the first cause of a failure if no limit counts that, or nil. Of two of the same
// second no one knows which was first: then nothing is counted. What restarts the whole job by a rule
// is no consequence of what restarts a role.
func (d *decision) uncountedCause(f *failedReplica, causes []failedReplica) *failedReplica {
	var first *failedReplica
	for i := range causes {
		c := &causes[i]
		switch {
		case c.failure.at.After(f.failure.at), first != nil && c.failure.at.After(first.failure.at):
			return nil // The causes are in the order of time.
		case !d.takesAlong(c, f.replica), d.restartsJob(f) && !d.restartsJob(c):
			continue
		case c.response == responseIgnore && c.replica != f.replica:
			return c
		case first == nil:
			first = c
		}
	}
	return nil
}

// follow makes a failure the consequence of another. whole is whether that restarts the whole job:
// it may be of a type with another restart scope.
func (f *failedReplica) follow(cause *failedReplica, whole bool) {
	f.response, f.consequence, f.whole = cause.response, true, whole
	f.because = fmt.Sprintf("a consequence of pod %s, %s", cause.replica.pod.Name, cause.failure)
}

// attribute makes a failure the consequence of the first cause that may be its own. It reports
// whether there is one.
func (d *decision) attribute(f *failedReplica, causes []failedReplica) bool {
	at := slices.IndexFunc(causes, func(c failedReplica) bool {
		return !c.failure.at.After(f.failure.at.Add(slack)) && d.takesAlong(&c, f.replica)
	})
	if at < 0 {
		return false
	}
	f.follow(&causes[at], d.restartsJob(&causes[at]))
	return true
}

// withUnreported adds to failures those that are not reported yet of replicas that restart
// together with them: their pods will be gone before they are. So the same limits and rules
// hold as if the reports had come at once, and each count is that of a failure in the record.
// What would have ended the job by its restart policy, long before, is left out.
func (d *decision) withUnreported(failed, unreported, causes []failedReplica) []failedReplica {
	all := slices.Clone(failed)
	for i := range unreported {
		u := &unreported[i]
		if u.response == responseLeave || !d.restartsWith(failed, u) || u.endsJobByPolicy() && !d.attribute(u, causes) {
			continue
		}
		all = append(all, *u)
	}
	return d.inOrder(all)
}

// restartsWith reports whether failures restart another replica.
func (d *decision) restartsWith(failed []failedReplica, u *failedReplica) bool {
	return slices.ContainsFunc(failed, func(f failedReplica) bool { return d.spent != "" || d.takesAlong(&f, u.replica) })
}

// andUnreported adds to failures all of replicas that restart together with them and whose
// containers have ended: what is known of them now will be gone with their pods. All replicas
// of a job that fails end together.
func (d *decision) andUnreported(failed []failedReplica, fails bool) []failedReplica {
	all := slices.Clone(failed)
	for _, u := range d.endedUnreported() {
		if fails || d.restartsWith(failed, &u) {
			all = append(all, u)
		}
	}
	return d.inOrder(all)
}

// inOrder sorts failures by time, and those of the same second in the order of the replicas. Of
// several failures of a replica, which may hang and have ended, it keeps the first.
func (d *decision) inOrder(failed []failedReplica) []failedReplica {
	of := make(map[*replica]int, len(failed))
	for i, f := range slices.Backward(failed) {
		of[f.replica] = i
	}
	out := make([]failedReplica, 0, len(failed))
	d.tally.each(func(s *replica) {
		if i, ok := of[s]; ok {
			out = append(out, failed[i])
		}
	})
	return byTime(out)
}

// restartsTogether reports whether one failure can restart several replicas.
func (d *decision) restartsTogether() bool {
	return d.in.anyScope(commonv1.RestartScopeRole, commonv1.RestartScopeJob) || d.mayRestartWhole()
}

// mayRestartWhole reports whether one failure can restart all replicas: by the restart
// scope, by the progress policy, or by a rule.
func (d *decision) mayRestartWhole() bool {
	if d.in.anyScope(commonv1.RestartScopeJob) {
		return true
	}
	if d.in.watchesProgress() && d.in.progressAction() == commonv1.ProgressActionRestartJob {
		return true
	}
	p := d.in.RunPolicy.PodFailurePolicy
	return p != nil && slices.ContainsFunc(p.Rules, func(r commonv1.PodFailurePolicyRule) bool {
		return r.Action == commonv1.PodFailurePolicyActionRestartJob
	})
}

// causes are the failures that restart several replicas, and those that will when they are
// reported, in the order of time.
func (d *decision) causes(failed, unreported []failedReplica) []failedReplica {
	all := byTime(slices.Concat(failed, unreported, d.deletedReplicas()))
	return slices.DeleteFunc(all, func(f failedReplica) bool { return !d.takesAlong(&f, f.replica) })
}

// takesAlong reports whether what one failure asks for restarts another replica, too, if it is
// not restarted alone.
func (d *decision) takesAlong(f *failedReplica, s *replica) bool {
	return d.restartsJob(f) || (f.response == responseRestart || f.response == responseIgnore) &&
		d.in.scopeOf(f.replica.typ) == commonv1.RestartScopeRole && f.replica.typ == s.typ
}

// restartsJob reports whether a failure restarts the whole job.
func (d *decision) restartsJob(f *failedReplica) bool {
	return f.whole || f.response == responseRestartJob ||
		(f.response == responseRestart || f.response == responseIgnore) && d.in.scopeOf(f.replica.typ) == commonv1.RestartScopeJob
}

// deletedReplicas are the replicas of a gang whose pods are deleted by a user or another
// client: their peers lose the connection too. No limit counts that.
func (d *decision) deletedReplicas() []failedReplica {
	var out []failedReplica
	for _, s := range d.tally.lost {
		if s.pod == nil {
			continue
		}
		if at := requestedAt(s.pod); !at.IsZero() {
			out = append(out, failedReplica{replica: s, failure: failure{at: at, reason: "deleted"}, response: responseIgnore})
		}
	}
	return out
}

// endedUnreported are the replicas whose main container has ended with an error, while
// the kubelet has not reported yet that the pod has failed.
func (d *decision) endedUnreported() []failedReplica {
	var out []failedReplica
	d.tally.each(func(s *replica) {
		if s.state != jobkit.Active && s.state != jobkit.Pending || s.pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
			return
		}
		main := d.in.mainContainer(s.typ)
		if c := culprit(s.pod, main); c == nil || c.Name != main {
			return
		}
		out = append(out, d.failedReplica(s))
	})
	return out
}

// reportsMayFollow reports whether it is too early to conclude that a failure was the first,
// and requeues the job for the time when it is not.
func (d *decision) reportsMayFollow(f *failedReplica) bool {
	if !d.peersMayRestart(f.replica) {
		return false
	}
	return d.reportDue(f.replica.pod)
}

// reportDue reports whether a report that follows what is known of a pod may be on its way, and
// requeues the job for the time when it no longer is.
func (d *decision) reportDue(pod *corev1.Pod) bool {
	at := reportedAt(pod)
	if at.IsZero() {
		at = later(finishedAt(pod), pod.CreationTimestamp.Time)
	}
	until := at.Add(reportDelay)
	if !d.in.Now.Before(until) || at.After(d.in.Now.Add(slack)) { // a clock that is so far ahead is no help
		return false
	}
	d.requeueAt(until)
	return true
}

// peersMayRestart reports whether a replica other than the given one runs whose failure
// could restart it, too.
func (d *decision) peersMayRestart(but *replica) bool {
	rules, found := d.in.RunPolicy.PodFailurePolicy != nil, false
	d.tally.each(func(s *replica) {
		running := s.state == jobkit.Active || s.state == jobkit.Pending && s.pod.Spec.NodeName != ""
		scope := d.in.scopeOf(s.typ)
		together := scope == commonv1.RestartScopeJob || scope == commonv1.RestartScopeRole && s.typ == but.typ
		found = found || running && s != but && (rules || together && d.in.Replicas[s.typ].RestartPolicy != commonv1.RestartPolicyNever)
	})
	return found
}

// byTime sorts failures by time: the first is the one to investigate. Failures of the same
// second stay in the order of the replicas.
func byTime(failed []failedReplica) []failedReplica {
	slices.SortStableFunc(failed, func(a, b failedReplica) int { return a.failure.at.Compare(b.failure.at) })
	return failed
}
