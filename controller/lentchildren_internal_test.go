package controller

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// readInformer is an informer that has read all there is.
type readInformer struct{ toolscache.SharedIndexInformer }

func (readInformer) HasSynced() bool { return true }

// closedInformer is one of a cache of several namespaces: it does not lend what it holds.
type closedInformer struct{ cache.Informer }

// oneInformer is a cache with one informer.
type oneInformer struct {
	cache.Cache

	informer cache.Informer
}

func (c oneInformer) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return c.informer, nil
}

func newLender(informer cache.Informer) *jobCache[*testv1.TestJob] {
	return &jobCache[*testv1.TestJob]{
		Cache: oneInformer{informer: informer}, gvk: testv1.GroupVersion.WithKind("TestJob"), operator: "testjob-controller",
		lends: true, held: map[schema.GroupVersionKind]childInformer{},
	}
}

func newReadInformer() readInformer {
	return readInformer{toolscache.NewSharedIndexInformer(&toolscache.ListWatch{}, &corev1.Pod{}, 0, toolscache.Indexers{})}
}

func childOf(ns, name string, owner types.UID, controls bool) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: name, Labels: map[string]string{commonv1.JobNameLabel: "job"},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: testv1.GroupVersion.String(), Kind: "TestJob", Name: "job", UID: owner, Controller: &controls,
		}},
	}}
}

// TestLentChildren: a job gets its own pods as the cache holds them, and no others, whatever their
// owner references say.
func TestLentChildren(t *testing.T) {
	informer := newReadInformer()
	c := newLender(informer)
	pods := corev1.SchemeGroupVersion.WithKind("Pod")
	if ok, err := c.lend(t.Context(), &corev1.Pod{}, pods); !ok || err != nil {
		t.Fatalf("the informer lends what it holds: %t, %v", ok, err)
	}
	own := childOf("ns", "own", "uid", true)
	for _, p := range []*corev1.Pod{
		own, childOf("other", "forged", "uid", true), childOf("ns", "another-jobs", "uid-2", true), childOf("ns", "not-controlled", "uid", false),
	} {
		if err := informer.GetIndexer().Add(p); err != nil {
			t.Fatal(err)
		}
	}
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job", UID: "uid"}}
	l := &cacheLister[*testv1.TestJob]{lent: c.lent}
	for range 2 {
		got, err := l.ListPods(t.Context(), job)
		if err != nil || len(got) != 1 || got[0] != own {
			t.Fatalf("want the pod of the cache itself, got %v, %v", got, err)
		}
	}
}

// TestNothingLent: where the cache does not lend pods, or the author has a client, lists are made.
func TestNothingLent(t *testing.T) {
	pods := corev1.SchemeGroupVersion.WithKind("Pod")
	for name, tc := range map[string]struct {
		reason   string
		informer cache.Informer
		lends    bool
		kind     schema.GroupVersionKind
	}{
		"Namespaces": {"a cache of several namespaces has several informers", closedInformer{newReadInformer()}, true, pods},
		"OwnClient":  {"the author's client is the one to ask", newReadInformer(), false, pods},
		"Others":     {"other kinds are few", newReadInformer(), true, corev1.SchemeGroupVersion.WithKind("ConfigMap")},
	} {
		t.Run(name, func(t *testing.T) {
			c := newLender(tc.informer)
			c.lends = tc.lends
			if ok, err := c.lend(t.Context(), &corev1.Pod{}, tc.kind); ok || err != nil {
				t.Errorf("%s: %t, %v", tc.reason, ok, err)
			}
			if _, ok, err := c.lent(t.Context(), "Pod", &testv1.TestJob{}); ok || err != nil {
				t.Errorf("%s: %t, %v", tc.reason, ok, err)
			}
		})
	}
}

// BenchmarkListPods is how a pass reads the pods of a job of 10,000 replicas, and how a list of a
// client does, after it has found them.
func BenchmarkListPods(b *testing.B) {
	informer := newReadInformer()
	c := newLender(informer)
	if _, err := c.lend(b.Context(), &corev1.Pod{}, corev1.SchemeGroupVersion.WithKind("Pod")); err != nil {
		b.Fatal(err)
	}
	var found []runtime.Object
	for i := range 10_000 {
		pod := childOf("ns", fmt.Sprintf("job-worker-%d", i), "uid", true)
		found = append(found, pod)
		if err := informer.GetIndexer().Add(pod); err != nil {
			b.Fatal(err)
		}
	}
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job", UID: "uid"}}
	b.Run("lent", func(b *testing.B) {
		l := &cacheLister[*testv1.TestJob]{lent: c.lent}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.ListPods(b.Context(), job); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copied", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var list corev1.PodList
			if err := meta.SetList(&list, found); err != nil {
				b.Fatal(err)
			}
		}
	})
}
