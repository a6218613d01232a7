package jobtest

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// queueLabel is the label by which a job is in a queue of Kueue.
const queueLabel = "kueue.x-k8s.io/queue-name"

// restartsTogether reports whether something in a job can restart replicas of a type although
// they have succeeded.
func (m *monitor) restartsTogether(parts jobkit.JobParts, t commonv1.ReplicaType) bool {
	if policyRestartsWhole(parts.RunPolicy) {
		return true
	}
	for other := range parts.ReplicaSpecs {
		if m.scopeOf(parts, other) == commonv1.RestartScopeJob {
			return true
		}
	}
	whole := parts.RunPolicy.RestartScope != nil && *parts.RunPolicy.RestartScope == commonv1.RestartScopeJob
	return whole || m.scopeOf(parts, t) == commonv1.RestartScopeRole
}

// policyRestartsWhole reports whether a run policy has something, besides its restart scope, that
// restarts the whole job.
func policyRestartsWhole(p *commonv1.RunPolicy) bool {
	if a := p.OnBackoffLimitPerReplica; a != nil && *a == commonv1.BackoffLimitPerReplicaRestartJob {
		return true
	}
	if a := p.OnStartDeadline; a != nil && *a == commonv1.StartDeadlineRestartJob {
		return true
	}
	if a := p.ProgressPolicy; a != nil && a.Action == commonv1.ProgressActionRestartJob {
		return true
	}
	if p.PodFailurePolicy != nil {
		for i := range p.PodFailurePolicy.Rules {
			if p.PodFailurePolicy.Rules[i].Action == commonv1.PodFailurePolicyActionRestartJob {
				return true
			}
		}
	}
	return false
}

// checkReclaimable checks how many pods of a job a queue may give away: those of the replicas
// that have succeeded and that nothing restarts; none of a job that is in no queue; and never
// fewer than before, as long as the job is neither suspended nor edited.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkReclaimable(job, after client.Object, old, status *commonv1.JobStatus) {
	queued := after.GetLabels()[queueLabel] != ""
	same := old.ObservedGeneration == status.ObservedGeneration && status.ObservedGeneration == job.GetGeneration()
	suspended := status.IsTrue(commonv1.JobSuspended)
	for t, rs := range status.ReplicaStatuses {
		if !same || m.ledger(job.GetUID()).touched {
			return
		}
		was, n := int32(0), int32(0)
		if o := old.ReplicaStatuses[t]; o != nil {
			was = o.Reclaimable
		}
		parts := m.w.parts(job)
		for i := range wantedReplicas(parts.ReplicaSpecs[t]) {
			if saysSucceeded(status, t, i) {
				n++
			}
		}
		if parts.ReplicaSpecs[t] != nil && m.restartsTogether(parts, t) || !queued {
			n = 0
		}
		// A job that ends while it is invalid gives all its room back at once.
		exact := !suspended && !obstructed(status) && (!status.Finished() || !obstructed(old))
		switch {
		case rs.Reclaimable > n, exact && rs.Reclaimable != n:
			m.w.violatef("reclaimable", "%d pods of %s can be given away by the status, but %d have succeeded and do not run again", rs.Reclaimable, t, n)
		case rs.Reclaimable < was && !suspended:
			m.w.violatef("reclaimable", "%d pods of %s can be given away, and were %d before", rs.Reclaimable, t, was)
		}
	}
}

// checkReclaimed checks that no pod is created again that a queue may have given away.
func (m *monitor) checkReclaimed(p *process, op call, job client.Object) {
	pod, ok := op.object.(*corev1.Pod)
	if !ok {
		return
	}
	t, index, wanted := m.replica(job, pod)
	status := m.w.parts(job).Status
	if rs := status.ReplicaStatuses[t]; wanted && rs != nil && rs.Reclaimable > 0 && saysSucceeded(status, t, index) {
		m.w.violatef("reclaimable", "%s wants to %s, whose quota the job does not need any more", p.name, strings.TrimSpace(op.String()))
	}
}
