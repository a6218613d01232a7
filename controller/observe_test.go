package controller_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jobkit/jobkit/examples/testjob"
)

// TestNodesAreNotReadInEachPass: a zone that is cut off has many nodes that do not answer, with pods whose deletion
// is overdue, and each event of a pod is a pass.
func TestNodesAreNotReadInEachPass(t *testing.T) {
	const n = 50
	b := newBench(t, testjob.Controller{}, testJob(n))
	mustReconcile(t, b)
	runPods(b)
	mustReconcile(t, b)
	var pods corev1.PodList
	if err := b.client.List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		p.Spec.NodeName, p.Finalizers = fmt.Sprint("node-", i), []string{"test/kubelet-does-not-answer"}
		p.DeletionGracePeriodSeconds = new(int64(30))
		if err := b.client.Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := b.client.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: p.Spec.NodeName}}); err != nil {
			t.Fatal(err)
		}
		if err := b.client.Delete(t.Context(), p); err != nil { // the fake client keeps it for its finalizer
			t.Fatal(err)
		}
	}
	reads := 0
	b.intercept(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, ok := o.(*corev1.Node); ok {
			reads++
		}
		return c.Get(ctx, key, o, opts...)
	}})
	b.clock.SetTime(time.Now().Add(10 * time.Minute))
	mustReconcile(t, b) // It may say why it waits.
	mustReconcile(t, b)
	writes := 0
	reads = 0
	for range 10 { // what else happens to the job, within a second
		b.clock.SetTime(b.clock.Now().Add(100 * time.Millisecond))
		calls, _, err := b.reconcile()
		if err != nil {
			t.Fatal(err)
		}
		writes += len(calls)
	}
	if reads > writes+10 {
		t.Errorf("10 passes within a second make %d writes and read nodes %d times", writes, reads)
	}
}
