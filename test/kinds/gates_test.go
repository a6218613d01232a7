//go:build integration

package kinds

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestSchedulingGates is row 131: pods that are held back by scheduling gates are
// reported as such, until the gates are gone.
func TestSchedulingGates(t *testing.T) {
	t.Parallel()
	k := kindOf("JAXJob")
	j := submit(t, k, `
apiVersion: kubeflow.org/v1
kind: JAXJob
metadata: {name: job}
spec:
  jaxReplicaSpecs:
    Worker:
      replicas: 2
      template:
        spec:
          schedulingGates: [{name: example.com/quota}]
          containers: [{name: jax, image: registry.example.com/train:v1}]`)
	want := "JAXJob " + j.namespace + "/job waits for pod job-worker-0, job-worker-1, held back by scheduling gates: the client that set example.com/quota must remove them."
	eventually(t, "the job says that its pods are held back", func(ctx context.Context) string {
		if c := j.status(ctx, t).Condition(commonv1.JobStalled); c == nil || c.Reason != "JAXJobSchedulingGated" || c.Message != want {
			return "not yet"
		}
		return ""
	})
	for name := range j.pods(t.Context(), t) {
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = j.namespace, name
		if err := cluster.client.Patch(t.Context(), pod, client.RawPatch("application/json-patch+json", []byte(`[{"op":"remove","path":"/spec/schedulingGates"}]`))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the job runs", func(ctx context.Context) string {
		if s := j.status(ctx, t); !s.IsTrue(commonv1.JobRunning) || s.IsTrue(commonv1.JobStalled) {
			return string(s.State)
		}
		return ""
	})
}
