package controller_test

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jobkit/jobkit/controller"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// reconcileOnce is a loop of one's own around a job, once. It prints the pods.
func reconcileOnce(jobs *controller.JobController[*testv1.TestJob], c client.Client, job *testv1.TestJob) {
	ctx := context.Background()
	_ = c.Get(ctx, client.ObjectKeyFromObject(job), job)
	if _, err := jobs.ReconcileJobs(ctx, job); err != nil {
		fmt.Println(err)
	}
	_ = c.Get(ctx, client.ObjectKeyFromObject(job), job)
	var pods corev1.PodList
	_ = c.List(ctx, &pods)
	fmt.Println(len(pods.Items), "pods")
}

func fakeAPI(job *testv1.TestJob) client.Client {
	scheme := runtime.NewScheme()
	_, _ = testv1.AddToScheme(scheme), corev1.AddToScheme(scheme)
	return fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(job).WithObjects(job).Build()
}

// How does a loop of one's own run a job? It calls ReconcileJobs with the job as it is; the
// result says when to come again. Here a user suspends the job and resumes it.
func ExampleJobController_ReconcileJobs() {
	job := testJob(2)
	c := fakeAPI(job)
	jobs := &controller.JobController[*testv1.TestJob]{Controller: trainController{}, Recorder: &recorder{}, Client: c}
	if err := jobs.Init(c.Scheme()); err != nil {
		fmt.Println(err)
		return
	}
	reconcileOnce(jobs, c, job)
	for _, suspend := range []bool{true, false} {
		job.Spec.RunPolicy.Suspend = &suspend
		_ = c.Update(context.Background(), job)
		reconcileOnce(jobs, c, job)
	}
	// Output:
	// 2 pods
	// 0 pods
	// 2 pods
}

// leaseController creates pods its own way: each needs a place in a pool first. Several pods
// of a job are created at the same time, so the pool has a lock.
type leaseController struct {
	trainController

	client client.Client
	mu     sync.Mutex
	pool   map[string]bool
}

func (l *leaseController) CreatePod(ctx context.Context, _ *testv1.TestJob, pod *corev1.Pod) error {
	l.mu.Lock()
	l.pool[pod.Name] = true
	l.mu.Unlock()
	return l.client.Create(ctx, pod)
}

func (l *leaseController) DeletePod(ctx context.Context, _ *testv1.TestJob, pod *corev1.Pod) error {
	l.mu.Lock()
	delete(l.pool, pod.Name)
	l.mu.Unlock()
	return l.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
}

// How are pods created and deleted another way? The Controller implements PodControl too.
func ExamplePodControl() {
	job := testJob(2)
	c := fakeAPI(job)
	author := &leaseController{client: c, pool: map[string]bool{}}
	jobs := &controller.JobController[*testv1.TestJob]{Controller: author, Recorder: &recorder{}, Client: c}
	if err := jobs.Init(c.Scheme()); err != nil {
		fmt.Println(err)
		return
	}
	reconcileOnce(jobs, c, job)
	fmt.Println("in the pool:", author.pool)
	// Output:
	// 2 pods
	// in the pool: map[job-worker-0:true job-worker-1:true]
}
