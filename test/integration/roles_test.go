//go:build integration

package integration

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestRolePolicies: a Worker that fails restarts the Workers together, the Master goes on, and
// the limit of the Workers ends the job, which says so.
func TestRolePolicies(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	workers := replicas(2, "run-for", "2s", "exit-code", "137", "fail-index", "1")
	workers.RestartPolicy = commonv1.RestartPolicyExitCode
	workers.RestartScope, workers.BackoffLimit = new(commonv1.RestartScopeRole), new(int32(1))
	job := newJob(ns, "job", replicas(1), workers)
	create(t, job)
	eventually(t, "the workers restart together", func(ctx context.Context) string {
		got := map[string]string{}
		for name, pod := range pods(ctx, t, ns) {
			if pod.DeletionTimestamp == nil {
				got[name] = pod.Labels[commonv1.AttemptLabel]
			}
		}
		return cmp.Diff(map[string]string{"job-master-0": "0", "job-worker-0": "1", "job-worker-1": "1"}, got)
	})
	waitFor(t, job, commonv1.JobFailed)
	c, s := job.Status.Condition(commonv1.JobFailed), job.Status.ReplicaStatuses[testv1.Worker]
	if !strings.Contains(c.Message, "Worker has reached its backoff limit: testReplicaSpecs[Worker].backoffLimit is 1") || s.Restarts != 1 || s.Attempt != 1 {
		t.Errorf("it names the limit: %q, %+v", c.Message, s)
	}
}
