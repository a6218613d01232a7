//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

func patchFrom(o client.Object) client.Patch { return client.MergeFrom(o) }

// TestOperatorCrashes kills the operator again and again while jobs start, fail
// and restart, and checks that no restart is lost and none is counted twice. It
// does not run beside the others: they would have to wait for the operator.
func TestOperatorCrashes(t *testing.T) {
	ns := namespace(t)
	const jobs = 20
	for i := range jobs {
		worker := replicas(3, "run-for", "1s", "exit-code", "137", "fail-until-attempt", "1", "fail-index", "0,2")
		worker.RestartPolicy = commonv1.RestartPolicyExitCode
		create(t, newJob(ns, fmt.Sprintf("job-%d", i), nil, worker))
	}
	for range 4 {
		// Long enough to get going, short enough to be in the middle of it.
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(1500 * time.Millisecond):
		}
		cluster.operator.kill()
		if err := cluster.operator.start(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all jobs succeed with exactly two restarts", func(ctx context.Context) string {
		var list testv1.TestJobList
		if err := cluster.client.List(ctx, &list, client.InNamespace(ns)); err != nil {
			return err.Error()
		}
		for i := range list.Items {
			s := list.Items[i].Status
			if s.State != commonv1.JobSucceeded || s.Restarts != 2 {
				return fmt.Sprintf("%s is %s with %d restarts; its pods: %s", list.Items[i].Name, s.State, s.Restarts,
					describe(pods(ctx, t, ns), list.Items[i].Name))
			}
		}
		return ""
	})
}

// describe writes the pods of a job in one line.
func describe(all map[string]corev1.Pod, job string) string {
	var out []string
	for name, p := range all {
		if p.Labels[commonv1.JobNameLabel] == job {
			out = append(out, fmt.Sprintf("%s attempt %s %s deleted %v", name, p.Labels[commonv1.AttemptLabel], p.Status.Phase, p.DeletionTimestamp))
		}
	}
	return strings.Join(out, "; ")
}
