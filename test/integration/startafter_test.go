//go:build integration

package integration

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestStartAfter: Workers are created when the Master is ready, and again so when the whole
// job restarts. Meanwhile the job says what it waits for.
func TestStartAfter(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	first := replicas(1, "start-delay", "2s")
	first.Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}},
	}
	then := replicas(2, "run-for", "3s", "exit-code", "137", "fail-index", "0", "fail-until-attempt", "1")
	then.StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Master, State: commonv1.StartAfterReady}
	first.RestartPolicy, then.RestartPolicy = commonv1.RestartPolicyExitCode, commonv1.RestartPolicyExitCode
	job := newJob(ns, "job", first, then)
	job.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	create(t, job)
	for attempt := range 2 {
		eventually(t, fmt.Sprintf("all pods of attempt %d exist", attempt), func(ctx context.Context) string {
			all := pods(ctx, t, ns)
			master := all["job-master-0"]
			for name, pod := range all {
				if pod.Labels[commonv1.AttemptLabel] != strconv.Itoa(attempt) || pod.DeletionTimestamp != nil {
					return name + " is of another attempt"
				}
				if at := readyAt(&master); name != "job-master-0" && (at.IsZero() || pod.CreationTimestamp.Time.Before(at)) {
					t.Fatalf("%s was created at %s, before the Master was ready, at %s", name, pod.CreationTimestamp, at)
				}
			}
			if len(all) != 3 {
				return fmt.Sprintf("there are %d pods", len(all))
			}
			return ""
		})
	}
	update(t, job, func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(true) })
	waitForNames(t, ns, nil, nil)
	update(t, job, func(j *testv1.TestJob) {
		j.Spec.RunPolicy.Suspend = new(false)
		j.Spec.TestReplicaSpecs[testv1.Worker].StartAfter.State = commonv1.StartAfterSucceeded
	})
	eventually(t, "the job says what it waits for", func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err.Error()
		}
		c := job.Status.Condition(commonv1.JobRunning)
		want := fmt.Sprintf("TestJob %s/job is running. Worker starts when all replicas of Master have succeeded.", ns)
		if c == nil || c.Status != corev1.ConditionTrue || c.Message != want {
			return conditions(job)
		}
		return ""
	})
	if n := len(pods(t.Context(), t, ns)); n != 1 {
		t.Errorf("the Master runs on, and there are %d pods", n)
	}
}

// readyAt is since when a pod is ready; zero if it is not.
func readyAt(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}
