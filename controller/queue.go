package controller

import (
	"cmp"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// childPriority is that of a reconcile that a pod or another object of a job causes. Jobs
// that are new or were changed, and times that have come, have 0: when many jobs start
// at once, all get their pods before the status of each follows what its pods do.
const childPriority = -1

// How long after an event of a pod or another child its job is reconciled, so that events of
// several children are one reconcile, and one write of the status.
const (
	childDelay = 100 * time.Millisecond
	// childDelayPerPod is what a large job waits for instead. A reconcile looks at all pods, and while those of a
	// large job start or stop, something happens all the time: the operator would do little else.
	childDelayPerPod = 200 * time.Microsecond
	// maxChildDelay is how long the Job controller of Kubernetes always waits.
	maxChildDelay = time.Second
)

// activePriority is that of the first reconcile of a job that an operator finds active when it starts. Those
// without a status, which are new, go before it, as when they are created, and those that have ended after it.
const activePriority = handler.LowPriority / 2

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// forChildren passes events on to the handler that finds the job, with the priority
// of children.
type forChildren struct {
	to handler.EventHandler
	// podSeen takes each state of a pod with the one before, and podDeleted the last one of each that
	// is gone, before the job is queued.
	podSeen    func(before, pod *corev1.Pod)
	podDeleted func(*corev1.Pod)
	delays     *childDelays
}

// Create implements handler.EventHandler.
func (h forChildren) Create(ctx context.Context, e event.TypedCreateEvent[client.Object], q queue) {
	h.seen(nil, e.Object)
	h.to.Create(ctx, e, h.behind(q))
}

// Update implements handler.EventHandler.
func (h forChildren) Update(ctx context.Context, e event.TypedUpdateEvent[client.Object], q queue) {
	if gone, ok := e.ObjectOld.(*corev1.Pod); ok && gone.UID != e.ObjectNew.GetUID() {
		h.podDeleted(gone) // After a gap in the watch, a list shows a pod and the next one of its name as one.
		h.seen(nil, e.ObjectNew)
	} else {
		h.seen(e.ObjectOld, e.ObjectNew)
	}
	h.to.Update(ctx, e, h.behind(q))
}

// Delete implements handler.EventHandler.
func (h forChildren) Delete(ctx context.Context, e event.TypedDeleteEvent[client.Object], q queue) {
	if pod, ok := e.Object.(*corev1.Pod); ok {
		h.podDeleted(pod)
	}
	h.to.Delete(ctx, e, h.behind(q))
}

// Generic implements handler.EventHandler.
func (h forChildren) Generic(ctx context.Context, e event.TypedGenericEvent[client.Object], q queue) {
	h.to.Generic(ctx, e, h.behind(q))
}

// seen calls podSeen if an object is a pod.
func (h forChildren) seen(before, o client.Object) {
	if pod, ok := o.(*corev1.Pod); ok {
		was, _ := before.(*corev1.Pod)
		h.podSeen(was, pod)
	}
}

// behind returns a queue in which what is added has the priority of children, or a
// lower one, and waits for the delay of its job. A queue that knows no priorities stays as it is.
func (h forChildren) behind(q queue) queue { //nolint:ireturn // the queue that it was given, or one in front of it
	if p, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		return childQueue{p, h.delays}
	}
	return q
}

type childQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]

	delays *childDelays
}

// Add implements workqueue.TypedInterface.
func (q childQueue) Add(r reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, r) }

// AddWithOpts implements priorityqueue.PriorityQueue.
func (q childQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	if o.Priority == nil || *o.Priority > childPriority {
		o.Priority = new(childPriority)
	}
	after := o.After
	for _, r := range requests {
		o.After = max(after, q.delays.of(r.NamespacedName))
		q.PriorityQueue.AddWithOpts(o, r)
	}
}

// childDelays are the delays of large jobs; every other job has childDelay. The zero value has no large job.
type childDelays struct {
	mu    sync.RWMutex
	large map[types.NamespacedName]time.Duration
}

// observe takes how many pods a job has.
func (d *childDelays) observe(job types.NamespacedName, pods int) {
	delay := min(max(childDelay, time.Duration(pods)*childDelayPerPod), maxChildDelay)
	if d.of(job) == delay {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if delay == childDelay {
		delete(d.large, job)
		return
	}
	if d.large == nil {
		d.large = map[types.NamespacedName]time.Duration{}
	}
	d.large[job] = delay
}

// of is the delay of a job.
func (d *childDelays) of(job types.NamespacedName) time.Duration {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return cmp.Or(d.large[job], childDelay)
}

// forget drops a job that is gone.
func (d *childDelays) forget(job types.NamespacedName) { d.observe(job, 0) }

// foundAtStart raises the priority of jobs that exist when the operator starts and have not ended. Without it
// all have the same, and go in the order of the list: a job that was created while no operator ran would
// wait for a reconcile of every other. It stands beside the handler that queues jobs: the queue keeps the
// higher priority of the two.
func (c *JobController[J]) foundAtStart() handler.EventHandler {
	return handler.Funcs{CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
		p, ordered := q.(priorityqueue.PriorityQueue[reconcile.Request])
		job, isJob := e.Object.(J)
		if !ordered || !isJob || !e.IsInInitialList {
			return
		}
		status := fieldAt[commonv1.JobStatus](job, c.set.statusAt)
		if status == nil || status.Finished() {
			return
		}
		priority := activePriority
		if len(status.Conditions) == 0 {
			priority = 0
		}
		p.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(job)})
	}}
}
