package jobtest

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// disrupt ends a pod from outside, as the scheduler, the eviction API and the taint manager
// do: it is marked, and then deleted.
func (k *kubelet) disrupt(pod *corev1.Pod, reason string) {
	k.disrupted(pod, reason)
	next := clone(pod) // not written by the kubelet: the time of its report stays
	disrupt(next, k.server.now(), reason)
	k.server.replace(k.pods, pod, next)
	_ = k.server.delete(k.pods, client.ObjectKeyFromObject(pod), deletion{uid: pod.UID}) // there is no reason for it to fail
	at := slices.IndexFunc(k.lives, func(l *life) bool { return l.uid == pod.UID })
	if _, lost := k.lost[pod.Spec.NodeName]; at < 0 || lost || !k.lives[at].fate.StopsAtOnce {
		return
	}
	for l := k.lives[at]; k.pod(l) != nil && !held(k.pod(l)); {
		k.stop(l, k.pod(l))
	}
}

// disrupt marks a pod as ended from outside. A pod that is marked already keeps the time, and for the
// same reason nothing is written: only what differs in more than the generation is a change (UpdatePodCondition
// of Kubernetes).
func disrupt(pod *corev1.Pod, now time.Time, reason string) {
	c := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason,
		LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
	}
	if reason != "EvictionByEvictionAPI" { // the one that does not record the generation
		c.ObservedGeneration = pod.Generation
	}
	for i := range pod.Status.Conditions {
		if old := &pod.Status.Conditions[i]; old.Type == c.Type {
			if old.Status == c.Status && old.Reason == c.Reason {
				return
			}
			c.LastTransitionTime = old.LastTransitionTime
			*old = c
			return
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, c)
}

// disrupted reports whether a pod is marked as ended from outside.
func disrupted(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	})
}

// disrupted records every pod that something ends from outside, as it was before, and the
// reason. That is a failure, unless something else came first.
func (m *monitor) disrupted(pod *corev1.Pod, reason string) {
	m.failedNow(pod.UID)
	switch {
	case ended(pod):
		m.doubtful[pod.UID] = true
	case pod.DeletionTimestamp == nil:
		m.failed[pod.UID] = true
	case m.failed[pod.UID] && disrupted(pod):
		if m.hidesOrder(pod, reason) {
			delete(m.failed, pod.UID)
			m.doubtful[pod.UID] = true
		}
	case m.tellsOrder(pod, reason):
		m.stopped[pod.UID] = true
	default:
		m.doubtful[pod.UID] = true
	}
}

// tellsOrder reports whether the condition of a pod that is disrupted now says that this comes after
// the request to delete it. Times are whole seconds; most reasons come with the generation, which
// the request raised. (The pod garbage collector may add its reason to a condition of before.)
func (m *monitor) tellsOrder(pod *corev1.Pod, reason string) bool {
	if graceOf(pod) == 0 {
		return false
	}
	dated := reason == "EvictionByEvictionAPI" || reason == "DeletionByPodGC"
	return !dated || m.w.now.Truncate(time.Second).After(requestedAt(pod))
}

// hidesOrder reports whether the condition of a pod that was disrupted, then deleted, and is disrupted
// now for another reason no longer says so: it keeps the time, a whole second, but takes the generation
// of now. A process that saw nothing in between must take the disruption for the later one.
func (m *monitor) hidesOrder(pod *corev1.Pod, reason string) bool {
	return reason != "EvictionByEvictionAPI" && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Reason != reason && !c.LastTransitionTime.Time.Before(requestedAt(pod))
	})
}
