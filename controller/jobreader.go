package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
)

// jobReader lists and watches the jobs of one kind.
type jobReader[J client.Object] struct {
	gvk    schema.GroupVersionKind
	client rest.Interface
	mapper meta.RESTMapper
	scheme *runtime.Scheme
}

func newJobReader[J client.Object](mgr ctrl.Manager, gvk schema.GroupVersionKind, parts func(J) jobkit.JobParts) (*jobReader[J], error) {
	config := rest.CopyConfig(mgr.GetConfig())
	gv := gvk.GroupVersion()
	config.GroupVersion, config.APIPath = &gv, "/apis"
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = newJobDecoder(gvk, parts)
	c, err := rest.RESTClientForConfigAndClient(config, mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the jobs of kind %s: %w", gvk.Kind, err)
	}
	return &jobReader[J]{gvk: gvk, client: c, mapper: mgr.GetRESTMapper(), scheme: mgr.GetScheme()}, nil
}

// request begins a request for the jobs in a namespace. The CRD may come later than the
// controller.
func (r *jobReader[J]) request(ctx context.Context, namespace string, opts metav1.ListOptions) (*rest.Request, error) {
	mapping, err := within(ctx, func() (*meta.RESTMapping, error) { return r.mapper.RESTMapping(r.gvk.GroupKind(), r.gvk.Version) })
	if err != nil {
		return nil, fmt.Errorf("cannot find the jobs of kind %s: %w", r.gvk.Kind, err)
	}
	return r.client.Get().NamespaceIfScoped(namespace, namespace != metav1.NamespaceAll).Resource(mapping.Resource.Resource).
		SpecificallyVersionedParams(&opts, metav1.ParameterCodec, schema.GroupVersion{Version: "v1"}), nil
}

// listWatch lists and watches the jobs of a namespace, and reports each time how it went.
func (r *jobReader[J]) listWatch(namespace string, report func(context.Context, error)) toolscache.ListerWatcher {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			request, err := r.request(ctx, namespace, opts)
			var list runtime.Object
			if err == nil {
				list, err = request.Do(ctx).Get()
			}
			report(ctx, err)
			return list, err //nolint:wrapcheck // what kind of error it is decides what follows
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.Watch, opts.AllowWatchBookmarks = true, true
			request, err := r.request(ctx, namespace, opts)
			var w watch.Interface
			if err == nil {
				w, err = request.Watch(ctx)
			}
			report(ctx, err)
			return w, err //nolint:wrapcheck // what kind of error it is decides what follows
		},
	}
}

// lasting reports whether an error will not pass by itself.
func lasting(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}

// withFix adds to an error how to fix it.
func withFix(err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: grant it to the operator, or, if it is to see some namespaces only, name them", err)
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return fmt.Errorf("%w: install the CRD", err)
	default:
		return err
	}
}

func notFound(gvk schema.GroupVersionKind, key client.ObjectKey) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, key.String())
}

func selector(o client.ListOptions) labels.Selector {
	if o.LabelSelector == nil {
		return labels.Everything()
	}
	return o.LabelSelector
}

// readsJobs is the client of a manager that reads jobs from the cache of their controller.
type readsJobs[J client.Object] struct {
	client.Client

	jobs *jobCache[J]
}

// Get implements client.Reader.
func (r readsJobs[J]) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	if _, ok := into.(J); ok {
		return r.jobs.Get(ctx, key, into, opts...)
	}
	return r.Client.Get(ctx, key, into, opts...) //nolint:wrapcheck // nothing is added
}

// List implements client.Reader.
func (r readsJobs[J]) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if r.jobs.holds(list) {
		return r.jobs.List(ctx, list, opts...)
	}
	return r.Client.List(ctx, list, opts...) //nolint:wrapcheck // nothing is added
}

// cachedManager is a manager with another cache.
type cachedManager struct {
	ctrl.Manager

	cache cache.Cache
}

// GetCache implements cluster.Cluster.
func (m cachedManager) GetCache() cache.Cache { return m.cache }
