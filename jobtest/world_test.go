package jobtest

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// newScheme knows the core types and TestJob.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		panic(err)
	}
	if err := testv1.AddToScheme(s); err != nil {
		panic(err)
	}
	return s
}

var testScheme = newScheme()

func newJob(name string, workers int32, change ...func(*testv1.TestJob)) *testv1.TestJob {
	job := &testv1.TestJob{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: testv1.TestJobSpec{TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			testv1.Worker: {Replicas: &workers, Template: corev1.PodTemplateSpec{
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "test"}}},
			}},
		}},
	}
	for _, f := range change {
		f(job)
	}
	return job
}

func TestFairRun(t *testing.T) {
	w, err := NewWorld[*testv1.TestJob](testjob.Controller{}, testScheme, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Client().Create(context.Background(), newJob("j", 2)); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + w.Transcript())
}
