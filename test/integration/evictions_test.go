//go:build integration

package integration

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestEvictedGang: known-bugs row 169. A pod of a simulated node that is evicted is gone within
// milliseconds, before the next pass. Each eviction restarts the gang, and counts.
func TestEvictedGang(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	workers := replicas(3)
	workers.RestartPolicy = commonv1.RestartPolicyExitCode
	job := newJob(ns, "job", nil, workers)
	job.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	create(t, job)
	for n := range int32(4) {
		eventually(t, "all replicas of the next attempt run", func(ctx context.Context) string {
			running := 0
			for _, pod := range pods(ctx, t, ns) {
				if pod.Labels[commonv1.AttemptLabel] == strconv.Itoa(int(n)) && pod.DeletionTimestamp == nil {
					running++
				}
			}
			err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job)
			if rs := job.Status.ReplicaStatuses[testv1.Worker]; err != nil || running < 3 || rs == nil || rs.Active < 3 || job.Status.Restarts != n {
				return fmt.Sprintf("%d run of attempt %d, %d restarts were counted: %s (%v)", running, n, job.Status.Restarts, conditions(job), err)
			}
			return ""
		})
		if got := len(job.Status.Failures); got != int(n) {
			t.Errorf("each eviction is on record: want %d, got %+v", n, job.Status.Failures)
		}
		pod := pods(t.Context(), t, ns)["job-worker-1"]
		if err := cluster.client.SubResource("eviction").Create(t.Context(), &pod, &policyv1.Eviction{}); err != nil {
			t.Fatal(err)
		}
	}
}
