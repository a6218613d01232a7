package jobtest

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// checkGrants checks what the operator gives away: a role lets its holder into pods of the job
// alone, and a binding gives away a role of the job.
func (m *monitor) checkGrants(p *process, o client.Object) {
	owner := metav1.GetControllerOf(o)
	if owner == nil {
		return
	}
	switch o := o.(type) {
	case *rbacv1.Role:
		for i := range o.Rules {
			for _, name := range o.Rules[i].ResourceNames {
				if slices.Contains(o.Rules[i].Resources, "pods/exec") && !seenOwn[*corev1.Pod](m, p, o.Namespace, name, owner.UID) {
					m.w.violatef("P8", "%s gives away the right to run commands in pod %s, which is not the job's", p.name, name)
				}
			}
		}
	case *rbacv1.RoleBinding:
		if o.RoleRef.Kind == "Role" && !seenOwn[*rbacv1.Role](m, p, o.Namespace, o.RoleRef.Name, owner.UID) {
			m.w.violatef("P8", "%s gives away role %s, which is not the job's", p.name, o.RoleRef.Name)
		}
	}
}

// seenOwn reports whether an object of a name is a job's own, or was when a process read it:
// that someone has exchanged it since, the process cannot know. What it created itself it
// remembers, even if its caches have not shown that.
func seenOwn[T client.Object](m *monitor, p *process, namespace, name string, job types.UID) bool {
	own := func(o client.Object) bool {
		owner := metav1.GetControllerOf(o)
		_, ok := o.(T)
		return ok && o.GetNamespace() == namespace && o.GetName() == name && owner != nil && owner.UID == job
	}
	began := m.w.now
	if p.pass != nil {
		if slices.ContainsFunc(p.pass.seen, own) {
			return true
		}
		began = p.pass.began // What it created in this pass may have been exchanged while it paused.
	}
	for _, t := range m.w.server.tables {
		if slices.ContainsFunc(t.all(), own) || slices.ContainsFunc(t.log, func(c change) bool {
			return own(c.object) && began.Sub(c.object.GetCreationTimestamp().Time) <= createMemory
		}) {
			return true
		}
	}
	return false
}

// createMemory is longer than a process remembers what it created.
const createMemory = 15 * time.Second

// checkOrder checks that a pod is created when those that go before it exist, and run if
// the rules ask for that, unless they have no node: then someone may want to see all pods.
func (m *monitor) checkOrder(p *process, op call, verification client.Object) {
	pod, ok := op.object.(*corev1.Pod)
	if !ok {
		return
	}
	typ, _, wanted := m.replica(verification, pod)
	if !wanted {
		return
	}
	parts := m.w.parts(verification)
	if after := m.startAfter(parts, typ); after != nil && !m.ledger(verification.GetUID()).touched {
		m.checkStartAfter(p, op, verification, after)
	}
	for _, rule := range m.w.rules(verification).StartAfter {
		if rule.Type != typ {
			continue
		}
		for _, t := range rule.After {
			if spec := parts.ReplicaSpecs[t]; spec != nil {
				m.allBefore(p, op, verification, rule, t, wantedReplicas(spec))
			}
		}
	}
}

// startAfter is what the pods of a type of a job wait for: what the job says, or its kind.
func (m *monitor) startAfter(parts jobkit.JobParts, t commonv1.ReplicaType) *commonv1.StartAfter {
	if spec := parts.ReplicaSpecs[t]; spec == nil || spec.StartAfter != nil {
		return spec.StartAfter
	}
	if role := m.kind.Role(t); role != nil && role.StartAfter != nil && parts.ReplicaSpecs[role.StartAfter.ReplicaType] != nil {
		return role.StartAfter
	}
	return nil
}

// checkStartAfter checks that a process which creates a pod has seen each replica of the type that
// goes first in its state, in a pod of the replica's present attempt: in a cache, on the server, or in
// the answer to a write of its own, such as the adoption of a pod that runs.
func (m *monitor) checkStartAfter(p *process, op call, verification client.Object, after *commonv1.StartAfter) {
	parts := m.w.parts(verification)
	for i := range wantedReplicas(parts.ReplicaSpecs[after.ReplicaType]) {
		name := m.kind.PodName(verification.GetName(), after.ReplicaType, i)
		at := attemptOf(parts.Status, after.ReplicaType, i)
		so := func(pod *corev1.Pod) bool {
			return pod != nil && pod.Name == name && metav1.IsControlledBy(pod, verification) && attemptLabel(pod) == at && inState(pod, after.State)
		}
		shown := func(o client.Object) bool {
			pod, ok := o.(*corev1.Pod)
			return ok && so(pod)
		}
		if !saysSucceeded(parts.Status, after.ReplicaType, i) && !slices.ContainsFunc(p.pass.seen, shown) &&
			!slices.ContainsFunc(p.sawEnded, shown) && !slices.ContainsFunc(p.pass.pods[name], so) {
			m.w.violatef("startAfter", "%s wants to %s, which starts when %s is %s, but has not seen pod %s so in its attempt %d",
				p.name, op, after.ReplicaType, after.State, name, at)
		}
	}
}

// inState reports whether a pod is in a state of startAfter.
func inState(pod *corev1.Pod, state commonv1.StartAfterState) bool {
	if pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	ready := !probed(pod) || slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	return state != commonv1.StartAfterSucceeded && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil &&
		!disrupted(pod) && (ready || state == commonv1.StartAfterRunning)
}

// waitsForOthers reports whether the missing pods of a type wait for those of another, at
// rest.
func (m *monitor) waitsForOthers(job client.Object, t commonv1.ReplicaType) bool {
	parts := m.w.parts(job)
	after := m.startAfter(parts, t)
	if after == nil {
		return false
	}
	for i := range wantedReplicas(parts.ReplicaSpecs[after.ReplicaType]) {
		key := client.ObjectKey{Namespace: job.GetNamespace(), Name: m.kind.PodName(job.GetName(), after.ReplicaType, i)}
		pod, _ := m.w.kubelet.pods.get(key).(*corev1.Pod)
		if !saysSucceeded(parts.Status, after.ReplicaType, i) && (pod == nil || !metav1.IsControlledBy(pod, job) || !inState(pod, after.State)) {
			return true
		}
	}
	return false
}

// allBefore checks the replicas of one type that go before a pod.
func (m *monitor) allBefore(p *process, op call, verification client.Object, rule jobkit.StartAfter, t commonv1.ReplicaType, n int32) {
	status := m.w.parts(verification).Status
	for i := range n {
		name := m.kind.PodName(verification.GetName(), t, i)
		if !saysSucceeded(status, t, i) && !m.leftAlone(verification, t, i) && !m.goesBefore(p, op.table, verification, name, rule) {
			m.w.violatef("start order", "%s wants to %s, but pod %s goes before and is not ready", p.name, op, name)
		}
	}
}

// goesBefore reports whether a pod is or was what a start rule asks for. Views of an operator
// may be old, and what a pod did after it was ready has no say in it.
func (m *monitor) goesBefore(p *process, t *table, job client.Object, name string, rule jobkit.StartAfter) bool {
	age := func(o client.Object) time.Duration { return m.w.now.Sub(o.GetCreationTimestamp().Time) }
	unbound := func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && metav1.IsControlledBy(pod, job) && pod.Spec.NodeName == "" && age(pod) >= schedulerPatience
	}
	atOnce := !rule.Ready || m.w.together || slices.ContainsFunc(p.pass.seen, unbound) ||
		slices.ContainsFunc(t.log, func(c change) bool { return unbound(c.object) && age(c.object) <= createMemory })
	return slices.ContainsFunc(t.log, func(c change) bool {
		pod, ok := c.object.(*corev1.Pod)
		return ok && pod.Name == name && metav1.IsControlledBy(pod, job) &&
			(atOnce || pod.Status.Phase == corev1.PodRunning || pod.Status.Phase == corev1.PodSucceeded)
	})
}

// schedulerPatience is how long a pod may have no node before others are created that
// would start after it.
const schedulerPatience = 10 * time.Second
