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

// TestSuccessPolicy: the user's rules end a job in place of the kind's; its pods are
// cleaned up as ever; and a rule that can never hold is refused, where the schema can tell,
// and otherwise fails the job.
func TestSuccessPolicy(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", replicas(1), replicas(3, "run-for", "300ms", "exit-code", "137", "fail-index", "1"))
	job.Spec.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{
		{ReplicaType: testv1.Master, Count: new(int32(1))},
		{ReplicaType: testv1.Worker, Indexes: new("0,2")},
	}}
	job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	create(t, job)
	waitFor(t, job, commonv1.JobSucceeded)
	c := job.Status.Condition(commonv1.JobSucceeded)
	want := fmt.Sprintf("TestJobSuccessPolicy: TestJob %s/job successfully completed. Matched rules at index 1 of runPolicy.successPolicy.", ns)
	if got := c.Reason + ": " + c.Message; got != want {
		t.Errorf("the condition names the rule:\n got %s\nwant %s", got, want)
	}
	eventually(t, "the pods that ran are deleted", func(ctx context.Context) string {
		for name, pod := range pods(ctx, t, ns) {
			if name != "job-worker-0" && name != "job-worker-2" && pod.Status.Phase != "Failed" {
				return name + " is still there"
			}
		}
		return ""
	})
}

// TestSuccessPolicyThatCannotHold: what the schema cannot decide the job says.
func TestSuccessPolicyThatCannotHold(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	policy := &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{{ReplicaType: testv1.Worker, Indexes: new("0-2")}}}
	job := newJob(ns, "never", nil, replicas(2))
	job.Spec.RunPolicy.SuccessPolicy = policy
	create(t, job)
	waitFor(t, job, commonv1.JobFailed)
	want := fmt.Sprintf(`TestJob %s/never is not valid: spec.runPolicy.successPolicy.rules[0].indexes: Invalid value: "0-2": `+
		`the job has 2 replicas of Worker, counted from 0, so the rule never holds: use indexes below 2, or raise replicas`, ns)
	if c := job.Status.Condition(commonv1.JobFailed); c.Reason != "TestJobFailedValidation" || c.Message != want {
		t.Errorf("the message names the field, the value and the fix:\n got %s: %s\nwant %s", c.Reason, c.Message, want)
	}

	scaled := newJob(ns, "scaled", nil, replicas(3))
	scaled.Spec.RunPolicy.SuccessPolicy = policy
	create(t, scaled)
	waitFor(t, scaled, commonv1.JobRunning)
	update(t, scaled, func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(2)) })
	waitFor(t, scaled, commonv1.JobStalled)
	if n := len(pods(t.Context(), t, ns)); n != 3 {
		t.Errorf("a job that is scaled below an index keeps its pods until that is undone: %d are left of 3", n)
	}
	update(t, scaled, func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(3)) })
	waitFor(t, scaled, commonv1.JobRunning)
	if err := cluster.client.Delete(t.Context(), scaled, client.PropagationPolicy("Background")); err != nil {
		t.Error(err)
	}
}
