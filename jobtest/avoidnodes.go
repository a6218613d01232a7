package jobtest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reasonAvoidedNodeNeeded ends the reason of the condition Stalled of a job that no longer avoids a
// node, because its pods found no other.
const reasonAvoidedNodeNeeded = "AvoidedNodeNeeded"

// killAfter is how long pods run on a node that kills them.
const killAfter = 2 * time.Second

// SpoilNode has a node kill each pod that it runs from now on, after two seconds, with an exit
// code. 0 repairs it.
func (w *World) SpoilNode(node string, code int32) {
	w.logf("%s kills what it runs with exit code %d", node, code)
	w.kubelet.spoiled[node] = code
}

// spoil changes the fate of a pod that is bound to a node which kills it.
func (k *kubelet) spoil(l *life, node string) {
	if code := k.spoiled[node]; code != 0 {
		l.fate = Fate{Start: l.fate.Start, Run: killAfter, Exits: []int32{code}, Report: l.fate.Report}
	}
}

// fitting are the nodes on which a pod may start, those that it prefers first.
func (k *kubelet) fitting(pod *corev1.Pod) []string {
	var rather, others []string
	for i := range k.nodes {
		name := "node-" + strconv.Itoa((k.bound+i)%k.nodes)
		if _, lost := k.lost[name]; lost && len(k.lost) < k.nodes || slices.Contains(mustAvoid(pod), name) {
			continue
		}
		if slices.Contains(ratherAvoids(pod), name) {
			others = append(others, name)
		} else {
			rather = append(rather, name)
		}
	}
	return append(rather, others...)
}

// saysNoMatch reports whether no node matches a pod, and the scheduler has said so.
func (k *kubelet) saysNoMatch(pod *corev1.Pod) bool {
	return saysNoNode(pod) && len(k.fitting(pod)) == 0
}

// saysNoNode reports whether the scheduler has said of a pod that no node matches.
func saysNoNode(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message == noMatch
	})
}

// noMatch is what the scheduler says of a pod whose affinity no node matches.
const noMatch = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."

// names are the nodes that a selector term names with NotIn.
func names(t *corev1.NodeSelectorTerm) []string {
	var out []string
	for _, r := range t.MatchFields {
		if r.Key == "metadata.name" && r.Operator == corev1.NodeSelectorOpNotIn {
			out = append(out, r.Values...)
		}
	}
	return out
}

// mustAvoid are the nodes on which a pod cannot start: those that each of its terms names.
func mustAvoid(pod *corev1.Pod) []string {
	a := nodeAffinity(pod)
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	terms := a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if len(terms) == 0 {
		return nil
	}
	return slices.DeleteFunc(names(&terms[0]), func(n string) bool {
		return slices.ContainsFunc(terms, func(t corev1.NodeSelectorTerm) bool { return !slices.Contains(names(&t), n) })
	})
}

// ratherAvoids are the nodes on which a pod starts only if there is no other.
func ratherAvoids(pod *corev1.Pod) []string {
	var out []string
	if a := nodeAffinity(pod); a != nil {
		for i := range a.PreferredDuringSchedulingIgnoredDuringExecution {
			out = append(out, names(&a.PreferredDuringSchedulingIgnoredDuringExecution[i].Preference)...)
		}
	}
	return out
}

func nodeAffinity(pod *corev1.Pod) *corev1.NodeAffinity {
	if pod.Spec.Affinity == nil {
		return nil
	}
	return pod.Spec.Affinity.NodeAffinity
}

// toAvoid are the nodes that a new pod of a job must surely be kept away from, and those that it
// may be: near the end of forSeconds, and of a gang while it is created, both are right.
func (m *monitor) toAvoid(job client.Object) (surely, maybe []string) {
	parts := m.w.parts(job)
	p := parts.RunPolicy.AvoidNodes
	if p == nil {
		return nil, nil
	}
	after, most := int32(1), int32(10)
	if p.AfterFailures != nil {
		after = *p.AfterFailures
	}
	if p.MaxNodes != nil {
		most = *p.MaxNodes
	}
	for _, n := range slices.Backward(parts.Status.FailedNodes) {
		if n.Failures < after {
			continue
		}
		over := p.ForSeconds != nil && !m.w.now.Before(n.Time.Add(time.Duration(*p.ForSeconds)*time.Second-2*time.Second))
		if maybe = append(maybe, n.Name); !over && len(maybe) <= int(most) {
			surely = append(surely, n.Name)
		}
	}
	return surely, maybe
}

// checkAvoids checks that a new pod has the affinity that keeps it away from the nodes which the
// job avoids, and from no other.
func (m *monitor) checkAvoids(p *process, op call, verification client.Object) {
	pod, ok := op.object.(*corev1.Pod)
	if !ok {
		return
	}
	surely, maybe := m.toAvoid(verification)
	got := ratherAvoids(pod)
	if policy := m.w.parts(verification).RunPolicy.AvoidNodes; policy != nil && policy.Mode == commonv1.AvoidNodesRequired {
		got = mustAvoid(pod)
	}
	for _, n := range surely {
		if !slices.Contains(got, n) {
			m.w.violatef("avoidNodes", "%s wants to %s, which does not avoid %s but %v", p.name, op, n, got)
		}
	}
	for _, n := range got {
		if !slices.Contains(maybe, n) {
			m.w.violatef("avoidNodes", "%s wants to %s, which avoids %s, and the job does not: %v", p.name, op, n, maybe)
		}
	}
}

// checkFailedNodes checks the list of failed nodes in a status: a node is counted in the write that
// counts a restart, and for pods that really failed there; and one is left out only if the job says
// so, or has no such policy.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkFailedNodes(job client.Object, old, status *commonv1.JobStatus) {
	l := m.ledger(job.GetUID())
	failures := map[string]int32{}
	failed := m.failedOf(l)
	for uid, pod := range l.pods {
		if failed[uid] || endsWithError(pod) { // The end of a container is known before that of its pod.
			failures[pod.Spec.NodeName]++
		}
	}
	was, is := map[string]int32{}, map[string]int32{}
	for _, n := range old.FailedNodes {
		was[n.Name] = n.Failures
	}
	counts := status.Restarts > old.Restarts
	for _, n := range status.FailedNodes {
		is[n.Name] = n.Failures
		if n.Failures > was[n.Name] && !counts {
			m.w.violatef("avoidNodes", "a failure on %s was counted (%d to %d), but no restart", n.Name, was[n.Name], n.Failures)
		}
		if n.Failures > failures[n.Name] && !l.touched {
			m.w.violatef("avoidNodes", "%d failures on %s were counted, but only %d pods failed there", n.Failures, n.Name, failures[n.Name])
		}
		if n.Time.After(m.w.now.Add(time.Second)) {
			m.w.violatef("avoidNodes", "a failure on %s was at %v, in the future", n.Name, n.Time)
		}
	}
	if len(status.FailedNodes) > commonv1.MaxFailedNodes || len(is) != len(status.FailedNodes) {
		m.w.violatef("avoidNodes", "the list of failed nodes is too long, or has one twice: %v", status.FailedNodes)
	}
	for name := range was {
		if is[name] == 0 && m.w.parts(job).RunPolicy.AvoidNodes != nil && !m.saysNeeded(status, name) {
			m.w.violatef("avoidNodes", "%s is no longer among the failed nodes, and nothing says why", name)
		}
	}
}

// endsWithError reports whether a container of a pod has ended with an error.
func endsWithError(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Terminated != nil && c.State.Terminated.ExitCode != 0
	})
}

// saysNeeded reports whether a status, or an event, says that a node is no longer avoided.
func (m *monitor) saysNeeded(status *commonv1.JobStatus, node string) bool {
	c := status.Condition(commonv1.JobStalled)
	// One that is stalled for another reason says so in an event.
	return c != nil && (obstructed(status) || strings.Contains(c.Message, "no longer avoids node "+node+","))
}

// checkFindsNode checks of a job at rest that no pod waits forever for a node because of those that
// it avoids.
func (m *monitor) checkFindsNode(job client.Object, pods []*corev1.Pod) {
	for _, pod := range pods {
		if _, _, wanted := m.replica(job, pod); !wanted || pod.DeletionTimestamp != nil || ended(pod) || pod.Spec.NodeName != "" ||
			len(pod.Spec.SchedulingGates) > 0 || m.ledger(job.GetUID()).touched {
			continue
		}
		if avoids := mustAvoid(pod); len(avoids) > 0 {
			m.w.violatef("avoidNodes", "pod %s waits forever for a node other than %v", pod.Name, avoids)
		}
	}
}

// noMatchNow has the scheduler say of a pod that no node matches.
func (k *kubelet) noMatchNow(pod *corev1.Pod) string {
	k.update(pod, func(p *corev1.Pod) { noNode(p, metav1.NewTime(k.server.now().Truncate(time.Second)), noMatch) })
	return "matches no node"
}
