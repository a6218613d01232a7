package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

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
