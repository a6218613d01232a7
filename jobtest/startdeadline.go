package jobtest

import (
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reasonStartDeadline ends the reason of the condition Failed of a job whose pods did not start
// in time.
const reasonStartDeadline = "StartDeadlineExceeded"

// restartsForStart reports whether a write of a status restarts the whole job because pods did
// not start in time.
func restartsForStart(old, status *commonv1.JobStatus) bool {
	c := status.Condition(commonv1.JobRestarting)
	return c != nil && status.Attempt > old.Attempt && strings.Contains(c.Message, "have not started within the specified deadline")
}

// checkStartRestart checks a restart of the whole job because pods did not start in time: the
// job asks for that, its limits allow it, it counts once, and a pod of the present attempt was
// late.
func (m *monitor) checkStartRestart(job client.Object, old, status *commonv1.JobStatus) {
	l, parts := m.ledger(job.GetUID()), m.w.parts(job)
	p := parts.RunPolicy
	switch most, limit := p.MaxJobRestarts, p.BackoffLimit; {
	case p.StartDeadlineSeconds == nil || p.OnStartDeadline == nil || *p.OnStartDeadline != commonv1.StartDeadlineRestartJob:
		m.w.violatef("P7", "the job restarts because pods do not start, which it does not ask for")
	case status.Attempt != old.Attempt+1, status.JobRestarts != old.JobRestarts+1, recreations(l, status) != recreations(l, old)+1,
		status.Restarts-old.Restarts != 1+inPlace(status)-inPlace(old):
		m.w.violatef("P6", "the job restarts because pods do not start: from attempt %d to %d, %d to %d restarts, %d to %d of the job",
			old.Attempt, status.Attempt, old.Restarts, status.Restarts, old.JobRestarts, status.JobRestarts)
	case most != nil && status.JobRestarts > *most, limit != nil && p.BackoffLimitWindowSeconds == nil && status.Restarts > *limit:
		m.w.violatef("P7", "the job restarts because pods do not start for the %dth time, after %d restarts, which is beyond a limit", status.JobRestarts, old.Restarts)
	}
	if l.touched || p.StartDeadlineSeconds == nil {
		return
	}
	for _, pod := range l.pods {
		t, index, wanted := m.replica(job, pod)
		due := pod.CreationTimestamp.Add(time.Duration(*p.StartDeadlineSeconds) * time.Second)
		began := m.w.kubelet.beganAt(pod)
		if wanted && attemptLabel(pod) == attemptOf(old, t, index) && !m.w.now.Before(due) && (began.IsZero() || began.After(due)) {
			return
		}
	}
	m.w.violatef("P7", "the job restarts because pods do not start, but all have in time")
}
