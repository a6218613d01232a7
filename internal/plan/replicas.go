package plan

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// deleteSurplus deletes pods and services that the job no longer wants: those of replicas
// beyond the wanted number or of a type that was removed, and those with a name that the
// job never gave.
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

// createPods creates the pods that are missing. A job that restarts as a whole first waits
// until every pod of the earlier attempt, and every pod that is being stopped, is gone, so
// that no replica of the new attempt connects to one of the old.
func createPods(d *decision) bool {
	terminating := d.in.terminatingClaims()
	avoided := d.avoidedNodes()
	slices.Sort(avoided)
	avoid := strings.Join(avoided, nodesSeparator)
	for _, s := range d.missing() {
		if len(d.usedOf(terminating, s)) > 0 { // With a claim that goes the pod would never start.
			d.requeueAt(d.in.Now.Add(claimRequeue))
			continue
		}
		d.act(CreatePod{
			Name: s.name, Type: s.typ, Index: s.index, Attempt: s.attempt, Avoid: avoid,
			Reason: fmt.Sprintf("replica %d of %s is missing", s.index, s.typ),
		})
	}
	return false
}

// oldGangExists reports whether pods exist that a restart of the whole job has superseded, also of
// replicas that the job wants no more. A pod that failed by itself and was superseded alone is not
// among them. A job that always restarts as a whole has no such pod, and there pods that are being
// stopped count too.
func (d *decision) oldGangExists() bool {
	for i := range d.tally.byType {
		t := &d.tally.byType[i]
		scope := d.in.scopeOf(t.Type)
		for j := range t.replicas {
			if d.ofOldGang(&t.replicas[j], scope) {
				return true
			}
		}
	}
	for i := range d.tally.unwanted {
		s := &d.tally.unwanted[i]
		if d.ofOldGang(s, d.in.scopeOf(s.typ)) {
			return true
		}
	}
	return false
}

// ofOldGang reports whether the pod of a replica is one that a restart of the whole job has
// superseded. If the job was never restarted as a whole, there is none. If it was, no count says
// whether a pod was superseded with the others or alone, later; its peers then wait for both.
func (d *decision) ofOldGang(s *replica, scope commonv1.RestartScope) bool {
	switch {
	case s.pod == nil:
		return false
	case scope == commonv1.RestartScopeJob:
		return d.superseded(s) || s.stops()
	case !d.superseded(s):
		return false
	case s.podAttempt(d.attempt(s)) < d.plan.Status.Attempt:
		return true
	default:
		return s.pod.Status.Phase != corev1.PodFailed && d.plan.Status.Attempt > 0
	}
}

// oldRoleExists reports whether pods of a type exist that its restart has superseded, or that
// are being stopped, if its replicas restart together.
func (d *decision) oldRoleExists(t commonv1.ReplicaType) bool {
	if d.in.scopeOf(t) != commonv1.RestartScopeRole {
		return false
	}
	found := false
	d.tally.each(func(s *replica) { found = found || s.typ == t && d.ofOldRole(s) })
	for i := range d.tally.unwanted {
		s := &d.tally.unwanted[i]
		found = found || s.typ == t && d.ofOldRole(s)
	}
	return found
}

// ofOldRole reports whether the pod of a replica is one that the restart of its role has superseded,
// or that is being stopped.
func (d *decision) ofOldRole(s *replica) bool { return s.pod != nil && (d.superseded(s) || s.stops()) }

// stops reports whether the pod of a replica is being stopped and has not ended.
func (s *replica) stops() bool {
	return s.pod.DeletionTimestamp != nil && (s.state == jobkit.Terminating || !hasEnded(s.pod))
}

// holdsUp reports whether the pod of a replica that the job wants no more keeps others from being
// created.
func (d *decision) holdsUp(s *replica) bool {
	switch {
	case d.ofOldGang(s, d.in.scopeOf(s.typ)):
		return d.tally.Count(jobkit.Missing) > 0
	case d.in.scopeOf(s.typ) == commonv1.RestartScopeRole && d.ofOldRole(s):
		tt := d.tally.Of(s.typ)
		return tt != nil && tt.Count(jobkit.Missing) > 0
	}
	return false
}
