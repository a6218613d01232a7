package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// stuckGrace is how long after its grace period a pod must be gone. What ends pods
// on a node that works takes no longer.
const stuckGrace = 30 * time.Second

// stuck deletes by force the pods that nobody else will delete: their node is
// dead, so no kubelet ends them, and as long as they are there no pod of their name
// can be created. It applies in whatever state the job is.
func stuck(d *decision) bool {
	for _, p := range d.in.Pods {
		if p.DeletionTimestamp == nil || forced(p) {
			continue
		}
		due := p.DeletionTimestamp.Add(stuckGrace)
		if !d.in.Now.Before(due) && d.in.DeadNodes[p.Spec.NodeName] {
			d.act(DeletePod{Name: p.Name, UID: p.UID, Force: true, Reason: fmt.Sprintf("its node %s is gone or out of service", p.Spec.NodeName)})
			continue
		}
		if after := d.in.RunPolicy.ForceDeleteAfterSeconds; after != nil {
			if late := p.DeletionTimestamp.Add(seconds(*after)); !d.in.Now.Before(late) {
				d.act(DeletePod{Name: p.Name, UID: p.UID, Force: true, Reason: fmt.Sprintf(
					"it is still there %d seconds after its grace period; its node %s does not answer", *after, p.Spec.NodeName)})
				continue
			} else {
				d.wakeAt(late)
			}
		}
		if d.in.Now.Before(due) {
			d.wakeAt(due)
		} else {
			d.wakeAt(d.in.Now.Add(maxStalledRetry)) // the node may die later
		}
	}
	return false
}

// forced tells whether a pod was deleted by force already: what keeps it is a
// finalizer, which is its owner's affair.
func forced(p *corev1.Pod) bool {
	return p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
}

// SuspectNodes names the nodes whose pods should be gone by now: the shell looks at
// these, and no others, to find out which are dead.
func SuspectNodes(pods []*corev1.Pod, now time.Time) []string {
	var nodes []string
	for _, p := range pods {
		if p.DeletionTimestamp != nil && !forced(p) && p.Spec.NodeName != "" && !now.Before(p.DeletionTimestamp.Add(stuckGrace)) {
			nodes = append(nodes, p.Spec.NodeName)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}
