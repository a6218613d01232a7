package plan

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
)

// IsNews reports whether the last state of a pod that is gone says what its absence does not:
// that it had ended by itself, or was disrupted. A pod that ran, or was stopped, is just missing.
func IsNews(p *corev1.Pod) bool { return disruption(p) != nil || endedByItself(p) }

// assignDeparted gives the replicas that have no pod those that are gone. A view of the same
// pod is older than its last state. Of two pods of one replica that are gone, the newer one decides.
func (t *Tally) assignDeparted(in *Input) {
	for _, p := range in.Departed {
		s := t.replicaOf(p.Name)
		if s != nil && (s.pod == nil || s.pod.UID == p.UID || s.gone && isNewer(p, s.pod)) {
			s.pod, s.gone = p, true
		}
	}
}

// isNewer reports whether a pod of a replica came after another one of it.
func isNewer(p, other *corev1.Pod) bool {
	return cmp.Or(
		cmp.Compare(attemptLabel(p), attemptLabel(other)),
		p.CreationTimestamp.Compare(other.CreationTimestamp.Time),
	) > 0
}

// recordsEnds reports whether the plan counts what has ended by now: the status says all that is to
// be known of such pods. It does not while the specification cannot be trusted, the operator's own
// code fails, or it is too early to know what a failure means.
func (d *decision) recordsEnds() bool {
	return !d.keepPods && !d.tooEarly && d.in.OperatorError == "" || d.plan.Status.Finished()
}

// forgetGone removes the pod of a replica that is gone, if its end is on record, or says nothing
// because it is of before the job was resumed.
func (s *replica) forgetGone(onRecord bool) {
	if s.gone && (s.isBefore(s.attempt) || onRecord || s.beforeResume) {
		s.pod = nil
	}
}
