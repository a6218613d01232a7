package controller_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/examples/testjob"
)

// TestFirstActivePodOfAQueuedJob: before its first status a job has no active pod for a
// queue, which gives its quota away. So that the first runs does not wait there.
func TestFirstActivePodOfAQueuedJob(t *testing.T) {
	for label, want := range map[string]bool{"kueue.x-k8s.io/queue-name": true, "queue-name": false} {
		job := testJob(3)
		job.Labels = map[string]string{label: "q"}
		b := newBench(t, testjob.Controller{}, job)
		mustReconcile(t, b)
		var pod corev1.Pod
		pod.Namespace, pod.Name = "ns", "job-worker-1"
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(&pod), &pod); err != nil {
			t.Fatal(err)
		}
		pod.Status.Phase = corev1.PodRunning
		if err := b.client.Status().Update(t.Context(), &pod); err != nil {
			t.Fatal(err)
		}
		calls, _, err := b.reconcile()
		if wrote := slices.Contains(calls, "write status of testjob job"); err != nil || wrote != want {
			t.Errorf("label %s: the status is written: %t, %v", label, wrote, err)
		}
	}
}
