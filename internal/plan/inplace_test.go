package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestRestartsInPlace follows the count of one replica through two pods.
func TestRestartsInPlace(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
	first := m.pod("worker-0")
	first.ResourceVersion = "10"
	check := func(reason string, total int32, want commonv1.InPlaceRestarts) {
		t.Helper()
		m.reconcileUntilStable()
		if diff := cmp.Diff(want, m.in.Status.ReplicaStatuses[worker].InPlaceRestarts["0"]); diff != "" || m.in.Status.Restarts != total {
			t.Errorf("%s: want %d restarts, got %d (-want +got):\n%s", reason, total, m.in.Status.Restarts, diff)
		}
	}
	m.restartInPlace(first)
	m.restartInPlace(first)
	check("two restarts of the first pod", 2, commonv1.InPlaceRestarts{PodUID: first.UID, Count: 2, PodResourceVersion: "10"})
	first.ResourceVersion = "11"
	first.Annotations = map[string]string{"a": "b"}
	check("a change of the pod that is no restart is not worth a write", 2, commonv1.InPlaceRestarts{PodUID: first.UID, Count: 2, PodResourceVersion: "10"})
	first.Status.ContainerStatuses[0].RestartCount = 1
	check("nor is an older view of it", 2, commonv1.InPlaceRestarts{PodUID: first.UID, Count: 2, PodResourceVersion: "10"})

	m.drop(first)
	m.reconcileUntilStable()
	m.run()
	second := m.pod("worker-0")
	second.ResourceVersion = "20"
	check("the next pod has none yet", 2, commonv1.InPlaceRestarts{PodUID: first.UID, Count: 2, PodResourceVersion: "10"})
	m.restartInPlace(second)
	check("its first is the third", 3, commonv1.InPlaceRestarts{PodUID: second.UID, Count: 1, PodResourceVersion: "20", Earlier: 2})
	second.ResourceVersion = "21"
	m.restartInPlace(second)
	check("those of earlier pods are kept", 4, commonv1.InPlaceRestarts{PodUID: second.UID, Count: 2, PodResourceVersion: "21", Earlier: 2})

	m.drop(second)
	m.reconcileUntilStable()
	m.run()
	third := m.pod("worker-0")
	third.ResourceVersion = "21" // not older
	m.restartInPlace(third)
	check("and so on", 5, commonv1.InPlaceRestarts{PodUID: third.UID, Count: 1, PodResourceVersion: "21", Earlier: 4})
}

// TestInvalidCountsInAStatus: invalid counts in a status add no restarts to a replica.
func TestInvalidCountsInAStatus(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
	m.in.RunPolicy.BackoffLimitPerReplica = new(int32(0))
	m.in.Status.ReplicaStatuses[worker].IgnoredAttempts = map[string]int32{"0": 5}
	m.restartInPlace(m.pod("worker-0"))
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobFailed {
		t.Errorf("one restart is more than none: the job is %s", m.in.Status.State)
	}
}

// TestIgnoredAttempts: restarts that are ignored are not taken from those that count.
func TestIgnoredAttempts(t *testing.T) {
	m := started(workers(1), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.BackoffLimitPerReplica = new(int32(1))
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
	})
	for i, fail := range []func(){
		func() { m.evict(m.pod("worker-0")) }, func() { m.evict(m.pod("worker-0")) },
		func() { m.end(m.pod("worker-0"), 137) }, func() { m.end(m.pod("worker-0"), 137) },
	} {
		if m.in.Status.Finished() {
			t.Fatalf("failed before failure %d", i)
		}
		fail()
		m.reconcileUntilStable()
		m.in.Now = m.in.Now.Add(time.Hour)
		m.reconcileUntilStable()
		m.run()
		m.reconcileUntilStable()
	}
	if rs := m.in.Status.ReplicaStatuses[worker]; m.in.Status.State != commonv1.JobFailed || rs.Attempts["0"] != 3 || rs.IgnoredAttempts["0"] != 2 {
		t.Errorf("two ignored and one that counts are allowed, and not more: the job is %s, %+v", m.in.Status.State, rs)
	}
}

// TestRestartingEnds: the job is Restarting until the replicas that were restarted
// run, whatever others do, and no longer.
func TestRestartingEnds(t *testing.T) {
	m := started(workers(3), restartPolicy(commonv1.RestartPolicyExitCode))
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	m.drop(m.pod("worker-1"))
	m.reconcileUntilStable() // worker 1 waits, and is no restart
	if m.in.Status.State != commonv1.JobRestarting {
		t.Errorf("worker 0 does not run yet: the job is %s", m.in.Status.State)
	}
	m.pod("worker-0").Status.Phase = "Running"
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobRunning {
		t.Errorf("worker 0 runs again: the job is %s", m.in.Status.State)
	}
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	m.in.RunPolicy.Suspend = new(true)
	m.reconcileUntilStable()
	if s := &m.in.Status; s.Condition(commonv1.JobRestarting) != nil || s.State != commonv1.JobSuspended {
		t.Errorf("a suspended job restarts nothing: %q", conditions(s))
	}
	m.in.RunPolicy.Suspend = new(false)
	m.in.Now = m.in.Now.Add(time.Hour)
	m.reconcileUntilStable()
	m.run()
	m.end(m.pod("worker-0"), 0)
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobRunning {
		t.Errorf("a replica that was restarted and has succeeded holds nothing up: the job is %s", m.in.Status.State)
	}
}

// TestRestartsByCause: a plan says how many restarts it counts, by cause.
func TestRestartsByCause(t *testing.T) {
	cases := map[string]struct {
		reason  string
		scope   commonv1.RestartScope
		happens func(*model)
		want    plan.Restarts
	}{
		"Nothing": {reason: "nothing happened", scope: "Replica", happens: func(*model) {}},
		"EachOnce": {
			reason: "each replica under its cause", scope: "Replica",
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.end(m.pod("worker-1"), 138)
				m.evict(m.pod("worker-2"))
				m.end(m.pod("worker-3"), 140)
				m.restartInPlace(m.pod("worker-4"))
				m.restartInPlace(m.pod("worker-4"))
				m.restartInPlace(m.pod("worker-5"))
			},
			want: plan.Restarts{Failed: 2, Disrupted: 1, Ignored: 1, InPlace: 3},
		},
		"Gang": {
			reason: "the whole job under that of its first failure", scope: "Job",
			happens: func(m *model) {
				m.evict(m.pod("worker-0"))
				m.end(m.pod("worker-1"), 137)
			},
			want: plan.Restarts{Disrupted: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(6), func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.RunPolicy.RestartScope = &tc.scope
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(ignore, in, 140)}}
			})
			tc.happens(m)
			if diff := cmp.Diff(tc.want, m.reconcile().Restarts); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if p := m.decide(); p.Restarts != (plan.Restarts{}) {
				t.Errorf("%s: counted again: %+v", tc.reason, p.Restarts)
			}
		})
	}
}

// TestInvalidBudgets: what another client wrote of earlier restarts gives a replica neither more
// nor fewer restarts than its limit.
func TestInvalidBudgets(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		earlier int32
		happens func(*model)
		state   commonv1.JobConditionType
	}{
		"Negative": {"it had none before", -5, func(m *model) { m.restartInPlace(m.pod("worker-0")) }, commonv1.JobRunning},
		"TooMany":  {"it cannot have had more than it has had", 5, func(m *model) { m.end(m.pod("worker-0"), 137); m.restartInPlace(m.pod("worker-1")) }, commonv1.JobRestarting},
		"TooManyAndTwice": {"the limit holds all the same", 5, func(m *model) {
			m.restartInPlace(m.pod("worker-1"))
			for range 7 {
				m.restartInPlace(m.pod("worker-0"))
			}
		}, commonv1.JobFailed},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) {
				restartPolicy(commonv1.RestartPolicyOnFailure)(m)
				m.in.RunPolicy.BackoffLimitPerReplica = new(int32(1))
			})
			m.in.Status.ReplicaStatuses[worker].EarlierRestarts = map[string]int32{"0": tc.earlier}
			tc.happens(m)
			m.reconcileUntilStable()
			if m.in.Status.State != tc.state {
				t.Errorf("%s: the job is %s: %q", tc.reason, m.in.Status.State, conditions(&m.in.Status))
			}
		})
	}
	m := started(workers(1), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.BackoffLimitPerReplica = new(int32(0))
	})
	m.in.Status.ReplicaStatuses[worker].EarlierRestarts = map[string]int32{"0": 1}
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobFailed {
		t.Errorf("no restart is allowed, and none is left over: the job is %s", m.in.Status.State)
	}
}

// TestFailureInPlaceNamesItsReplica: the record of a restart in place says which replica it was.
func TestFailureInPlaceNamesItsReplica(t *testing.T) {
	m := started(workers(3), restartPolicy(commonv1.RestartPolicyOnFailure))
	m.restartedInPlace("worker-2", 0)
	m.reconcileUntilStable()
	if f := m.in.Status.Failures; len(f) != 1 || f[0].Index != 2 || f[0].Type != worker {
		t.Errorf("want one failure of replica 2, got %+v", f)
	}
}

// TestLostContainers: a kubelet that finds no trace of a container counts a restart at once, as if the
// container ran again. In a pod that ends for that, or was evicted, it never does: that is one failure.
func TestLostContainers(t *testing.T) {
	lost := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown"}}
	waits := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	type step struct {
		state, last corev1.ContainerState
		count       int32
		evicted     bool
		restarts    int32 // of the job, after this step
	}
	for name, tc := range map[string]struct {
		reason string
		policy commonv1.RestartPolicy
		steps  []step
	}{
		"Ends": {
			"a pod that is not restarted fails, once", commonv1.RestartPolicyExitCode,
			[]step{{waits, lost, 1, false, 0}, {lost, lost, 1, true, 1}},
		},
		"RunsAgain": {
			"a container that its node restarts counts when it runs", commonv1.RestartPolicyOnFailure,
			[]step{{waits, lost, 1, false, 0}, {runs, lost, 1, false, 1}},
		},
		"RunsAndIsLostAgain": {
			"what ran in between counts", commonv1.RestartPolicyOnFailure,
			[]step{{runs, lost, 1, false, 1}, {waits, lost, 2, false, 1}, {runs, lost, 2, false, 2}},
		},
		"EvictedAfterARestart": {
			"a restart and an eviction are two", commonv1.RestartPolicyOnFailure,
			[]step{{runs, lost, 1, false, 1}, {lost, lost, 2, true, 2}},
		},
		"EvictedWithoutATrace": {
			"the count is not raised in every case", commonv1.RestartPolicyOnFailure,
			[]step{{runs, lost, 1, false, 1}, {lost, lost, 1, true, 2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), restartPolicy(tc.policy))
			for i, s := range tc.steps {
				pod := m.pod("worker-0")
				pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name: "main", State: s.state, LastTerminationState: s.last, RestartCount: s.count,
				}}
				if s.evicted {
					pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted"
				}
				m.reconcileUntilStable()
				if got := m.in.Status.Restarts; got != s.restarts {
					t.Errorf("%s: step %d: %d restarts, want %d", tc.reason, i, got, s.restarts)
				}
			}
		})
	}
}
