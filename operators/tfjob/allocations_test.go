package tfjob_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/tfjob"
)

// TestClusterSpecIsRenderedOnce: the addresses of 10,000 Workers are listed for the first
// replica that a reconcile creates; each other makes a few things, however many there are.
func TestClusterSpecIsRenderedOnce(t *testing.T) {
	const workersOfJob, most = 10_000, 40
	job := optest.Job[kubeflowv1.TFJob](t, workers("Never"))
	job.Spec.TFReplicaSpecs["Worker"].Replicas = new(int32(workersOfJob))
	c := tfjob.Controller{}
	replica := c.Parts(job).Replicas(c.Kind(), job)
	next := int32(0)
	render := func() {
		template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "tensorflow"}}}}
		if err := c.SetClusterSpec(job, replica("Worker", next, 0), template); err != nil {
			t.Fatal(err)
		}
		next++
	}
	render() // the first; AllocsPerRun begins with one that it does not count, too
	if got := testing.AllocsPerRun(10, render); got > most {
		t.Errorf("the template of another Worker of %d takes %.0f allocations, want at most %d: is the list made again?", workersOfJob, got, most)
	}
}
