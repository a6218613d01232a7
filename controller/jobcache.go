package controller

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/jobkit/jobkit"
)

// jobCache is the cache of a controller. It is the manager's cache except for the jobs, which
// it reads itself, so that a job that cannot be decoded affects no other. It is a runnable of
// the manager, with and without the lease, so that a standby is warm.
//
// When the manager starts, it waits for all that its own cache watches. A list that is
// forbidden would then keep every kind from running, and the manager would not stop on
// SIGTERM (the wait in controller-runtime v0.25.2 does not end). So nothing is watched before
// the manager has started. Each kind then waits only for what it needs, and reports that.
type jobCache[J client.Object] struct {
	cache.Cache

	gvk       schema.GroupVersionKind
	operator  string
	reader    *jobReader[J]
	live      client.Reader
	ready     *Readiness
	log       logr.Logger
	children  []jobkit.Object
	informers informers
	// namespaces are those that are watched; one empty name is all.
	namespaces []string

	mu      sync.Mutex
	indexed map[schema.GroupVersionKind]bool
	// lends says that children may be read from the informers themselves (see childInformer): the
	// author has not given a client of their own. held are the informers that allow it.
	lends bool
	held  map[schema.GroupVersionKind]childInformer
}

// errReading is why a controller waits in the normal case.
var errReading = errors.New("they are still being read")

func newJobCache[J client.Object](mgr ctrl.Manager, c *JobController[J], children []jobkit.Object) (*jobCache[J], error) {
	reader, err := newJobReader(mgr, c.set.gvk, c.set.knownParts)
	if err != nil {
		return nil, err
	}
	out := &jobCache[J]{
		Cache: mgr.GetCache(), gvk: c.set.gvk, operator: c.set.kind.OperatorName, reader: reader, live: c.set.live,
		ready: c.set.readiness, log: mgr.GetLogger().WithValues("kind", c.set.gvk.Kind), children: children,
		namespaces: c.Config.Namespaces, indexed: map[schema.GroupVersionKind]bool{},
		lends: c.Client == nil, held: map[schema.GroupVersionKind]childInformer{},
	}
	if len(out.namespaces) == 0 {
		out.namespaces = []string{metav1.NamespaceAll}
	}
	job, err := newJob[J]()
	if err != nil {
		return nil, err
	}
	for _, ns := range out.namespaces {
		lw := reader.listWatch(ns, func(ctx context.Context, err error) { out.note(ctx, ns, err) })
		i := toolscache.NewSharedIndexInformer(lw, job, 0, toolscache.Indexers{toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc})
		out.informers = append(out.informers, i)
	}
	return out, nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (c *jobCache[J]) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable: it watches the jobs and their children until ctx ends.
func (c *jobCache[J]) Start(ctx context.Context) error {
	var all sync.WaitGroup
	for _, ns := range c.namespaces {
		c.waits(ctx, c.jobsIn(ns), errReading)
	}
	for _, o := range c.children {
		c.waits(ctx, c.nameOf(o), errReading)
	}
	c.waits(ctx, "start", nil)
	for i, informer := range c.informers {
		all.Go(func() { informer.RunWithContext(ctx) })
		all.Go(func() {
			if toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
				c.waits(ctx, c.jobsIn(c.namespaces[i]), nil)
			}
		})
	}
	for _, o := range c.children {
		all.Go(func() { c.watchChild(ctx, o) })
	}
	all.Wait()
	return nil
}

// jobsIn names the jobs in a namespace, for messages.
func (c *jobCache[J]) jobsIn(namespace string) string {
	kind := strings.ToLower(c.gvk.Kind) + "s"
	if namespace == metav1.NamespaceAll {
		return kind
	}
	return kind + " in " + namespace
}

// nameOf names the children of a kind, for messages.
func (c *jobCache[J]) nameOf(o client.Object) string {
	if gvk, err := apiutil.GVKForObject(o, c.reader.scheme); err == nil {
		return strings.ToLower(gvk.Kind) + "s"
	}
	return fmt.Sprintf("%T", o)
}

// note records how a list or the start of a watch of the jobs ended. After the first list,
// only errors that last count: from then on the cache no longer follows the jobs.
func (c *jobCache[J]) note(ctx context.Context, namespace string, err error) {
	synced := c.informers.HasSynced()
	switch {
	case err == nil && !synced:
		err = errReading
	case err != nil && synced && !lasting(err):
		return // It is tried again at once, and what is in the cache serves meanwhile.
	}
	c.waits(ctx, c.jobsIn(namespace), err)
}

// waits reports what the controller waits for, or that it no longer does.
func (c *jobCache[J]) waits(ctx context.Context, resource string, why error) {
	if ctx.Err() != nil {
		return // The watch ended because the controller stops.
	}
	why = withFix(why)
	news := c.ready.Waits(resource, why)
	switch {
	case !news:
	case why != nil && !errors.Is(why, errReading):
		c.log.Error(why, "Jobs of this kind are not run until this is fixed; other kinds are not affected", "resource", resource)
	case c.ready.Check(nil) == nil:
		c.log.Info("The controller sees its jobs and all that belongs to them")
	}
}

// GetInformer implements cache.Informers. It does not wait: watchChild does, for each kind
// apart. Children are indexed by their owner first.
func (c *jobCache[J]) GetInformer(ctx context.Context, o client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	if _, ok := o.(J); ok {
		if len(c.informers) == 1 {
			return c.informers[0], nil
		}
		return c.informers, nil
	}
	if err := c.index(ctx, o); err != nil {
		return nil, err
	}
	return c.Cache.GetInformer(ctx, o, append(opts, cache.BlockUntilSynced(false))...) //nolint:wrapcheck // it names the kind
}

// index has the cache find the children of a job by its UID.
func (c *jobCache[J]) index(ctx context.Context, o client.Object) error {
	gvk, err := apiutil.GVKForObject(o, c.reader.scheme)
	if err != nil {
		return fmt.Errorf("the scheme does not know %T: %w", o, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.indexed[gvk] {
		return nil
	}
	if lent, err := c.lend(ctx, o, gvk); err != nil || lent {
		c.indexed[gvk] = lent
		return err
	}
	if err := c.IndexField(ctx, o, ownerIndex(c.operator), byController(c.gvk.GroupKind())); err != nil {
		return fmt.Errorf("cannot index the %T of %s: %w", o, c.gvk.Kind, err)
	}
	if gvk == volumeClaimKind() {
		if err := c.IndexField(ctx, o, claimIndex(c.operator), byJobName(c.operator)); err != nil {
			return fmt.Errorf("cannot index the volume claims of %s: %w", c.gvk.Kind, err)
		}
	}
	c.indexed[gvk] = true
	return nil
}

// WaitForCacheSync implements cache.Informers. It does not wait (see GetInformer).
func (c *jobCache[J]) WaitForCacheSync(ctx context.Context) bool { return ctx.Err() == nil }

// Get implements client.Reader.
func (c *jobCache[J]) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	job, ok := into.(J)
	if !ok {
		return c.Cache.Get(ctx, key, into, opts...) //nolint:wrapcheck // it names the kind
	}
	if err := c.synced(ctx); err != nil {
		return err
	}
	for _, i := range c.informers {
		found, there, err := i.GetIndexer().GetByKey(key.String())
		if err != nil {
			return fmt.Errorf("cannot read %s %s from the cache: %w", c.gvk.Kind, key, err)
		}
		if !there {
			continue
		}
		return c.copyTo(job, found)
	}
	return notFound(c.gvk, key)
}

// copyTo copies a job of the cache.
func (c *jobCache[J]) copyTo(into J, found any) error {
	job, ok := found.(J)
	if !ok {
		return fmt.Errorf("the cache of %s holds a %T", c.gvk.Kind, found)
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(job.DeepCopyObject()).Elem())
	into.GetObjectKind().SetGroupVersionKind(c.gvk)
	return nil
}

// holds reports whether a list is one of typed jobs.
func (c *jobCache[J]) holds(list client.ObjectList) bool {
	items, err := meta.GetItemsPtr(list)
	return err == nil && reflect.TypeOf(items).Elem() == reflect.SliceOf(reflect.TypeFor[J]().Elem())
}

// find selects jobs of all informers.
func (c *jobCache[J]) find(o client.ListOptions) ([]any, error) {
	var found []any
	var errs []error
	keep := func(e any) { found = append(found, e) }
	for _, i := range c.informers {
		if o.Namespace == metav1.NamespaceAll {
			errs = append(errs, toolscache.ListAll(i.GetIndexer(), selector(o), keep))
		} else {
			errs = append(errs, toolscache.ListAllByNamespace(i.GetIndexer(), o.Namespace, selector(o), keep))
		}
	}
	return found, errors.Join(errs...)
}

// List implements client.Reader.
func (c *jobCache[J]) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if !c.holds(list) {
		return c.Cache.List(ctx, list, opts...) //nolint:wrapcheck // it names the kind
	}
	if err := c.synced(ctx); err != nil {
		return err
	}
	var o client.ListOptions
	o.ApplyOptions(opts)
	if o.FieldSelector != nil && !o.FieldSelector.Empty() {
		return fmt.Errorf("the cache of %s has no index for the field selector %s: use labels", c.gvk.Kind, o.FieldSelector)
	}
	found, err := c.find(o)
	if err != nil {
		return fmt.Errorf("cannot list %s from the cache: %w", c.gvk.Kind, err)
	}
	items, err := meta.GetItemsPtr(list)
	if err != nil {
		return fmt.Errorf("%T is not a list: %w", list, err)
	}
	slice := reflect.ValueOf(items).Elem()
	slice.SetZero()
	for _, e := range found {
		job, err := newJob[J]()
		if err == nil {
			err = c.copyTo(job, e)
		}
		if err != nil {
			return err
		}
		slice.Set(reflect.Append(slice, reflect.ValueOf(job).Elem()))
	}
	return nil
}

// synced waits until the jobs were read.
func (c *jobCache[J]) synced(ctx context.Context) error {
	if c.informers.HasSynced() || toolscache.WaitForCacheSync(ctx.Done(), c.informers.HasSynced) {
		return nil
	}
	return fmt.Errorf("the jobs of kind %s are not read yet: %w", c.gvk.Kind, context.Cause(ctx))
}

// within calls a function that may ignore its context, and returns when the context ends.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
