package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// counts are the objects of a namespace.
type counts struct {
	// created counts all pods ever created; running and succeeded count those that
	// exist in that phase, the running ones only if they are not being deleted.
	created, running, succeeded int
	// failed counts all pods ever seen to have failed, left those whose deletion has begun.
	failed, left int
	// pods and services count those that exist.
	pods, services int
	// active and finished are what the status of the jobs reports.
	active, restarts int64
	finished         int
}

// world watches a namespace, next to the API server whatever the distance of the
// client that is measured. Its cost is the same for all of them.
type world struct {
	namespace string
	stop      context.CancelFunc

	mu       sync.Mutex
	counts   counts
	pods     map[types.UID]podState
	services map[types.UID]bool
	jobs     map[types.UID]progress
	// ended is when a pod or a job, by name, was first seen to have ended.
	ended   map[string]time.Time
	waiters []*waiter
}

type podState struct{ running, succeeded, failed, left bool }

// waiter waits until something is true of the counts.
type waiter struct {
	holds func(counts) bool
	// at is when it was seen, once fired is closed.
	at    time.Time
	fired chan struct{}
}

// seen is when it was seen; zero if it was not.
func (x *waiter) seen() time.Time {
	select {
	case <-x.fired:
		return x.at
	default:
		return time.Time{}
	}
}

// newWorld has seen nothing yet.
func newWorld(namespace string) *world {
	return &world{
		namespace: namespace,
		pods:      map[types.UID]podState{}, services: map[types.UID]bool{}, jobs: map[types.UID]progress{}, ended: map[string]time.Time{},
	}
}

// watch begins to watch a namespace.
func (b *bench) watch(ctx context.Context, namespace string) (*world, error) {
	w := newWorld(namespace)
	ctx, w.stop = context.WithCancel(ctx)
	core := informers.NewSharedInformerFactoryWithOptions(b.kube, 0, informers.WithNamespace(namespace), informers.WithTransform(strip))
	jobs := dynamicinformer.NewFilteredDynamicSharedInformerFactory(b.dynamic, 0, namespace, nil)
	watched := []struct {
		informer cache.SharedIndexInformer
		see      func(o any, there bool)
	}{
		{core.Core().V1().Pods().Informer(), w.seePod},
		{core.Core().V1().Services().Informer(), w.seeService},
		{jobs.ForResource(b.kind.gvr()).Informer(), func(o any, there bool) { w.seeJob(b.kind, o, there) }},
	}
	synced := make([]cache.InformerSynced, 0, len(watched))
	for _, x := range watched {
		handler, err := x.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { x.see(o, true) },
			UpdateFunc: func(_, o any) { x.see(o, true) },
			DeleteFunc: func(o any) {
				if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = last.Obj
				}
				x.see(o, false)
			},
		})
		if err != nil {
			return nil, fmt.Errorf("cannot watch namespace %s: %w", namespace, err)
		}
		synced = append(synced, handler.HasSynced)
	}
	core.Start(ctx.Done())
	jobs.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil, fmt.Errorf("cannot watch namespace %s: %w", namespace, context.Cause(ctx))
	}
	return w, nil
}

// strip removes the fields of an object that the bench does not read.
func strip(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Pod:
		p := &corev1.Pod{Status: corev1.PodStatus{Phase: o.Status.Phase}}
		p.Namespace, p.Name, p.UID, p.DeletionTimestamp = o.Namespace, o.Name, o.UID, o.DeletionTimestamp
		return p, nil
	case *corev1.Service:
		s := &corev1.Service{}
		s.Namespace, s.Name, s.UID = o.Namespace, o.Name, o.UID
		return s, nil
	}
	return o, nil
}

func (w *world) seePod(o any, there bool) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	was, known := w.pods[p.UID]
	is := podState{
		running:   there && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil,
		succeeded: there && p.Status.Phase == corev1.PodSucceeded,
		failed:    was.failed || p.Status.Phase == corev1.PodFailed,
		left:      was.left || !there || p.DeletionTimestamp != nil,
	}
	w.counts.running += one(is.running) - one(was.running)
	w.counts.succeeded += one(is.succeeded) - one(was.succeeded)
	w.counts.failed += one(is.failed) - one(was.failed)
	w.counts.left += one(is.left) - one(was.left)
	w.counts.pods += one(there) - one(known)
	w.counts.created += one(!known)
	if w.pods[p.UID] = is; !there {
		delete(w.pods, p.UID)
	}
	if is.succeeded {
		w.end(p.Name)
	}
	w.notify()
}

func (w *world) seeService(o any, there bool) {
	s, ok := o.(*corev1.Service)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.services[s.UID] = true; !there {
		delete(w.services, s.UID)
	}
	w.counts.services = len(w.services)
	w.notify()
}

func (w *world) seeJob(k kind, o any, there bool) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	was, is := w.jobs[u.GetUID()], progress{}
	if there {
		is = k.progressOf(u)
	}
	w.counts.active += is.active - was.active
	w.counts.restarts += is.restarts - was.restarts
	w.counts.finished += one(is.finished) - one(was.finished)
	if w.jobs[u.GetUID()] = is; !there {
		delete(w.jobs, u.GetUID())
	}
	if is.finished {
		w.end(u.GetName())
	}
	w.notify()
}

// end notes when something ended.
func (w *world) end(name string) {
	if w.ended[name].IsZero() {
		w.ended[name] = time.Now()
	}
}

// endedAt is when a pod or a job was seen to have ended.
func (w *world) endedAt(name string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended[name]
}

// now returns the counts.
func (w *world) now() counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}

// notify wakes the waiters whose condition holds. The lock must be held.
func (w *world) notify() {
	w.waiters = slices.DeleteFunc(w.waiters, func(x *waiter) bool {
		over := x.holds(w.counts)
		if over {
			x.at = time.Now()
			close(x.fired)
		}
		return over
	})
}

// expect begins to wait for something to be true.
func (w *world) expect(holds func(counts) bool) *waiter {
	x := &waiter{holds: holds, fired: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiters = append(w.waiters, x)
	w.notify()
	return x
}

// until waits for something to be true, and returns the time at which it was seen.
func (w *world) until(ctx context.Context, what string, holds func(counts) bool) (time.Time, error) {
	return w.await(ctx, what, w.expect(holds))
}

// await waits for what is expected, as long as anything happens: how long 50,000 pods take to start depends on
// the machine.
func (w *world) await(ctx context.Context, what string, x *waiter) (time.Time, error) {
	check := time.NewTicker(patience)
	defer check.Stop()
	for last := w.now(); ; {
		select {
		case <-x.fired:
			return x.at, nil
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("waited in vain until %s: %w", what, context.Cause(ctx))
		case <-check.C:
			now := w.now()
			if now == last {
				return time.Time{}, fmt.Errorf("waited in vain until %s: nothing has happened for %s, the counts are %+v", what, patience, now)
			}
			last = now
		}
	}
}

// one is 1 for true.
func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
