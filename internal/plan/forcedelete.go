package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
)

// terminationMargin is how long after its grace period a pod must be gone. What ends pods
// on a node that works takes no longer.
const terminationMargin = 30 * time.Second

// forceDeleteStuckPods deletes by force the pods that nobody else will delete: their node is
// dead, so no kubelet ends them, and as long as they are there no pod of their name
// can be created. It applies in whatever state the job is.
func forceDeleteStuckPods(d *decision) bool {
	for _, p := range d.in.Pods {
		if p.DeletionTimestamp == nil || isForceDeleted(p) {
			continue
		}
		why, next := d.forceDeleteReason(p)
		if why == "" {
			d.requeueAt(next)
			continue
		}
		d.act(DeletePod{Name: p.Name, UID: p.UID, Force: true, Reason: why})
	}
	return false
}

// keepUncounted takes the pods off the plan that failed and of which nothing is concluded
// in this pass, because the specification cannot be trusted, the operator's own code fails,
// or it is too early: without the pod the failure could not be counted later. No pod of
// its name is wanted before that.
func (d *decision) keepUncounted() {
	if !d.keepPods && !d.tooEarly && d.in.OperatorError == "" || d.plan.Status.Finished() {
		return
	}
	d.plan.Actions = slices.DeleteFunc(d.plan.Actions, func(a Action) bool {
		pod, ok := a.(DeletePod)
		if !ok || !pod.Force {
			return false
		}
		s := d.tally.replicaOf(pod.Name)
		return s != nil && s.state == jobkit.Failed && !d.superseded(s)
	})
}

// forceDeleteReason says why a pod that is being deleted will not go by itself, or else
// when to look again.
func (d *decision) forceDeleteReason(p *corev1.Pod) (string, time.Time) {
	now, end, node := d.in.Now, p.DeletionTimestamp.Time, p.Spec.NodeName
	next := end.Add(terminationMargin)
	if !now.Before(next) {
		if d.in.DeadNodes[node] {
			return fmt.Sprintf("its node %s is gone or out of service", node), now
		}
		next = now.Add(maxStalledRetry) // the node may die later
	}
	if after := d.in.RunPolicy.ForceDeleteAfterSeconds; after != nil {
		late := end.Add(seconds(*after))
		if !now.Before(late) {
			return fmt.Sprintf("it is still there %d seconds after its grace period; its node %s does not answer", *after, node), now
		}
		if late.Before(next) {
			next = late
		}
	}
	return "", next
}

// isForceDeleted tells whether a pod was deleted by force already: what keeps it is a
// finalizer, which is its owner's affair.
func isForceDeleted(p *corev1.Pod) bool {
	return p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
}

// SuspectNodes names the nodes whose pods should be gone by now: the shell looks at
// these, and no others, to find out which are dead.
func SuspectNodes(pods []*corev1.Pod, now time.Time) []string {
	var nodes []string
	for _, p := range pods {
		if p.DeletionTimestamp != nil && !isForceDeleted(p) && p.Spec.NodeName != "" && !now.Before(p.DeletionTimestamp.Add(terminationMargin)) {
			nodes = append(nodes, p.Spec.NodeName)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}
