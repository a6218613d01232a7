package tfjob_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/tfjob"
)

// BenchmarkSetClusterSpec completes the pod templates of a TFJob of 1,000 Workers, as one
// reconcile does.
func BenchmarkSetClusterSpec(b *testing.B) {
	job := optest.Job[kubeflowv1.TFJob](b, workers("Never"))
	job.Spec.TFReplicaSpecs["Worker"].Replicas = new(int32(1000))
	b.ReportAllocs()
	var replica func(commonv1.ReplicaType, int32, int32) jobkit.Replica
	i := int32(-1)
	for b.Loop() {
		if i = (i + 1) % 1000; i == 0 { // a reconcile creates them all
			replica = tfjob.Controller{}.Parts(job).Replicas(tfjob.Controller{}.Kind(), job)
		}
		template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "tensorflow"}}}}
		if err := (tfjob.Controller{}).SetClusterSpec(job, replica("Worker", i, 0), template); err != nil {
			b.Fatal(err)
		}
	}
}
