package controller

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// childInformer is an informer that lends what it holds. A list of the manager's client copies
// each object into the list, 1.2 KiB for a pod, even without a deep copy: for a job of 10,000 pods
// that is 12 MiB in every pass, and takes longer than all policies. An informer of a cache that
// is limited to several namespaces is not one.
type childInformer interface {
	cache.Informer
	GetIndexer() toolscache.Indexer
}

// lend has the pods or services of jobs found in their informer, by owner. It is false for other
// kinds, and if the informer lends nothing. The caller holds the lock.
func (c *jobCache[J]) lend(ctx context.Context, o client.Object, gvk schema.GroupVersionKind) (bool, error) {
	if gvk != corev1.SchemeGroupVersion.WithKind("Pod") && gvk != corev1.SchemeGroupVersion.WithKind("Service") || !c.lends {
		return false, nil
	}
	informer, err := c.Cache.GetInformer(ctx, o, cache.BlockUntilSynced(false))
	if err != nil {
		return false, fmt.Errorf("cannot watch the %T of %s: %w", o, c.gvk.Kind, err)
	}
	held, ok := informer.(childInformer)
	if !ok {
		return false, nil
	}
	owner := byController(c.gvk.GroupKind())
	index := func(o any) ([]string, error) {
		child, ok := o.(client.Object)
		if !ok {
			return nil, nil
		}
		var keys []string
		for _, uid := range owner(child) {
			keys = append(keys, ownerKey(child.GetNamespace(), types.UID(uid)))
		}
		return keys, nil
	}
	if err := held.AddIndexers(toolscache.Indexers{ownerIndex(c.operator): index}); err != nil {
		return false, fmt.Errorf("cannot index the %T of %s: %w", o, c.gvk.Kind, err)
	}
	c.held[gvk] = held
	return true, nil
}

// ownerKey is the key of an owner. An owner in another namespace is none.
func ownerKey(namespace string, uid types.UID) string { return namespace + "/" + string(uid) }

// lent returns the objects of a kind whose controller is a job, which must not be changed; false
// if the cache does not lend them.
func (c *jobCache[J]) lent(ctx context.Context, kind string, job J) ([]any, bool, error) {
	c.mu.Lock()
	held, ok := c.held[corev1.SchemeGroupVersion.WithKind(kind)]
	c.mu.Unlock()
	if !ok {
		return nil, false, nil
	}
	if !held.HasSynced() && !toolscache.WaitForCacheSync(ctx.Done(), held.HasSynced) {
		return nil, false, fmt.Errorf("they are not read yet: %w", context.Cause(ctx))
	}
	found, err := held.GetIndexer().ByIndex(ownerIndex(c.operator), ownerKey(job.GetNamespace(), job.GetUID()))
	if err != nil {
		return nil, false, fmt.Errorf("the cache cannot find them: %w", err)
	}
	return found, true, nil
}

// lentBy returns the objects of a kind that are controlled by a job, as the cache holds them; false
// if it does not lend them.
func lentBy[C client.Object, J client.Object](ctx context.Context, l *cacheLister[J], kind string, job J) ([]C, bool, error) {
	if l.lent == nil {
		return nil, false, nil
	}
	found, ok, err := l.lent(ctx, kind, job)
	if err != nil || !ok {
		return nil, false, err
	}
	out := make([]C, 0, len(found))
	for _, e := range found {
		o, ok := e.(C)
		if !ok {
			return nil, false, fmt.Errorf("the cache holds a %T in place of a %s", e, reflect.TypeFor[C]())
		}
		if metav1.IsControlledBy(o, job) {
			out = append(out, o)
		}
	}
	return out, true, nil
}
