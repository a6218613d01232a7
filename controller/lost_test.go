package controller_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestLostByTwoStaleViews: known-bugs row 177. Two of three replicas run, by the status; the third has never
// been created. The cache shows the one as pending still, and not the other, whose label someone took off:
// more is missing than the pending pod explains. What is then read explains the one, so that the other is
// in doubt, and read too: nothing is lost.
func TestLostByTwoStaleViews(t *testing.T) {
	job := testJob(3)
	job.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	b := newBench(t, testjob.Controller{}, job)
	runPods(b)
	stored := b.job()
	stored.Status.ReplicaStatuses[testv1.Worker].Active = 2
	if err := b.client.Status().Update(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	pod := func(name string) *corev1.Pod {
		p := &corev1.Pod{}
		if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	unlabelled, stale := pod("job-worker-0"), pod("job-worker-1")
	unlabelled.Labels = nil
	if err := b.client.Update(t.Context(), unlabelled); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), pod("job-worker-2")); err != nil {
		t.Fatal(err)
	}
	stale.Status.Phase = corev1.PodPending

	b.controller.APIReader = b.client
	b.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if pods, ok := list.(*corev1.PodList); ok {
				pods.Items = []corev1.Pod{*stale}
				return nil
			}
			return c.List(ctx, list, opts...)
		},
	})
	mustReconcile(t, b)
	if s := b.job().Status; s.Attempt != 0 || s.IsTrue(commonv1.JobRestarting) {
		t.Errorf("want no restart, got attempt %d, %s", s.Attempt, s.State)
	}
}
