package jobtest

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/gang"
)

// Options configure a World. The zero value is a cluster in which nothing goes
// wrong, everything happens at once and in order, and every pod succeeds after ten
// seconds.
type Options struct {
	// Chance decides what goes wrong, and when. Default: nothing goes wrong.
	Chance *Chance
	// Operators is how many processes of the operator run at the same time, each
	// of which believes that it is the leader. Default: 1.
	Operators int
	// Fate says what becomes of a pod. It must depend on nothing but the pod.
	// Default: it starts after a second and succeeds after ten.
	Fate func(pod *corev1.Pod) Fate
	// Nodes is how many nodes there are, named node-0, node-1 and so on. Default: 3.
	Nodes int
	// Admit refuses objects, as an admission webhook does. Default: none.
	Admit func(o client.Object) error
	// Gang has the pods of a job scheduled together. The World has no scheduler: what
	// becomes of the groups, the test says by changing them. Default: none.
	Gang gang.Scheduler
	// FaultFreeAfter is how many steps things may go wrong, if Chance decides so.
	// Default: 300.
	FaultFreeAfter int
	// MaxSteps is how many steps the World may take to come to rest when nothing goes wrong
	// any more, before that is taken for a broken promise. Default: 20000.
	MaxSteps int
	// Observer sees what happens. Default: no one.
	Observer Observer
}

// Observer sees what happens in a World, in order, at the time that World.Now says. It must
// change neither the objects nor the World.
type Observer struct {
	// Changed gets each change of an object: before is nil for one that is new, after for one
	// that is gone. Default: nothing.
	Changed func(before, after client.Object)
	// Recorded gets each event that the operator records. Default: nothing.
	Recorded func(Event)
}

// World is a simulated cluster with the real controller of one kind of job in it.
// It keeps its own time and does one thing at a time.
type World struct {
	server       server
	kubelet      kubelet
	monitor      monitor
	chance       *Chance
	jobs         *table
	cacheFilters map[*table]*cacheFilter
	parts        func(client.Object) jobkit.JobParts
	// statusOf is the status of a job itself; parts are those of a copy if the kind has defaults.
	statusOf func(client.Object) *commonv1.JobStatus
	rules    func(client.Object) jobkit.Rules
	newRun   startFunc

	start, now time.Time
	processes  []*process // nil where one has crashed and not started again
	stale      []bool     // whether the next one starts with stale caches
	births     int
	actor      *process // who writes, nil if not the operator
	actions    []action
	orphans    []orphan
	balanced   []types.NamespacedName // services that go when their load balancers are gone
	events     []Event
	transcript strings.Builder

	// odds are those of this run, in percent; steps is how many are left until
	// things stop going wrong.
	odds  odds
	steps int
	// maxSteps is how many steps the World may take to come to rest after that.
	maxSteps int
	// done ends a run that goes on until something has happened, if it is set.
	done     func() bool
	observer Observer
	depth    int
	calls    int
	// passes counts the passes over jobs; served the calls that reached the server, by
	// the job of the pass.
	passes  int
	served  map[types.NamespacedName]map[string]int
	outages []outage
	// progress plays the server of reports; calmSince is when things stopped going wrong.
	progress  progressServer
	calmSince time.Time
	// denies refuses writes of the operator, of whatever kind, if it is set.
	denies func(op call) error
	// older is set while the CRD of the jobs is that of an older operator.
	older *olderCRD
	// onStatus records every status that the operator writes, if it is set.
	onStatus func(before, after client.Object)
	// together is true if the pods of a job are to be scheduled together.
	together bool
	// gang plays the gang scheduler, if it is set.
	gang gangScheduler

	ctx    context.Context //nolint:containedctx // that of the Run which goes on, for the processes that it starts
	broken *ViolationError
}

// gangScheduler plays a gang scheduler, and watches what the operator does for it.
type gangScheduler interface {
	// holds reports whether a pod may not be bound yet.
	holds(pod *corev1.Pod) bool
	// gangSteps are what the scheduler could do now, each of which changes something.
	nextSteps() []controllerStep
	// beforeWrite records a write that a process asks for, before it is done.
	beforeWrite(p *process, op call)
	// changed records every change, when it has happened.
	changed(t *table, c change)
}

// controllerStep is something that a controller of the cluster does.
type controllerStep struct {
	what string
	do   func()
}

// odds are how often things go wrong in a run, in percent.
type odds struct{ faulty, fault, meanwhile, trouble int }

// olderCRD is a CRD that lacks fields: what shows says is what the operator reads of a job, and
// refuses are the writes that ask to be refused rather than cut.
type olderCRD struct {
	shows   func(client.Object) client.Object
	refuses func(op call) error
}

// Event is an event that the operator recorded.
type Event struct {
	Job             string
	Warning         bool
	Reason, Message string
}

// ViolationError is a promise that was broken.
type ViolationError struct {
	// Promise names it, for example "P4".
	Promise string
	// Message says what happened.
	Message string
	// Transcript is all that happened before.
	Transcript string
}

func (v *ViolationError) Error() string {
	s := v.Promise + " is broken: " + v.Message
	if v.Transcript != "" {
		s += "\n" + v.Transcript
	}
	return s
}

// action is what a user does at some time.
type action struct {
	at   time.Time
	what string
	do   func(context.Context, client.Client) error
}

// outage has calls meet a fault until it is over.
type outage struct {
	over  time.Time
	hits  func(call) bool
	fault Fault
}

// orphan is an object that the garbage collector has to check.
type orphan struct {
	table *table
	key   types.NamespacedName
	uid   types.UID
}

// epoch is when every World begins.
func epoch() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }

// NewWorld makes a World that runs the controller which an author wrote. The
// scheme must know the job, and the core types.
func NewWorld[J client.Object](author jobkit.ControllerInterface[J], scheme *runtime.Scheme, o Options) (*World, error) {
	return NewWorldOf(Program[J]{Author: func(client.Client) jobkit.ControllerInterface[J] { return author }}, scheme, o)
}

// NewWorldOf makes a World that runs a program in each process of the operator.
func NewWorldOf[J client.Object](program Program[J], scheme *runtime.Scheme, o Options) (*World, error) {
	var job J
	job, ok := reflect.TypeAssert[J](reflect.New(reflect.TypeOf(job).Elem()))
	if !ok {
		return nil, fmt.Errorf("cannot make a new %T", job)
	}
	gvk, err := apiutil.GVKForObject(job, scheme)
	if err != nil {
		return nil, fmt.Errorf("the scheme does not know %T: call its AddToScheme: %w", job, err)
	}
	w := &World{
		chance: o.Chance, start: epoch(), now: epoch(), maxSteps: cmp.Or(o.MaxSteps, maxSteps), observer: o.Observer,
		cacheFilters: map[*table]*cacheFilter{}, served: map[types.NamespacedName]map[string]int{},
	}
	w.server.store = store{scheme: scheme, now: w.Now, observe: w.changed}
	w.server.admit, w.server.quota, w.server.terminating = o.Admit, map[string]int{}, map[string]bool{}
	author := program.Author(api{w: w, live: true})
	w.jobs = w.server.table(gvk)
	pods := w.server.table(corev1.SchemeGroupVersion.WithKind("Pod"))
	services := w.server.table(corev1.SchemeGroupVersion.WithKind("Service"))
	cached := []*table{w.jobs, pods, services}
	for _, o := range furtherKinds(author, o.Gang) {
		gvk, err := apiutil.GVKForObject(o, scheme)
		if err != nil {
			return nil, fmt.Errorf("the scheme does not know %T: call its AddToScheme: %w", o, err)
		}
		cached = append(cached, w.server.table(gvk))
	}
	if author.Kind().VolumeClaims {
		cached = append(cached, w.server.claimTable())
	}
	for _, t := range cached {
		w.cacheFilters[t] = cacheFilterOf(t, scheme, furtherKinds(author, o.Gang))
		if w.cacheFilters[t].transform != nil {
			w.cacheFilters[t].check = w.checkHeld
		}
	}
	w.monitor = newMonitor(w, author.Kind())
	w.startNodes(pods, o)
	w.parts = func(o client.Object) jobkit.JobParts {
		job, ok := o.(J)
		if !ok {
			return jobkit.JobParts{}
		}
		return author.Parts(withDefaults(author, job))
	}
	w.statusOf = func(o client.Object) *commonv1.JobStatus {
		job, ok := o.(J)
		if !ok {
			return nil
		}
		return author.Parts(job).Status
	}
	w.rules = func(o client.Object) jobkit.Rules {
		job, ok := o.(J)
		if !ok {
			return jobkit.Rules{}
		}
		return author.Rules(withDefaults(author, job))
	}
	w.together = o.Gang != nil
	w.newRun = runner(program, scheme, o.Gang)
	n := max(o.Operators, 1)
	w.processes, w.stale = make([]*process, n), make([]bool, n)
	w.chooseOdds(o.FaultFreeAfter)
	return w, nil
}

// withDefaults is a job with the defaults of its kind, as the controller sees it: a copy, unless
// the kind sets none.
func withDefaults[J client.Object](author jobkit.ControllerInterface[J], job J) (full J) {
	defaulter, ok := author.(jobkit.Defaulter[J])
	if !ok {
		return job
	}
	defer func() { _ = recover() }() // A panic is found when the controller calls it.
	full = clone(job)
	defaulter.Default(full)
	return full
}

// startNodes makes the nodes, and the kubelets that run the pods on them.
func (w *World) startNodes(pods *table, o Options) {
	nodes := w.server.table(corev1.SchemeGroupVersion.WithKind("Node"))
	w.kubelet = kubelet{
		server: &w.server, pods: pods, objects: nodes, fate: o.Fate, nodes: max(o.Nodes, 0),
		lost: map[string]time.Time{}, gone: map[string]bool{}, spoiled: map[string]int32{}, clocks: map[string]time.Duration{},
		ended: w.monitor.ended, exited: w.monitor.exited, disrupted: w.monitor.disrupted,
		held:   func(pod *corev1.Pod) bool { return w.gang != nil && w.gang.holds(pod) },
		report: w.send,
	}
	if o.Fate == nil {
		w.kubelet.fate = func(*corev1.Pod) Fate { return Fate{Start: time.Second, Run: 10 * time.Second} }
	}
	if o.Nodes == 0 {
		w.kubelet.nodes = 3
	}
	for i := range w.kubelet.nodes {
		w.server.insert(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + strconv.Itoa(i)}})
	}
}

// furtherKinds are the kinds of objects that jobs have beside their pods and services.
func furtherKinds[J client.Object](author jobkit.ControllerInterface[J], scheduler gang.Scheduler) []jobkit.Object {
	var kinds []jobkit.Object
	if keeper, ok := author.(jobkit.OwnedObjects[J]); ok {
		kinds = keeper.ObjectKinds()
	}
	if scheduler != nil {
		kinds = append(slices.Clone(kinds), scheduler.Kinds()...)
	}
	return kinds
}

// chooseOdds lets chance decide how often faults occur, so that some runs have one
// fault only and others many.
func (w *World) chooseOdds(faultFreeAfter int) {
	if faultFreeAfter == 0 {
		faultFreeAfter = 300
	}
	w.odds = odds{
		faulty:    []int{0, 2, 10, 40, 90}[w.chance.Pick(5)],
		fault:     []int{0, 3, 10, 30}[w.chance.Pick(4)],
		meanwhile: []int{0, 5, 20}[w.chance.Pick(3)],
		trouble:   []int{0, 1, 4}[w.chance.Pick(3)],
	}
	w.steps = faultFreeAfter * w.chance.Pick(5) / 4
	w.server.keepsRequest = w.chance.Percent(20)
}

// cacheFilterOf is what the caches that controller.CacheOptions configures keep of a kind.
func cacheFilterOf(t *table, scheme *runtime.Scheme, further []jobkit.Object) *cacheFilter {
	for o, by := range controller.CacheOptions(further...).ByObject {
		if gvk, err := apiutil.GVKForObject(o, scheme); err == nil && gvk == t.gvk {
			return &cacheFilter{selector: by.Label, transform: by.Transform}
		}
	}
	return &cacheFilter{}
}

// maxHeld is how many bytes a cache of the operator may hold of an object, whoever made it.
const maxHeld = 32 << 10

// checkHeld checks how much a cache holds of an object.
func (w *World) checkHeld(o client.Object) {
	if sized, ok := o.(interface{ Size() int }); ok && sized.Size() > maxHeld {
		w.violatef("memory", "a cache holds %d bytes of %T %s", sized.Size(), o, o.GetName())
	}
}

// reconcileFunc reconciles one job.
type reconcileFunc = func(context.Context, types.NamespacedName) (reconcile.Result, error)

// startFunc starts the controller in a process.
type startFunc = func(c client.Client, live client.Reader, p *process) (reconcileFunc, error)

// runner returns what starts the controller in a process. Its writes go one after
// the other, so that a run can be repeated.
func runner[J client.Object](program Program[J], scheme *runtime.Scheme, scheduler gang.Scheduler) startFunc {
	return func(c client.Client, live client.Reader, p *process) (reconcileFunc, error) {
		jobs := &controller.JobController[J]{Controller: program.Author(c), Client: c, APIReader: live, Recorder: p, Clock: worldClock{p}}
		jobs.Config.MaxParallelWrites = 1
		jobs.Metrics = unregistered{}
		jobs.Progress = p.w.progressOf(p)
		jobs.Config.GangScheduler = scheduler
		if err := jobs.Init(scheme); err != nil {
			return nil, fmt.Errorf("cannot set up the controller: %w", err)
		}
		p.podSeen, p.podDeleted = jobs.PodSeen, jobs.PodDeleted
		if program.Loop != nil {
			loop := program.Loop(c, jobs)
			return func(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
				return loop.Reconcile(ctx, reconcile.Request{NamespacedName: key})
			}, nil
		}
		return func(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
			var job J
			job, _ = reflect.TypeAssert[J](reflect.New(reflect.TypeOf(job).Elem()))
			if err := c.Get(ctx, key, job); err != nil {
				return reconcile.Result{}, client.IgnoreNotFound(err)
			}
			return jobs.ReconcileJobs(ctx, job)
		}, nil
	}
}

// unregistered takes metrics that no one reads. Each start of a process would search the
// registry of the whole program for them otherwise.
type unregistered struct{}

// Register implements prometheus.Registerer.
func (unregistered) Register(prometheus.Collector) error { return nil }

// MustRegister implements prometheus.Registerer.
func (unregistered) MustRegister(...prometheus.Collector) {}

// Unregister implements prometheus.Registerer.
func (unregistered) Unregister(prometheus.Collector) bool { return false }

// worldClock shows a process the time of its World.
type worldClock struct{ p *process }

// Now implements clock.PassiveClock.
func (c worldClock) Now() time.Time {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.w.now
}

// Since implements clock.PassiveClock.
func (c worldClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Now is the time in the World.
func (w *World) Now() time.Time { return w.now }

// Client is the client of a user: it reads what is true at this moment, and its
// calls meet no faults.
func (w *World) Client() client.Client { return api{w: w, live: true} }

// Events are the events that the operator has recorded so far.
func (w *World) Events() []Event { return w.events }

// Transcript is all that happened so far, one line each, with the time since the
// World began.
func (w *World) Transcript() string { return w.transcript.String() }

// At has a user do something when the given time has passed since the World began.
func (w *World) At(after time.Duration, what string, do func(context.Context, client.Client) error) {
	w.actions = append(w.actions, action{at: w.start.Add(after), what: what, do: do})
}

// SetQuota limits the pods of a namespace that have not ended, as a ResourceQuota
// does. A negative limit removes it.
func (w *World) SetQuota(namespace string, pods int) {
	w.logf("quota of namespace %s: %d pods", namespace, pods)
	w.server.quota[namespace] = pods
	if pods < 0 {
		delete(w.server.quota, namespace)
	}
}

// TerminateNamespace deletes a namespace: nothing can be created in it any more,
// and what exists goes.
func (w *World) TerminateNamespace(namespace string) {
	w.logf("namespace %s is being terminated", namespace)
	w.server.terminating[namespace] = true
}

// LoseNode cuts a node off: its pods neither end nor change, and are to be deleted
// after five minutes, which they cannot be.
func (w *World) LoseNode(node string) {
	w.logf("%s is lost", node)
	w.kubelet.lost[node] = w.now
}

// Disrupt has something end a pod from outside, if it exists: the pod gets the condition
// DisruptionTarget with the reason, such as EvictionByEvictionAPI, PreemptionByScheduler
// or DeletionByTaintManager, and is deleted.
func (w *World) Disrupt(pod types.NamespacedName, reason string) {
	if p, ok := w.kubelet.pods.get(pod).(*corev1.Pod); ok {
		w.logf("pod %s is disrupted: %s", pod.Name, reason)
		w.kubelet.disrupt(p, reason)
	}
}

// Exit has the containers of a pod end now, with an exit code: the node restarts them in place
// if the pod's restart policy says so. It reports whether they ran.
func (w *World) Exit(pod types.NamespacedName, code int32) bool {
	for _, l := range w.kubelet.lives {
		p := w.kubelet.pod(l)
		if p == nil || l.key != pod || !l.running || p.DeletionTimestamp != nil {
			continue
		}
		if _, lost := w.kubelet.lost[p.Spec.NodeName]; lost {
			continue
		}
		w.logf("node: pod %s %s", pod.Name, w.kubelet.exitWith(l, p, code))
		return true
	}
	return false
}

// Hang has the program of a pod hang now: it runs until the pod is deleted, reports nothing any
// more, and is not ready. It reports whether the program ran.
func (w *World) Hang(pod types.NamespacedName) bool {
	for _, l := range w.kubelet.lives {
		if p := w.kubelet.pod(l); p != nil && l.key == pod && l.running && p.DeletionTimestamp == nil {
			l.fate.Hangs = max(w.now.Sub(l.began), time.Nanosecond)
			return true
		}
	}
	return false
}

// Drain evicts all pods from a node.
func (w *World) Drain(node string) {
	for _, o := range w.kubelet.pods.all() {
		if pod, ok := o.(*corev1.Pod); ok && pod.Spec.NodeName == node {
			w.Disrupt(client.ObjectKeyFromObject(pod), "EvictionByEvictionAPI")
		}
	}
}

// SetNodeClock sets the clock of a node that much ahead of the API server's, or behind it
// if that is negative.
func (w *World) SetNodeClock(node string, ahead time.Duration) {
	w.logf("the clock of %s is off by %s", node, ahead)
	w.kubelet.clocks[node] = ahead
}

// RestoreNode brings a lost node back.
func (w *World) RestoreNode(node string) {
	w.logf("%s is back", node)
	delete(w.kubelet.lost, node)
}

// RemoveNode removes a lost node for good, and its pods with it.
func (w *World) RemoveNode(node string) {
	w.logf("%s is removed", node)
	w.kubelet.lost[node], w.kubelet.gone[node] = w.now, true
	if o := w.kubelet.objects.get(types.NamespacedName{Name: node}); o != nil {
		w.server.remove(w.kubelet.objects, o)
	}
}

// logf adds a line to the transcript.
func (w *World) logf(format string, args ...any) {
	if w.chance != nil && w.chance.quiet {
		return
	}
	_, _ = fmt.Fprintf(&w.transcript, "%9s  %s\n", w.now.Sub(w.start).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// violatef notes that a promise is broken. The first counts.
func (w *World) violatef(promise, format string, args ...any) {
	if w.broken != nil {
		return
	}
	w.broken = &ViolationError{Promise: promise, Message: fmt.Sprintf(format, args...)}
	w.logf("%s is broken: %s", promise, w.broken.Message)
	w.broken.Transcript = w.transcript.String()
}

// err is the broken promise as an error.
func (w *World) err() error {
	if w.broken == nil {
		return nil
	}
	return w.broken
}
