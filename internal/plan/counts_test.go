package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// masterDecides makes the success of the Master that of the job.
func masterDecides(m *model) {
	m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
}

// TestCountsOfReplicas: what status.replicaStatuses says of the workers.
func TestCountsOfReplicas(t *testing.T) {
	type counts struct{ Active, Succeeded, Failed int32 }
	all := commonv1.CleanPodPolicyAll
	cases := map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model)
		want    counts
	}{
		"Pending": {
			reason:  "a pod that waits is none of the three",
			happens: func(m *model) { m.pod("worker-0").Status.Phase = corev1.PodPending },
			want:    counts{Active: 2},
		},
		"Ended": {
			reason:  "pods are counted by their phase",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0) },
			want:    counts{Active: 2, Succeeded: 1},
		},
		"FailedAndKept": {
			reason:  "a failed pod is counted as long as it is there",
			happens: func(m *model) { m.end(m.pod("worker-0"), 1); m.end(m.pod("worker-1"), 1) },
			want:    counts{Active: 1, Failed: 2},
		},
		"SuccessThenCleanUp": {
			reason: "what clean-up killed has not succeeded; what ended stays counted when its pod goes",
			change: func(m *model) { m.in.RunPolicy.CleanPodPolicy = &all },
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.settle()
				m.end(m.pod("master-0"), 0)
			},
			want: counts{Succeeded: 1},
		},
		"SuccessThenStopped": {
			reason: "a pod that is stopped after the success shows an exit code before it goes, and has neither failed nor succeeded",
			happens: func(m *model) {
				m.end(m.pod("master-0"), 0)
				m.settle()
				m.leave(m.pod("worker-0"))
				m.end(m.pod("worker-0"), 143)
				m.leave(m.pod("worker-1"))
				m.end(m.pod("worker-1"), 0)
				m.settle()
			},
			want: counts{Active: 1},
		},
		"StoppedForARestart": {
			reason: "a replica that a restart of the whole job stops has not succeeded, whatever it exits with",
			change: func(m *model) {
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
			},
			happens: func(m *model) {
				for _, p := range []string{"worker-0", "worker-1", "master-0"} {
					m.leave(m.pod(p)) // which take their time
				}
				m.end(m.pod("worker-2"), 137)
				m.reconcile()
				m.end(m.pod("worker-0"), 0)
			},
			want: counts{Active: 1},
		},
		"DisruptedAndExitsWithZero": {
			reason: "a pod that was drained has failed",
			happens: func(m *model) {
				m.disrupt(m.pod("worker-0"), evicted)
				m.leave(m.pod("worker-0"))
				m.end(m.pod("worker-0"), 0)
			},
			want: counts{Active: 2, Failed: 1},
		},
		"SuccessThenFailed": {
			reason: "a pod that fails after the success did so",
			happens: func(m *model) {
				m.end(m.pod("master-0"), 0)
				m.settle()
				m.end(m.pod("worker-0"), 1)
				m.settle()
			},
			want: counts{Active: 2, Failed: 1},
		},
		"SuccessWithAFailure": {
			reason: "a failure that the success outweighed stays counted when its pod goes",
			change: func(m *model) {
				m.in.RunPolicy.CleanPodPolicy = &all
				m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			},
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.settle()
				m.end(m.pod("master-0"), 0)
			},
			want: counts{Failed: 1},
		},
		"SuccessAndPodsRunOn": {
			reason:  "pods that run on after the success are active until they end",
			happens: func(m *model) { m.end(m.pod("master-0"), 0) },
			want:    counts{Active: 3},
		},
		"PodsStartAfterTheSuccess": {
			reason: "a pod that starts takes nothing from those that ended and are gone",
			happens: func(m *model) {
				m.pod("worker-1").Status.Phase = corev1.PodPending
				m.end(m.pod("worker-0"), 0)
				m.settle()
				m.end(m.pod("master-0"), 0)
				m.settle()
				m.in.Now = m.in.Now.Add(2 * time.Second)
				m.settle()
				m.drop(m.pod("worker-0"))
				m.run()
			},
			want: counts{Active: 2, Succeeded: 1},
		},
		"FailureThenCleanUp": {
			reason: "what ran when the job failed was no success; what ended stays counted when its pod goes",
			change: func(m *model) { m.in.RunPolicy.CleanPodPolicy = &all },
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.end(m.pod("worker-1"), 1)
			},
			want: counts{Succeeded: 1, Failed: 1},
		},
		"FailureThenStopped": {
			reason: "a pod that is stopped after the failure shows an exit code before it goes, and did not fail",
			happens: func(m *model) {
				m.end(m.pod("worker-1"), 1)
				m.settle()
				stopped := m.pod("worker-0")
				stopped.DeletionGracePeriodSeconds = new(int64(30))
				stopped.DeletionTimestamp = new(metav1.NewTime(m.in.Now.Add(30 * time.Second)))
				m.end(stopped, 143)
				m.settle()
			},
			want: counts{Active: 1, Failed: 1},
		},
		"TypeRemoved": {
			reason:  "a type that the job has no more has no pods",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0); m.settle(); delete(m.in.Replicas, worker) },
			want:    counts{},
		},
		"TypeRemovedAfterTheEnd": {
			reason: "an edit of a finished job takes nothing from its record",
			change: func(m *model) { m.in.RunPolicy.CleanPodPolicy = &all },
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.end(m.pod("master-0"), 0)
				m.settle()
				m.in.Now = m.in.Now.Add(time.Minute)
				m.settle()
				delete(m.in.Replicas, worker)
			},
			want: counts{Succeeded: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 3}, func(m *model) {
				masterDecides(m)
				if tc.change != nil {
					tc.change(m)
				}
			})
			tc.happens(m)
			for range 3 { // counts alone are written once a second
				m.settle()
				m.in.Now = m.in.Now.Add(2 * time.Second)
			}
			rs := m.in.Status.ReplicaStatuses[worker]
			if diff := cmp.Diff(tc.want, counts{rs.Active, rs.Succeeded, rs.Failed}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if want := "training.kubeflow.org/job-name=job,training.kubeflow.org/operator-name=testjob-controller," +
				"training.kubeflow.org/replica-type=worker"; rs.Selector != want {
				t.Errorf("the scale subresource needs the selector, got %q", rs.Selector)
			}
			if rs := m.in.Status.ReplicaStatuses[master]; m.in.Status.State != commonv1.JobFailed && rs.Active+rs.Succeeded+rs.Failed != 1 {
				t.Errorf("%s: there is one Master all the time, got %+v", tc.reason, rs)
			}
		})
	}
}

// TestCountsAloneCanWait: counts change with every pod, and one write a second is
// enough; anything else is written at once.
func TestTally(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 6}, nil)
	m.end(m.pod("worker-0"), 0)
	m.end(m.pod("worker-1"), 1)
	m.leave(m.pod("worker-2"))
	m.drop(m.pod("worker-3"))
	m.pod("worker-4").Status.Phase = corev1.PodPending
	m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"5": 1}
	got := plan.TallyOf(&m.in)
	want := &jobkit.Tally{Types: []jobkit.TypeTally{
		{Type: master, States: []jobkit.ReplicaState{jobkit.Active}, Pods: []bool{true}},
		{Type: worker, States: []jobkit.ReplicaState{jobkit.Succeeded, jobkit.Failed, jobkit.Terminating, jobkit.Missing, jobkit.Pending, jobkit.Superseded}, Pods: []bool{true, true, true, false, true, true}},
	}}
	if diff := cmp.Diff(want, &got.Tally, cmpopts.IgnoreFields(jobkit.TypeTally{}, "Counts")); diff != "" {
		t.Errorf("each replica is in one state (-want +got):\n%s", diff)
	}
	for state, want := range map[jobkit.ReplicaState]int{jobkit.Active: 1, jobkit.Failed: 1, "Nonsense": 0} {
		if n := got.Count(state); n != want {
			t.Errorf("%d replicas are %s, got %d", want, state, n)
		}
	}
	if n := got.Of(worker).Count(jobkit.Active); n != 0 {
		t.Errorf("no worker is active, got %d", n)
	}
	if got.Of("Chief") != nil {
		t.Error("there is no Chief")
	}
}

// TestAttemptLabel: a strange attempt label makes a pod one of the first attempt.
func TestAttemptLabel(t *testing.T) {
	cases := map[string]struct {
		reason, label string
		attempt       int32 // that the status says
		want          jobkit.ReplicaState
	}{
		"Same":     {reason: "a pod of the attempt that the status says is the replica's", label: "1", attempt: 1, want: jobkit.Active},
		"Earlier":  {reason: "a pod of an earlier attempt is replaced", label: "0", attempt: 1, want: jobkit.Superseded},
		"Later":    {reason: "a stale status does not take a later pod for an earlier one", label: "2", attempt: 1, want: jobkit.Active},
		"Text":     {reason: "no number is 0", label: "x", attempt: 1, want: jobkit.Superseded},
		"Negative": {reason: "a negative number is 0", label: "-1", attempt: 0, want: jobkit.Active},
		"Large":    {reason: "an attempt that nobody reaches is believed", label: "1073741824", attempt: 1, want: jobkit.Active},
		"TooLarge": {reason: "a higher one is not", label: "1073741825", attempt: 1, want: jobkit.Superseded},
		"Reached":  {reason: "unless the replica is there", label: "1073741825", attempt: 1<<30 + 1, want: jobkit.Active},
		"Overflow": {reason: "what is no int32 does not become one", label: "4294967295", attempt: 0, want: jobkit.Active},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = tc.label
			m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": tc.attempt}
			if got := plan.TallyOf(&m.in).Of(worker).States[0]; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}
