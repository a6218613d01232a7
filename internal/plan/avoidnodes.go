package plan

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reasonAvoidedNodeNeeded ends the reason of the condition Stalled of a job whose pods fit on
// none but avoided nodes, so that one of these is no longer avoided.
const reasonAvoidedNodeNeeded = "AvoidedNodeNeeded"

const (
	// defaultMaxNodes is how many nodes are avoided where the job does not say.
	defaultMaxNodes = 10
	// avoidPatience is how long pods may wait for a node because of those that they avoid: an
	// autoscaler takes minutes to bring another.
	avoidPatience = 5 * time.Minute
	// avoidDoubt is the same if the scheduler does not say that affinity is why.
	avoidDoubt = 30 * time.Minute
	// avoidWeight is that of the preference, which goes from 1 to 100.
	avoidWeight = 100
	// nodeName is the field of a node that has its name. The label kubernetes.io/hostname may
	// have another value than that, be the same for two nodes, or be missing.
	nodeName = "metadata.name"
)

// noteFailedNodes notes the nodes of failures that this pass counts.
func (d *decision) noteFailedNodes(failed []failedReplica) {
	p := d.in.RunPolicy.AvoidNodes
	if p == nil {
		d.plan.Status.FailedNodes = nil // an edit removed the policy
		return
	}
	for _, f := range d.firstFailures(failed) {
		if f.response != responseIgnore && counts(p, f.failure) {
			d.noteFailedNode(p, f.replica.pod.Spec.NodeName, countedAt(f))
		}
	}
}

// noteFailedNode counts a failure on a node, whose entry is then the newest.
func (d *decision) noteFailedNode(p *commonv1.AvoidNodes, name string, at time.Time) {
	if name == "" {
		return
	}
	if at.After(d.in.Now) {
		at = d.in.Now
	}
	status := &d.plan.Status
	entry := commonv1.FailedNode{Name: name, Failures: 1, Time: metav1.NewTime(at.Truncate(time.Second))}
	var nodes []commonv1.FailedNode
	for _, n := range status.FailedNodes {
		switch {
		case n.Name != name:
			nodes = append(nodes, n)
		case !expired(p, &n, at):
			entry.Failures = addCounts(n.Failures, 1)
		}
	}
	nodes = append(nodes, entry)
	status.FailedNodes = nodes[max(len(nodes)-commonv1.MaxFailedNodes, 0):]
}

// firstFailures are the failures that decide, without their consequences: of what restarts
// together the first, which may be yet to be reported; and each that restarts one replica.
func (d *decision) firstFailures(failed []failedReplica) []*failedReplica {
	if len(failed) == 0 {
		return nil
	}
	all := d.andUnreported(failed, false)
	if d.restartsWhole(failed) {
		return rootOf(all)
	}
	var out []*failedReplica
	for i := range d.tally.byType {
		t := d.tally.byType[i].Type
		var of []failedReplica
		for _, f := range all {
			if f.replica.typ == t {
				of = append(of, f)
			}
		}
		if d.in.scopeOf(t) == commonv1.RestartScopeRole {
			out = append(out, rootOf(of)...)
			continue
		}
		for i := range of {
			if !of[i].consequence {
				out = append(out, &of[i])
			}
		}
	}
	return out
}

// rootOf is the first of failures of which the others may be consequences. Times have whole
// seconds, and replicas that lose a peer often end within one: of failures of the same second
// that of a disruption or a signal is first, because a program that loses its peers ends with
// an exit code; and then the one that the API server stored first.
func rootOf(failed []failedReplica) []*failedReplica {
	var first *failedReplica
	for i := range failed {
		if f := &failed[i]; !f.consequence && (first == nil || precedes(f, first)) {
			first = f
		}
	}
	if first == nil {
		return nil
	}
	return []*failedReplica{first}
}

// precedes reports whether a failure was before another, as far as is known.
func precedes(a, b *failedReplica) bool {
	if c := cmp.Or(a.failure.at.Truncate(time.Second).Compare(b.failure.at.Truncate(time.Second)), a.failure.rank()-b.failure.rank()); c != 0 {
		return c < 0
	}
	return olderThan(a.replica.pod.ResourceVersion, b.replica.pod.ResourceVersion)
}

// The ranks of failures of the same second: the less likely a consequence, the earlier.
const (
	rankFromOutside = iota
	rankSignal
	rankExit
)

// rank orders failures of the same second.
func (f failure) rank() int {
	switch {
	case f.infrastructure || f.hung:
		return rankFromOutside
	case RetryableExitCode(f.exitCode):
		return rankSignal
	default:
		return rankExit
	}
}

// counts reports whether a failure is one that a job avoids nodes for.
func counts(p *commonv1.AvoidNodes, f failure) bool {
	causes := p.Causes
	if len(causes) == 0 {
		causes = []commonv1.AvoidNodesCause{commonv1.AvoidNodesFailed, commonv1.AvoidNodesHung}
	}
	return slices.Contains(causes, f.cause()) && (f.exitCode == 0 || len(p.ExitCodes) == 0 || slices.Contains(p.ExitCodes, f.exitCode))
}

// cause is the cause of a failure. A pod that ended without an exit code and without a
// disruption was refused by its node.
func (f failure) cause() commonv1.AvoidNodesCause {
	switch {
	case f.hung:
		return commonv1.AvoidNodesHung
	case f.disrupted:
		return commonv1.AvoidNodesDisrupted
	default:
		return commonv1.AvoidNodesFailed
	}
}

// avoidedNodes are the nodes that new pods avoid, the one with the newest failure first.
func (d *decision) avoidedNodes() []string {
	p := d.in.RunPolicy.AvoidNodes
	if p == nil {
		return nil
	}
	at := d.in.Now
	if p.ForSeconds != nil {
		at = d.togetherSince()
	}
	var out []string
	for _, n := range slices.Backward(AvoidedNodes(p, d.plan.Status.FailedNodes, at)) {
		out = append(out, n.Name)
	}
	return out
}

// togetherSince is the time that decides whether a node is still avoided. The pods of a gang
// are to have the same affinity, however long it takes to create them: for all it is the time
// at which the first of those that wait for a node was created.
func (d *decision) togetherSince() time.Time {
	first := d.in.Now
	if d.in.Gang == nil && !d.in.RestartsWhole() {
		return first
	}
	d.tally.each(func(s *replica) {
		if d.waitsForNode(s) {
			first = earliest(first, s.pod.CreationTimestamp.Time)
		}
	})
	return first
}

// expired reports whether a node is no longer avoided at a time. A failure that seems to be
// later than that comes from a clock that has been set back: it is not over yet.
func expired(p *commonv1.AvoidNodes, n *commonv1.FailedNode, at time.Time) bool {
	return p.ForSeconds != nil && at.Sub(n.Time.Time) >= seconds(*p.ForSeconds)
}

// waitsForNode reports whether a replica has a pod that a scheduler has found no node for yet.
func (d *decision) waitsForNode(s *replica) bool {
	return s.state == jobkit.Pending && IsLive(s.pod) && s.pod.Spec.NodeName == "" && len(s.pod.Spec.SchedulingGates) == 0 && !d.superseded(s)
}

// relaxAvoidance sees to it that nodes which must be avoided do not keep the job from running
// forever. If pods have waited for a node for long, and avoid the nodes that they are to avoid,
// the one with the oldest failure is no longer avoided. Pods that wait and avoid other nodes
// than they are to are replaced; each only if it has not got a node meanwhile.
func relaxAvoidance(d *decision) bool {
	var waiting []*replica
	var late *replica
	d.tally.each(func(s *replica) {
		if !d.waitsForNode(s) || s.pod.Annotations[commonv1.AvoidedNodesAnnotation] == "" {
			return
		}
		waiting = append(waiting, s)
		if due := s.pod.CreationTimestamp.Add(patienceToAvoid(s.pod)); d.in.Now.Before(due) {
			d.requeueAt(due)
		} else if late == nil {
			late = s
		}
	})
	if late == nil {
		return false
	}
	nodes := d.requiredAway()
	mark := digestOfNodes(nodes)
	if late.pod.Annotations[commonv1.AvoidedNodesAnnotation] == mark {
		d.avoidNoLonger(nodes[len(nodes)-1], late.pod)
		mark = digestOfNodes(d.requiredAway())
	}
	for _, s := range waiting {
		if s.pod.Annotations[commonv1.AvoidedNodesAnnotation] != mark {
			d.act(DeletePod{
				Name: s.pod.Name, UID: s.pod.UID, Version: s.pod.ResourceVersion,
				Reason: "it waits for a node, and must no longer avoid the same ones",
			})
		}
	}
	return false
}

// patienceToAvoid is how long a pod may wait for a node before the job avoids one node less.
func patienceToAvoid(p *corev1.Pod) time.Duration {
	if c := unschedulable(p); c != nil && strings.Contains(strings.ToLower(c.Message), "affinity") {
		return avoidPatience
	}
	return avoidDoubt
}

// requiredAway are the nodes that new pods must avoid.
func (d *decision) requiredAway() []string {
	if p := d.in.RunPolicy.AvoidNodes; p == nil || p.Mode != commonv1.AvoidNodesRequired {
		return nil
	}
	return d.avoidedNodes()
}

// avoidNoLonger takes a node off the list, and says so.
func (d *decision) avoidNoLonger(name string, pod *corev1.Pod) {
	status := &d.plan.Status
	status.FailedNodes = slices.DeleteFunc(slices.Clone(status.FailedNodes), func(n commonv1.FailedNode) bool { return n.Name == name })
	message := fmt.Sprintf("%s no longer avoids node %s, because its pods find no other node: runPolicy.avoidNodes.mode is %s.",
		d.jobName(), name, commonv1.AvoidNodesRequired)
	n := len(d.plan.Events)
	if stalled := status.IsTrue(commonv1.JobStalled); !stalled || d.isStalledByWait() {
		d.remove(commonv1.JobStalled) // so that the new reason is an event, too
		d.setTrue(commonv1.JobStalled, d.reason(reasonAvoidedNodeNeeded), message)
	} else {
		d.event(true, d.reason(reasonAvoidedNodeNeeded), message)
	}
	d.eventsAreAbout(n, refTo(pod))
}

// avoidWaits repeats that a node is no longer avoided until all replicas have a node.
func (d *decision) avoidWaits() wait {
	w := wait{reason: reasonAvoidedNodeNeeded}
	c := d.stalledFor(reasonAvoidedNodeNeeded)
	if c == nil {
		return w
	}
	goesOn := false
	d.tally.each(func(s *replica) {
		goesOn = goesOn || s.state != jobkit.Succeeded && !s.isGoneForGood() && (s.pod == nil || s.pod.Spec.NodeName == "")
	})
	return w.saying(c.Message, goesOn)
}

// digestOfNodes marks the pods that must avoid some nodes: their list would be too long for
// what a cache holds of a pod. It is empty if there are none.
func digestOfNodes(nodes []string) string {
	if len(nodes) == 0 {
		return ""
	}
	h := fnv.New64a()
	for _, n := range slices.Sorted(slices.Values(nodes)) {
		_, _ = h.Write([]byte(n + "\n")) // never fails
	}
	return strconv.FormatUint(h.Sum64(), 16)
}

// nodesSeparator separates the names of nodes, which do not have it.
const nodesSeparator = ","

// keepAway gives a pod the node affinity that keeps it away from nodes, next to that of its
// template.
func keepAway(in *Input, pod *corev1.Pod, list string) {
	delete(pod.Annotations, commonv1.AvoidedNodesAnnotation)
	if in.RunPolicy.AvoidNodes == nil || list == "" {
		return
	}
	nodes := strings.Split(list, nodesSeparator)
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	if pod.Spec.Affinity.NodeAffinity == nil {
		pod.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	affinity := pod.Spec.Affinity.NodeAffinity
	if in.RunPolicy.AvoidNodes.Mode != commonv1.AvoidNodesRequired {
		affinity.PreferredDuringSchedulingIgnoredDuringExecution = append(affinity.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.PreferredSchedulingTerm{Weight: avoidWeight, Preference: corev1.NodeSelectorTerm{MatchFields: noneOf(nodes)}})
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[commonv1.AvoidedNodesAnnotation] = digestOfNodes(nodes)
	requireNoneOf(affinity, nodes)
}

// requireNoneOf adds to what an affinity requires. Its terms are alternatives, so each of them
// gets the requirements; but one without any matches no node, and with one it would.
func requireNoneOf(affinity *corev1.NodeAffinity, nodes []string) {
	required := affinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		affinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: noneOf(nodes)}},
		}
		return
	}
	for i := range required.NodeSelectorTerms {
		if t := &required.NodeSelectorTerms[i]; len(t.MatchExpressions)+len(t.MatchFields) > 0 {
			t.MatchFields = append(t.MatchFields, noneOf(nodes)...)
		}
	}
}

// noneOf requires a node to have none of some names. A requirement on a field can have one
// value only.
func noneOf(nodes []string) []corev1.NodeSelectorRequirement {
	out := make([]corev1.NodeSelectorRequirement, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, corev1.NodeSelectorRequirement{Key: nodeName, Operator: corev1.NodeSelectorOpNotIn, Values: []string{n}})
	}
	return out
}

// orDefault is a value, or what holds where there is none.
func orDefault[T any](value *T, without T) T {
	if value == nil {
		return without
	}
	return *value
}

// validateAvoidNodes checks what the schema of a CRD should check.
func validateAvoidNodes(p *commonv1.AvoidNodes, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	if p.Mode != "" {
		errs = append(errs, oneOf(path.Child("mode"), &p.Mode, commonv1.AvoidNodesPreferred, commonv1.AvoidNodesRequired)...)
	}
	for i := range p.Causes {
		errs = append(errs, oneOf(path.Child("causes").Index(i), &p.Causes[i],
			commonv1.AvoidNodesFailed, commonv1.AvoidNodesDisrupted, commonv1.AvoidNodesHung)...)
	}
	errs = append(errs, fromOneTo(1000, path.Child("afterFailures"), p.AfterFailures)...)
	errs = append(errs, fromOneTo(50, path.Child("maxNodes"), p.MaxNodes)...)
	if v := p.ForSeconds; v != nil && *v < 1 {
		errs = append(errs, field.Invalid(path.Child("forSeconds"), *v, "must be 1 or more"))
	}
	for i, code := range p.ExitCodes {
		if code < 1 || code > 255 {
			errs = append(errs, field.Invalid(path.Child("exitCodes").Index(i), code, "must be from 1 to 255"))
		}
	}
	if len(p.ExitCodes) > 0 && len(p.Causes) > 0 && !slices.Contains(p.Causes, commonv1.AvoidNodesFailed) {
		errs = append(errs, field.Invalid(path.Child("exitCodes"), p.ExitCodes,
			"it says nothing unless causes has Failed: add that, or remove exitCodes"))
	}
	return errs
}

// fromOneTo checks a number that may be left out.
func fromOneTo(most int32, path *field.Path, value *int32) field.ErrorList {
	if value == nil || *value >= 1 && *value <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *value, fmt.Sprintf("must be from 1 to %d", most))}
}
