// Package kube shows and changes the jobs of a cluster, as package page needs it.
package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/page"
)

// Kind is a kind of job that the cluster serves.
type Kind struct {
	Kind     string
	Resource schema.GroupVersionResource
}

// Cluster shows and changes the jobs of a cluster. It implements page.Source and
// page.Steering.
type Cluster struct {
	dynamic   dynamic.Interface
	client    kubernetes.Interface
	namespace string
	jobs      map[string]cache.SharedIndexInformer // by resource, as in page.Ref
	resources map[string]schema.GroupVersionResource
	byKind    map[schema.GroupKind]string
	pods      cache.SharedIndexInformer

	mu       sync.Mutex
	troubles map[string]string
	noPods   bool
}

// byOwner indexes pods by the UID of the job that controls them.
const byOwner = "owner"

// New makes a Cluster for jobs of some kinds in one namespace, or in all if it is empty.
func New(dynamicClient dynamic.Interface, client kubernetes.Interface, kinds []Kind, namespace string) (*Cluster, error) {
	c := &Cluster{
		dynamic: dynamicClient, client: client, namespace: namespace,
		jobs: map[string]cache.SharedIndexInformer{}, resources: map[string]schema.GroupVersionResource{},
		byKind: map[schema.GroupKind]string{}, troubles: map[string]string{},
	}
	for _, k := range kinds {
		name := resourceName(k.Resource)
		c.resources[name], c.byKind[schema.GroupKind{Group: k.Resource.Group, Kind: k.Kind}] = k.Resource, name
		of := dynamicClient.Resource(k.Resource).Namespace(namespace)
		c.jobs[name] = informer(func() { c.works(name) }, dynamicClient, &unstructured.Unstructured{}, cache.Indexers{}, cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return of.List(ctx, o)
			},
			WatchFuncWithContext: of.Watch,
		})
		if err := c.jobs[name].SetTransform(shortJob); err != nil {
			return nil, fmt.Errorf("cannot watch %s: %w", k.Kind, err)
		}
	}
	pods := client.CoreV1().Pods(namespace)
	c.pods = informer(func() { c.works("pods") }, client, &corev1.Pod{}, cache.Indexers{byOwner: ownerIndex}, cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = commonv1.OperatorNameLabel
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = commonv1.OperatorNameLabel
			return pods.Watch(ctx, o)
		},
	})
	if err := c.pods.SetTransform(shortPod); err != nil {
		return nil, fmt.Errorf("cannot watch pods: %w", err)
	}
	return c, nil
}

// informer is one that calls works when its watch begins: that it works again shows at once then, and not only
// when something changes, which in a kind without jobs is never.
func informer(
	works func(), client any, object runtime.Object, indexers cache.Indexers, calls cache.ListWatch,
) cache.SharedIndexInformer {
	begin := calls.WatchFuncWithContext
	calls.WatchFuncWithContext = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		w, err := begin(ctx, o)
		if err == nil {
			works()
		}
		return w, err
	}
	return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&calls, client), object, 0, indexers)
}

// resourceName is a resource as it stands in a page.Ref.
func resourceName(r schema.GroupVersionResource) string {
	return strings.Join([]string{r.Resource, r.Version, r.Group}, ".")
}

// Watch implements page.Source.
func (c *Cluster) Watch(ctx context.Context, changed func(page.Ref)) error {
	var running sync.WaitGroup
	defer running.Wait()
	for name, informer := range c.jobs {
		read, err := c.handle(name, informer, func(item any) {
			if o, ok := item.(*unstructured.Unstructured); ok {
				changed(page.Ref{Resource: name, Namespace: o.GetNamespace(), Name: o.GetName()})
			}
		})
		if err != nil {
			return err
		}
		running.Go(func() { sayWhenRead(ctx, read, func() { changed(page.Ref{Resource: name}) }) })
	}
	_, err := c.handle("pods", c.pods, func(item any) {
		if pod, ok := item.(*corev1.Pod); ok {
			if ref, ok := c.jobOf(pod); ok {
				changed(ref)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, informer := range c.jobs {
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	running.Go(func() { c.pods.RunWithContext(ctx) })
	<-ctx.Done()
	return nil
}

// sayWhenRead calls a function when all that existed at first has been seen.
func sayWhenRead(ctx context.Context, seen cache.ResourceEventHandlerRegistration, say func()) {
	select {
	case <-seen.HasSyncedChecker().Done():
		say()
	case <-ctx.Done():
	}
}

// handle has an informer call a function for each object that is new, changed or gone.
func (c *Cluster) handle(what string, informer cache.SharedIndexInformer, call func(any)) (cache.ResourceEventHandlerRegistration, error) {
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { c.failed(what, err) })
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", what, err)
	}
	seen := func(item any) {
		if gone, ok := item.(cache.DeletedFinalStateUnknown); ok {
			item = gone.Obj
		}
		call(item)
	}
	added, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: seen, UpdateFunc: func(_, item any) { seen(item) }, DeleteFunc: seen,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", what, err)
	}
	return added, nil
}

// jobOf is the job that controls a pod.
func (c *Cluster) jobOf(pod *corev1.Pod) (page.Ref, bool) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return page.Ref{}, false
	}
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	name, ok := c.byKind[schema.GroupKind{Group: version.Group, Kind: owner.Kind}]
	return page.Ref{Resource: name, Namespace: pod.Namespace, Name: owner.Name}, ok && err == nil
}

// isTrouble reports whether an error of a watch is one that the user is to know. A watch normally ends by
// expiring, and is started again.
func isTrouble(err error) bool {
	normal := errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
	return err != nil && !normal
}

// failed notes that something cannot be watched now.
func (c *Cluster) failed(what string, err error) {
	if !isTrouble(err) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.troubles[what] = fmt.Sprintf("Cannot watch %s: %v", what, err)
	c.noPods = c.noPods || what == "pods" && apierrors.IsForbidden(err)
}

// works notes that something can be watched again.
func (c *Cluster) works(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.troubles, what)
	if what == "pods" {
		c.noPods = false
	}
}

// Troubles implements page.Source.
func (c *Cluster) Troubles() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Values(c.troubles))
}

// Job implements page.Source.
func (c *Cluster) Job(ref page.Ref) (page.Job, bool) {
	informer := c.jobs[ref.Resource]
	if informer == nil {
		return page.Job{}, false
	}
	item, ok, err := informer.GetStore().GetByKey(ref.Namespace + "/" + ref.Name)
	object, isObject := item.(*unstructured.Unstructured)
	if err != nil || !ok || !isObject {
		return page.Job{}, false
	}
	return page.Job{Object: object, Pods: c.podsOf(object.GetUID()), Left: leftOf(object)}, true
}

// Known implements page.Source.
func (c *Cluster) Known(ref page.Ref) bool {
	informer := c.jobs[ref.Resource]
	return informer == nil || informer.HasSynced()
}

// podsOf are the pods that a job controls; nil if they may not be read, or have not been.
func (c *Cluster) podsOf(uid types.UID) []*corev1.Pod {
	c.mu.Lock()
	unknown := c.noPods
	c.mu.Unlock()
	if unknown || !c.pods.HasSynced() {
		return nil
	}
	items, err := c.pods.GetIndexer().ByIndex(byOwner, string(uid))
	if err != nil {
		return nil
	}
	pods := make([]*corev1.Pod, 0, len(items))
	for _, item := range items {
		if pod, ok := item.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Logs implements page.Source.
func (c *Cluster) Logs(ctx context.Context, r page.LogRequest) (io.ReadCloser, error) {
	log, err := c.client.CoreV1().Pods(r.Namespace).GetLogs(r.Pod, &corev1.PodLogOptions{
		Container: r.Container, Previous: r.Previous, Follow: !r.Previous, TailLines: new(r.Lines),
	}).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the log of %s: %w", r.Pod, err)
	}
	return log, nil
}

// ownerIndex is the UID of the controller of a pod.
func ownerIndex(item any) ([]string, error) {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return nil, nil
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return nil, nil
	}
	return []string{string(owner.UID)}, nil
}
