//go:build integration

package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// only keeps the workers of a job on some nodes, by an affinity of the user.
func only(job *testv1.TestJob, nodes ...string) {
	terms := make([]corev1.NodeSelectorTerm, 0, len(nodes))
	for _, n := range nodes {
		terms = append(terms, corev1.NodeSelectorTerm{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{n}}},
		})
	}
	job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}
}

// TestAvoidNodes: a real scheduler keeps the next pod away from the node on which the last one
// failed, together with the affinity of the user; and where that leaves no node, it says so in
// words by which the operator knows why.
func TestAvoidNodes(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for _, mode := range []commonv1.AvoidNodesMode{commonv1.AvoidNodesRequired, commonv1.AvoidNodesPreferred} {
		worker := replicas(1, "run-for", "1s", "exit-code", "137", "fail-until-attempt", "1")
		worker.RestartPolicy = commonv1.RestartPolicyExitCode
		job := newJob(ns, strings.ToLower(string(mode)), nil, worker)
		job.Spec.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{Mode: mode}
		job.Spec.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyNone)
		only(job, "node-0", "node-1")
		create(t, job)
		waitFor(t, job, commonv1.JobSucceeded)
		if len(job.Status.FailedNodes) != 1 || len(job.Status.Failures) != 1 || job.Status.FailedNodes[0].Name != job.Status.Failures[0].Node {
			t.Fatalf("%s: failed nodes %+v, failures %+v", mode, job.Status.FailedNodes, job.Status.Failures)
		}
		pod, bad := pods(t.Context(), t, ns)[job.Name+"-worker-0"], job.Status.FailedNodes[0].Name
		if pod.Spec.NodeName == bad || !slices.Contains([]string{"node-0", "node-1"}, pod.Spec.NodeName) {
			t.Errorf("%s: the pod failed on %s, and its next attempt ran on %s", mode, bad, pod.Spec.NodeName)
		}
	}
	worker := replicas(1, "run-for", "1s", "exit-code", "137", "fail-until-attempt", "1")
	worker.RestartPolicy = commonv1.RestartPolicyExitCode
	job := newJob(ns, "none", nil, worker)
	job.Spec.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{Mode: commonv1.AvoidNodesRequired}
	only(job, "node-0")
	create(t, job)
	eventually(t, "the scheduler finds no node for it", func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err.Error()
		}
		pod := pods(ctx, t, ns)["none-worker-0"]
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable && strings.Contains(c.Message, "affinity") &&
				pod.Labels[commonv1.AttemptLabel] == "1" && pod.Annotations[commonv1.AvoidedNodesAnnotation] != "" {
				return ""
			}
		}
		return fmt.Sprintf("%s: %+v", job.Status.State, pod.Status.Conditions)
	})
}
