//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// notStarting is what a job says of pods that do not start, "" if it says nothing.
func notStarting(ctx context.Context, job *testv1.TestJob) (string, error) {
	if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
		return "", fmt.Errorf("cannot read job %s: %w", job.Name, err)
	}
	if c := job.Status.Condition(commonv1.JobStalled); c != nil && c.Reason == "TestJobPodsNotStarting" {
		return c.Message, nil
	}
	return "", nil
}

// TestPodsThatDoNotStart: jobs say why their pods do not start, and no longer when they do.
func TestPodsThatDoNotStart(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	image := newJob(ns, "image", nil, replicas(2, "waiting-reason", "ImagePullBackOff"))
	room := newJob(ns, "room", nil, replicas(1))
	room.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.NodeSelector = map[string]string{"example.com/kind": "none"}
	slow := newJob(ns, "slow", nil, replicas(1, "start-delay", "75s"))
	late := newJob(ns, "late", nil, replicas(2, "waiting-reason", "CreateContainerConfigError"))
	late.Spec.RunPolicy.StartDeadlineSeconds = new(int64(10))
	again := newJob(ns, "again", nil, replicas(1, "waiting-reason", "ErrImagePull"))
	// Long enough for the first pod to go, also on a busy machine: a restart would wait for the same.
	again.Spec.RunPolicy.StartDeadlineSeconds, again.Spec.RunPolicy.MaxJobRestarts = new(int64(10)), new(int32(1))
	again.Spec.RunPolicy.OnStartDeadline = new(commonv1.StartDeadlineRestartJob)
	for _, job := range []*testv1.TestJob{slow, image, room, late, again} {
		create(t, job)
	}
	eventually(t, "a job restarts whose pods do not start in time, and then fails", func(ctx context.Context) string {
		if _, err := notStarting(ctx, again); err != nil {
			return err.Error()
		}
		c, s := again.Status.Condition(commonv1.JobFailed), again.Status
		if c == nil || !strings.Contains(c.Message, "the job may not restart for that again: runPolicy.maxJobRestarts is 1") || s.Restarts != 1 || s.Attempt != 1 || s.JobRestarts != 1 {
			return fmt.Sprintf("got %+v", s)
		}
		return ""
	})
	eventually(t, "a job fails whose pods do not start in time", func(ctx context.Context) string {
		if _, err := notStarting(ctx, late); err != nil {
			return err.Error()
		}
		c := late.Status.Condition(commonv1.JobFailed)
		if c == nil || c.Reason != "TestJobStartDeadlineExceeded" || !strings.Contains(c.Message, "container test-container cannot be configured") {
			return fmt.Sprintf("got %+v", c)
		}
		return ""
	})
	wants := []struct {
		job  *testv1.TestJob
		want string
	}{
		{image, `waits for 2 of 2 pods to start, the first of them image-worker-0: image "busybox" of container test-container cannot be pulled`},
		{room, "waits for 1 of 1 pods to start, the first of them room-worker-0: the scheduler finds no node for it: 0/"},
		{slow, "waits for 1 of 1 pods to start, the first of them slow-worker-0: node "},
	}
	for _, tc := range wants {
		eventually(t, tc.job.Name+" says why its pods do not start", func(ctx context.Context) string {
			said, err := notStarting(ctx, tc.job)
			switch {
			case err != nil:
				return err.Error()
			case !strings.Contains(said, tc.want):
				return fmt.Sprintf("want %q, got %q", tc.want, said)
			}
			return ""
		})
	}
	eventually(t, "the slow one runs, and says so no longer", func(ctx context.Context) string {
		if said, err := notStarting(ctx, slow); err != nil || said != "" || slow.Status.State != commonv1.JobRunning {
			return fmt.Sprintf("%s, %q, %v", slow.Status.State, said, err)
		}
		return ""
	})
}
