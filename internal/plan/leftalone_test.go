package plan_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// optional is a job with three workers that runs. The job goes on without those that fail for good.
func optional(change func(*model)) *model {
	m := newModel(workers(3))
	restartPolicy(commonv1.RestartPolicyExitCode)(m)
	m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
	if change != nil {
		change(m)
	}
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	return m
}

// failForGood has worker-1 fail with a code that no restart helps against, and the job go on without it.
func failForGood(m *model) {
	m.end(m.pod("worker-1"), 1)
	m.reconcileUntilStable()
}

// TestFailedIndexes checks known-bugs row 259: a replica that has failed for good, while the job goes
// on, does not run again when its pod goes.
func TestFailedIndexes(t *testing.T) {
	type outcome struct {
		State     commonv1.JobConditionType
		Pods      string
		Indexes   string
		Failed    int32
		Succeeded string
		Failures  int
		Active    int32 // 0 where it is not looked at
	}
	old := func(m *model) *corev1.Pod { return m.pod("worker-1").DeepCopy() }
	tests := map[string]struct {
		reason string
		change func(*model)
		then   func(*model)
		want   outcome
	}{
		"PodStays": {
			reason: "the failure is recorded once, however many passes see it",
			then:   func(m *model) { m.end(m.pod("worker-1"), 1); m.reconcileUntilStable(); m.reconcile() },
			want:   outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"PodGoes": {
			reason: "its node was removed, and took the pod along",
			then:   func(m *model) { m.end(m.pod("worker-1"), 1); m.reconcileUntilStable(); m.drop(m.pod("worker-1")) },
			want:   outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"PodIsDeleted": {
			reason: "it is deleted, and what the kubelet wrote last looks as if it had been stopped",
			then: func(m *model) {
				failForGood(m)
				m.in.Now = m.in.Now.Add(time.Minute)
				m.terminate(m.pod("worker-1"))
				m.report(m.pod("worker-1"))
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"PodIsStuck": {
			reason: "a finalizer keeps its pod, and nothing waits for that to go",
			then: func(m *model) {
				failForGood(m)
				m.terminate(m.pod("worker-1"))
				m.pod("worker-1").Finalizers = []string{"example.com/keep"}
				m.in.Now = m.in.Now.Add(time.Hour)
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"Disrupted": {
			reason: "a disrupted pod has failed, and counts as active until it is stopped",
			then: func(m *model) {
				restartPolicy(commonv1.RestartPolicyNever)(m)
				m.evict(m.pod("worker-1"))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failures: 1, Active: 3},
		},
		"OldView": {
			reason: "a cache still shows it running",
			then: func(m *model) {
				was := old(m)
				failForGood(m)
				m.drop(m.pod("worker-1"))
				m.in.Pods = append(m.in.Pods, was)
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"OldAttempt": {
			reason: "a cache still shows the pod of its first attempt, whose failure was counted",
			then: func(m *model) {
				m.end(m.pod("worker-1"), 137)
				was := old(m)
				m.in.Now = m.in.Now.Add(time.Hour)
				m.reconcileUntilStable()
				m.in.Now = m.in.Now.Add(time.Hour)
				m.reconcileUntilStable()
				m.run()
				failForGood(m)
				m.drop(m.pod("worker-1"))
				m.in.Pods = append(m.in.Pods, was)
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failed: 1, Failures: 2},
		},
		"Last": {
			reason: "the job fails when the others have ended, although no pod is left that failed",
			then: func(m *model) {
				failForGood(m)
				m.drop(m.pod("worker-1"))
				m.end(m.pod("worker-0"), 0)
				m.end(m.pod("worker-2"), 0)
			},
			want: outcome{State: commonv1.JobFailed, Pods: "worker-0 worker-2", Indexes: "1", Failed: 1, Succeeded: "0,2", Failures: 1},
		},
		"PolicyEdited": {
			reason: "for good is for good, whether the pod exists or not: an edit that allows restarts comes too late",
			then: func(m *model) {
				failForGood(m)
				restartPolicy(commonv1.RestartPolicyOnFailure)(m)
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"ExitsZeroWhenStopped": {
			reason: "it failed because it was disrupted, whatever its program says when it is stopped for that",
			then: func(m *model) {
				restartPolicy(commonv1.RestartPolicyNever)(m)
				m.evict(m.pod("worker-1"))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
				m.reconcileUntilStable()
				m.terminate(m.pod("worker-1"))
				m.end(m.pod("worker-1"), 0)
				m.pod("worker-1").Status.Conditions = nil
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"ScaledDown": {
			reason: "a replica that the job wants no more is forgotten",
			then: func(m *model) {
				m.end(m.pod("worker-2"), 1)
				m.reconcileUntilStable()
				m.in.Replicas[worker].Replicas = new(int32(2))
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1", Failures: 1},
		},
		"Suspended": {
			reason: "all replicas run again after a suspension",
			then: func(m *model) {
				failForGood(m)
				m.in.RunPolicy.Suspend = new(true)
				m.reconcileUntilStable()
				m.in.RunPolicy.Suspend = new(false)
				m.in.Pods = nil
			},
			want: outcome{State: commonv1.JobCreated, Pods: "worker-0 worker-1 worker-2", Failures: 1},
		},
		"RestartsTogether": {
			reason: "the replicas of the type restart together, those that failed for good among them",
			change: func(m *model) { m.in.Replicas[worker].RestartScope = new(scopeRole) },
			then: func(m *model) {
				m.end(m.pod("worker-1"), 1)
				m.in.Now = m.in.Now.Add(time.Hour)
				m.reconcileUntilStable()
				m.drop(m.pod("worker-1"))
				m.end(m.pod("worker-0"), 137)
				m.in.Now = m.in.Now.Add(time.Hour)
				m.reconcileUntilStable()
				m.in.Pods = nil
			},
			want: outcome{State: commonv1.JobRestarting, Pods: "worker-0 worker-1 worker-2", Failures: 2},
		},
		"NotOptional": {
			reason: "what the rules do not call optional runs: the record is of other rules",
			then: func(m *model) {
				failForGood(m)
				m.drop(m.pod("worker-1"))
				m.in.Rules.Optional = nil
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-1 worker-2", Failures: 1},
		},
		"PodDeparted": {
			reason: "its pod goes after the status has its end: the last state of that pod says nothing new",
			then: func(m *model) {
				failForGood(m)
				was := old(m)
				m.drop(m.pod("worker-1"))
				m.in.Departed = []*corev1.Pod{was}
			},
			want: outcome{State: commonv1.JobRunning, Pods: "worker-0 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"NoLongerOptional": {
			reason: "a newer version of the operator needs the replica: then the job has failed",
			then: func(m *model) {
				failForGood(m)
				m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.Index(worker, 0)}
			},
			want: outcome{State: commonv1.JobFailed, Pods: "worker-0 worker-1 worker-2", Failed: 1, Failures: 2},
		},
		"InvalidEdit": {
			reason: "an invalid edit forgets nothing",
			then: func(m *model) {
				failForGood(m)
				m.drop(m.pod("worker-1"))
				m.in.Problem = "a mistake"
			},
			want: outcome{State: commonv1.JobStalled, Pods: "worker-0 worker-2", Indexes: "1", Failed: 1, Failures: 1},
		},
		"OperatorError": {
			reason: "nor does a mistake of the operator, of which the rules may be a part",
			then: func(m *model) {
				failForGood(m)
				m.drop(m.pod("worker-1"))
				m.in.OperatorError, m.in.Rules = "panic", jobkit.Rules{}
			},
			want: outcome{State: commonv1.JobStalled, Pods: "worker-0 worker-2", Indexes: "1", Failures: 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := optional(tc.change)
			tc.then(m)
			m.reconcileUntilStable()
			s := &m.in.Status
			rs := s.ReplicaStatuses[worker]
			got := outcome{s.State, strings.Join(podNames(m), " "), rs.FailedIndexes, rs.Failed, "", len(s.Failures), 0}
			if tc.want.Active != 0 {
				got.Active = rs.Active
			}
			if tc.want.Succeeded != "" {
				got.Succeeded = rs.SucceededIndexes
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s\n%q", tc.reason, diff, conditions(s))
			}
		})
	}
}

// TestCountOfLeftAlone: what a gang does not wait for is what the status leaves alone.
func TestCountOfLeftAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		then   func(*model)
		want   int
	}{
		"None":    {"all run", func(*model) {}, 0},
		"OnePod":  {"its pod is still there", failForGood, 1},
		"NoPod":   {"its pod is gone", func(m *model) { failForGood(m); m.drop(m.pod("worker-1")) }, 1},
		"JustNow": {"the status does not say so yet", func(m *model) { m.end(m.pod("worker-1"), 1) }, 0},
		"Two": {"each counts", func(m *model) {
			failForGood(m)
			m.end(m.pod("worker-2"), 2)
			m.reconcileUntilStable()
		}, 2},
		"Restarted": {"after a restart of the whole job all run again", func(m *model) {
			failForGood(m)
			m.in.Status.Attempt++
			m.in.Status.ReplicaStatuses[worker].FailedIndexes = ""
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := optional(nil)
			tc.then(m)
			tally := plan.TallyOf(&m.in)
			if got := tally.LeftAlone(worker); got != tc.want {
				t.Errorf("%s: want %d, got %d", tc.reason, tc.want, got)
			}
			if got := tally.LeftAlone(master); got != 0 {
				t.Errorf("of another type: %d", got)
			}
		})
	}
}

// TestLeftAloneIsNotRestarting: a replica that failed for good in a later attempt is not restarting.
func TestLeftAloneIsNotRestarting(t *testing.T) {
	m := optional(nil)
	m.end(m.pod("worker-1"), 137)
	for range 2 {
		m.in.Now = m.in.Now.Add(time.Hour)
		m.reconcileUntilStable()
	}
	m.run()
	m.end(m.pod("worker-1"), 1) // before any pass has seen it run
	m.reconcileUntilStable()
	if s := &m.in.Status; s.State != commonv1.JobRunning || s.IsTrue(commonv1.JobRestarting) {
		t.Errorf("want Running, got %q", conditions(s))
	}
}

// TestLeftAloneStartsOthers: what starts when the pods of another type exist does not wait for that of
// a replica that was left alone. What starts when they are ready waits, as it does while the pod exists.
func TestLeftAloneStartsOthers(t *testing.T) {
	for _, ready := range []bool{false, true} {
		m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
		m.reconcileUntilStable()
		m.run()
		m.end(m.pod("worker-1"), 1)
		m.reconcileUntilStable()
		m.drop(m.pod("worker-1"))
		m.drop(m.pod("master-0"))
		m.in.Rules.StartAfter = []jobkit.StartAfter{{Type: master, After: []commonv1.ReplicaType{worker}, Ready: ready}}
		m.reconcileUntilStable()
		if waits := m.pod("master-0") == nil; waits != ready {
			t.Errorf("ready %t: the master waits: %t, %q", ready, waits, conditions(&m.in.Status))
		}
		m.in.Now = m.in.Now.Add(time.Hour)
		m.reconcileUntilStable() // Whatever is reported of those that wait, nothing panics.
	}
}

// TestFailedIndexesOfALargeJob: a long list is packed, and read again.
func TestFailedIndexesOfALargeJob(t *testing.T) {
	var list []string
	for i := 0; i < 9000; i += 2 {
		list = append(list, strconv.Itoa(i))
	}
	m := newModel(workers(9001))
	m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
	m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {FailedIndexes: strings.Join(list, ",")}}
	p := m.decide()
	rs := p.Status.ReplicaStatuses[worker]
	if rs.FailedIndexes != "" || len(rs.Record) > 2000 {
		t.Errorf("%d bytes are not packed, the record has %d", len(rs.FailedIndexes), len(rs.Record))
	}
	if diff := cmp.Diff(strings.Join(list, ","), plan.UnpackStatus(p.Status).ReplicaStatuses[worker].FailedIndexes); diff != "" {
		t.Errorf("the list is another (-want +got):\n%s", diff)
	}
}
