package controller_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

func TestOwnWritesAreNotRepeated(t *testing.T) {
	author := &blind{}
	b := newBench(t, author, testJob(3))
	mustReconcile(t, b)
	for range 3 {
		writes, result, err := b.reconcile()
		if err != nil || len(writes) > 0 {
			t.Fatalf("pods that the cache does not show yet must not be created again: %v, %v", writes, err)
		}
		if result.RequeueAfter == 0 {
			t.Error("if the cache never shows them the job must be requeued")
		}
	}
	// Another client took them away before the cache ever showed them.
	if err := b.client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("ns")); err != nil {
		t.Fatal(err)
	}
	b.clock.SetTime(b.clock.Now().Add(time.Minute))
	writes, _, err := b.reconcile()
	want := []string{
		"create pod job-worker-0", "create pod job-worker-1", "create pod job-worker-2",
		"create service job", // which exists
		"write status of testjob job",
	}
	if diff := cmp.Diff(want, sorted(writes)); diff != "" || err != nil {
		t.Errorf("what is remembered is forgotten after a while (-want +got): %v\n%s", err, diff)
	}
}

func TestOwnWritesOfALongPassAreRemembered(t *testing.T) {
	b := newBench(t, &blind{}, testJob(3))
	b.fail = func(call string) error {
		if strings.HasPrefix(call, "create") {
			b.clock.SetTime(b.clock.Now().Add(3 * time.Second)) // a large job, or a slow API server
		}
		return nil
	}
	mustReconcile(t, b)
	writes, _, err := b.reconcile()
	if diff := cmp.Diff([]string{"write status of testjob job"}, writes); diff != "" || err != nil {
		t.Errorf("what was created a moment ago, late in a long pass, must not be created again (-want +got): %v\n%s", err, diff)
	}
}

// blind is a TestJob controller whose cache never shows a pod or a service.
type blind struct{ testjob.Controller }

func (*blind) ListPods(context.Context, *testv1.TestJob) ([]*corev1.Pod, error) { return nil, nil }
func (*blind) ListServices(context.Context, *testv1.TestJob) ([]*corev1.Service, error) {
	return nil, nil
}
