package jobtest

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// avoids gives a job a policy, and restarts for signals.
func avoids(p commonv1.AvoidNodes, scope commonv1.RestartScope) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
		j.Spec.RunPolicy.RestartScope, j.Spec.RunPolicy.AvoidNodes = &scope, &p
	}
}

// TestAvoidNodes: a node kills whatever it runs. A job that avoids nodes comes back to it no more
// often than it takes to see that; one that does not fails there again and again.
func TestAvoidNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		policy   *commonv1.AvoidNodes
		scope    commonv1.RestartScope
		restarts int32
	}{
		"Preferred": {"one failure is enough", &commonv1.AvoidNodes{}, commonv1.RestartScopeReplica, 1},
		"Required":  {"and the same if it is required", &commonv1.AvoidNodes{Mode: commonv1.AvoidNodesRequired}, commonv1.RestartScopeReplica, 1},
		"Job":       {"of a whole job too", &commonv1.AvoidNodes{}, commonv1.RestartScopeJob, 1},
		"Twice":     {"two failures", &commonv1.AvoidNodes{AfterFailures: new(int32(2))}, commonv1.RestartScopeJob, 2},
		"NotFor":    {"exit code 137 does not count", &commonv1.AvoidNodes{ExitCodes: []int32{3}}, commonv1.RestartScopeJob, 2},
		"Off":       {"without the policy its pods come back to the node", nil, commonv1.RestartScopeJob, 2},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob("j", 3, avoids(commonv1.AvoidNodes{}, tc.scope))
			job.Spec.RunPolicy.AvoidNodes = tc.policy
			w := story(t, Options{Nodes: 4, Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Run: time.Minute} }}, job)
			w.SpoilNode("node-1", 137)
			w.At(5*time.Minute, "node-1 is repaired", func(context.Context, client.Client) error { w.SpoilNode("node-1", 0); return nil })
			rest(t, w)
			status := read(t, w, "j").Status
			if status.Restarts != tc.restarts || !status.IsTrue(commonv1.JobSucceeded) {
				t.Errorf("%s: %d restarts, want %d; the job is %s\n%s", tc.reason, status.Restarts, tc.restarts, status.State, w.Transcript())
			}
		})
	}
}

// TestAvoidedNodeNeeded: when all nodes must be avoided, the job says so and goes on with the one
// that failed first, whatever crashes meanwhile.
func TestAvoidedNodeNeeded(t *testing.T) {
	policy := commonv1.AvoidNodes{Mode: commonv1.AvoidNodesRequired}
	w := story(t, Options{Nodes: 2, Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Run: time.Minute} }},
		newJob("j", 1, avoids(policy, commonv1.RestartScopeReplica)))
	w.SpoilNode("node-0", 137)
	w.SpoilNode("node-1", 137)
	var said []string
	w.onStatus = func(before, after client.Object) {
		was, is := w.parts(before).Status, w.parts(after).Status
		if c := is.Condition(commonv1.JobStalled); c != nil && !was.IsTrue(commonv1.JobStalled) || c != nil && was.Condition(commonv1.JobStalled).Message != c.Message {
			said = append(said, c.Message)
		}
	}
	w.At(2*time.Minute, "the nodes are repaired", func(context.Context, client.Client) error {
		w.SpoilNode("node-0", 0)
		w.SpoilNode("node-1", 0)
		return nil
	})
	rest(t, w)
	status := read(t, w, "j").Status
	if !status.IsTrue(commonv1.JobSucceeded) || status.Restarts != 2 || len(status.FailedNodes) != 1 || status.FailedNodes[0].Name != "node-1" {
		t.Errorf("the job is %s with %d restarts; failed nodes: %+v\n%s", status.State, status.Restarts, status.FailedNodes, w.Transcript())
	}
	if got := strings.Join(said, "\n"); !strings.Contains(got, "no longer avoids node node-0, because its pods find no other node") {
		t.Errorf("the job said %q", got)
	}
}
