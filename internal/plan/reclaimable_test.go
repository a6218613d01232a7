package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// queued has Kueue admit a job.
func queued(m *model) { m.in.Job.Queued = true }

// TestReclaimable: how many pods of each type a queue may give away, because the job needs
// them no more.
func TestReclaimable(t *testing.T) {
	restart := func(scope commonv1.RestartScope, of ...commonv1.ReplicaType) func(*model) {
		return func(m *model) {
			for _, typ := range of {
				m.in.Replicas[typ].RestartScope = &scope
			}
		}
	}
	ends := func(m *model) { m.end(m.pod("worker-0"), 0) }
	for name, tc := range map[string]struct {
		reason         string
		set, then      func(*model)
		master, worker int32
	}{
		"Succeeded":  {reason: "a replica that has succeeded does not run again", worker: 1},
		"NotQueued":  {reason: "no one asks", set: func(m *model) { m.in.Job.Queued = false }},
		"PodDeleted": {reason: "even if its pod is deleted", then: func(m *model) { m.drop(m.pod("worker-0")) }, worker: 1},
		"Replaced": {
			reason: "the restart of another changes nothing", set: restartPolicy(commonv1.RestartPolicyExitCode),
			then: func(m *model) { m.end(m.pod("worker-1"), 137); m.reconcileUntilStable(); m.run() }, worker: 1,
		},
		"Scaled":      {reason: "new replicas are no old ones", then: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(5)) }, worker: 1},
		"ScaledDown":  {reason: "a replica that is not wanted has no quota", then: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(0)) }},
		"ScopeJob":    {reason: "a failure may restart all", set: restart(commonv1.RestartScopeJob, worker)},
		"OfAnother":   {reason: "also one of another type", set: restart(commonv1.RestartScopeJob, master)},
		"ScopeRole":   {reason: "a failure may restart the type", set: restart(commonv1.RestartScopeRole, worker)},
		"AnotherRole": {reason: "that of another type does not", set: restart(commonv1.RestartScopeRole, master), worker: 1},
		"Rule": {reason: "a rule may restart all", set: func(m *model) {
			m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(restartJob, in, 7)}}
		}},
		"OtherRule": {reason: "others do not", set: func(m *model) {
			m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(ignore, in, 7)}}
		}, worker: 1},
		"Budget": {reason: "a replica may restart all", set: func(m *model) {
			m.in.RunPolicy.BackoffLimitPerReplica, m.in.RunPolicy.OnBackoffLimitPerReplica = new(int32(1)), new(commonv1.BackoffLimitPerReplicaRestartJob)
		}},
		"Start": {reason: "a late start may restart all", set: func(m *model) {
			m.in.RunPolicy.StartDeadlineSeconds = new(int64(60))
			restartsLate(m)
		}},
		"Hang":      {reason: "a hang may restart all", set: watched(readiness, commonv1.ProgressActionRestartJob)},
		"HangAlone": {reason: "or one replica, and that did not succeed", set: watched(readiness, commonv1.ProgressActionRestartReplica), worker: 1},
		"Suspended": {reason: "a resume starts all again", then: func(m *model) { m.in.RunPolicy.Suspend = new(true) }},
		"Both":      {reason: "types count for themselves", then: func(m *model) { m.end(m.pod("master-0"), 0) }, master: 1, worker: 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 3}, func(m *model) {
				queued(m)
				if tc.set != nil {
					tc.set(m)
				}
			})
			ends(m)
			m.reconcileUntilStable()
			if tc.then != nil {
				tc.then(m)
				m.reconcileUntilStable()
			}
			got := []int32{m.in.Status.ReplicaStatuses[master].Reclaimable, m.in.Status.ReplicaStatuses[worker].Reclaimable}
			if diff := cmp.Diff([]int32{tc.master, tc.worker}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestQueuesSeeRolesThatWait: what Kueue and autoscalers read stays true while Workers wait for
// the Master, run, restart and have succeeded.
func TestQueuesSeeRolesThatWait(t *testing.T) {
	m := inOrder(commonv1.StartAfterReady)
	m.in.Job.Queued = true
	type sees struct {
		Ready                       bool
		Master, Worker, Reclaimable int32
		Selects                     bool
	}
	check := func(when string, want sees) {
		t.Helper()
		m.reconcileUntilStable()
		s := &m.in.Status
		w := s.ReplicaStatuses[worker]
		got := sees{podsReady(s), s.ReplicaStatuses[master].Active, w.Active, w.Reclaimable, w.Selector != ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("nothing runs", sees{Selects: true})
	m.run()
	check("the Master runs, and the Workers wait for it", sees{Ready: true, Master: 1, Selects: true})
	m.run()
	check("all run", sees{Ready: true, Master: 1, Worker: 2, Selects: true})
	m.end(m.pod("worker-0"), 137)
	check("a Worker restarts", sees{Ready: true, Master: 1, Worker: 1, Selects: true})
	m.run()
	m.end(m.pod("worker-0"), 0)
	check("it has succeeded", sees{Ready: true, Master: 1, Worker: 1, Reclaimable: 1, Selects: true})
	m.drop(m.pod("master-0"))
	check("the Master is replaced, and the other Worker runs", sees{Ready: true, Worker: 1, Reclaimable: 1, Selects: true})
}
