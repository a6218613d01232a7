package jobtest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// kind of a step, in the order in which they happen when nothing goes wrong.
type stepKind int

const (
	stepAction    stepKind = iota // a user does something
	stepStart                     // a process of the operator starts
	stepDeliver                   // a cache takes in an event
	stepReconcile                 // a process reconciles a job
	stepNode                      // a kubelet does something
	stepCollect                   // the garbage collector removes an object
	stepNamespace                 // the namespace controller removes an object
	stepGang                      // the gang scheduler does something
	stepBalancer                  // a load balancer goes that a deleted service had
	stepTime                      // time passes
	stepCrash                     // a process crashes, between two passes
	stepRelist                    // a cache is listed again
)

// step is one thing that can happen.
type step struct {
	kind    stepKind
	process int
	view    *view
	key     types.NamespacedName
	index   int
	table   *table
}

const (
	// patience is how many passes in a row may change nothing before a timer is
	// taken to be one that goes on forever, as the retry of a stalled job does.
	patience = 25
	// maxSteps is the default of Options.MaxSteps.
	maxSteps = 20000
)

// Run lets things happen until nothing is left to happen, and then checks that all
// is as the jobs' specifications want it, and that the operator is quiet. The error
// is a *[ViolationError] if a promise was broken.
func (w *World) Run(ctx context.Context) error {
	w.ctx = log.IntoContext(ctx, logr.Discard())
	if w.proceed(nil, time.Time{}) {
		w.steps = 0
		w.monitor.checkQuiescent(w.ctx) //nolint:contextcheck // it is the caller's, with a logger in it
	}
	return w.err()
}

// RunFor lets things happen until the given time has passed, or nothing is left to
// happen.
func (w *World) RunFor(ctx context.Context, d time.Duration) error {
	w.ctx = log.IntoContext(ctx, logr.Discard())
	until := w.now.Add(d)
	if w.proceed(nil, until); w.now.Before(until) {
		w.now = until
	}
	return w.err()
}

// RunUntil is RunFor that ends early, as soon as done reports true.
func (w *World) RunUntil(ctx context.Context, d time.Duration, done func() bool) error {
	w.done = done
	defer func() { w.done = nil }()
	w.ctx = log.IntoContext(ctx, logr.Discard())
	until := w.now.Add(d)
	if w.proceed(nil, until); w.now.Before(until) && !done() {
		w.now = until
	}
	return w.err()
}

// rest lets all but one process go on until nothing is left to happen, or ten
// minutes have passed.
func (w *World) rest(p *process) {
	w.logf("%s: pauses", p.name)
	w.depth++
	w.proceed(p, w.now.Add(10*time.Minute))
	w.depth--
	w.logf("%s: goes on", p.name)
}

// proceed lets things happen until the given time, if it is set. It reports whether
// the World has come to rest.
func (w *World) proceed(but *process, until time.Time) bool {
	faultFree := 0
	for w.broken == nil && (w.done == nil || !w.done()) {
		faulty := w.steps > 0
		all := w.possible(but, until, faulty)
		if len(all) == 0 {
			return true
		}
		choice := 0
		if faulty {
			w.steps--
			choice = w.chance.pick(len(all), 100-w.odds.faulty)
			w.calmSince = w.now
		} else if faultFree++; faultFree > w.maxSteps {
			w.violatef("P3", "nothing goes wrong any more, but after %d steps the World has not come to rest", w.maxSteps)
		}
		w.perform(all[choice])
	}
	return false
}

// meanwhile lets other things happen while a process makes a call.
func (w *World) meanwhile(p *process) {
	if w.steps <= 0 || w.depth >= 3 || w.odds.meanwhile == 0 {
		return
	}
	w.depth++
	for range w.chance.pick(6, 100-w.odds.meanwhile) {
		all := w.possible(nil, time.Time{}, true)
		if len(all) == 0 || p.dead || w.broken != nil {
			break
		}
		w.steps--
		w.perform(all[w.chance.pick(len(all), 30)])
	}
	w.depth--
}

// fault decides what goes wrong with a call.
func (w *World) fault(op call) Fault {
	w.calls++
	for _, o := range w.outages {
		if w.now.Before(o.over) && o.hits(op) {
			return o.fault
		}
	}
	c := w.chance
	if c == nil {
		return NoFault
	}
	if c.script != nil {
		faults := faultsOf(op)
		c.calls = append(c.calls, faults)
		if f := c.script[w.calls]; slices.Contains(faults, f) {
			return f
		}
		return NoFault
	}
	if w.steps <= 0 || w.odds.fault == 0 {
		return NoFault
	}
	faults := faultsOf(op)
	if i := c.pick(len(faults)+1, 100-w.odds.fault); i > 0 {
		return faults[i-1]
	}
	return NoFault
}

// possible lists all that can happen next; what would if nothing went wrong is first.
func (w *World) possible(but *process, until time.Time, faulty bool) []step { //nolint:gocognit // the list of all that can happen next
	var all []step
	for i := range w.actions {
		if !w.actions[i].at.After(w.now) {
			all = append(all, step{kind: stepAction, index: i})
			break // users act one after the other
		}
	}
	for i, p := range w.processes {
		if p == nil {
			all = append(all, step{kind: stepStart, process: i})
		}
	}
	for i, p := range w.processes {
		if p == nil || p == but {
			continue
		}
		for _, v := range p.views {
			if v.behind() > 0 {
				all = append(all, step{kind: stepDeliver, process: i, view: v})
			}
		}
	}
	for i, p := range w.processes {
		if p == nil || p == but || p.pass != nil {
			continue
		}
		for _, key := range p.keys() {
			if !p.queue[key].at.After(w.now) {
				all = append(all, step{kind: stepReconcile, process: i, key: key})
			}
		}
	}
	all = w.possibleInCluster(all)
	if next := w.next(but); !next.IsZero() && (until.IsZero() || !next.After(until)) {
		all = append(all, step{kind: stepTime})
	}
	if faulty && len(all) > 0 && w.chance.pick(2, 100-w.odds.trouble) == 1 {
		if trouble := w.possibleFaults(); len(trouble) > 0 {
			return trouble
		}
	}
	return all
}

// possibleInCluster adds what nodes and the cluster's own controllers can do.
func (w *World) possibleInCluster(all []step) []step {
	for i, l := range w.kubelet.lives {
		if at, ok := w.kubelet.due(l); ok && !at.After(w.now) {
			all = append(all, step{kind: stepNode, index: i})
		}
	}
	for i := range w.orphans {
		all = append(all, step{kind: stepCollect, index: i})
	}
	for i := range w.gangSteps() {
		all = append(all, step{kind: stepGang, index: i})
	}
	if len(w.balanced) > 0 {
		all = append(all, step{kind: stepBalancer})
	}
	if len(w.server.terminating) == 0 {
		return all
	}
	for _, t := range w.server.tables {
		for _, key := range t.keys {
			if w.server.terminating[key.Namespace] && t.objects[key].GetDeletionTimestamp() == nil {
				all = append(all, step{kind: stepNamespace, table: t, key: key})
			}
		}
	}
	return all
}

// gangSteps are what the gang scheduler can do, if there is one.
func (w *World) gangSteps() []controllerStep {
	if w.gang == nil {
		return nil
	}
	return w.gang.nextSteps()
}

// possibleFaults lists what can go wrong between the calls.
func (w *World) possibleFaults() []step {
	var all []step
	for i, p := range w.processes {
		if p == nil {
			continue
		}
		all = append(all, step{kind: stepCrash, process: i})
		for _, v := range p.views {
			all = append(all, step{kind: stepRelist, process: i, view: v})
		}
	}
	return all
}

// perform lets a step happen.
func (w *World) perform(s step) {
	w.writeReports()
	switch s.kind {
	case stepAction:
		a := w.actions[s.index]
		w.actions = slices.Delete(w.actions, s.index, s.index+1)
		w.logf("user: %s", a.what)
		if err := a.do(w.ctx, w.Client()); err != nil {
			w.violatef("test", "the user cannot %s: %v", a.what, err)
		}
	case stepStart:
		w.startProcess(s.process)
	case stepDeliver:
		w.processes[s.process].deliver(s.view)
	case stepReconcile:
		w.processes[s.process].reconcile(w.ctx, s.key)
	case stepNode:
		l := w.kubelet.lives[s.index]
		what := w.kubelet.act(l)
		w.logf("node: pod %s %s", l.key.Name, what)
		w.kubelet.forget()
	case stepCollect:
		o := w.orphans[s.index]
		w.orphans = slices.Delete(w.orphans, s.index, s.index+1)
		w.collect(o)
	case stepNamespace:
		w.logf("namespace controller: delete %s %s", s.table.resource().Resource, s.key.Name)
		_ = w.server.delete(s.table, s.key, deletion{}) // there is no reason for it to fail
	case stepGang:
		d := w.gangSteps()[s.index]
		w.logf("gang scheduler: %s", d.what)
		d.do()
	case stepBalancer:
		w.removeBalancer()
	case stepTime:
		w.advanceClock()
	case stepCrash:
		p := w.processes[s.process]
		w.logf("%s: crashes", p.name)
		w.crash(p, false)
	case stepRelist:
		pos := len(s.view.table.log)
		pos -= w.chance.pick(pos+1, 50)
		w.logf("%s: lists %s again, as they were %d changes ago", w.processes[s.process].name, s.view.table.resource().Resource, len(s.view.table.log)-pos)
		w.processes[s.process].relist(s.view, pos)
	}
}

// next is when something happens next by itself, and zero if nothing does.
func (w *World) next(but *process) time.Time { //nolint:gocognit // the order in which things are tried
	var next time.Time
	consider := func(at time.Time) {
		if at.After(w.now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for i := range w.actions {
		consider(w.actions[i].at)
	}
	for _, p := range w.processes {
		if p == nil || p == but {
			continue
		}
		for _, it := range p.queue {
			if it.queued && it.idle < patience {
				consider(it.at)
			}
		}
	}
	for _, l := range w.kubelet.lives {
		if at, ok := w.kubelet.due(l); ok {
			consider(at)
		}
	}
	if at := w.nextReport(); !at.IsZero() {
		consider(at)
	}
	return next
}

// advanceClock lets time pass: until something is due, or some of that.
func (w *World) advanceClock() {
	next := w.next(nil)
	if w.steps > 0 {
		parts := []time.Duration{0, 50 * time.Millisecond, 700 * time.Millisecond, 5 * time.Second}
		if part := parts[w.chance.pick(4, 50)]; part > 0 && w.now.Add(part).Before(next) {
			next = w.now.Add(part)
		}
	}
	if next.After(w.now) {
		w.now = next
	}
	w.writeReports()
}

// crash ends a process: what it knew is lost.
func (w *World) crash(p *process, stale bool) {
	p.dead = true
	for i := range w.processes {
		if w.processes[i] == p {
			w.processes[i], w.stale[i] = nil, stale
		}
	}
}

// startProcess starts a process of the operator, with empty memory. Its caches
// begin with the state of the cluster or, if chance or a fault says so, with an
// older one.
func (w *World) startProcess(i int) {
	w.births++
	w.monitor.missed()
	p := &process{
		w: w, name: "operator-" + string("abcdefghijklmnopqrstuvwxyz"[i%26]), born: w.now,
		queue: map[types.NamespacedName]*item{}, own: newOwnWrites(),
	}
	run, err := w.newRun(api{w: w, p: p}, api{w: w, p: p, live: true}, p)
	if err != nil {
		w.violatef("test", "%v", err)
		return
	}
	p.run = run
	for _, t := range w.server.tables {
		l := w.cacheFilters[t]
		if l == nil {
			continue
		}
		pos := len(t.log)
		if w.stale[i] {
			pos /= 2
		} else if w.steps > 0 && w.births > len(w.processes) {
			pos -= w.chance.pick(pos+1, 70)
		}
		v := newView(t, l, pos)
		p.views = append(p.views, v)
		for _, key := range v.keys {
			p.seen(nil, v.objects[key])
			p.wake(t, v.objects[key])
		}
	}
	w.stale[i] = false
	w.processes[i] = p
	if w.births > len(w.processes) {
		w.logf("%s: starts again", p.name)
	}
}

// changed records every change in the cluster.
func (w *World) changed(t *table, c change) {
	if pod, ok := c.object.(*corev1.Pod); ok && c.verb == added {
		w.kubelet.born(pod)
	}
	switch c.verb {
	case added:
		if owner := metav1.GetControllerOf(c.object); owner != nil && !w.alive(owner.UID) {
			w.orphans = append(w.orphans, orphan{t, client.ObjectKeyFromObject(c.object), c.object.GetUID()})
		}
	case deleted:
		w.orphan(c.object.GetUID())
		w.askOwner(c.object)
	case modified:
		if slices.Contains(c.object.GetFinalizers(), metav1.FinalizerDeleteDependents) &&
			!slices.Contains(c.was.GetFinalizers(), metav1.FinalizerDeleteDependents) {
			w.orphan(c.object.GetUID())
			w.orphans = append(w.orphans, orphan{t, client.ObjectKeyFromObject(c.object), c.object.GetUID()})
		}
	}
	w.monitor.changed(t, c)
	if w.gang != nil {
		w.gang.changed(t, c)
	}
	w.claimChanged(c)
	w.balancerChanged(c)
	if w.observer.Changed == nil {
		return
	}
	if c.verb == deleted {
		w.observer.Changed(c.was, nil)
	} else {
		w.observer.Changed(c.was, c.object)
	}
}

// alive reports whether an object of a UID exists.
func (w *World) alive(uid types.UID) bool {
	for _, t := range w.server.tables {
		for _, o := range t.objects {
			if o.GetUID() == uid {
				return !slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents)
			}
		}
	}
	return false
}

// orphan hands the dependents of an object to the garbage collector.
func (w *World) orphan(uid types.UID) {
	for _, t := range w.server.tables {
		for _, key := range t.keys {
			o := t.objects[key]
			if owner := metav1.GetControllerOf(o); owner != nil && owner.UID == uid {
				w.orphans = append(w.orphans, orphan{t, key, o.GetUID()})
			}
		}
	}
}

// askOwner hands the owner of an object that is gone to the garbage collector, if
// it waits for that.
func (w *World) askOwner(o client.Object) {
	owner := metav1.GetControllerOf(o)
	if owner == nil {
		return
	}
	for _, t := range w.server.tables {
		for key, there := range t.objects {
			if there.GetUID() == owner.UID && slices.Contains(there.GetFinalizers(), metav1.FinalizerDeleteDependents) {
				w.orphans = append(w.orphans, orphan{t, key, owner.UID})
			}
		}
	}
}

// collect has the garbage collector check an object: it deletes one whose owner
// is gone or waits for it, and lets go an owner whose dependents are gone.
func (w *World) collect(o orphan) {
	there := o.table.get(o.key)
	if there == nil || there.GetUID() != o.uid {
		return
	}
	if slices.Contains(there.GetFinalizers(), metav1.FinalizerDeleteDependents) {
		w.release(o, there)
		return
	}
	owner := metav1.GetControllerOf(there)
	if owner == nil || w.alive(owner.UID) {
		return
	}
	w.logf("garbage collector: delete %s %s", o.table.resource().Resource, o.key.Name)
	if err := w.server.delete(o.table, o.key, deletion{uid: o.uid}); err != nil {
		w.violatef("test", "%v", errors.Join(errors.New("the garbage collector failed"), err))
	}
}

// release lets an owner go that waits for its dependents, once there are none.
func (w *World) release(o orphan, there client.Object) {
	for _, t := range w.server.tables {
		for _, dependent := range t.objects {
			if owner := metav1.GetControllerOf(dependent); owner != nil && owner.UID == o.uid {
				return // it is asked again when that is gone
			}
		}
	}
	w.logf("garbage collector: %s %s has no dependents left", o.table.resource().Resource, o.key.Name)
	next := clone(there)
	next.SetFinalizers(slices.DeleteFunc(slices.Clone(there.GetFinalizers()), func(f string) bool {
		return f == metav1.FinalizerDeleteDependents
	}))
	w.server.commit(o.table, there, next)
}
