package plan

import corev1 "k8s.io/api/core/v1"

// podCondition is a condition of a pod, or nil.
func podCondition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == t {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// isReady reports whether a pod is ready, by its readiness probes.
func isReady(p *corev1.Pod) bool {
	c := podCondition(p, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// unschedulable is the condition by which the scheduler reports why a pod has no node, or
// nil.
func unschedulable(p *corev1.Pod) *corev1.PodCondition {
	if c := podCondition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
		return c
	}
	return nil
}

// hasRun reports whether all containers of a pod have begun at some time, as far as is known. A pod
// is pending again while its node runs its init containers once more: after the node was rebooted, or
// when a rule restarts all containers.
func hasRun(p *corev1.Pod) bool {
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		if c.RestartCount == 0 && c.State.Running == nil && c.State.Terminated == nil && c.LastTerminationState.Terminated == nil {
			return false
		}
	}
	return len(p.Status.ContainerStatuses) > 0
}
