package controller_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/controller"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// indexless finds pods and services by the labels of the job, and takes those that it controls.
type indexless struct {
	trainController

	client client.Client
}

var _ controller.ChildLister[*testv1.TestJob] = indexless{}

// ListPods implements controller.ChildLister.
func (x indexless) ListPods(ctx context.Context, job *testv1.TestJob) ([]*corev1.Pod, error) {
	var list corev1.PodList
	kind := x.Kind()
	err := x.client.List(ctx, &list, client.InNamespace(job.Namespace), client.MatchingLabels(kind.JobLabels(job.Name)))
	var own []*corev1.Pod
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], job) {
			own = append(own, &list.Items[i])
		}
	}
	return own, err
}

// ListServices implements controller.ChildLister.
func (x indexless) ListServices(ctx context.Context, job *testv1.TestJob) ([]*corev1.Service, error) {
	var list corev1.ServiceList
	kind := x.Kind()
	err := x.client.List(ctx, &list, client.InNamespace(job.Namespace), client.MatchingLabels(kind.JobLabels(job.Name)))
	var own []*corev1.Service
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], job) {
			own = append(own, &list.Items[i])
		}
	}
	return own, err
}

// How are pods and services found another way?
func ExampleChildLister() {
	job := testJob(2)
	c := fakeAPI(job)
	jobs := &controller.JobController[*testv1.TestJob]{Controller: indexless{client: c}, Recorder: &recorder{}, Client: c}
	if err := jobs.Init(c.Scheme()); err != nil {
		fmt.Println(err)
		return
	}
	reconcileOnce(jobs, c, job)
	job.Spec.RunPolicy.Suspend = new(true)
	_ = c.Update(context.Background(), job)
	reconcileOnce(jobs, c, job)
	// Output:
	// 2 pods
	// 0 pods
}
