package conformance_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/headworkers"
	headv1 "github.com/jobkit/jobkit/examples/headworkers/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// replicas is a replica spec.
func replicas(n int32, container string) *commonv1.ReplicaSpec {
	return &commonv1.ReplicaSpec{Replicas: &n, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: container, Image: "program"}},
	}}}
}

func testJob() *testv1.TestJob {
	job := &testv1.TestJob{}
	job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		testv1.Master: replicas(1, testv1.ContainerName), testv1.Worker: replicas(2, testv1.ContainerName),
	}
	return job
}

func TestTestJob(t *testing.T) {
	t.Parallel()
	conformance.Run(t, testjob.Controller{}, testJob())
}

func TestHeadWorkersJob(t *testing.T) {
	t.Parallel()
	job := &headv1.HeadWorkersJob{}
	job.Spec.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		headv1.Head: replicas(1, headv1.ContainerName), headv1.Worker: replicas(2, headv1.ContainerName),
	}
	conformance.Run(t, headworkers.Controller{}, job)
}
