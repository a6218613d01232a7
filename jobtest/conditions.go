package jobtest

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reasonStuck ends the reason of the condition Stalled of a job whose pods were deleted
// and do not go.
const reasonStuck = "PodStuckTerminating"

// reasonNotStarting ends the reason of the condition Stalled of a job whose pods do not start.
const reasonNotStarting = "PodsNotStarting"

// startsIn is how long after its creation a pod may take to start before its job says why it
// does not.
const startsIn = 30 * time.Second

// reportedAfter is how long after the grace period of a pod its job says that it does not go:
// what ends pods has half a minute, and the job is looked at every minute.
const reportedAfter = 2 * time.Minute

// obstructed reports whether a job is stalled because something could not be written.
// One that only waits is as it should be in everything else, and quiet.
func obstructed(s *commonv1.JobStatus) bool {
	c := s.Condition(commonv1.JobStalled)
	return s.IsTrue(commonv1.JobStalled) && !slices.ContainsFunc(
		[]string{reasonStuck, "SchedulingGated", "WaitingForGang", reasonNotStarting, "WaitingForReplicas", reasonAvoidedNodeNeeded}, func(r string) bool { return strings.HasSuffix(c.Reason, r) })
}

// checkReported checks what the conditions of an active job at rest say: that it runs,
// and that it waits for a pod that was deleted and does not go.
func (m *monitor) checkReported(job client.Object, pods []*corev1.Pod) {
	w, status := m.w, m.w.parts(job).Status
	if m.ledger(job.GetUID()).touched {
		return
	}
	m.checkRunning(job, status, certain(pods))
	m.checkRunsInOrder(job, pods)
	m.checkOrderReported(job)
	m.checkStartsTold(job, pods)
	for _, pod := range pods {
		if t, i, wanted := m.replica(job, pod); !wanted || !m.stuck(pod) || pod.Status.Phase == corev1.PodSucceeded || m.leftAlone(job, t, i) ||
			w.now.Before(pod.DeletionTimestamp.Add(reportedAfter)) {
			continue
		}
		c := status.Condition(commonv1.JobStalled)
		if c == nil || !strings.HasSuffix(c.Reason, reasonStuck) ||
			!strings.Contains(c.Message, pod.Name) && !strings.Contains(c.Message, " more") {
			w.violatef("conditions", "job %s waits for pod %s, which was deleted and does not go, but does not say so: %+v", job.GetName(), pod.Name, c)
		}
	}
}

// checkStartsTold checks that a job at rest says that pods of it do not start, if and only if
// that is so.
func (m *monitor) checkStartsTold(job client.Object, pods []*corev1.Pod) {
	w, status := m.w, m.w.parts(job).Status
	c := status.Condition(commonv1.JobStalled)
	told := c != nil && strings.HasSuffix(c.Reason, reasonNotStarting)
	for _, pod := range pods {
		t, index, wanted := m.replica(job, pod)
		if !wanted || attemptLabel(pod) < attemptOf(status, t, index) || !m.lateStart(pod) {
			continue
		}
		if c == nil {
			w.violatef("conditions", "pod %s of job %s does not start, but the job does not say so", pod.Name, job.GetName())
		}
		return
	}
	if told {
		w.violatef("conditions", "job %s says that pods do not start, but all have: %q", job.GetName(), c.Message)
	}
}

// lateStart reports whether a pod has not started that was created a while ago, and that
// waits for no gang.
func (m *monitor) lateStart(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil && !disrupted(pod) && len(pod.Spec.SchedulingGates) == 0 &&
		(!m.w.together || pod.Spec.NodeName != "") && !m.w.now.Before(pod.CreationTimestamp.Add(startsIn))
}

// checkStartsWritten checks a status that begins to say that pods do not start: a pod which
// the process knew does not. It may say so once for each pod that the job ever had, and a few
// times more if a cache may go back in time.
func (m *monitor) checkStartsWritten(job client.Object, old, status *commonv1.JobStatus) {
	says := func(s *commonv1.JobStatus) bool {
		c := s.Condition(commonv1.JobStalled)
		return c != nil && strings.HasSuffix(c.Reason, reasonNotStarting)
	}
	l, known := m.ledger(job.GetUID()), m.w.actor.pass
	if says(old) || !says(status) || l.touched {
		return
	}
	most := len(l.pods)
	if m.w.chance != nil {
		most += 10
	}
	if l.lateStarts++; l.lateStarts > most {
		m.w.violatef("conditions", "they flap: job %s says for the %dth time that pods do not start, and had %d pods", job.GetName(), l.lateStarts, len(l.pods))
	}
	if known == nil || known.pods == nil || known.job.GetUID() != job.GetUID() {
		return
	}
	for _, candidates := range known.pods {
		if slices.ContainsFunc(candidates, func(pod *corev1.Pod) bool { return pod != nil && m.lateStart(pod) }) {
			return
		}
	}
	m.w.violatef("conditions", "job %s says that pods do not start, but none was late: %q", job.GetName(), status.Condition(commonv1.JobStalled).Message)
}

// checkRunningWritten checks the condition Running of a status that is written against the pods
// which the process knew: those that it saw, and what it remembers having done to them.
func (m *monitor) checkRunningWritten(job client.Object, status *commonv1.JobStatus) {
	l := m.w.actor.pass
	if l == nil || l.pods == nil || l.job.GetUID() != job.GetUID() || m.ledger(job.GetUID()).touched ||
		obstructed(status) || status.Finished() || status.IsTrue(commonv1.JobSuspended) {
		return
	}
	m.checkRunning(job, status, l.pods)
}

// checkRunning checks that a status says that the job runs while one of these pods runs
// which decides that by the rules, and no longer. Until replicas begin that decide and start after
// others, any of them may do.
func (m *monitor) checkRunning(job client.Object, status *commonv1.JobStatus, pods knownPods) {
	runs, mayRun, ended := m.deciding(job, status, pods)
	over := true
	for t, spec := range m.w.parts(job).ReplicaSpecs {
		for i := range wantedReplicas(spec) {
			over = over && (!m.decides(job, t, i) || saysSucceeded(status, t, i) || m.mayFail(job, t, i) ||
				ended[m.kind.PodName(job.GetName(), t, i)])
		}
	}
	if is := status.IsTrue(commonv1.JobRunning); !over && (is && !mayRun || !is && runs) {
		m.w.violatef("conditions", "job %s: that a replica runs which decides it is %t, but that it is Running is %t", job.GetName(), mayRun, is)
	}
}

// deciding reports whether a replica surely runs, and whether one may run, that decides whether
// the job does; and which pods have ended: one that has failed in the present attempt is left alone, or
// it is too early to know what that means, and the conditions stay.
func (m *monitor) deciding(job client.Object, status *commonv1.JobStatus, pods knownPods) (runs, mayRun bool, over map[string]bool) {
	over = map[string]bool{}
	inOrder := m.decidesInOrder(job)
	for _, candidates := range pods {
		all := true
		for _, pod := range candidates {
			if pod == nil {
				all = false
				continue
			}
			present, decides := m.present(job, status, pod)
			active := present && runsOn(pod) && !m.saysPodEnded(job, status, pod)
			all, mayRun = all && active && decides, mayRun || active && (inOrder || decides)
			over[pod.Name] = over[pod.Name] || present && ended(pod)
		}
		runs = runs || all
	}
	return runs, mayRun, over
}

// present reports whether a pod is one of the present attempt of a replica that the job wants, and
// whether that is one which decides whether the job runs.
func (m *monitor) present(job client.Object, status *commonv1.JobStatus, pod *corev1.Pod) (present, decides bool) {
	t, index, wanted := m.replica(job, pod)
	return wanted && attemptLabel(pod) >= attemptOf(status, t, index), m.decides(job, t, index)
}

// saysPodEnded reports whether a status says that the replica of a pod has succeeded, or failed for
// good. In that attempt it never runs again: if the pod is seen to run, the view of it is old.
func (m *monitor) saysPodEnded(job client.Object, status *commonv1.JobStatus, pod *corev1.Pod) bool {
	t, index, _ := m.replica(job, pod)
	return saysSucceeded(status, t, index) || m.saysLeftAlone(job, status, t, index)
}

// runsOn reports whether a pod runs, and nothing ends it.
func runsOn(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && !disrupted(p)
}

// decidesInOrder reports whether replicas that decide whether the job runs start after others.
func (m *monitor) decidesInOrder(job client.Object) bool {
	parts := m.w.parts(job)
	for t, spec := range parts.ReplicaSpecs {
		if m.startAfter(parts, t) != nil && wantedReplicas(spec) > 0 && (m.decides(job, t, 0) || m.decides(job, t, wantedReplicas(spec)-1)) {
			return true
		}
	}
	return false
}

// checkRunsInOrder checks that a job at rest runs whose deciding replicas all wait for others by
// the order of its types, if one of these runs.
func (m *monitor) checkRunsInOrder(job client.Object, pods []*corev1.Pod) {
	parts, decide, wait := m.w.parts(job), false, true
	for t, spec := range parts.ReplicaSpecs {
		for i := range wantedReplicas(spec) {
			there := slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return p.Name == m.kind.PodName(job.GetName(), t, i) })
			decide = decide || m.decides(job, t, i)
			missing := !there && !saysSucceeded(parts.Status, t, i) && !m.leftAlone(job, t, i)
			wait = wait && (!m.decides(job, t, i) || missing && m.waitsForOthers(job, t))
		}
	}
	runs := slices.ContainsFunc(pods, func(p *corev1.Pod) bool {
		present, _ := m.present(job, parts.Status, p)
		return present && runsOn(p)
	})
	if decide && wait && runs && !parts.Status.IsTrue(commonv1.JobRunning) {
		m.w.violatef("conditions", "all replicas of job %s that decide whether it runs wait for others, which run, but it is %s", job.GetName(), parts.Status.State)
	}
}

// decides reports whether a replica is one of which one must run for the job to run.
func (m *monitor) decides(job client.Object, t commonv1.ReplicaType, index int32) bool {
	rules := m.w.rules(job)
	return len(rules.Running) == 0 || slices.ContainsFunc(rules.Running, func(r jobkit.ReplicaSelector) bool { return r.Includes(t, index) })
}

// checkOrderReported checks that a job at rest whose replicas wait for others of its own says so:
// where it runs, and what to check if they do not do their part.
func (m *monitor) checkOrderReported(job client.Object) {
	parts := m.w.parts(job)
	for t, spec := range parts.ReplicaSpecs {
		missing := false
		for i := range wantedReplicas(spec) {
			pod := m.w.kubelet.pods.get(client.ObjectKey{Namespace: job.GetNamespace(), Name: m.kind.PodName(job.GetName(), t, i)})
			missing = missing || pod == nil && !saysSucceeded(parts.Status, t, i) && !m.leftAlone(job, t, i)
		}
		if !missing || !m.waitsForOthers(job, t) {
			continue
		}
		c := parts.Status.Condition(commonv1.JobRunning)
		if c != nil && parts.Status.IsTrue(commonv1.JobRunning) && !strings.Contains(c.Message, string(t)+" starts when all replicas of ") {
			m.w.violatef("startAfter", "job %s runs, and its %s waits for others, but it does not say so: %s", job.GetName(), t, c.Message)
		}
		if c == nil && parts.Status.Condition(commonv1.JobStalled) == nil && !m.waits(job) {
			m.w.violatef("startAfter", "job %s waits for replicas of its own that do not run, but is not stalled", job.GetName())
		}
	}
}
