package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// slack is how far apart the clocks of a control plane may be, and how much later than
// its cause a consequence may be reported.
const slack = 2 * time.Second

// disruption is the condition by which Kubernetes says that a pod is ended from outside:
// it is preempted, evicted, drained, or its node is gone. Such a pod has failed from that
// moment on: it will be deleted, and need never be Failed. It is nil if there is none, or
// if something else came first: the end of the pod, or the request to delete it.
func disruption(p *corev1.Pod) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		if deletedBefore(p, c) || endedBefore(p, c) || mayHaveSucceeded(p) {
			return nil
		}
		return c
	}
	return nil
}

// mayHaveSucceeded reports whether nothing tells if a pod ended well before it was
// disrupted or was stopped. Then it is no failure; but it has not succeeded either, so the
// replica runs again.
func mayHaveSucceeded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded && p.DeletionTimestamp != nil && requestedAt(p).IsZero()
}

// deletedBefore reports whether the deletion of a pod was asked for before its
// disruption: we or somebody else stopped it, and then its node went. The request raises
// the generation, which newer clusters write into the condition. Older ones leave the
// times, of clocks of the control plane. If in doubt it was disrupted.
func deletedBefore(p *corev1.Pod, c *corev1.PodCondition) bool {
	if p.DeletionTimestamp == nil || p.DeletionGracePeriodSeconds == nil {
		return false
	}
	observed := c.ObservedGeneration > 0
	if observed && c.ObservedGeneration < p.Generation {
		return false
	}
	if c.Reason == corev1.PodReasonTerminationByKubelet {
		// The clock of a node. A kubelet that ends a pod makes it Failed, and what ends
		// after that has no grace period.
		return observed || *p.DeletionGracePeriodSeconds > 0
	}
	requested := requestedAt(p)
	if requested.IsZero() {
		requested = p.DeletionTimestamp.Time // at the latest
	}
	if observed && c.Reason != "DeletionByPodGC" {
		// It knew of the request. Times have seconds, so the two may have the same one. (What
		// collects pods may only add its reason to a condition that was there before.)
		return !c.LastTransitionTime.Time.Before(requested)
	}
	if !observed && c.Reason != "EvictionByEvictionAPI" { // the API server's own condition
		requested = requested.Add(slack)
	}
	return c.LastTransitionTime.After(requested)
}

// endedBefore reports whether a pod had ended before its disruption. The scheduler, the
// eviction API and the taint manager do no more than delete it, after that. Kubelets, and
// what collects the pods of nodes that are gone, write that a pod has ended and is
// disrupted at once, and of none that had. Of others only the time tells.
func endedBefore(p *corev1.Pod, c *corev1.PodCondition) bool {
	switch c.Reason {
	case corev1.PodReasonPreemptionByScheduler, "EvictionByEvictionAPI", "DeletionByTaintManager":
		return endedByItself(p)
	case corev1.PodReasonTerminationByKubelet, "DeletionByPodGC":
		return false
	default:
		reported := reportedAt(p)
		return endedByItself(p) && !reported.IsZero() && reported.Before(c.LastTransitionTime.Time)
	}
}
