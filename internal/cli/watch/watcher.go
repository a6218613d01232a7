package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Target is a job to follow.
type Target struct {
	// Resource, Namespace and Name are where the job is.
	Resource        schema.GroupVersionResource
	Namespace, Name string
	// Object is the job as it was submitted. Another job that later takes its name
	// has another UID, and is not followed.
	Object *unstructured.Unstructured
}

// Watcher follows jobs. It is safe for concurrent use.
type Watcher struct {
	targets []Target
	changed chan struct{}
	done    sync.WaitGroup
	jobs    map[scope]cache.SharedIndexInformer
	pods    map[string]cache.SharedIndexInformer // by namespace

	mu sync.Mutex
	// last is each job as it was last seen, or submitted.
	last map[types.UID]*unstructured.Unstructured
	// exists reports, for each job that was seen, whether it still exists.
	exists map[types.UID]bool
	// listed holds the scopes of which all jobs that exist have been seen.
	listed map[scope]bool
	// noPods holds the namespaces whose pods may not be read.
	noPods map[string]bool
	// trouble is why a watch fails now, or nil.
	trouble error
}

// scope is what one watch covers.
type scope struct {
	resource  schema.GroupVersionResource
	namespace string
}

// byOwner indexes pods by the UID of the job that controls them.
const byOwner = "owner"

// Start follows jobs until ctx ends. It returns at once, and Changes reports when
// something has changed. A user who may not read pods sees less, without error.
func Start(ctx context.Context, client dynamic.Interface, targets []Target) (*Watcher, error) {
	w := &Watcher{
		targets: targets,
		changed: make(chan struct{}, 1),
		jobs:    map[scope]cache.SharedIndexInformer{},
		pods:    map[string]cache.SharedIndexInformer{},
		last:    map[types.UID]*unstructured.Unstructured{},
		exists:  map[types.UID]bool{},
		listed:  map[scope]bool{},
		noPods:  map[string]bool{},
	}
	for _, t := range targets {
		w.last[t.Object.GetUID()] = t.Object
		s := scope{t.Resource, t.Namespace}
		if w.jobs[s] == nil {
			w.jobs[s] = dynamicinformer.NewFilteredDynamicInformer(client, s.resource, s.namespace, 0,
				cache.Indexers{}, w.only(s)).Informer()
		}
		if w.pods[t.Namespace] == nil {
			w.pods[t.Namespace] = dynamicinformer.NewFilteredDynamicInformer(client, corev1.SchemeGroupVersion.WithResource("pods"),
				t.Namespace, 0, cache.Indexers{byOwner: ownerIndex}, w.onlyPods(t.Namespace)).Informer()
		}
	}
	for s, informer := range w.jobs {
		err := w.run(ctx, informer, func(err error) { w.failed(err) }, func() { w.listed[s] = true })
		if err != nil {
			return nil, fmt.Errorf("cannot watch %s: %w", s.resource.Resource, err)
		}
	}
	for namespace, informer := range w.pods {
		err := w.run(ctx, informer, func(err error) { w.failedPods(err, namespace) }, func() {})
		if err != nil {
			return nil, fmt.Errorf("cannot watch pods: %w", err)
		}
	}
	return w, nil
}

// Changes receives when something may have changed. One value can stand for many
// changes.
func (w *Watcher) Changes() <-chan struct{} { return w.changed }

// Trouble says why the cluster cannot be watched at the moment; the watch is tried
// again all the time. It is nil when all is well.
func (w *Watcher) Trouble() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// Wait returns when the watches have ended, after the context of Start has.
func (w *Watcher) Wait() { w.done.Wait() }

// Snapshot is what is known of the jobs at the given moment, in the order of the
// targets.
func (w *Watcher) Snapshot(at time.Time) jobview.Snapshot {
	s := jobview.Snapshot{At: at, Jobs: make([]jobview.Job, 0, len(w.targets))}
	for _, t := range w.targets {
		object, gone := w.lastSeen(t)
		job := jobview.FromObject(object, w.podsOf(t))
		job.Gone = gone
		s.Jobs = append(s.Jobs, job)
	}
	return s
}

// lastSeen returns a job as it was last seen, and whether it is gone. It goes by what
// the event handlers saw, not by the informer's store: a job leaves the store some
// time before the handlers see its last state.
func (w *Watcher) lastSeen(t Target) (*unstructured.Unstructured, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := t.Object.GetUID()
	there, seen := w.exists[id]
	if !seen {
		// It was deleted before it was seen, if all that exist have been seen.
		return w.last[id], w.listed[scope{t.Resource, t.Namespace}]
	}
	return w.last[id], !there
}

// podsOf returns the pods that a job controls; nil if they may not be read.
func (w *Watcher) podsOf(t Target) []*corev1.Pod {
	informer := w.pods[t.Namespace]
	w.mu.Lock()
	unknown := w.noPods[t.Namespace] || !informer.HasSynced()
	w.mu.Unlock()
	if unknown {
		return nil
	}
	items, err := informer.GetIndexer().ByIndex(byOwner, string(t.Object.GetUID()))
	if err != nil {
		return nil
	}
	pods := make([]*corev1.Pod, 0, len(items))
	for _, item := range items {
		object, ok := item.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		pod := &corev1.Pod{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, pod) == nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// only narrows a watch to one name where it is for one job, because a user's
// rights may end there.
func (w *Watcher) only(s scope) dynamicinformer.TweakListOptionsFunc {
	var names []string
	for _, t := range w.targets {
		if (scope{t.Resource, t.Namespace}) == s {
			names = append(names, t.Name)
		}
	}
	return func(o *metav1.ListOptions) {
		if len(names) == 1 {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, names[0]).String()
		}
		fresh(o)
	}
}

// onlyPods narrows a watch to the pods of the jobs in a namespace, as far as a
// selector can hold them.
func (w *Watcher) onlyPods(namespace string) dynamicinformer.TweakListOptionsFunc {
	const most = 100 // names in a selector
	var names []string
	for _, t := range w.targets {
		if t.Namespace == namespace {
			names = append(names, t.Name)
		}
	}
	operator := selection.Exists
	if len(names) <= most {
		operator = selection.In
	} else {
		names = nil
	}
	requirement, err := labels.NewRequirement(commonv1.JobNameLabel, operator, names)
	if err != nil { // a name that no label can have: such a job has no pods
		requirement, _ = labels.NewRequirement(commonv1.JobNameLabel, selection.Exists, nil)
	}
	selector := requirement.String()
	return func(o *metav1.ListOptions) {
		o.LabelSelector = selector
		fresh(o)
	}
}

// fresh asks for a list that is up to date, not for whatever the API server has in
// its cache: a job that was created just before must be in it, or it would seem to
// be deleted.
func fresh(o *metav1.ListOptions) {
	if o.ResourceVersion == "0" {
		o.ResourceVersion = ""
	}
}

// run starts an informer. failed gets the errors of its watch, and listed is called,
// under the lock, when all that existed at first has been seen.
func (w *Watcher) run(ctx context.Context, informer cache.SharedIndexInformer, failed func(error), listed func()) error {
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		// A watch normally ends by expiring, and is started again.
		if err != nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) && !errors.Is(err, context.Canceled) {
			failed(err)
		}
	})
	if err != nil {
		return fmt.Errorf("cannot set the error handler: %w", err)
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(item any) { w.record(item, true) },
		UpdateFunc: func(before, item any) {
			// A job that took the name of another one between two lists arrives as an update.
			if uid(before) != uid(item) {
				w.record(before, false)
			}
			w.record(item, true)
		},
		DeleteFunc: func(item any) {
			if tombstone, ok := item.(cache.DeletedFinalStateUnknown); ok {
				item = tombstone.Obj
			}
			w.record(item, false)
		},
	})
	if err != nil {
		return fmt.Errorf("cannot set the event handler: %w", err)
	}
	w.done.Go(func() { informer.RunWithContext(ctx) })
	w.done.Go(func() {
		select {
		case <-handler.HasSyncedChecker().Done():
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		listed()
		w.mu.Unlock()
		w.notify()
	})
	return nil
}

// record stores an object from the watch, and whether it exists. The last state of a
// deleted job shows its outcome.
func (w *Watcher) record(item any, there bool) {
	w.mu.Lock()
	w.trouble = nil
	if object, ok := item.(*unstructured.Unstructured); ok {
		if _, wanted := w.last[uid(item)]; wanted {
			w.last[uid(item)], w.exists[uid(item)] = object, there
		}
	}
	w.mu.Unlock()
	w.notify()
}

// failed notes that jobs cannot be watched now.
func (w *Watcher) failed(err error) {
	w.mu.Lock()
	w.trouble = err
	w.mu.Unlock()
	w.notify()
}

// failedPods notes that pods cannot be watched now, or may not.
func (w *Watcher) failedPods(err error, namespace string) {
	if !apierrors.IsForbidden(err) {
		w.failed(err)
		return
	}
	w.mu.Lock()
	w.noPods[namespace] = true
	w.mu.Unlock()
	w.notify()
}

// notify wakes the reader of Changes, who may be awake.
func (w *Watcher) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// uid is the UID of an object from a watch.
func uid(item any) types.UID {
	object, ok := item.(*unstructured.Unstructured)
	if !ok {
		return ""
	}
	return object.GetUID()
}

// ownerIndex is the UID of the controller of a pod.
func ownerIndex(item any) ([]string, error) {
	object, ok := item.(*unstructured.Unstructured)
	if !ok {
		return nil, nil
	}
	owner := metav1.GetControllerOf(object)
	if owner == nil {
		return nil, nil
	}
	return []string{string(owner.UID)}, nil
}
