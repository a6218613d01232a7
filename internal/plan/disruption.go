package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// slack is how far apart the clocks of a control plane may be, and how much later than
// its cause a consequence may be reported.
const slack = 2 * time.Second

// disruption is the condition by which Kubernetes reports that a pod is ended from outside:
// it is preempted, evicted, drained, or its node is gone. Such a pod has failed from that
// moment on: it will be deleted, and may never become Failed. It is nil if there is none, or
// if something else happened first: the end of the pod, or the request to delete it.
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

// mayHaveSucceeded reports whether it is unknown if a pod ended without an error before it
// was disrupted, or was stopped. Then it is not a failure, but not a success either, so the
// replica runs again.
func mayHaveSucceeded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded && p.DeletionTimestamp != nil && requestedAt(p).IsZero()
}

// deletedBefore reports whether the deletion of a pod was requested before its
// disruption: the pod was stopped, and then its node was lost. The request raises the
// generation, which newer clusters write into the condition. In older clusters only the times
// help, which come from clocks of the control plane. In doubt the pod was disrupted.
func deletedBefore(p *corev1.Pod, c *corev1.PodCondition) bool {
	if p.DeletionTimestamp == nil || p.DeletionGracePeriodSeconds == nil {
		return false
	}
	observed := c.ObservedGeneration > 0
	if observed && c.ObservedGeneration < p.Generation {
		return false
	}
	if c.Reason == corev1.PodReasonTerminationByKubelet {
		// This is the clock of a node. A kubelet that ends a pod makes it Failed, and what
		// ends after that has no grace period.
		return observed || *p.DeletionGracePeriodSeconds > 0
	}
	requested := requestedAt(p)
	if requested.IsZero() {
		requested = p.DeletionTimestamp.Time // at the latest
	}
	if observed && c.Reason != "DeletionByPodGC" {
		// The condition was set after the request. Times have seconds, so the two may be
		// equal. (The pod garbage collector may only add its reason to an existing condition.)
		return !c.LastTransitionTime.Time.Before(requested)
	}
	if !observed && c.Reason != "EvictionByEvictionAPI" { // the API server's own condition
		requested = requested.Add(slack)
	}
	return c.LastTransitionTime.After(requested)
}

// endedBefore reports whether a pod had ended before its disruption. The scheduler, the
// eviction API and the taint manager only delete the pod after that. Kubelets and the pod
// garbage collector write the end and the disruption of a pod together, and never for a pod
// that had ended. For other reasons the time decides.
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
