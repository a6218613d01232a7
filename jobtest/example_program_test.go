package jobtest_test

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// ownCalls creates and deletes pods, and writes the status, its own way: it must honour the
// preconditions that the library sets.
type ownCalls struct {
	testjob.Controller

	client client.Client
}

// What it implements.
var (
	_ controller.PodControl[*testv1.TestJob]   = ownCalls{}
	_ controller.StatusWriter[*testv1.TestJob] = ownCalls{}
)

// CreatePod creates a pod. Its name is fixed, so that a lost reply does no harm.
func (o ownCalls) CreatePod(ctx context.Context, _ *testv1.TestJob, pod *corev1.Pod) error {
	return o.client.Create(ctx, pod)
}

// DeletePod deletes that pod and no later one of its name, in the state that was decided upon.
func (o ownCalls) DeletePod(ctx context.Context, _ *testv1.TestJob, pod *corev1.Pod) error {
	is := client.Preconditions{UID: &pod.UID}
	if pod.ResourceVersion != "" {
		is.ResourceVersion = &pod.ResourceVersion
	}
	options := []client.DeleteOption{is}
	if seconds := pod.DeletionGracePeriodSeconds; seconds != nil {
		options = append(options, client.GracePeriodSeconds(*seconds))
	}
	return o.client.Delete(ctx, pod, options...)
}

// WriteStatus fails with a conflict if the job has changed.
func (o ownCalls) WriteStatus(ctx context.Context, job *testv1.TestJob, status *commonv1.JobStatus) error {
	to := job.DeepCopy()
	to.Status = *status.DeepCopy()
	return o.client.Status().Patch(ctx, to, client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{}))
}

// holdAnnotation has the loop leave a job alone until it is removed.
const holdAnnotation = "example.com/hold"

// holdingLoop is a loop of one's own: it does its part first, then calls the library, and returns
// what that returns, so that it comes again when something is due.
func holdingLoop(jobs client.Reader, c *controller.JobController[*testv1.TestJob]) reconcile.Func {
	return func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		job := &testv1.TestJob{}
		if err := jobs.Get(ctx, req.NamespacedName, job); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		if controller.Unreadable(job) != "" {
			return c.ReconcileJobs(ctx, job) // There is no more of it than its metadata and its status.
		}
		if _, held := job.Annotations[holdAnnotation]; held {
			return reconcile.Result{}, nil // The watch brings it back when it changes.
		}
		return c.ReconcileJobs(ctx, job)
	}
}

// setUpHolding is how a main function sets it up: the builder watches jobs, pods and services, and
// the reader of the controller reads jobs.
func setUpHolding(mgr ctrl.Manager) error {
	jobs := &controller.JobController[*testv1.TestJob]{
		Controller: ownCalls{client: mgr.GetClient()},
		Recorder:   controller.NewRecorder(mgr, "testjob-controller"),
	}
	b, err := jobs.Builder(mgr)
	if err != nil {
		return err
	}
	return b.Complete(holdingLoop(jobs.Reader(), jobs))
}

var _ func(ctrl.Manager) error = setUpHolding

// Does my own loop keep the promises, with calls of my own? A Program runs both in a simulated
// cluster. Here a job is held for ten minutes.
func ExampleNewWorldOf() {
	known := runtime.NewScheme()
	_ = scheme.AddToScheme(known)
	_ = testv1.AddToScheme(known)
	world, err := jobtest.NewWorldOf(jobtest.Program[*testv1.TestJob]{
		Author: func(c client.Client) jobkit.ControllerInterface[*testv1.TestJob] { return ownCalls{client: c} },
		Loop: func(c client.Client, jobs *controller.JobController[*testv1.TestJob]) reconcile.Reconciler {
			return holdingLoop(c, jobs)
		},
	}, known, jobtest.Options{Fate: func(*corev1.Pod) jobtest.Fate { return jobtest.Fate{Run: time.Hour} }})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "train", Annotations: map[string]string{holdAnnotation: ""}}}
	job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{testv1.Worker: {Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "train"}}},
	}}}
	if err := world.Client().Create(ctx, job); err != nil {
		fmt.Println(err)
	}
	begin := job.CreationTimestamp.Time
	world.At(10*time.Minute, "lets the job go", func(ctx context.Context, c client.Client) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		job.Annotations = nil
		return c.Update(ctx, job)
	})
	if err := world.Run(ctx); err != nil {
		fmt.Println(err)
	}
	_ = world.Client().Get(ctx, client.ObjectKeyFromObject(job), job)
	fmt.Println(job.Status.State, "after", job.Status.CompletionTime.Sub(begin).Round(time.Minute))
	// Output:
	// Succeeded after 1h10m0s
}
