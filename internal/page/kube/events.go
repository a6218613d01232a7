package kube

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/jobkit/jobkit/internal/cli/explain"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	"github.com/jobkit/jobkit/internal/page"
)

// Events implements page.Source. It watches the events of the job's namespace while a page of
// the job is open, and keeps only those of the job.
func (c *Cluster) Events(ctx context.Context, ref page.Ref, changed func([]corev1.Event, string)) error {
	job, ok := c.Job(ref)
	if !ok {
		return nil
	}
	w := &eventWatch{dirty: make(chan struct{}, 1)}
	calls := c.client.CoreV1().Events(ref.Namespace)
	informer := informer(func() { w.set("") }, c.client, &corev1.Event{}, cache.Indexers{}, cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return calls.List(ctx, o)
		},
		WatchFuncWithContext: calls.Watch,
	})
	if err := informer.SetTransform(onlyOf(jobview.FromObject(job.Object, job.Pods))); err != nil {
		return fmt.Errorf("cannot watch events: %w", err)
	}
	if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { w.failed(err) }); err != nil {
		return fmt.Errorf("cannot watch events: %w", err)
	}
	seen := func(item any) {
		if isEventOfJob(item) {
			w.wake()
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: func(_, item any) { seen(item) }})
	if err != nil {
		return fmt.Errorf("cannot watch events: %w", err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { informer.RunWithContext(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.dirty:
		}
		changed(eventsIn(informer.GetStore()), w.get())
	}
}

// eventWatch is what is known of a watch of events.
type eventWatch struct {
	dirty chan struct{} // holds a value if something has changed

	mu      sync.Mutex
	trouble string
}

// wake wakes who waits for a change, unless it is to wake already.
func (w *eventWatch) wake() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// failed notes that events cannot be watched now. Without that, a job whose events may not be read would seem to have
// none.
func (w *eventWatch) failed(err error) {
	switch {
	case !isTrouble(err):
	case apierrors.IsForbidden(err):
		w.set("You may not read events here.")
	default:
		w.set(fmt.Sprintf("Cannot watch events: %v", err))
	}
}

func (w *eventWatch) set(trouble string) {
	w.mu.Lock()
	same := w.trouble == trouble
	w.trouble = trouble
	w.mu.Unlock()
	if !same {
		w.wake()
	}
}

func (w *eventWatch) get() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// eventsIn are the events of the job in a store.
func eventsIn(store cache.Store) []corev1.Event {
	var events []corev1.Event
	for _, item := range store.List() {
		if e, ok := item.(*corev1.Event); ok && isEventOfJob(item) {
			events = append(events, *e)
		}
	}
	return events
}

// onlyOf makes all events small that do not concern a job: they are kept by name only.
func onlyOf(job jobview.Job) cache.TransformFunc {
	return func(item any) (any, error) {
		e, ok := item.(*corev1.Event)
		if !ok {
			return item, nil
		}
		if !explain.Concerns(*e, job) {
			return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name, ResourceVersion: e.ResourceVersion}}, nil
		}
		e.ManagedFields, e.Annotations, e.Labels = nil, nil, nil
		return e, nil
	}
}

// isEventOfJob reports whether an event is one that onlyOf has kept whole.
func isEventOfJob(item any) bool {
	e, ok := item.(*corev1.Event)
	return ok && e.InvolvedObject.Name != ""
}
