package jobtest

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
)

// TestFailedForGoodWithoutPod: a replica that has failed for good, while the job goes on, does not run
// again when its node is removed and takes the pod along (known-bugs row 259).
func TestFailedForGoodWithoutPod(t *testing.T) {
	fate := func(pod *corev1.Pod) Fate {
		if pod.Name == "j-worker-1" {
			return Fate{Start: time.Second, Run: 2 * time.Second, Exits: []int32{1}}
		}
		return Fate{Start: time.Second, Run: 10 * time.Minute}
	}
	job := newJob("j", 3, func(j *testv1.TestJob) {
		j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyNever
	})
	w := storyOf(t, withService{optional: true}, Options{Fate: fate}, job)
	w.At(time.Minute, "removes a pod that has failed", deletePodByForce("j-worker-1"))
	pass(t, w, 5*time.Minute)
	status := read(t, w, "j").Status
	rs := status.ReplicaStatuses[testv1.Worker]
	if status.State != commonv1.JobRunning || rs.FailedIndexes != "1" || rs.Failed != 1 || rs.Active != 2 || len(status.Failures) != 1 {
		t.Errorf("want two replicas that run and one that has failed for good, got %s, %+v, failures %v", status.State, rs, status.Failures)
	}
	rest(t, w)
	if status = read(t, w, "j").Status; status.State != commonv1.JobFailed {
		t.Errorf("the job has failed when the others have ended, it is %s", status.State)
	}
}

// TestFailedForGoodInAGang: a group without a replica that has failed for good is smaller, or those that
// restart would wait for it without end.
func TestFailedForGoodInAGang(t *testing.T) {
	for _, scheduler := range []string{"kubernetes", "volcano", "coscheduling"} {
		for _, gone := range []bool{true, false} {
			fate := func(pod *corev1.Pod) Fate {
				f := Fate{Start: time.Second, Run: 10 * time.Minute}
				switch {
				case pod.Name == "j-worker-1":
					f.Run, f.Exits = 2*time.Second, []int32{1}
				case pod.Name == "j-worker-0" && pod.Labels[commonv1.AttemptLabel] == "0":
					f.Run, f.Exits = 2*time.Minute, []int32{137}
				}
				return f
			}
			job := newJob("j", 3, func(j *testv1.TestJob) {
				j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
			})
			w := storyOf(t, withService{optional: true}, Options{Fate: fate, Gang: schedulers.ByName(scheduler, schedulers.Options{})}, job)
			playGang(w, scheduler)
			if gone {
				w.At(time.Minute, "removes a pod that has failed", deletePodByForce("j-worker-1"))
			}
			pass(t, w, 5*time.Minute)
			if s := read(t, w, "j").Status; s.State != commonv1.JobRunning || s.Restarts != 1 || s.ReplicaStatuses[testv1.Worker].Active != 2 {
				t.Errorf("%s, the failed pod is gone: %t: want two replicas that run after one restart, got %s, %+v", scheduler, gone, s.State, s.ReplicaStatuses[testv1.Worker])
			}
		}
	}
}
