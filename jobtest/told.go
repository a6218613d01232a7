package jobtest

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/plan"
)

// reasonStuck ends the reason of the condition Stalled of a job whose pods were deleted
// and do not go.
const reasonStuck = "PodStuckTerminating"

// toldAfter is how long after the grace period of a pod its job says that it does not go:
// what ends pods has half a minute, and the job is looked at every minute.
const toldAfter = 2 * time.Minute

// obstructed reports whether a job is stalled because something could not be written.
// One that only waits is as it should be in everything else, and quiet.
func obstructed(s *commonv1.JobStatus) bool {
	c := s.Condition(commonv1.JobStalled)
	return s.IsTrue(commonv1.JobStalled) && !slices.ContainsFunc(
		[]string{reasonStuck, "SchedulingGated", "WaitingForGang", "PodsNotStarted"}, func(r string) bool { return strings.HasSuffix(c.Reason, r) })
}

// checkTold checks what the conditions of a job at rest that goes on tell: that it runs,
// and that it waits for a pod that was deleted and does not go.
func (m *monitor) checkTold(job client.Object, pods []*corev1.Pod) {
	w, status := m.w, m.w.parts(job).Status
	if m.ledger(job.GetUID()).touched {
		return
	}
	m.checkRunning(job, status, pods)
	for _, pod := range pods {
		if _, _, wanted := m.replica(job, pod); !wanted || !m.stuck(pod) || pod.Status.Phase == corev1.PodSucceeded ||
			w.now.Before(pod.DeletionTimestamp.Add(toldAfter)) {
			continue
		}
		c := status.Condition(commonv1.JobStalled)
		if c == nil || !strings.HasSuffix(c.Reason, reasonStuck) ||
			!strings.Contains(c.Message, pod.Name) && !strings.Contains(c.Message, " more") {
			w.violatef("conditions", "job %s waits for pod %s, which was deleted and does not go, but does not say so: %+v", job.GetName(), pod.Name, c)
		}
	}
}

// checkWritten checks the condition Running of a status that is written against the pods
// which the process saw.
func (m *monitor) checkWritten(job client.Object, status *commonv1.JobStatus) {
	l := m.w.actor.look
	if l == nil || m.ledger(job.GetUID()).touched || obstructed(status) || status.Finished() || status.IsTrue(commonv1.JobSuspended) {
		return
	}
	byName := map[string]*corev1.Pod{}
	for _, o := range l.seen {
		if pod, ok := o.(*corev1.Pod); ok && metav1.IsControlledBy(pod, job) {
			byName[pod.Name] = pod
		}
	}
	if m.remembers(job, byName) {
		return
	}
	m.checkRunning(job, status, slices.Collect(maps.Values(byName)))
}

// remembers reports whether a process may know more of a job's pods than the caches
// showed it, because it remembers what it wrote itself: that it deleted a pod, or created
// or adopted one.
func (m *monitor) remembers(job client.Object, seen map[string]*corev1.Pod) bool {
	for _, o := range m.w.kubelet.pods.objects {
		pod, ok := o.(*corev1.Pod)
		if !ok || !metav1.IsControlledBy(pod, job) {
			continue
		}
		if was := seen[pod.Name]; was == nil || was.UID != pod.UID || was.DeletionTimestamp == nil && pod.DeletionTimestamp != nil {
			return true
		}
	}
	for _, pod := range seen {
		if m.w.kubelet.pods.get(client.ObjectKeyFromObject(pod)) == nil {
			return true
		}
	}
	return false
}

// checkRunning checks that a status says that the job runs while one of these pods runs
// which decides that by the rules, and no longer.
func (m *monitor) checkRunning(job client.Object, status *commonv1.JobStatus, pods []*corev1.Pod) {
	runs, over := false, true
	ended := map[string]bool{}
	for _, pod := range pods {
		t, index, wanted := m.replica(job, pod)
		if !wanted || attemptLabel(pod) < attemptOf(status, t, index) {
			continue
		}
		runs = runs || m.decides(job, t, index) && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil && !disrupted(pod)
		ended[pod.Name] = pod.Status.Phase == corev1.PodSucceeded
	}
	for t, spec := range m.w.parts(job).Replicas {
		for i := range wantedReplicas(spec) {
			over = over && (!m.decides(job, t, i) || saysSucceeded(status, t, i) || m.mayFail(job, t, i) ||
				ended[m.kind.PodName(job.GetName(), t, i)])
		}
	}
	if is := status.IsTrue(commonv1.JobRunning); is != runs && !over {
		m.w.violatef("conditions", "job %s: that a replica runs which decides it is %t, but that it is Running is %t", job.GetName(), runs, is)
	}
}

// decides reports whether a replica is one of which one must run for the job to run.
func (m *monitor) decides(job client.Object, t commonv1.ReplicaType, index int32) bool {
	rules := m.w.rules(job)
	return len(rules.Running) == 0 || slices.ContainsFunc(rules.Running, func(r plan.Replicas) bool { return r.Includes(t, index) })
}
