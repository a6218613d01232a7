package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// stillLost are the lost replicas that this pass does not restart yet, and the first of them that
// restarts the whole job; -1 if none does.
func (d *decision) stillLost() (lost []*replica, whole int) {
	for _, s := range d.tally.lost {
		if d.attempt(s) == s.attempt {
			lost = append(lost, s)
		}
	}
	return lost, slices.IndexFunc(lost, func(s *replica) bool { return d.in.scopeOf(s.typ) == commonv1.RestartScopeJob })
}

// restartGang restarts what restarts together, a job or a role, that lost a replica without a
// failure: a user or another client deleted its pod. A new pod in its place could not join
// the others. No limit counts that. What restarts because of a failure in the same pass has its
// new attempt already; if there was a failure, the condition names that. It reports whether
// something restarts for a lost replica.
func (d *decision) restartGang(failed bool) bool {
	lost, whole := d.stillLost()
	if len(lost) == 0 {
		return false
	}
	if whole >= 0 {
		lost = lost[whole:]
		d.restartAll()
		d.plan.Restarts.Ignored++
	} else {
		for _, t := range typesOf(lost) {
			d.restartRole(t)
			d.plan.Restarts.Ignored++
		}
	}
	if failed {
		return true
	}
	why := "is gone"
	if lost[0].pod != nil {
		why = "was deleted"
	}
	d.setRestarting(fmt.Sprintf("pod %s %s", lost[0].name, why))
	return true
}

// SuspectPods names the pods that a pass takes for lost, so that the whole job or a role must restart.
// The shell verifies them with the API server, because a cache may be stale. There are never
// more than FirstBatch of a type.
func (t *Tally) SuspectPods() []string {
	var names []string
	of := map[commonv1.ReplicaType]int{}
	for _, s := range t.lost {
		if of[s.typ]++; of[s.typ] <= FirstBatch {
			names = append(names, s.name)
		}
	}
	return names
}

// InDoubt reports whether replicas are taken for lost only because other pods of their type
// appear as pending. A cache that is older than the status may show pods as pending that run
// and that the status counts: then nothing is lost; the missing pods were never created. It also
// reports whether the job fails because replicas have not started in time, which a stale cache
// may show of pods that have, whether one seems to hang, and whether pods have succeeded that may be
// of before the job was resumed. The shell reads all pods of the job again, from the API server.
func (t *Tally) InDoubt() bool { return t.inDoubt }

// findLost finds the lost replicas, once for all that need them.
func (t *Tally) findLost(in *Input) {
	if !in.mayLose() {
		return
	}
	t.lost = lostReplicas(in, t, (*Tally).missing)
	t.inDoubt = t.lateStarts(in) != nil || len(t.lost) > 0 && len(lostReplicas(in, t, (*Tally).surelyMissing)) == 0
}

// mayLose reports whether the job is in a state in which lost replicas matter.
func (in *Input) mayLose() bool {
	return !in.Job.Deleted && !in.Status.Finished() && !in.suspended() && !in.foreignManager()
}

// lostReplicas are the replicas with restart scope Job or Role whose pods terminate, or are
// gone, while others of the job, or of their role, exist in the same attempt. One that has just
// failed may have done so because of that. A pod that never had a node is not a loss; and if no
// other exists, there is no gang to restart.
// isMissing reports whether pods of the i-th type are gone.
func lostReplicas(in *Input, tally *Tally, isMissing func(*Tally, *Input, int) bool) []*replica {
	if !in.anyScope(commonv1.RestartScopeJob, commonv1.RestartScopeRole) {
		return nil
	}
	var terminating, gone []*replica
	others := map[commonv1.ReplicaType]bool{}
	missing := map[commonv1.ReplicaType]bool{}
	for i := range tally.byType {
		missing[tally.byType[i].Type] = isMissing(tally, in, i)
	}
	tally.each(func(s *replica) {
		bound := s.pod != nil && s.pod.Spec.NodeName != ""
		switch {
		case s.state == jobkit.Terminating && bound:
			terminating = append(terminating, s)
		case s.state == jobkit.Missing && missing[s.typ] && !in.FoundPods[s.name]:
			gone = append(gone, s)
		case s.isGoneForGood():
		case s.state == jobkit.Active, s.state == jobkit.Succeeded, s.state == jobkit.Failed, s.state == jobkit.Pending && bound:
			others[s.typ] = true
		}
	})
	return slices.DeleteFunc(append(terminating, gone...), func(s *replica) bool {
		switch in.scopeOf(s.typ) {
		case commonv1.RestartScopeJob:
			return len(others) == 0
		case commonv1.RestartScopeRole:
			return !others[s.typ]
		case commonv1.RestartScopeReplica:
		}
		return true
	})
}

// typesOf are the types of some replicas.
func typesOf(list []*replica) []commonv1.ReplicaType {
	var out []commonv1.ReplicaType
	for _, s := range list {
		if !slices.Contains(out, s.typ) {
			out = append(out, s.typ)
		}
	}
	return out
}

// missing reports whether pods of the i-th type are gone that the status counts: by the
// status, more replicas of this attempt ran than exist now. Replicas that were never created,
// because the job grew or no quota admits them, are not among these.
func (t *Tally) missing(in *Input, i int) bool {
	short, _ := t.shortOf(in, i)
	return short > 0
}

// surelyMissing reports whether pods are gone that the status counts, even if all those
// that appear as pending run.
func (t *Tally) surelyMissing(in *Input, i int) bool {
	short, pending := t.shortOf(in, i)
	return short > pending
}

// shortOf is how many fewer replicas of the i-th type have begun than the status counts,
// and how many pods have not begun. While replicas of the type are being restarted, the counts of
// the status may be of an earlier attempt, so it is 0. Of a type that never was they are not,
// whatever else restarts.
func (t *Tally) shortOf(in *Input, i int) (short, pending int) {
	tt, status := &t.byType[i], &in.Status
	rs := status.ReplicaStatuses[tt.Type]
	restarted := func(s replica) bool { return s.attempt > 0 }
	if rs == nil || !status.IsTrue(commonv1.JobRunning) ||
		status.IsTrue(commonv1.JobRestarting) && slices.ContainsFunc(tt.replicas, restarted) {
		return 0, 0
	}
	begun := 0
	for j := range tt.replicas {
		switch s := &tt.replicas[j]; {
		case s.state == jobkit.Succeeded, in.FoundPods[s.name], s.pod != nil && s.pod.Status.Phase != corev1.PodPending:
			begun++
		case s.pod != nil:
			pending++
		}
	}
	former, waiting := t.formerReplicas(in, i)
	counted := int(rs.Active) + int(rs.Succeeded) - former
	return min(counted, len(tt.replicas)) - begun, pending + waiting
}

// formerReplicas is how many replicas of the i-th type the status counts that an edit has
// just made unwanted, and how many of their pods have not begun. The first status after
// the edit no longer counts them.
func (t *Tally) formerReplicas(in *Input, i int) (begun, pending int) {
	if in.Status.ObservedGeneration == in.Job.Generation {
		return 0, 0
	}
	tt := &t.byType[i]
	ended := parseIndexes(in.Status.ReplicaStatuses[tt.Type].SucceededIndexes, jobkit.MaxReplicas)
	for j := range tt.replicas {
		delete(ended, int32(j))
	}
	for _, p := range t.unexpectedPods {
		index, ok := t.names[i].index(p.Name)
		switch {
		case !ok:
		case p.Status.Phase == corev1.PodPending:
			pending++
		default:
			ended[int32(index)] = true //nolint:gosec // a name has no larger number
		}
	}
	return len(ended), pending
}
