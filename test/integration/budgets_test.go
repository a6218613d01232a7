//go:build integration

package integration

import (
	"fmt"
	"testing"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestBackoffLimitWindow: restarts that are further apart than the window use up nothing;
// those that are not fail the job.
func TestBackoffLimitWindow(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for name, tc := range map[string]struct {
		window   int64
		state    commonv1.JobConditionType
		restarts int32
	}{
		"apart": {window: 1, state: commonv1.JobSucceeded, restarts: 2},
		"close": {window: 3600, state: commonv1.JobFailed, restarts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(ns, name, nil, replicas(1, "run-for", "1500ms", "exit-code", "137", "fail-until-attempt", "2"))
			job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
			job.Spec.RunPolicy.BackoffLimit, job.Spec.RunPolicy.BackoffLimitWindowSeconds = new(int32(1)), &tc.window
			create(t, job)
			waitFor(t, job, tc.state)
			if s := job.Status; s.Restarts != tc.restarts || len(s.RestartTimes) != 1 {
				t.Errorf("want %d restarts and the time of one, got %d and %v", tc.restarts, s.Restarts, s.RestartTimes)
			}
			if c := job.Status.Condition(commonv1.JobFailed); c != nil {
				want := fmt.Sprintf("TestJob %s/close has failed because it has reached the specified backoff limit: runPolicy.backoffLimit is 1 in 3600 seconds "+
					"(backoffLimitWindowSeconds). First failure: pod close-worker-0, exit code 137, restart policy ExitCode.", ns)
				if c.Message != want {
					t.Errorf("the message names the window:\n got %s\nwant %s", c.Message, want)
				}
			}
		})
	}
}

// TestOnBackoffLimitPerReplica: a replica that has used up its own limit restarts the job,
// as often as maxJobRestarts says.
func TestOnBackoffLimitPerReplica(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for name, tc := range map[string]struct {
		until string
		state commonv1.JobConditionType
	}{
		"recovers": {until: "1", state: commonv1.JobSucceeded},
		"fails":    {until: "9", state: commonv1.JobFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(ns, name, nil, replicas(2, "run-for", "1s", "exit-code", "137", "fail-index", "1", "fail-until-attempt", tc.until))
			job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
			p := &job.Spec.RunPolicy
			p.BackoffLimitPerReplica, p.MaxJobRestarts = new(int32(0)), new(int32(1))
			p.OnBackoffLimitPerReplica = new(commonv1.BackoffLimitPerReplicaRestartJob)
			create(t, job)
			waitFor(t, job, tc.state)
			if s := job.Status; s.JobRestarts != 1 || s.Attempt != 1 || s.Restarts != 1 {
				t.Errorf("want one restart, of the whole job: got %d restarts, %d of the job, attempt %d", s.Restarts, s.JobRestarts, s.Attempt)
			}
			if c := job.Status.Condition(commonv1.JobFailed); c != nil {
				want := fmt.Sprintf("TestJob %s/fails has failed because replica 1 of Worker has reached its backoff limit: runPolicy.backoffLimitPerReplica is 0, "+
					"and the job may not restart for that again: runPolicy.maxJobRestarts is 1. First failure: pod fails-worker-1, exit code 137, restart policy ExitCode.", ns)
				if c.Message != want {
					t.Errorf("the message says why:\n got %s\nwant %s", c.Message, want)
				}
			}
		})
	}
}
