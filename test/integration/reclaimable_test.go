//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestReclaimable: the status of a job in a queue says how many of its pods it needs no more
// while another runs again; that of the same job without a queue does not.
func TestReclaimable(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	jobs := map[string]*testv1.TestJob{}
	for _, name := range []string{"queued", "alone"} {
		workers := replicas(2, "run-for", "5s", "exit-code", "137", "fail-index", "1", "fail-until-attempt", "1")
		workers.RestartPolicy = commonv1.RestartPolicyExitCode
		jobs[name] = newJob(ns, name, nil, workers)
	}
	jobs["queued"].Labels = map[string]string{"kueue.x-k8s.io/queue-name": "q"}
	for _, job := range jobs {
		create(t, job)
	}
	job := jobs["queued"]
	eventually(t, "one replica has succeeded, and the other runs again", func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err.Error()
		}
		if s := job.Status.ReplicaStatuses[testv1.Worker]; job.Status.Finished() || s == nil || s.SucceededIndexes != "0" || s.Reclaimable != 1 {
			return fmt.Sprintf("the status is %+v", s)
		}
		return ""
	})
	for _, job := range jobs {
		waitFor(t, job, commonv1.JobSucceeded)
	}
	if s := jobs["alone"].Status.ReplicaStatuses[testv1.Worker]; s.Reclaimable != 0 || s.Succeeded != 2 {
		t.Errorf("without a queue no one asks: %+v", s)
	}
}
