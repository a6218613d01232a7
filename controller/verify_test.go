package controller_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit/examples/testjob"
)

func TestStaleViews(t *testing.T) {
	t.Run("OfANewJobThatChanged", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(2))
		stale := b.job()
		job := b.job()
		job.Spec.RunPolicy.Suspend = new(true)
		if err := b.client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		writes, result, err := b.reconcileStale(stale)
		if err != nil || result.RequeueAfter == 0 || len(writes) > 0 {
			t.Errorf("a stale view is not an error, the job is requeued, and nothing is created: %v, %v, %v", writes, result, err)
		}
	})
	t.Run("OfALargeJobThatChanged", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(20))
		stale := b.job()
		job := b.job()
		job.Spec.RunPolicy.Suspend = new(true)
		if err := b.client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		writes, result, err := b.reconcileStale(stale)
		if err != nil || result.RequeueAfter == 0 {
			t.Errorf("a stale view is not an error, the job is requeued: %v, %v", result, err)
		}
		if diff := cmp.Diff([]string{"write status of testjob job"}, writes); diff != "" {
			t.Errorf("the refused status write must stop everything else (-want +got):\n%s", diff)
		}
	})
	t.Run("WithoutAStatusToWrite", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(2))
		mustReconcile(t, b)
		stale := b.job()
		job := b.job()
		job.Spec.RunPolicy.Suspend = new(true)
		if err := b.client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if err := b.client.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-worker-0"}}); err != nil {
			t.Fatal(err)
		}
		writes, _, err := b.reconcileStale(stale)
		if err != nil || len(writes) > 0 {
			t.Errorf("no pod may be created for a job that has been suspended meanwhile: %v, %v", writes, err)
		}
	})
	t.Run("OfTheOwnStatusWrite", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(2))
		stale := b.job()
		mustReconcile(t, b)
		writes, _, err := b.reconcileStale(stale)
		if err != nil || len(writes) > 0 {
			t.Errorf("the controller knows what it wrote before its cache does: %v, %v", writes, err)
		}
	})
}
