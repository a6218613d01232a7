package jobtest

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// inQueue puts a job into a queue.
func inQueue(j *testv1.TestJob) { j.Labels = map[string]string{queueLabel: "q"} }

// TestReclaimable: a job in a queue says how many of its pods it needs no more, in the status
// that says that they have succeeded.
func TestReclaimable(t *testing.T) {
	fate := func(pod *corev1.Pod) Fate {
		return Fate{Start: time.Second, Run: map[string]time.Duration{"0": 10 * time.Second}[pod.Labels[commonv1.ReplicaIndexLabel]] + 10*time.Second}
	}
	for name, tc := range map[string]struct {
		reason string
		change []func(*testv1.TestJob)
		want   int32
	}{
		"Queue":    {"two have succeeded", []func(*testv1.TestJob){inQueue}, 2},
		"NoQueue":  {"no one asks", nil, 0},
		"WholeJob": {"they may run again", []func(*testv1.TestJob){inQueue, wholeJob}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t, Options{Fate: fate}, newJob("j", 3, tc.change...))
			pass(t, w, 15*time.Second)
			if got := read(t, w, "j").Status.ReplicaStatuses[testv1.Worker]; got.Succeeded != 2 || got.Reclaimable != tc.want {
				t.Errorf("%s: got %+v, want %d reclaimable", tc.reason, got, tc.want)
			}
			rest(t, w)
		})
	}
}

// TestMonitorSeesReclaimable: the checks of what is reclaimable can fail.
func TestMonitorSeesReclaimable(t *testing.T) {
	for name, tc := range map[string]struct {
		change    func(*testv1.TestJob)
		was, says int32
		succeeded string
	}{
		"TooMany":  {inQueue, 0, 2, "0"},
		"TooFew":   {inQueue, 0, 0, "0"},
		"Fewer":    {inQueue, 2, 1, "0"},
		"NoQueue":  {func(*testv1.TestJob) {}, 0, 1, "0"},
		"RunAgain": {func(j *testv1.TestJob) { inQueue(j); wholeJob(j) }, 0, 1, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t, Options{Fate: forever}, newJob("j", 3, tc.change))
			pass(t, w, 5*time.Second)
			job := read(t, w, "j")
			old, status := job.Status.DeepCopy(), job.Status.DeepCopy()
			old.ReplicaStatuses[testv1.Worker].Reclaimable = tc.was
			status.ReplicaStatuses[testv1.Worker].Reclaimable = tc.says
			status.ReplicaStatuses[testv1.Worker].SucceededIndexes = tc.succeeded
			if w.monitor.checkReclaimable(job, job, old, status); w.broken == nil || w.broken.Promise != "reclaimable" {
				t.Errorf("no violation: %v", w.broken)
			}
		})
	}
}
