package jobtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/schedulers"
)

// theirs marks what another client wrote into a group. The operator must leave it alone.
const theirs = "theirs"

// gangs plays one of the gang schedulers, in the plainest way: it holds the pods of a
// group until minMember of them exist, and until there is room. Of a gang that runs,
// it counts the pods that do. It also watches what the operator does.
type gangs struct {
	w      *World
	name   string
	s      gang.Scheduler
	tables []*table
	// full is true while there is no room for another gang.
	full bool
	// made are the groups that each process created itself: it need not read them.
	made map[*process]map[types.NamespacedName]bool
	// changedBy are the groups that each process has changed.
	changedBy map[*process]map[types.NamespacedName]bool
}

// playGang plays the gang scheduler of a name in a World, if it is one.
func playGang(w *World, name string) *gangs {
	s := schedulers.ByName(name, schedulers.Options{})
	if s == nil {
		return nil
	}
	g := &gangs{
		w: w, name: name, s: s,
		made: map[*process]map[types.NamespacedName]bool{}, changedBy: map[*process]map[types.NamespacedName]bool{},
	}
	for _, o := range s.Kinds() {
		gvk, err := apiutil.GVKForObject(o, testScheme)
		if err != nil {
			panic(err)
		}
		g.tables = append(g.tables, w.server.table(gvk))
	}
	w.gang = g
	return g
}

// groups are the PodGroups: of all back ends the last kind.
func (g *gangs) groups() *table { return g.tables[len(g.tables)-1] }

// sizeOf is how many pods a group needs.
func sizeOf(o client.Object) int64 {
	switch o := o.(type) {
	case *schedulingv1beta1.PodGroup:
		return int64(o.Spec.SchedulingPolicy.Gang.MinCount)
	case *unstructured.Unstructured:
		n, _, _ := unstructured.NestedInt64(o.Object, "spec", "minMember")
		return n
	}
	return 0
}

// members are how many pods of a group there are that count: all, and those that have a
// node. Volcano counts pods that have succeeded, the others do not.
func (g *gangs) members(key types.NamespacedName) (all, bound int64) {
	for _, o := range g.w.kubelet.pods.all() {
		pod, ok := o.(*corev1.Pod)
		if !ok || pod.Namespace != key.Namespace || pod.Labels[commonv1.PodGroupLabel] != key.Name || pod.DeletionTimestamp != nil {
			continue
		}
		if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded && g.name != "volcano" {
			continue
		}
		all++
		if pod.Spec.NodeName != "" {
			bound++
		}
	}
	return all, bound
}

// holds implements gangScheduler.
func (g *gangs) holds(pod *corev1.Pod) bool {
	name := pod.Labels[commonv1.PodGroupLabel]
	if name == "" {
		return false // The pod is no member: another scheduler's concern.
	}
	key := types.NamespacedName{Namespace: pod.Namespace, Name: name}
	o := g.groups().get(key)
	if o == nil {
		return true
	}
	all, bound := g.members(key)
	return all < sizeOf(o) || bound < sizeOf(o) && g.full
}

// nextSteps implements gangScheduler.
func (g *gangs) nextSteps() []controllerStep {
	var out []controllerStep
	for _, o := range g.groups().all() {
		if o.GetDeletionTimestamp() != nil {
			continue
		}
		all, bound := g.members(client.ObjectKeyFromObject(o))
		switch o := o.(type) {
		case *schedulingv1beta1.PodGroup:
			out = append(out, g.upstream(o, all, bound)...)
		case *unstructured.Unstructured:
			if g.name == "volcano" {
				out = append(out, g.volcano(o, bound)...)
			}
		}
	}
	if !g.full || g.name == "volcano" {
		return out
	}
	for _, o := range g.w.kubelet.pods.all() {
		if pod, ok := o.(*corev1.Pod); ok && pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && len(pod.Status.Conditions) == 0 && g.holds(pod) {
			out = append(out, g.write(g.w.kubelet.pods, pod, "says that pod "+pod.Name+" does not fit", func(o client.Object) {
				if p, ok := o.(*corev1.Pod); ok {
					p.Status.Conditions = []corev1.PodCondition{{
						Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
						Message: "0/3 nodes are available", LastTransitionTime: metav1.NewTime(g.w.now.Truncate(time.Second)),
					}}
				}
			}))
		}
	}
	return out
}

// write is a step that changes an object.
func (g *gangs) write(t *table, old client.Object, what string, change func(client.Object)) controllerStep {
	return controllerStep{what: what, do: func() {
		next := clone(old)
		change(next)
		g.w.server.replace(t, old, next)
	}}
}

// upstream says of a group of Kubernetes' own scheduler whether it fits.
func (g *gangs) upstream(o *schedulingv1beta1.PodGroup, all, bound int64) []controllerStep {
	want := metav1.ConditionFalse
	c := meta.FindStatusCondition(o.Status.Conditions, schedulingv1beta1.PodGroupInitiallyScheduled)
	switch {
	case c != nil && c.Status == metav1.ConditionTrue:
		return nil
	case bound >= sizeOf(o):
		want = metav1.ConditionTrue
	case c != nil, all < sizeOf(o), !g.full:
		return nil
	}
	return []controllerStep{g.write(g.groups(), o, "group "+o.Name+" is scheduled: "+string(want), func(o client.Object) {
		if next, ok := o.(*schedulingv1beta1.PodGroup); ok {
			next.Status.Conditions = []metav1.Condition{{
				Type: schedulingv1beta1.PodGroupInitiallyScheduled, Status: want, Reason: "Simulated",
				Message: "0/3 nodes are available", LastTransitionTime: metav1.NewTime(g.w.now.Truncate(time.Second)),
			}}
		}
	})}
}

// volcano sets the default queue, as the webhook does, and takes a group through its
// phases.
func (g *gangs) volcano(o *unstructured.Unstructured, bound int64) []controllerStep {
	if queue, _, _ := unstructured.NestedString(o.Object, "spec", "queue"); queue == "" {
		return []controllerStep{g.write(g.groups(), o, "group "+o.GetName()+" gets the default queue", func(o client.Object) {
			set(o, "default", "spec", "queue")
		})}
	}
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	next := phase
	switch fits := bound >= sizeOf(o); {
	case fits:
		next = "Running"
	case phase == "Running":
		next = "Unknown"
	case g.full:
		next = "Pending"
	case phase == "" || phase == "Pending":
		next = "Inqueue"
	}
	if next == phase {
		return nil
	}
	return []controllerStep{g.write(g.groups(), o, "group "+o.GetName()+" is "+next, func(o client.Object) {
		set(o, next, "status", "phase")
		if next == "Pending" {
			set(o, []any{map[string]any{
				"type": "Unschedulable", "status": "True", "reason": "NotEnoughResources", "message": "the queue has no room",
				"lastTransitionTime": g.w.now.Format(time.RFC3339),
			}}, "status", "conditions")
		}
	})}
}

// set sets a field of an object whose Go type is not known.
func set(o client.Object, value any, fields ...string) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		if err := unstructured.SetNestedField(u.Object, value, fields...); err != nil {
			panic(err)
		}
	}
}

// beforeWrite implements gangScheduler: no member is created before its group exists and the
// back end wants to see pods. A cache may lag behind, so what counts is what the process
// could know: what exists, what its caches showed in this pass, and what it created or changed.
func (g *gangs) beforeWrite(p *process, op call) {
	if p.pass == nil || op.verb == "delete" {
		return
	}
	if slices.Contains(g.tables, op.table) {
		wrote := g.made
		if op.verb != "create" {
			wrote = g.changedBy
		}
		if wrote[p] == nil {
			wrote[p] = map[types.NamespacedName]bool{}
		}
		wrote[p][op.key] = true
		return
	}
	pod, ok := op.object.(*corev1.Pod)
	if !ok || op.verb != "create" || pod.Labels[commonv1.PodGroupLabel] == "" {
		return
	}
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[commonv1.PodGroupLabel]}
	var known []client.Object
	if o := g.groups().get(key); o != nil {
		known = append(known, o)
	} else if g.changedBy[p][key] {
		// The answer to the change showed it as it was before it was deleted.
		for _, c := range slices.Backward(g.groups().log) {
			if c.verb != deleted && client.ObjectKeyFromObject(c.object) == key {
				known = append(known, c.object)
				break
			}
		}
	}
	for _, o := range p.pass.seen {
		if _, is := o.(*corev1.Pod); is && o.GetLabels()[commonv1.PodGroupLabel] == key.Name && o.GetDeletionTimestamp() == nil && !ended(o.(*corev1.Pod)) {
			return // It runs: what is missing may be created.
		}
		if o.GetName() == key.Name && o.GetNamespace() == key.Namespace && o.GetDeletionTimestamp() == nil && sizeOf(o) > 0 {
			known = append(known, o)
		}
	}
	owner := metav1.GetControllerOf(pod)
	job := &gang.Job{Kind: owner.Kind, Namespace: pod.Namespace, Name: owner.Name}
	for _, o := range known {
		if !g.s.State(job, []jobkit.Object{o}).Hold {
			return
		}
	}
	if len(known) > 0 || !g.made[p][key] || g.s.State(job, nil).Hold {
		g.w.violatef("gang", "%s wants to %s, but group %s is not there or does not want to see pods yet", p.name, op, key.Name)
	}
}

// changed implements gangScheduler: of a group the operator changes only its own fields.
func (g *gangs) changed(t *table, c change) {
	if g.w.actor == nil || c.verb != modified || !slices.Contains(g.tables, t) || c.object.GetDeletionTimestamp() != nil {
		return
	}
	if diff := cmp.Diff(ofOthers(c.was), ofOthers(c.object)); diff != "" {
		g.w.violatef("gang", "%s changed what is not its own in group %s (-before +after):\n%s", g.w.actor.name, c.object.GetName(), diff)
	}
}

// ofOthers is what of a group belongs to others than the operator.
func ofOthers(o client.Object) any {
	o = clone(o)
	mark := o.GetLabels()[theirs]
	switch o := o.(type) {
	case *unstructured.Unstructured:
		spec, _, _ := unstructured.NestedMap(o.Object, "spec")
		for _, own := range []string{"minMember", "minResources", "queue", "priorityClassName", "scheduleTimeoutSeconds"} {
			delete(spec, own)
		}
		return []any{mark, spec, o.Object["status"]}
	case *schedulingv1beta1.PodGroup:
		o.Spec.SchedulingPolicy.Gang.MinCount = 0
		return []any{mark, o.Spec, o.Status}
	case *schedulingv1beta1.Workload:
		for i := range o.Spec.PodGroupTemplates {
			o.Spec.PodGroupTemplates[i].SchedulingPolicy.Gang.MinCount = 0
		}
		return []any{mark, o.Spec}
	}
	return mark
}

// atRest checks the groups of a World that has come to rest: each job that goes on has a
// group of its size, whose pods wait for nothing; no other job has one.
func (g *gangs) atRest() {
	w := g.w
	for _, o := range w.jobs.all() {
		job, ok := o.(*testv1.TestJob)
		p := &job.Spec.RunPolicy
		if !ok || job.DeletionTimestamp != nil || p.ManagedBy != nil || job.Status.IsTrue(commonv1.JobStalled) || w.monitor.waits(job) {
			continue
		}
		pods, _ := w.monitor.children(job)
		suspended := p.Suspend != nil && *p.Suspend
		left := slices.ContainsFunc(pods, func(pod *corev1.Pod) bool {
			return !ended(pod)
		})
		if job.Status.Finished() && left {
			continue // The clean-up policy lets them run.
		}
		for _, t := range g.tables {
			there := t.get(types.NamespacedName{Namespace: job.Namespace, Name: job.Name + "-testjob"})
			if there != nil && (job.Status.Finished() || suspended) && !w.monitor.stuck(there) {
				w.violatef("P9", "job %s is over or suspended, but its %s still exists", job.Name, t.gvk.Kind)
			}
		}
		if !job.Status.Finished() && !suspended {
			g.active(job, pods)
		}
	}
}

// active checks the group of a job that goes on.
func (g *gangs) active(job *testv1.TestJob, pods []*corev1.Pod) {
	w := g.w
	members, succeeded := int32(0), int32(0)
	for _, pod := range pods {
		if pod.Labels[commonv1.PodGroupLabel] != "" && !ended(pod) {
			members++
		}
		if pod.Spec.NodeName == "" && !ended(pod) && !w.monitor.stuck(pod) && g.holds(pod) && !w.monitor.ledger(job.UID).touched {
			w.violatef("P3", "pod %s waits for the others of its gang forever", pod.Name)
		}
	}
	if members == 0 {
		return
	}
	total := int32(0)
	for t, spec := range job.Spec.TestReplicaSpecs {
		total += wantedReplicas(spec)
		for i := range wantedReplicas(spec) {
			if saysSucceeded(&job.Status, t, i) || w.monitor.leftAlone(job, t, i) {
				succeeded++
			}
		}
	}
	o := g.groups().get(types.NamespacedName{Namespace: job.Namespace, Name: job.Name + "-testjob"})
	if o == nil {
		w.violatef("P3", "job %s goes on, but its group is not there", job.Name)
		return
	}
	for t, spec := range job.Spec.TestReplicaSpecs {
		for i := range wantedReplicas(spec) {
			there := slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.Name == w.monitor.kind.PodName(job.Name, t, i) })
			if !there && !saysSucceeded(&job.Status, t, i) && !w.monitor.leftAlone(job, t, i) && w.monitor.waitsForOthers(job, t) {
				total-- // It waits for what the gang scheduler is to start.
			}
		}
	}
	most, least := max(total, 1), max(total-succeeded, 1)
	if p := job.Spec.RunPolicy.SchedulingPolicy; p != nil && p.MinAvailable != nil {
		most, least = min(*p.MinAvailable, most), min(*p.MinAvailable, least)
	}
	queue := ""
	if p := job.Spec.RunPolicy.SchedulingPolicy; p != nil {
		queue = p.Queue
	}
	if u, ok := o.(*unstructured.Unstructured); ok && g.name == "volcano" {
		if got, _, _ := unstructured.NestedString(u.Object, "spec", "queue"); got != queueOf(queue) {
			w.violatef("P3", "the group of job %s has the queue %q, want %q", job.Name, got, queue)
		}
	}
	if n := sizeOf(o); n < int64(least) || n > int64(most) {
		w.violatef("P3", "the group of job %s has the size %d, want %d to %d", job.Name, n, least, most)
	}
}

// queueOf is the queue that Volcano puts a group in.
func queueOf(queue string) string {
	if queue == "" {
		return "default"
	}
	return queue
}

// actRoom has the gang scheduler find no room for a while.
func actRoom(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	g, ok := w.gang.(*gangs)
	if !ok {
		actNothing(c, w, at, nil)
		return
	}
	set := func(full bool) func(context.Context, client.Client) error {
		return func(context.Context, client.Client) error { g.full = full; return nil }
	}
	w.At(at, "takes all the room", set(true))
	w.At(at+time.Duration(1+c.Pick(100))*time.Second, "gives the room back", set(false))
}

// actPolicy has a user edit the scheduling policy.
func actPolicy(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	p := randomPolicy(c)
	w.At(at, "edits the scheduling policy", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.SchedulingPolicy = fitting(p, j) }))
}

// fitting is a policy for a job that may be smaller; it may become smaller later.
func fitting(p *commonv1.SchedulingPolicy, job *testv1.TestJob) *commonv1.SchedulingPolicy {
	total := int32(0)
	for _, spec := range job.Spec.TestReplicaSpecs {
		total += wantedReplicas(spec)
	}
	p = p.DeepCopy()
	if p != nil && p.MinAvailable != nil {
		p.MinAvailable = new(min(*p.MinAvailable, max(total, 1)))
	}
	return p
}

// randomPolicy is one that fits jobs that are large enough.
func randomPolicy(c *Chance) *commonv1.SchedulingPolicy {
	return oneOf(c,
		nil, &commonv1.SchedulingPolicy{MinAvailable: new(int32(1))}, &commonv1.SchedulingPolicy{MinAvailable: new(int32(3))},
		&commonv1.SchedulingPolicy{Queue: "research", ScheduleTimeoutSeconds: new(int32(30))},
		&commonv1.SchedulingPolicy{MinAvailable: new(int32(1)), Queue: "other", PriorityClass: "high"},
	)
}

// notTooSmall checks that a job which is scaled below the minimum of its gang goes on.
func notTooSmall(w *World, job client.Object) {
	if c := w.parts(job).Status.Condition(commonv1.JobStalled); c != nil && strings.Contains(c.Message, "minAvailable") {
		w.violatef("P3", "job %s has fewer replicas than its gang needs at least, and is stalled: %s", job.GetName(), c.Message)
	}
}

// actGroup has another client write into the groups, keep them for a while by a finalizer,
// or delete them.
func actGroup(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	g, ok := w.gang.(*gangs)
	if !ok {
		actNothing(c, w, at, nil)
		return
	}
	each := func(change func(*table, client.Object) error) func(context.Context, client.Client) error {
		return func(context.Context, client.Client) error {
			for _, t := range g.tables {
				for _, o := range t.all() {
					if err := change(t, o); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	finalizers := func(list ...string) func(context.Context, client.Client) error {
		return each(func(t *table, o client.Object) error {
			next := clone(o)
			next.SetFinalizers(slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool { return strings.HasPrefix(f, "example.com/") }))
			if o.GetDeletionTimestamp() == nil {
				next.SetFinalizers(append(next.GetFinalizers(), list...))
			}
			w.server.commit(t, o, next)
			return nil
		})
	}
	label := func(change func(map[string]string)) func(context.Context, client.Client) error {
		return each(func(t *table, o client.Object) error {
			next := clone(o)
			change(next.GetLabels())
			w.server.commit(t, o, next)
			return nil
		})
	}
	switch c.Pick(4) {
	case 3:
		w.At(at, "takes the operator's label off the groups", label(func(l map[string]string) { delete(l, commonv1.OperatorNameLabel) }))
		w.At(at+time.Duration(c.Pick(60))*time.Second, "puts it back", label(func(l map[string]string) { l[commonv1.OperatorNameLabel] = "testjob-controller" }))
	case 0:
		w.At(at, "writes into the groups", each(func(t *table, o client.Object) error {
			next := clone(o)
			meddle(next)
			w.server.commit(t, o, next)
			return nil
		}))
	case 1:
		w.At(at, "protects the groups", finalizers("example.com/protect"))
		w.At(at+time.Duration(1+c.Pick(100))*time.Second, "no longer protects them", finalizers())
	case 2:
		w.At(at, "deletes the groups", each(func(t *table, o client.Object) error {
			return w.server.delete(t, client.ObjectKeyFromObject(o), deletion{})
		}))
	}
}

// meddle changes the size of a group, which is the operator's, and adds something else.
func meddle(o client.Object) {
	labels := map[string]string{theirs: "stays"}
	maps.Copy(labels, o.GetLabels())
	o.SetLabels(labels)
	switch o := o.(type) {
	case *unstructured.Unstructured:
		set(o, int64(9), "spec", "minMember")
		set(o, "stays", "spec", theirs)
	case *schedulingv1beta1.PodGroup:
		o.Spec.SchedulingPolicy.Gang.MinCount = 9
	case *schedulingv1beta1.Workload:
		o.Spec.PodGroupTemplates[0].SchedulingPolicy.Gang.MinCount = 9
	}
}

// TestConflictOnAGroup: a change of a group that meets a conflict is tried again, even if
// no news of the group comes.
func TestConflictOnAGroup(t *testing.T) {
	w := story(t, Options{Fate: forever, Gang: schedulers.ByName("coscheduling", schedulers.Options{})}, newJob("j", 2))
	groups := playGang(w, "coscheduling").groups()
	pass(t, w, time.Minute)
	w.outages = []outage{{over: w.now.Add(20 * time.Millisecond), fault: Conflict, hits: func(op call) bool { return op.verb == "patch" }}}
	for _, o := range groups.all() {
		next := clone(o)
		meddle(next)
		w.server.commit(groups, o, next)
	}
	rest(t, w)
}
