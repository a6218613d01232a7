package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestLimitPerReplicaWithoutEffect: where no replica restarts alone, the limit of each is never reached, and
// the job says so once. It runs all the same.
func TestLimitPerReplicaWithoutEffect(t *testing.T) {
	warning := []plan.Event{{
		Warning: true, Reason: "BackoffLimitPerReplicaUnused", Message: "runPolicy.backoffLimitPerReplica has no effect, " +
			"because no replica restarts alone: set backoffLimit of runPolicy or of a replica spec, or restartScope Replica.",
	}}
	for name, tc := range map[string]struct {
		reason        string
		job, ofWorker *commonv1.RestartScope
		limit         *int32
		want          []plan.Event
	}{
		"Job":       {"all restart together", new(scopeJob), nil, new(int32(0)), warning},
		"Role":      {"so do those of a role", new(scopeRole), nil, new(int32(3)), warning},
		"OfTypes":   {"of the one type that the job has", nil, new(scopeRole), new(int32(0)), warning},
		"Replica":   {"replicas restart alone", nil, nil, new(int32(0)), nil},
		"SomeAlone": {"those of one type do", new(scopeJob), new(scopeReplica), new(int32(0)), nil},
		"NoLimit":   {"there is no limit", new(scopeJob), nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			m.in.RunPolicy.RestartScope, m.in.Replicas[worker].RestartScope = tc.job, tc.ofWorker
			m.in.RunPolicy.BackoffLimitPerReplica = tc.limit
			p := m.decide()
			if diff := cmp.Diff(tc.want, p.Events); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			m.write(&p)
			if again := m.decide(); len(again.Events) > 0 || again.Status.Finished() {
				t.Errorf("%s: it says so once, and runs; got again %v, %q", tc.reason, again.Events, conditions(&again.Status))
			}
		})
	}
}

func TestIgnoredRestartsCountAgainstNoLimit(t *testing.T) {
	m := started(workers(1), func(m *model) {
		m.in.RunPolicy.BackoffLimit, m.in.RunPolicy.BackoffLimitPerReplica = new(int32(0)), new(int32(0))
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
	})
	for range 3 {
		m.evict(m.pod("worker-0"))
		m.reconcileUntilStable()
		m.in.Now = m.in.Now.Add(plan.DefaultBackoff().Max)
		m.reconcileUntilStable()
		m.run()
		m.reconcileUntilStable()
	}
	s := &m.in.Status
	if s.State != commonv1.JobRunning || s.Restarts != 0 || s.ReplicaStatuses[worker].Attempts["0"] != 3 {
		t.Errorf("three ignored restarts under limits of 0: want Running with 0 restarts at attempt 3, got %s, %d, %+v",
			s.State, s.Restarts, s.ReplicaStatuses[worker])
	}
}

func TestBackoffLimitPerReplica(t *testing.T) {
	tests := map[string]struct {
		reason  string
		happens func(*model)
		want    []string
	}{
		"Within": {
			reason: "each replica may have as many restarts as the limit says",
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable()
				m.end(m.pod("worker-1"), 137)
			},
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Restarting=True TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) failed.",
			},
		},
		"Recreated": {
			reason: "the restart beyond the limit fails the job, which says of which replica",
			happens: func(m *model) {
				m.end(m.pod("worker-1"), 137)
				m.reconcileUntilStable()
				m.run()
				m.end(m.pod("worker-1"), 137)
			},
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Running=False TestJobRunning: TestJob ns/job is running.",
				"Failed=True TestJobFailed: TestJob ns/job has failed because replica 1 of Worker has reached its backoff limit: " +
					"runPolicy.backoffLimitPerReplica is 1. First failure: pod job-worker-1, exit code 137, restart policy ExitCode.",
			},
		},
		"InPlace": {
			reason:  "restarts of containers in place count",
			happens: func(m *model) { m.restartInPlace(m.pod("worker-0")); m.restartInPlace(m.pod("worker-0")) },
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Running=False TestJobRunning: TestJob ns/job is running.",
				"Failed=True TestJobFailed: TestJob ns/job has failed because replica 0 of Worker has reached its backoff limit: " +
					"runPolicy.backoffLimitPerReplica is 1.",
			},
		},
		"InPlaceAndRecreated": {
			reason: "restarts in place of a pod that is gone still count",
			happens: func(m *model) {
				m.restartInPlace(m.pod("worker-0"))
				m.reconcileUntilStable()
				m.end(m.pod("worker-0"), 137)
			},
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Running=False TestJobRunning: TestJob ns/job is running.",
				"Failed=True TestJobFailed: TestJob ns/job has failed because replica 0 of Worker has reached its backoff limit: " +
					"runPolicy.backoffLimitPerReplica is 1. First failure: pod job-worker-0, exit code 137, restart policy ExitCode.",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) {
				m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
				m.in.RunPolicy.BackoffLimitPerReplica = new(int32(1))
			})
			tc.happens(m)
			m.reconcileUntilStable()
			if diff := cmp.Diff(tc.want, conditions(&m.in.Status)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
