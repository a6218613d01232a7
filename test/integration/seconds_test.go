//go:build integration

package integration

import (
	"context"
	"testing"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestSeconds: the seconds of a job that is suspended, fails and succeeds add up to its life.
func TestSeconds(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	worker := replicas(2, "start-delay", "2s", "run-for", "6s", "exit-code", "137", "fail-index", "0", "fail-until-attempt", "1")
	worker.RestartPolicy = commonv1.RestartPolicyExitCode
	job := newJob(ns, "job", nil, worker)
	job.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	create(t, job)
	waitFor(t, job, commonv1.JobRunning)
	if s := job.Status.Seconds; s == nil || s.Starting == 0 || s.Since.Before(&job.CreationTimestamp) {
		t.Errorf("a job that runs has started: %+v", s)
	}
	update(t, job, func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(true) })
	waitFor(t, job, commonv1.JobSuspended)
	suspended := job.Status.Seconds.Since
	eventually(t, "2 s pass", func(context.Context) string {
		if left := time.Until(suspended.Add(2 * time.Second)); left > 0 {
			return left.String()
		}
		return ""
	})
	update(t, job, func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(false) })
	waitFor(t, job, commonv1.JobSucceeded)
	s, sum := job.Status.Seconds, int64(0)
	for _, cause := range commonv1.RestartCauses() {
		sum += s.Restarting.Of(cause)
	}
	if s.Restarting.Of(commonv1.RestartFailed) == 0 || sum != s.Restarting.Of(commonv1.RestartFailed) || s.Suspended < 2 || s.Running == 0 {
		t.Errorf("it failed once, was suspended for 2 s, and ran: %+v, %+v", s, s.Restarting)
	}
	sum += s.Waiting + s.Starting + s.Running + s.Suspended
	if life := int64(job.Status.CompletionTime.Sub(job.CreationTimestamp.Time) / time.Second); sum != life || !s.Since.Equal(job.Status.CompletionTime) {
		t.Errorf("the seconds add up to %d, and the job lived for %d: %+v", sum, life, s)
	}
}
