package jobtest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// mayFail reports whether the kind's rules let a replica stay failed.
func (m *monitor) mayFail(job client.Object, t commonv1.ReplicaType, index int32) bool {
	return slices.ContainsFunc(m.w.rules(job).Optional, func(r jobkit.ReplicaSelector) bool { return r.Includes(t, index) })
}

// saysFailed reports whether a status lists a replica among those that have failed for good.
func saysFailed(status *commonv1.JobStatus, t commonv1.ReplicaType, index int32) bool {
	rs := status.ReplicaStatuses[t]
	return rs != nil && lists(rs.FailedIndexes, index)
}

// leftAlone reports whether a replica has failed for good, by the status of its job, and the job goes
// on without it.
func (m *monitor) leftAlone(job client.Object, t commonv1.ReplicaType, index int32) bool {
	return m.saysLeftAlone(job, m.w.parts(job).Status, t, index)
}

// saysLeftAlone is leftAlone by another status of the job.
func (m *monitor) saysLeftAlone(job client.Object, status *commonv1.JobStatus, t commonv1.ReplicaType, index int32) bool {
	return saysFailed(status, t, index) && m.mayFail(job, t, index)
}

// failedOnce reports whether a pod of the given attempt of a replica ever failed.
func (m *monitor) failedOnce(job client.Object, t commonv1.ReplicaType, index, attempt int32) bool {
	for uid, pod := range m.ledger(job.GetUID()).pods {
		if pod.Name == m.kind.PodName(job.GetName(), t, index) && (m.failed[uid] || m.doubtful[uid]) && attemptLabel(pod) >= attempt {
			return true
		}
	}
	return false
}

// checkLeftAlone checks that each replica which a status begins to list as failed for good has
// failed, and that the rules of the kind let it; and that none is forgotten in the same attempt.
func (m *monitor) checkLeftAlone(job client.Object, t commonv1.ReplicaType, i int32, old, status *commonv1.JobStatus) {
	at := attemptOf(old, t, i)
	if saysFailed(old, t, i) && !saysFailed(status, t, i) && attemptOf(status, t, i) == at && !status.IsTrue(commonv1.JobSuspended) {
		m.w.violatef("P3", "the status no longer says that %s %d has failed for good, but it is still at attempt %d", t, i, at)
	}
	switch {
	case !saysFailed(status, t, i) || saysFailed(old, t, i):
	case !m.mayFail(job, t, i):
		m.w.violatef("success", "the status says that %s %d has failed for good, but the job cannot go on without it", t, i)
	case !m.failedOnce(job, t, i, at):
		m.w.violatef("success", "the status says that %s %d has failed for good, but no pod of its attempt %d has", t, i, at)
	}
}

// checkNotAgain checks that no pod is created for a replica that has failed for good.
func (m *monitor) checkNotAgain(p *process, op call, job client.Object) {
	pod, ok := op.object.(*corev1.Pod)
	if !ok {
		return
	}
	if t, index, ok := m.replica(job, pod); ok && m.leftAlone(job, t, index) {
		m.w.violatef("P3", "%s wants to %s, but by the status that replica has failed for good", p.name, op)
	}
}
