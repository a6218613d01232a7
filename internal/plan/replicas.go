package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// deleteSurplus removes pods and services that the job does not want any more: those of
// replicas beyond the number wanted or of a type that is gone, and those that
// carry a name which the job never gave.
func deleteSurplus(d *decision) bool {
	for _, p := range d.tally.unexpectedPods {
		if p.DeletionTimestamp == nil {
			d.act(DeletePod{Name: p.Name, UID: p.UID, Reason: "the job does not want this replica"})
		}
	}
	for _, s := range d.in.Services {
		if !d.wantsService(s.Name) && s.DeletionTimestamp == nil {
			d.act(DeleteService{Name: s.Name, UID: s.UID, Reason: "the job does not want this service"})
		}
	}
	return false
}

// createPods creates the pods that are missing. A job that restarts as a whole waits
// until every pod of the earlier attempt is gone, and every pod that is being stopped,
// so that no replica of the new one meets a replica of the old.
func createPods(d *decision) bool {
	for _, s := range d.missing() {
		d.act(CreatePod{
			Name: s.name, Type: s.typ, Index: s.index, Attempt: s.attempt,
			Reason: fmt.Sprintf("replica %d of %s is missing", s.index, s.typ),
		})
	}
	return false
}

// oldGangExists tells whether pods are there that a restart of the whole job has
// replaced. One that failed by itself and was replaced alone is not among them; in a
// job that always restarts as a whole there is none, and what is being stopped counts too.
func (d *decision) oldGangExists() bool {
	found, whole := false, d.in.restartScope() == commonv1.RestartScopeJob
	d.tally.each(func(s *replica) {
		switch {
		case found || s.pod == nil:
		case d.superseded(s):
			found = whole || s.podAttempt(d.attempt(s)) < d.plan.Status.Attempt || s.pod.Status.Phase != corev1.PodFailed && !d.leavesAlone(s)
		default:
			found = whole && s.pod.DeletionTimestamp != nil && (s.state == jobkit.Terminating || !hasEnded(s.pod))
		}
	})
	return found
}

// leavesAlone reports whether a pod that was replaced is one that is disrupted, of a job
// whose replicas are restarted one by one: it stops for a while, and keeps no other waiting.
func (d *decision) leavesAlone(s *replica) bool {
	return !d.restartsTogether() && disruption(s.pod) != nil
}
