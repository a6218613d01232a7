package jobtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestDeadNodeIsReported: a node that does not answer is named by the job that waits for it,
// and the job goes on by itself when the node is back.
func TestDeadNodeIsReported(t *testing.T) {
	w := story(t, Options{Fate: forever}, newJob("j", 2, exitCode)) // Never would fail the job
	var node string
	w.At(10*time.Second, "a node is lost", func(context.Context, client.Client) error {
		node = "node-0"
		w.LoseNode(node)
		return nil
	})
	pass(t, w, 20*time.Minute)
	job := read(t, w, "j")
	c := job.Status.Condition(commonv1.JobStalled)
	if c == nil || c.Reason != "TestJobPodStuckTerminating" || !strings.Contains(c.Message, " on node "+node+",") {
		t.Fatalf("the job does not say which node it waits for: %+v", job.Status.Conditions)
	}
	w.RestoreNode(node)
	pass(t, w, 10*time.Minute)
	if s := read(t, w, "j").Status; s.State != commonv1.JobRunning || s.IsTrue(commonv1.JobStalled) {
		t.Errorf("the node is back, and the job is %s: %+v", s.State, s.Conditions)
	}
}
