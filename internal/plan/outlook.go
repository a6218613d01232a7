package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// StartDue is when the pod of a replica must have started, by startDeadlineSeconds; zero if it
// has, or if that is not known. heldBack means that a gang scheduler or a queue may hold it back
// before it gets a node. It is for those who show what happens next; status must be unpacked.
func StartDue(
	policy *commonv1.RunPolicy, status *commonv1.JobStatus, pod *corev1.Pod, t commonv1.ReplicaType, index int32, heldBack bool,
) time.Time {
	switch {
	case policy.StartDeadlineSeconds == nil || pod.CreationTimestamp.IsZero():
		return time.Time{}
	case pod.DeletionTimestamp != nil:
		return pod.DeletionTimestamp.Add(seconds(*policy.StartDeadlineSeconds))
	case pod.Status.Phase != corev1.PodPending || len(pod.Spec.SchedulingGates) > 0:
		return time.Time{}
	}
	since := startsSince(pod, heldBack)
	if since.IsZero() {
		return time.Time{}
	}
	in := &Input{RunPolicy: *policy, Status: *status, Backoff: DefaultBackoff()}
	return since.Add(in.startsWithin(&replica{typ: t, index: index}, seconds(*policy.StartDeadlineSeconds)))
}

// AvoidedNodes are the nodes that new pods avoid, the one with the oldest failure first.
func AvoidedNodes(policy *commonv1.AvoidNodes, failed []commonv1.FailedNode, now time.Time) []commonv1.FailedNode {
	if policy == nil {
		return nil
	}
	var out []commonv1.FailedNode
	for i := range failed {
		if n := &failed[i]; n.Failures >= orDefault(policy.AfterFailures, 1) && !expired(policy, n, now) {
			out = append(out, *n)
		}
	}
	return out[max(len(out)-int(orDefault(policy.MaxNodes, defaultMaxNodes)), 0):]
}
