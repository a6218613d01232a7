package jobtest

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/plan"
)

// Fate is what becomes of a pod if no one intervenes. The zero value starts at
// once and succeeds at once.
type Fate struct {
	// Start is how long after its creation the pod starts to run.
	Start time.Duration
	// Run is how long a run of its containers takes.
	Run time.Duration
	// Exits are the exit codes of the runs, in order. There is more than one run if
	// the pod's restart policy has the containers restarted in place; a run beyond
	// the list lasts until the pod is deleted. Default: one run, with exit code 0.
	Exits []int32
	// Forever makes the containers run until the pod is deleted.
	Forever bool
	// Unschedulable keeps the pod pending until it is deleted, and nothing says why.
	Unschedulable bool
	// Waits is what keeps the pod from starting until Start has passed, which the pod's status
	// says. Default: nothing.
	Waits Waits
	// Stuck has the pod wait for that until it is deleted.
	Stuck bool
	// Evicted ends the pod, when Run has passed, without an exit code.
	Evicted bool
	// Untraced has the containers of a pod that is evicted be gone before the kubelet asks how they
	// ended: it says that they were killed, and counts that as a restart. Default: it knows.
	Untraced bool
	// Disrupted ends the pod from outside when Run has passed: it gets the condition
	// DisruptionTarget with this reason, such as PreemptionByScheduler, and is deleted.
	Disrupted string
	// Graceful makes the containers exit with code 0 when they get the signal to stop, as
	// programs do that handle SIGTERM. Default: they end by the signal.
	Graceful bool
	// StopsAtOnce has the pod stop and be gone in the moment in which it is disrupted, before
	// the operator has seen why. Default: its containers take a second to stop.
	StopsAtOnce bool
	// Collateral is the exit code with which the containers end a moment after those of
	// another pod of the job did so with an error, or were stopped: programs that work
	// together lose touch with each other. Default: they run on.
	Collateral int32
	// Report is how long after its containers the pod ends: so long the kubelet shows
	// how the container ended, and still says that the pod runs. Real kubelets take 1.1 to
	// 1.5 seconds. Default: both at once.
	Report time.Duration
	// Readiness are how long after its first start a pod becomes ready, is no longer ready,
	// becomes ready again, and so on. Only a pod whose first container has a readiness probe
	// says so. Default: it is ready as soon as it runs.
	Readiness []time.Duration
	// NotReady keeps such a pod from ever becoming ready.
	NotReady bool
	// Hangs is how long after its first start the program of the pod hangs: it runs until the
	// pod is deleted, does nothing, and is not ready any more. Default: never.
	Hangs time.Duration
	// Reports are how long after its first start the program reports progress, as long as it
	// does not hang or end. Default: it never does.
	Reports []time.Duration
}

// exit is the exit code of a run, counted from 0.
func (f *Fate) exit(run int) int32 {
	if run < len(f.Exits) {
		return f.Exits[run]
	}
	return 0
}

// endless reports whether a run lasts until the pod is deleted.
func (f *Fate) endless(run int) bool {
	return f.Forever || run >= max(len(f.Exits), 1)
}

// Exit codes of containers that were stopped by a signal, or killed.
const (
	exitTerminated = 143
	exitKilled     = 137
)

// Times of the simulated nodes.
const (
	// stopAfter is how long containers take to stop after the signal.
	stopAfter = time.Second
	// collateralAfter is how long it takes until a container loses touch with another.
	collateralAfter = 200 * time.Millisecond
	// evictAfter is how long a node is lost before its pods are deleted.
	evictAfter = 5 * time.Minute
)

// life is what the kubelet knows of one pod.
type life struct {
	key  types.NamespacedName
	uid  types.UID
	fate Fate
	runs int // runs of the containers that have ended
	// started is when the present run started, if it runs.
	started time.Time
	running bool
	created time.Time
	// over is when the containers ended whose end is yet to be reported, with code.
	over time.Time
	code int32
	// doomed is when the containers end because those of another pod did. That happens
	// once.
	doomed time.Time
	shaken bool
	// tries are those to start the containers that failed, the last of them at tried.
	tries int
	tried time.Time
	// began is when the pod first ran, and turns how often its readiness has changed since.
	began time.Time
	turns int
	// reported is how many reports it has sent; hung is set when it hangs.
	reported int
	hung     bool
	// ready is whether a pod that says so is ready, turned since when, and wasReady whether it
	// ever was.
	ready, wasReady bool
	turned          time.Time
	// stopped is when its containers ended for good.
	stopped time.Time
}

// turn is when the readiness of a running pod changes next; ok is false if it does not.
func (l *life) turn(pod *corev1.Pod) (at time.Time, ok bool) {
	if l.fate.NotReady || l.turns >= len(l.fate.Readiness) || !probed(pod) {
		return at, false
	}
	return l.began.Add(l.fate.Readiness[l.turns]), true
}

// turnsNow reports whether the readiness of a running pod changes, and not its containers end.
func (l *life) turnsNow(pod *corev1.Pod, now time.Time) bool {
	turn, ok := l.turn(pod)
	return ok && !turn.After(now) && (l.fate.endless(l.runs) || turn.Before(l.started.Add(l.fate.Run))) &&
		(l.fate.Hangs == 0 || turn.Before(l.hangsAt()))
}

// probed reports whether a pod says when it is ready.
func probed(pod *corev1.Pod) bool {
	return len(pod.Spec.Containers) > 0 && pod.Spec.Containers[0].ReadinessProbe != nil
}

// setReady says of a pod whether it is ready.
func setReady(pod *corev1.Pod, ready bool, now metav1.Time) {
	c := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: now}
	if ready {
		c.Status = corev1.ConditionTrue
	}
	for i := range pod.Status.Conditions {
		if old := &pod.Status.Conditions[i]; old.Type == c.Type && old.Status == c.Status {
			return
		}
	}
	others := func(old corev1.PodCondition) bool { return old.Type == c.Type }
	pod.Status.Conditions = slices.DeleteFunc(slices.Clone(pod.Status.Conditions), others)
	pod.Status.Conditions = append(pod.Status.Conditions, c)
}

// kubelet is the scheduler, and the kubelets of all nodes.
type kubelet struct {
	server *server
	pods   *table
	// objects are the nodes as the API server has them.
	objects *table
	fate    func(*corev1.Pod) Fate
	nodes   int
	bound   int
	lives   []*life
	lost    map[string]time.Time // nodes that are lost, since when
	gone    map[string]bool      // lost nodes that were removed
	// spoiled are the exit codes with which nodes kill what they run.
	spoiled map[string]int32
	// clocks are how far the clocks of nodes are ahead.
	clocks map[string]time.Duration
	// ended records every pod that ended, and whether it did so by itself.
	ended func(pod *corev1.Pod, byItself bool)
	// exited records every pod whose end is yet to be reported.
	exited func(types.UID)
	// disrupted records every pod that gets the condition DisruptionTarget, as it was
	// before, and the reason.
	disrupted func(pod *corev1.Pod, reason string)
	// held reports whether a pod waits for the others of its gang.
	held func(pod *corev1.Pod) bool
	// report has a pod send a report of progress.
	report func(pod *corev1.Pod) string
}

// born takes up a new pod.
func (k *kubelet) born(pod *corev1.Pod) {
	k.lives = append(k.lives, &life{
		key: client.ObjectKeyFromObject(pod), uid: pod.UID, fate: k.fate(pod), created: k.server.now(),
	})
}

// pod returns the pod of a life as it is, or nil if it is gone.
func (k *kubelet) pod(l *life) *corev1.Pod {
	pod, ok := k.pods.get(l.key).(*corev1.Pod)
	if !ok || pod.UID != l.uid {
		return nil
	}
	return pod
}

// forget drops the lives of pods that are gone.
func (k *kubelet) forget() {
	k.lives = slices.DeleteFunc(k.lives, func(l *life) bool { return k.pod(l) == nil })
}

// due is when something happens next to a pod; ok is false if nothing does.
func (k *kubelet) due(l *life) (at time.Time, ok bool) {
	pod := k.pod(l)
	if pod == nil {
		return at, false
	}
	since, lost := k.lost[pod.Spec.NodeName]
	switch {
	case lost && k.gone[pod.Spec.NodeName]:
		return since, !held(pod)
	case lost:
		return since.Add(evictAfter), pod.DeletionTimestamp == nil
	case pod.DeletionTimestamp != nil:
		if held(pod) {
			return at, false
		}
		if l.running {
			return requestedAt(pod).Add(stopAfter), true
		}
		return requestedAt(pod), true
	case !l.over.IsZero():
		return l.over.Add(l.fate.Report), true
	case l.fate.Unschedulable || ended(pod):
		return at, false
	case pod.Spec.NodeName == "" && k.server.lackedClaim(pod) != "":
		return l.created, !k.held(pod) && !k.saysLacked(pod)
	case l.waitsNow(pod):
		return k.dueTry(l, pod)
	case pod.Spec.NodeName == "":
		return l.created, !k.held(pod) && !k.saysNoMatch(pod) && k.hasFreePorts(pod)
	case !l.running:
		return l.created.Add(l.fate.Start), true
	case !l.doomed.IsZero():
		return l.doomed, true
	default:
		return l.dueRunning(pod)
	}
}

// held reports whether a pod is done with and only its finalizers keep it.
func held(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && graceOf(pod) == 0 && len(pod.Finalizers) > 0
}

// requestedAt is when the deletion of a pod was asked for.
func requestedAt(pod *corev1.Pod) time.Time {
	return pod.DeletionTimestamp.Add(-time.Duration(graceOf(pod)) * time.Second)
}

// act lets happen to a pod what is due, and says what it was.
func (k *kubelet) act(l *life) string {
	pod := k.pod(l)
	_, lost := k.lost[pod.Spec.NodeName]
	if !lost && pod.DeletionTimestamp == nil && l.over.IsZero() && l.doomed.IsZero() && pod.Spec.NodeName != "" {
		if what, did := k.progresses(l, pod); did {
			return what
		}
	}
	switch {
	case lost && k.gone[pod.Spec.NodeName]:
		return k.collect(l, pod)
	case lost:
		k.disrupt(pod, "DeletionByTaintManager")
		return "is to be evicted from its lost node"
	case pod.DeletionTimestamp != nil:
		return k.stop(l, pod)
	case !l.over.IsZero():
		return k.reportEnd(l, pod)
	case pod.Spec.NodeName == "" && k.server.lackedClaim(pod) != "":
		k.update(pod, func(p *corev1.Pod) { p.Status.Conditions = []corev1.PodCondition{k.lackedCondition(p)} })
		return "lacks a volume claim"
	case l.waitsNow(pod) && !l.startsNow(k.server.now()):
		return k.try(l, pod)
	case pod.Spec.NodeName == "":
		return k.schedule(l, pod)
	case !l.running:
		l.running, l.started, l.began = true, k.server.now(), k.server.now()
		k.update(pod, func(p *corev1.Pod) {
			now := k.clock(p, k.server.now())
			if p.Status.Phase, p.Status.StartTime = corev1.PodRunning, &now; probed(p) {
				l.setReady(p, !l.fate.NotReady && len(l.fate.Readiness) == 0, now, k.server.now())
			}
			setStatuses(p, l.runs, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}})
		})
		return "runs"
	case !l.doomed.IsZero():
		return k.exit(l, pod)
	case l.turnsNow(pod, k.server.now()):
		l.turns++
		k.update(pod, func(p *corev1.Pod) { l.setReady(p, l.turns%2 == 1, k.clock(p, k.server.now()), k.server.now()) })
		return "is ready: " + strconv.FormatBool(l.turns%2 == 1)
	case l.fate.Disrupted != "":
		k.disrupt(pod, l.fate.Disrupted)
		return "is disrupted: " + l.fate.Disrupted
	case l.fate.Evicted:
		k.update(pod, func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted"
			p.Status.Message = "The node was low on resource: memory."
			disrupt(p, k.clock(p, k.server.now()).Time, "TerminationByKubelet")
			n := restartCount(p)
			end := k.terminated(p, l.started, exitKilled, k.server.now())
			switch {
			case l.fate.Untraced:
				n, end = n+1, &corev1.ContainerStateTerminated{ExitCode: exitKilled, Reason: untraced}
			case n == 0:
				p.Status.ContainerStatuses = nil
				return
			}
			setStatuses(p, n, corev1.ContainerState{Terminated: end})
		})
		k.ended(k.pod(l), true)
		return "is evicted"
	default:
		return k.exit(l, pod)
	}
}

// schedule binds a pod to a node, or says that none matches.
func (k *kubelet) schedule(l *life, pod *corev1.Pod) string {
	if len(k.fitting(pod)) == 0 {
		return k.noMatchNow(pod)
	}
	node := k.node(pod)
	k.spoil(l, node)
	k.update(pod, func(p *corev1.Pod) {
		p.Spec.NodeName = node
		if l.tries > 0 || saysNoNode(p) {
			scheduled(p, metav1.NewTime(k.server.now().Truncate(time.Second)))
		}
	})
	return "is bound to " + node
}

// exit ends a run of a pod's containers, and starts the next if there is one.
func (k *kubelet) exit(l *life, pod *corev1.Pod) string {
	code := l.fate.exit(l.runs)
	if !l.doomed.IsZero() {
		code, l.doomed = l.fate.Collateral, time.Time{}
	}
	return k.exitWith(l, pod, code)
}

// exitWith is exit with an exit code.
func (k *kubelet) exitWith(l *life, pod *corev1.Pod, code int32) string {
	now := k.server.now()
	if code != 0 {
		k.shake(pod)
	}
	policy := pod.Spec.RestartPolicy
	l.runs++
	if policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0 {
		started := l.started
		l.started = now
		k.update(pod, func(p *corev1.Pod) {
			setStatuses(p, l.runs, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: k.clock(p, now)}})
			if len(p.Status.ContainerStatuses) > 0 { // Pods of others may have none.
				p.Status.ContainerStatuses[0].LastTerminationState.Terminated = k.terminated(p, started, code, now)
			}
		})
		return "exits with code " + strconv.Itoa(int(code)) + " and is restarted in place"
	}
	l.running, l.over, l.code, l.stopped = false, now, code, now
	if l.fate.Report > 0 {
		k.exited(pod.UID)
		k.update(pod, func(p *corev1.Pod) {
			setStatuses(p, restartCount(p), corev1.ContainerState{Terminated: k.terminated(p, l.started, code, now)})
		})
		return "exits with code " + strconv.Itoa(int(code)) + ", which is yet to be reported"
	}
	return k.reportEnd(l, pod)
}

// shake has the peers of a pod that ends lose touch with it.
func (k *kubelet) shake(pod *corev1.Pod) {
	owner := metav1.GetControllerOf(pod)
	for _, l := range k.lives {
		peer := k.pod(l)
		if owner == nil || peer == nil || peer.UID == pod.UID || !l.running || l.fate.Collateral == 0 || l.shaken {
			continue
		}
		if of := metav1.GetControllerOf(peer); of != nil && of.UID == owner.UID {
			l.doomed, l.shaken = k.server.now().Add(collateralAfter), true
		}
	}
}

// reportEnd says of a pod that it has ended.
func (k *kubelet) reportEnd(l *life, pod *corev1.Pod) string {
	k.end(l, pod, l.code, l.over)
	return "exits with code " + strconv.Itoa(int(l.code))
}

// end ends a pod for good. It did so by itself if no one had asked for its deletion when
// that was reported.
func (k *kubelet) end(l *life, pod *corev1.Pod, code int32, at time.Time) {
	l.running, l.over = false, time.Time{}
	if l.stopped.IsZero() {
		l.stopped = k.server.now()
	}
	k.update(pod, func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodSucceeded
		if code != 0 {
			p.Status.Phase = corev1.PodFailed
		}
		setStatuses(p, restartCount(p), corev1.ContainerState{Terminated: k.terminated(p, l.started, code, at)})
	})
	k.ended(k.pod(l), pod.DeletionTimestamp == nil)
}

// terminated is the state of a container that began at a time, if it did, and ended with a code.
func (k *kubelet) terminated(pod *corev1.Pod, started time.Time, code int32, at time.Time) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Completed", FinishedAt: k.clock(pod, at)}
	if code != 0 {
		t.Reason = "Error"
	}
	if !started.IsZero() {
		t.StartedAt = k.clock(pod, started)
	}
	return t
}

// clock is a time by the clock of a pod's node, in whole seconds.
func (k *kubelet) clock(pod *corev1.Pod, at time.Time) metav1.Time {
	return metav1.NewTime(at.Add(k.clocks[pod.Spec.NodeName]).Truncate(time.Second))
}

// stop stops a pod that is being deleted, and then removes it.
func (k *kubelet) stop(l *life, pod *corev1.Pod) string {
	if !l.over.IsZero() {
		return k.reportEnd(l, pod) + " before it was deleted"
	}
	if !l.running {
		k.remove(l)
		return "is gone"
	}
	natural := l.started.Add(l.fate.Run)
	never := pod.Spec.RestartPolicy == corev1.RestartPolicyNever
	if never && !l.hung && !l.fate.endless(l.runs) && !l.fate.Evicted && l.fate.Disrupted == "" && !natural.After(requestedAt(pod)) {
		// It had ended before; only the kubelet was late to say so.
		code := l.fate.exit(l.runs)
		k.end(l, pod, code, natural)
		return "had exited with code " + strconv.Itoa(int(code)) + " before it was deleted"
	}
	k.shake(pod)
	code := int32(exitTerminated)
	if l.fate.Graceful {
		code = 0
	}
	k.end(l, pod, code, k.server.now())
	return "is stopped, and exits with code " + strconv.Itoa(int(code))
}

// collect removes a pod whose node is gone for good, as the pod garbage collector does.
func (k *kubelet) collect(l *life, pod *corev1.Pod) string {
	if !ended(pod) {
		k.disrupted(pod, "DeletionByPodGC")
		k.update(pod, func(p *corev1.Pod) {
			disrupt(p, k.server.now(), "DeletionByPodGC")
			p.Status.Phase = corev1.PodFailed
		})
		l.running, l.over = false, time.Time{}
		if l.stopped.IsZero() {
			l.stopped = k.server.now() // No one can know any more when that was.
		}
		return "is marked as failed, because its node is gone"
	}
	k.remove(l)
	return "is removed, because its node is gone"
}

// remove deletes a pod without grace.
func (k *kubelet) remove(l *life) {
	zero := int64(0)
	_ = k.server.delete(k.pods, l.key, deletion{uid: l.uid, grace: &zero}) // there is no reason for it to fail
}

// update writes a changed copy of a pod. If its status changes, managedFields say when
// that was, by the clock of the API server.
func (k *kubelet) update(pod *corev1.Pod, change func(*corev1.Pod)) {
	next := clone(pod)
	change(next)
	if !equality.Semantic.DeepEqual(pod.Status, next.Status) {
		fields := `{"f:status":{"f:conditions":{},"f:containerStatuses":{},"f:phase":{}}}`
		next.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Subresource: "status",
			Time: &metav1.Time{Time: k.server.now().Truncate(time.Second)}, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		}}
	}
	k.server.replace(k.pods, pod, next)
}

// node picks the node for a pod: the first that fits and has the ports that it needs.
func (k *kubelet) node(pod *corev1.Pod) string {
	fitting := k.fitting(pod)
	name := fitting[max(0, slices.IndexFunc(fitting, func(n string) bool { return k.portsFree(pod, n) }))]
	for "node-"+strconv.Itoa(k.bound%k.nodes) != name {
		k.bound++
	}
	k.bound++
	return name
}

// setStatuses gives all containers of a pod the same state.
func setStatuses(pod *corev1.Pod, restarts int, state corev1.ContainerState) {
	was := pod.Status.ContainerStatuses
	pod.Status.ContainerStatuses = make([]corev1.ContainerStatus, 0, len(pod.Spec.Containers))
	for i := range pod.Spec.Containers {
		s := corev1.ContainerStatus{Name: pod.Spec.Containers[i].Name, State: state, Ready: state.Running != nil}
		if i == 0 {
			s.RestartCount = int32(restarts) //nolint:gosec // a handful
			if len(was) > 0 {
				s.LastTerminationState = was[0].LastTerminationState
			}
		}
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, s)
	}
	setSidecars(pod, state)
}

// setSidecars has the native sidecars of a pod fail and restart whenever something
// happens to it, and end with an error of their own when it ends.
func setSidecars(pod *corev1.Pod, state corev1.ContainerState) {
	was := pod.Status.InitContainerStatuses
	pod.Status.InitContainerStatuses = nil
	if state.Terminated != nil {
		state.Terminated = state.Terminated.DeepCopy()
		state.Terminated.ExitCode, state.Terminated.Reason = exitKilled, "Error"
	}
	for i, c := range plan.Sidecars(pod) {
		s := corev1.ContainerStatus{Name: c.Name, State: state, Ready: state.Running != nil}
		if i < len(was) {
			s.RestartCount = was[i].RestartCount + 1
		}
		pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, s)
	}
}

// untraced is the reason of the end of a container of which a kubelet finds no trace. It counts one
// restart more than there were.
const untraced = "ContainerStatusUnknown"

// restartCount is how often the containers of a pod were restarted in place, its
// sidecars left out.
func restartCount(pod *corev1.Pod) int {
	n := 0
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if n += int(s.RestartCount); s.State.Terminated != nil && s.State.Terminated.Reason == untraced && s.RestartCount > 0 {
			n--
		}
	}
	return n
}
