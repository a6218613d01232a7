package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// restartGang restarts a job with restart scope Job of which a replica was lost without
// a failure: somebody deleted its pod. What would take its place could not join the
// others. No limit counts that.
func (d *decision) restartGang() {
	lost := lostReplicas(d.in, d.tally)
	if len(lost) == 0 {
		return
	}
	d.plan.Status.Attempt++
	d.tally.each(d.leaveBehind)
	d.plan.Restarts.Ignored++
	why := "is gone"
	if lost[0].pod != nil {
		why = "was deleted"
	}
	d.sayRestarting(fmt.Sprintf("pod %s %s", lost[0].name, why))
}

// Suspects names the pods of which a look concludes that they are lost, so that the
// whole job must restart: the shell makes sure with the API server, because a cache may
// be old. There are never more than OneTrip.
func Suspects(in *Input, tally *Tally) []string {
	if in.Job.Deleted || in.Status.Finished() || in.suspended() || in.foreignManager() {
		return nil
	}
	lost := lostReplicas(in, tally)
	names := make([]string, 0, OneTrip)
	for i := range min(len(lost), OneTrip) {
		names = append(names, lost[i].name)
	}
	return names
}

// lostReplicas are the replicas of a job with restart scope Job whose pods go, or are
// gone, while others of the same attempt are there. A pod that never had a node is no
// loss; and where no other is there, there is no gang to restart.
func lostReplicas(in *Input, tally *Tally) []*slot {
	if in.restartScope() != commonv1.RestartScopeJob {
		return nil
	}
	var leaving, gone []*slot
	others := false
	missing := map[commonv1.ReplicaType]bool{}
	for i := range tally.Types {
		missing[tally.Types[i].Type] = tally.Types[i].missing(in)
	}
	tally.each(func(s *slot) {
		bound := s.pod != nil && s.pod.Spec.NodeName != ""
		switch {
		case s.state == Leaving && bound:
			leaving = append(leaving, s)
		case s.state == Missing && missing[s.typ] && !in.There[s.name]:
			gone = append(gone, s)
		case s.state == Active, s.state == Succeeded, s.state == Pending && bound:
			others = true
		}
	})
	if !others {
		return nil
	}
	return append(leaving, gone...)
}

// missing reports whether pods are gone that the status counts: it says that more
// replicas of this attempt ran than are there. Replicas that were never created, because
// the job grew or nothing admits them, are none of these. While replicas are being
// restarted, what the status counts may be of an earlier attempt.
func (t *TypeTally) missing(in *Input) bool {
	status := &in.Status
	rs := status.ReplicaStatuses[t.Type]
	if rs == nil || !status.IsTrue(commonv1.JobRunning) || status.IsTrue(commonv1.JobRestarting) {
		return false
	}
	begun := int32(0)
	for i := range t.slots {
		if s := &t.slots[i]; s.state == Succeeded || in.There[s.name] || s.pod != nil && s.pod.Status.Phase != corev1.PodPending {
			begun++
		}
	}
	return min(rs.Active+rs.Succeeded, int32(len(t.slots))) > begun //nolint:gosec // at most MaxReplicas
}
