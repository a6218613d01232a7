package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
)

// terminationMargin is how long after its grace period a pod should be gone. A working node
// needs no longer to end its pods.
const terminationMargin = 30 * time.Second

// forceDeleteStuckPods deletes by force the pods that will not go by themselves: their node
// is dead, so no kubelet ends them, and as long as they exist no pod of their name can be
// created. It applies in any state of the job.
func forceDeleteStuckPods(d *decision) bool {
	for _, p := range d.in.Pods {
		if p.DeletionTimestamp == nil || d.in.isForceDeleted(p) {
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

// keepUncounted removes from the plan the deletion of failed pods whose failure is not
// counted in this pass (see recordsEnds): without the pod the failure could not be counted later. No other
// pod of its name is created before that.
func (d *decision) keepUncounted() {
	if d.recordsEnds() {
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

// forceDeleteReason says why a pod that is being deleted will not go by itself; otherwise
// "" and when to check again.
func (d *decision) forceDeleteReason(p *corev1.Pod) (string, time.Time) {
	now, end, node := d.in.Now, p.DeletionTimestamp.Time, p.Spec.NodeName
	next := end.Add(terminationMargin)
	if !now.Before(next) {
		if d.in.DeadNodes[node] {
			return fmt.Sprintf("its node %s is gone or out of service", node), now
		}
		next = now.Add(maxStalledRetry) // the node may die later
	}
	if after := notNegative(d.in.RunPolicy.ForceDeleteAfterSeconds); after != nil {
		late := end.Add(seconds(*after))
		if !now.Before(late) {
			return fmt.Sprintf("it still exists %d seconds after its grace period; its node %s does not answer", *after, node), now
		}
		if late.Before(next) {
			next = late
		}
	}
	return "", next
}

// isForceDeleted reports whether a pod was already deleted by force: a finalizer keeps it,
// which is up to the finalizer's owner.
func (in *Input) isForceDeleted(p *corev1.Pod) bool {
	return in.ForceDeleted[p.UID] || p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
}

// SuspectNodes names the nodes whose pods should be gone by now: the shell reads only these
// to find out which are dead.
func SuspectNodes(in *Input) []string {
	var nodes []string
	for _, p := range in.Pods {
		if p.DeletionTimestamp != nil && !in.isForceDeleted(p) && p.Spec.NodeName != "" && !in.Now.Before(p.DeletionTimestamp.Add(terminationMargin)) {
			nodes = append(nodes, p.Spec.NodeName)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}
