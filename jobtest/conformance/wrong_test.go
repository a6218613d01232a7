package conformance_test

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// wrong is a TestJob operator whose author makes a mistake in one method.
type wrong struct {
	testjob.Controller

	rules func(job) jobkit.Rules
	spec  func(job, jobkit.Replica, template) error
}

func (w wrong) Rules(j job) jobkit.Rules {
	if w.rules != nil {
		return w.rules(j)
	}
	return w.Controller.Rules(j)
}

func (w wrong) SetClusterSpec(j job, r jobkit.Replica, t template) error {
	if w.spec != nil {
		return w.spec(j, r, t)
	}
	return w.Controller.SetClusterSpec(j, r, t)
}

// wrongParts points at a copy of the status.
type wrongParts struct{ testjob.Controller }

func (w wrongParts) Parts(j job) jobkit.JobParts {
	parts := w.Controller.Parts(j)
	parts.Status = j.Status.DeepCopy()
	return parts
}

// wrongPolicy points at a copy of the run policy.
type wrongPolicy struct{ testjob.Controller }

func (w wrongPolicy) Parts(j job) jobkit.JobParts {
	parts := w.Controller.Parts(j)
	parts.RunPolicy = j.Spec.RunPolicy.DeepCopy()
	return parts
}

// sharedData is the content of every ConfigMap.
var sharedData = map[string]string{"a": "b"}

// wrongDefaults changes a job again that has its defaults.
type wrongDefaults struct{ testjob.Controller }

func (wrongDefaults) Default(j job) {
	limit := int32(1)
	if was := j.Spec.RunPolicy.BackoffLimit; was != nil {
		limit += *was
	}
	j.Spec.RunPolicy.BackoffLimit = &limit
}

// wrongObjects wants other objects at each call.
type wrongObjects struct {
	testjob.Controller

	data func(job) map[string]string
	// name is that of the object; by default that of the job with the suffix, which is by default -config.
	name, suffix string
}

func (wrongObjects) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

func (w wrongObjects) Objects(j job, _ *jobkit.Tally) []jobkit.Object {
	name := cmp.Or(w.name, j.Name+cmp.Or(w.suffix, "-config"))
	return []jobkit.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: w.data(j)}}
}

// wrongOutcome decides wrongly.
type wrongOutcome struct {
	testjob.Controller

	outcome func(*jobkit.Tally) *jobkit.Outcome
}

func (w wrongOutcome) EvaluateStatus(_ job, t *jobkit.Tally) *jobkit.Outcome { return w.outcome(t) }

// wrongPods creates and deletes pods its own way.
type wrongPods struct {
	testjob.Controller

	client  client.Client
	create  func(context.Context, client.Client, *corev1.Pod) error
	deletes func(context.Context, client.Client, *corev1.Pod) error
}

func (w wrongPods) CreatePod(ctx context.Context, _ job, pod *corev1.Pod) error {
	if w.create != nil {
		return w.create(ctx, w.client, pod)
	}
	return w.client.Create(ctx, pod)
}

func (w wrongPods) DeletePod(ctx context.Context, _ job, pod *corev1.Pod) error {
	if w.deletes != nil {
		return w.deletes(ctx, w.client, pod)
	}
	return w.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
}

// wrongStatus writes the status its own way.
type wrongStatus struct {
	testjob.Controller

	client client.Client
	write  func(context.Context, client.Client, job, *commonv1.JobStatus) error
}

func (w wrongStatus) WriteStatus(ctx context.Context, j job, s *commonv1.JobStatus) error {
	return w.write(ctx, w.client, j, s)
}

// own is a program with an author's part that needs a client.
func own(author func(client.Client) jobkit.ControllerInterface[job]) *jobtest.Program[job] {
	return &jobtest.Program[job]{Author: author}
}

// step is what a loop of an author's own does with a job.
type step func(context.Context, client.Client, *controller.JobController[job], job) (reconcile.Result, error)

// looping is a program with a loop of its own, of which each process begins again.
func looping(begin func() step) *jobtest.Program[job] {
	return &jobtest.Program[job]{
		Author: func(client.Client) jobkit.ControllerInterface[job] { return testjob.Controller{} },
		Loop: func(c client.Client, jobs *controller.JobController[job]) reconcile.Reconciler {
			do := begin()
			return loop(func(ctx context.Context, jobs *controller.JobController[job], j job) (reconcile.Result, error) {
				return do(ctx, c, jobs, j)
			})(c, jobs)
		},
	}
}

// writing is a program that changes each status before it writes it.
func writing(change func(*commonv1.JobStatus)) *jobtest.Program[job] {
	return own(func(c client.Client) jobkit.ControllerInterface[job] {
		return wrongStatus{client: c, write: func(ctx context.Context, c client.Client, j job, s *commonv1.JobStatus) error {
			return patchStatus(ctx, c, j.DeepCopy(), func(to *commonv1.JobStatus) { *to = *s.DeepCopy(); change(to) })
		}}
	})
}

// patchStatus changes the status of a job, if that is still the one in the cluster.
func patchStatus(ctx context.Context, c client.Client, j job, change func(*commonv1.JobStatus)) error {
	was := j.DeepCopy()
	change(&j.Status)
	return c.Status().Patch(ctx, j, client.MergeFromWithOptions(was, client.MergeFromWithOptimisticLock{}))
}

// loop is a loop of an author's own.
func loop(
	do func(context.Context, *controller.JobController[job], job) (reconcile.Result, error),
) func(client.Client, *controller.JobController[job]) reconcile.Reconciler {
	return func(c client.Client, jobs *controller.JobController[job]) reconcile.Reconciler {
		return reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
			j := &testv1.TestJob{}
			if err := c.Get(ctx, r.NamespacedName, j); err != nil {
				return reconcile.Result{}, client.IgnoreNotFound(err)
			}
			return do(ctx, jobs, j)
		})
	}
}
