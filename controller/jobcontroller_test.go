package controller_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/examples/testjob"
)

func TestLifeOfAJob(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(3))
	steps := []struct {
		reason string
		before func()
		writes []string
		want   []string
	}{
		{
			reason: "everything is created first, each once",
			writes: []string{
				"create service job",
				"create pod job-worker-0", "create pod job-worker-1", "create pod job-worker-2",
			},
		},
		{
			reason: "a second pass writes nothing, because the pods may run in a moment",
		},
		{
			reason: "a second later the job says that it was created",
			before: func() { b.clock.SetTime(b.clock.Now().Add(time.Second)) },
			writes: []string{"write status of testjob job"},
			want:   []string{"TestJobCreated: TestJob job is created."},
		},
		{
			reason: "one write when the pods run",
			before: func() { b.setPhase(corev1.PodRunning) },
			writes: []string{"write status of testjob job"},
			want:   []string{"TestJobCreated: TestJob job is created.", "TestJobRunning: TestJob ns/job is running."},
		},
		{
			reason: "one write when they have succeeded, and the service goes",
			before: func() { b.setPhase(corev1.PodSucceeded) },
			writes: []string{"write status of testjob job", "delete service job"},
			want:   []string{"TestJobCreated: TestJob job is created.", "TestJobSucceeded: TestJob ns/job successfully completed."},
		},
		{
			reason: "nothing is written once the job has finished",
			want:   []string{"TestJobCreated: TestJob job is created.", "TestJobSucceeded: TestJob ns/job successfully completed."},
		},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		writes, _, err := b.reconcile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sorted(step.writes), sorted(writes)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
		if diff := cmp.Diff(step.want, b.conditions()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
		if at := b.job().Status.LastReconcileTime; slices.Contains(writes, "write status of testjob job") && (at == nil || !at.Time.Equal(b.clock.Now())) {
			t.Errorf("%s: a status says when it was written, %s, got %v", step.reason, b.clock.Now(), at)
		}
	}
	want := []string{
		"Normal SuccessfulCreateService: Created service: job",
		"Normal SuccessfulCreatePod: Created 3 pods",
		"Normal TestJobSucceeded: TestJob ns/job successfully completed.",
		"Normal SuccessfulDeleteService: Deleted service: job",
	}
	if diff := cmp.Diff(want, b.recorder.events); diff != "" {
		t.Errorf("events are recorded once, and together for all pods (-want +got):\n%s", diff)
	}
}

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

// TestUnreadableThatAUserWrites: a job is taken for one that cannot be decoded by what the cache says, and not by
// what its user has written, whatever client the jobs come from.
func TestUnreadableThatAUserWrites(t *testing.T) {
	job := testJob(1)
	job.Annotations = map[string]string{"training.kubeflow.org/unreadable": "nonsense"}
	b := newBench(t, testjob.Controller{}, job)
	writes, _, err := b.reconcile()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(writes) // They are made at the same time.
	if diff := cmp.Diff([]string{"create pod job-worker-0", "create service job"}, writes); diff != "" {
		t.Errorf("the job is run as any other (-want +got):\n%s", diff)
	}
}
