package jobtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Errors of the API server are tried again after this time, doubled each time up
// to the maximum, as the library's own loop does.
const (
	minRetry = 200 * time.Millisecond
	maxRetry = time.Minute
)

// latency is how long a call to the API server takes.
const latency = 5 * time.Millisecond

// Verbs of calls.
const (
	verbCreate = "create"
	verbDelete = "delete"
)

// call is one call to the API server.
type call struct {
	verb  string
	table *table
	key   types.NamespacedName
	// write is true for a write, status for one of the status only.
	write, status bool
	// guarded writes carry a UID or resource version as a precondition.
	guarded bool
	// uid and version are those in the precondition of a write.
	uid     types.UID
	version string
	// force is set for a delete without a grace period.
	force bool
	// object is what is to be created.
	object client.Object
	// begun is when the process made the call, which may take a while to arrive.
	begun time.Time
	// outlined is true if the cache had an outline of the object when the process made the call.
	outlined bool
	// patch is the body of a patch.
	patch []byte
}

func (c call) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", c.verb, strings.ToLower(c.table.gvk.Kind), c.key.Name))
}

// outcome says how a call ended.
func outcome(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// passState is one reconcile of one job, while it goes on.
type passState struct {
	key types.NamespacedName
	// began is when it began, and disrupted how many pods the process had seen disrupted by then.
	began     time.Time
	disrupted int
	// verified is the job as the server last showed it to the process in this pass.
	verified client.Object
	// seen are the objects that the caches, or the server, showed in this pass.
	seen []client.Object
	// gone are the pods that the watch said during the pass are gone, also if they are not: a cache may
	// go back in time.
	gone map[types.UID]bool
	// job is the job as the cache showed it, and pods are those of its pods that the
	// process knows, nil if it did not list them.
	job  client.Object
	pods knownPods
	// verifications is how often the server showed it, verifiedAt when it did last, and made how
	// many objects were to be created since; late are those of them that came when the
	// job had ended, was suspended, edited or deleted since.
	verifications, made, late int
	// creates are all that the pass asked for.
	creates    int
	verifiedAt time.Time
	// reads and writes are the calls that reached the server, statusWrites those
	// of them that wrote the job's status.
	reads, writes, statusWrites int
	// podReads are the reads of pods before the first write.
	podReads int
	// outlines are the objects that were read since the cache has an outline of them only.
	outlines map[childKey]bool
	// lookups are the names of owned kinds that were read, and are not those of the job's own objects.
	lookups map[childKey]bool
}

// childKey is the name of an object of a kind.
type childKey struct {
	kind string
	key  types.NamespacedName
}

// process is one process of the operator, from its start to its crash. Several
// can run at once; each has its own memory and caches.
type process struct {
	w    *World
	name string
	run  func(context.Context, types.NamespacedName) (reconcile.Result, error)
	// podSeen takes each state of a pod that the cache shows, with the one before, and podDeleted the
	// last one of a pod that it shows to be gone.
	podSeen    func(before, pod *corev1.Pod)
	podDeleted func(*corev1.Pod)
	// sawDisrupted are those of them that were disrupted.
	sawDisrupted []*corev1.Pod
	// sawEnded are those of them that had ended.
	sawEnded []client.Object

	// mu makes the calls of one pass, which the controller may make in parallel,
	// one after the other. Between the passes and calls of different processes the
	// World switches by itself, one at a time.
	mu    sync.Mutex
	views []*view
	queue map[types.NamespacedName]*item
	pass  *passState // nil if idle
	dead  bool
	own   ownWrites
	// born is when it started.
	born time.Time
	// refusals are the writes that the server refused last, by what they were to do.
	refusals map[string]lastRefusal
}

// item is a job in the work queue of a process. As in controller-runtime there is
// one entry a job, and what is due now goes before what is due later.
type item struct {
	queued   bool
	at       time.Time
	failures int
	// idle counts the passes in a row that timers caused and that changed nothing.
	idle    int
	version uint64 // of the store, at the end of the last pass
}

// errDead is what the calls of a process get once it has crashed.
var errDead = errors.New("the process has crashed")

// cached reads from the cache of a kind.
func (p *process) cached(t *table, read func(*view) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errDead
	}
	p.w.meanwhile(p)
	if p.dead {
		return errDead
	}
	if v := p.viewOf(t); v != nil {
		return read(v)
	}
	return fmt.Errorf("kind %s is not cached by the operator: %w", t.gvk.Kind, errNotSimulated)
}

// viewOf is the cache of a kind, nil if there is none.
func (p *process) viewOf(t *table) *view {
	for _, v := range p.views {
		if v.table == t {
			return v
		}
	}
	return nil
}

// call makes a call to the API server, in which anything may go wrong.
func (p *process) call(op call, f func() (client.Object, error)) (client.Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reply, err := p.tryCall(op, f)
	if l := p.pass; op.write && l != nil && l.job != nil && op.table == p.w.kubelet.pods {
		p.own.note(l.job.GetUID(), op, reply, err, p.w.now)
	}
	return reply, err
}

// tryCall is call, for the caller who holds the lock.
func (p *process) tryCall(op call, f func() (client.Object, error)) (client.Object, error) {
	w := p.w
	if p.dead || w.broken != nil {
		return nil, errDead
	}
	op.begun, op.outlined = w.now, p.hasOutline(op) // Meanwhile the cache may see that the object is gone.
	w.meanwhile(p)
	if p.dead || w.broken != nil {
		return nil, errDead
	}
	w.now = w.now.Add(latency)
	fault := w.fault(op)
	switch fault {
	case Paused:
		w.rest(p)
		if p.dead {
			return nil, errDead
		}
	case CrashBefore, CrashStale:
		w.logf("%s: crashes before it can %s", p.name, op)
		w.crash(p, fault == CrashStale)
		return nil, errDead
	case Timeout, Conflict, TooManyRequests, ServerError:
		return nil, p.undone(op, fault)
	case NoFault, LostReply, CrashAfter:
	}
	reply, err := p.serve(op, f)
	switch fault {
	case LostReply:
		w.logf("%s: %s%s, but the reply is lost", p.name, op, outcome(err))
		return nil, faultError(op, fault)
	case CrashAfter:
		w.logf("%s: %s%s, and crashes", p.name, op, outcome(err))
		w.crash(p, false)
		return nil, errDead
	case NoFault, Timeout, Conflict, TooManyRequests, ServerError, CrashBefore, CrashStale, Paused:
	}
	if op.write && err != nil {
		w.monitor.refused(p, op, err)
	}
	if op.write || err != nil {
		w.logf("%s: %s%s%s", p.name, op, w.inShort(op, reply), outcome(err))
	}
	if l := p.pass; l != nil && err == nil && reply != nil && op.table == w.jobs && op.key == l.key {
		l.verified, l.verifiedAt, l.made, l.late = reply, w.now, 0, 0
		l.verifications++
	}
	return reply, err
}

// undone is what the caller gets of a call that does not reach the server.
func (p *process) undone(op call, fault Fault) error {
	err := faultError(op, fault)
	p.w.logf("%s: %s%s (not done)", p.name, op, outcome(err))
	if p.pass != nil && op.verb == "create" {
		p.pass.creates++ // It is one of its batch, before which the job was verified.
	}
	return err
}

// inShort says in a few words what a write of a job's status made of it.
func (w *World) inShort(op call, reply client.Object) string {
	if !op.status || reply == nil || w.chance != nil && w.chance.quiet {
		return ""
	}
	parts := w.parts(reply)
	if parts.Status == nil {
		return ""
	}
	s := fmt.Sprintf(" (%s, %d restarts", cmp.Or(string(parts.Status.State), "no state"), parts.Status.Restarts)
	var b strings.Builder
	for _, role := range w.monitor.kind.Roles {
		t := role.Type
		if rs := parts.Status.ReplicaStatuses[t]; rs != nil {
			fmt.Fprintf(&b, ", %s: %d active %d succeeded %d failed", t, rs.Active, rs.Succeeded, rs.Failed)
		}
	}
	s += b.String()
	return s + ")"
}

// serve has the server do a call, and the monitor watch.
func (p *process) serve(op call, f func() (client.Object, error)) (client.Object, error) {
	w := p.w
	if l := p.pass; l != nil {
		switch {
		case op.status:
			l.statusWrites++
			l.writes++
		case op.write:
			l.writes++
		case op.table != w.kubelet.objects:
			l.reads++
			if op.table == w.kubelet.pods && l.writes == 0 {
				l.podReads++
			}
			if op.outlined {
				l.outlines[childKey{op.table.gvk.Kind, op.key}] = true
			}
		}
		w.count(l.key, op)
	}
	if op.write {
		w.monitor.beforeWrite(p, op)
		if w.gang != nil {
			w.gang.beforeWrite(p, op)
		}
	}
	was := w.actor
	w.actor = p
	reply, err := p.answer(op, f)
	w.actor = was
	p.lookedUp(op, reply)
	w.monitor.afterCreate(op, err)
	return reply, err
}

// lookedUp records a read of an object that is not the job's own, or not there.
func (p *process) lookedUp(op call, reply client.Object) {
	l, w := p.pass, p.w
	if l == nil || l.job == nil || op.write || op.table == w.jobs || op.table == w.kubelet.pods || w.cacheFilters[op.table] == nil {
		return
	}
	if reply == nil || !metav1.IsControlledBy(reply, l.job) {
		l.lookups[childKey{op.table.gvk.Kind, op.key}] = true
	}
}

// hasOutline reports whether the cache holds of an object the digest in place of what it says.
func (p *process) hasOutline(op call) bool {
	v := p.viewOf(op.table)
	if v == nil || v.objects[op.key] == nil {
		return false
	}
	return v.objects[op.key].GetSelfLink() != ""
}

// answer has the server do a call, unless it refuses calls like it.
func (p *process) answer(op call, f func() (client.Object, error)) (client.Object, error) {
	if op.write && p.w.denies != nil {
		if err := p.w.denies(op); err != nil {
			return nil, err
		}
	}
	if op.write && p.w.older != nil {
		if err := p.w.older.refuses(op); err != nil {
			return nil, err
		}
	}
	return f()
}

// count counts a call that reached the server.
func (w *World) count(job types.NamespacedName, op call) {
	if w.served[job] == nil {
		w.served[job] = map[string]int{}
	}
	kind := strings.ToLower(op.table.gvk.Kind)
	if op.table == w.jobs {
		kind = "job"
	}
	w.served[job][op.verb+" "+kind]++
}

// faultError is what the caller gets.
func faultError(op call, f Fault) error {
	gr := op.table.resource()
	switch f {
	case Conflict:
		return apierrors.NewConflict(gr, op.key.Name, errors.New("simulated conflict"))
	case TooManyRequests:
		return apierrors.NewTooManyRequests("simulated overload", 1)
	case ServerError:
		return apierrors.NewInternalError(errors.New("simulated internal error"))
	case NoFault, LostReply, Timeout, CrashBefore, CrashAfter, CrashStale, Paused:
	}
	return apierrors.NewTimeoutError("simulated timeout", 0)
}

// found records a job that the cache showed.
func (p *process) found(job client.Object) {
	if p.pass != nil && client.ObjectKeyFromObject(job) == p.pass.key {
		p.pass.job = job
		p.own.sawJob(job)
	}
}

// listed records the pods that the cache showed, or the server if live is set.
func (p *process) listed(list *corev1.PodList, live bool) {
	l := p.pass
	if l == nil || l.job == nil {
		return
	}
	var shown []*corev1.Pod
	for i := range list.Items {
		if pod := &list.Items[i]; metav1.IsControlledBy(pod, l.job) {
			shown = append(shown, pod)
		}
	}
	if live {
		l.pods = certain(shown)
	} else {
		l.pods = p.own.knows(l.job, shown, l.began, p.w.now)
	}
}

// read records a pod that the server showed.
func (p *process) read(pod *corev1.Pod) {
	if l := p.pass; l != nil && l.job != nil && l.writes == 0 && metav1.IsControlledBy(pod, l.job) {
		l.pods.asRead(pod)
	}
}

// add puts a job into the queue.
func (p *process) add(key types.NamespacedName) {
	it := p.item(key)
	it.queued, it.at, it.idle = true, p.w.now, 0
}

func (p *process) item(key types.NamespacedName) *item {
	it := p.queue[key]
	if it == nil {
		it = &item{}
		p.queue[key] = it
	}
	return it
}

// addAfter puts a job into the queue for later, unless it exists for an earlier time.
func (it *item) addAfter(now time.Time, d time.Duration) {
	if at := now.Add(d); !it.queued || at.Before(it.at) {
		it.queued, it.at = true, at
	}
}

// keys are the jobs in the queue, in order.
func (p *process) keys() []types.NamespacedName {
	out := make([]types.NamespacedName, 0, len(p.queue))
	for k, it := range p.queue {
		if it.queued {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, compareKeys)
	return out
}

// deliver brings the next event of a kind to the cache and wakes the jobs that it
// concerns.
func (p *process) deliver(v *view) {
	was, is := v.next()
	if was != nil && is == nil {
		p.gone(cmp.Or(v.last(), was)) // What the selector no longer finds is gone, too.
	}
	p.seen(was, is)
	if v.table == p.w.jobs && p.w.onlyReport(was, is) {
		// Nothing to do for it, but the next timer finds another job than the last did.
		p.item(client.ObjectKeyFromObject(is)).idle = 0
		return
	}
	p.wake(v.table, was)
	p.wake(v.table, is)
}

// relist lists a kind again, and wakes the jobs of all that existed or exists.
func (p *process) relist(v *view, pos int) {
	p.w.monitor.missed()
	before := v.objects
	for _, key := range v.keys {
		p.wake(v.table, v.objects[key])
	}
	if v.table == p.w.jobs && pos < v.pos {
		p.refusals = nil // What is remembered of a job ends with it, and with its generation. Both may seem to be others for a moment.
	}
	v.relist(pos)
	for _, key := range slices.SortedFunc(maps.Keys(before), compareKeys) {
		if v.objects[key] == nil {
			p.gone(before[key])
		}
	}
	for _, key := range v.keys {
		p.seen(before[key], v.objects[key])
		p.wake(v.table, v.objects[key])
	}
}

// wake queues the job that an object is, or belongs to.
func (p *process) wake(t *table, o client.Object) {
	if o == nil {
		return
	}
	if t == p.w.jobs {
		p.add(client.ObjectKeyFromObject(o))
		return
	}
	if owner := metav1.GetControllerOf(o); owner != nil && owner.Kind == p.w.jobs.gvk.Kind {
		p.add(types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name})
	}
}

// reconcile reconciles one job.
func (p *process) reconcile(ctx context.Context, key types.NamespacedName) {
	w, it := p.w, p.item(key)
	it.queued = false
	p.pass = &passState{
		key: key, began: w.now, disrupted: len(p.sawDisrupted), gone: map[types.UID]bool{},
		outlines: map[childKey]bool{}, lookups: map[childKey]bool{},
	}
	w.passes++
	result, err := p.recovered(ctx, key)
	l := p.pass
	p.pass = nil
	if p.dead {
		return
	}
	w.monitor.passEnded(p, l)
	out := slices.ContainsFunc(w.outages, func(o outage) bool { return w.now.Before(o.over) })
	if it.version != w.server.version || out {
		it.version, it.idle = w.server.version, 0
	} else {
		it.idle++
	}
	switch {
	case errors.Is(err, reconcile.TerminalError(nil)):
	case err != nil:
		w.logf("%s: reconcile of %s: %v", p.name, key.Name, err)
		it.addAfter(w.now, min(minRetry<<min(it.failures, 20), maxRetry))
		it.failures++
	default:
		it.failures = 0
		if result.RequeueAfter > 0 {
			it.addAfter(w.now, result.RequeueAfter)
		}
	}
}

// recovered turns a panic into an error, as controller-runtime does.
func (p *process) recovered(ctx context.Context, key types.NamespacedName) (result reconcile.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			p.w.violatef("no panics", "reconcile of %s panicked: %v", key.Name, r)
		}
	}()
	return p.run(ctx, key)
}

// Eventf implements events.EventRecorder.
func (p *process) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := regarding.(client.Object)
	if p.dead || !ok {
		return
	}
	e := Event{Job: o.GetName(), Warning: kind == corev1.EventTypeWarning, Reason: reason, Message: fmt.Sprintf(note, args...)}
	p.w.events = append(p.w.events, e)
	if p.w.observer.Recorded != nil {
		p.w.observer.Recorded(e)
	}
	p.w.logf("%s: event %s on %s: %s", p.name, e.Reason, e.Job, e.Message)
}
