package controller_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jobkit/jobkit/examples/testjob"
)

// TestJobDeleted: after Init, an author's own watch says which jobs are gone. Nothing is kept of them.
func TestJobDeleted(t *testing.T) {
	const deleted = "training_operator_jobs_deleted_total{framework=test,job_namespace=ns} 1"
	b := newBench(t, testjob.Controller{}, testJob(1))
	for range 3 {
		mustReconcile(t, b)
		b.clock.SetTime(b.clock.Now().Add(time.Second)) // The first status waits for so long.
	}
	if slices.Contains(b.metricLines(), deleted) {
		t.Fatal("the job exists, and counts as deleted")
	}
	job := b.job()
	b.controller.JobDeleted(job)
	b.controller.JobDeleted(job)
	if lines := b.metricLines(); !slices.Contains(lines, deleted) {
		t.Errorf("the job does not count as deleted, once: %v", lines)
	}
}
