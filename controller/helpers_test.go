package controller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// intercept sets the controller up again, with a client whose calls are intercepted.
func (b *bench) intercept(funcs interceptor.Funcs) {
	b.t.Helper()
	b.controller.Client = interceptor.NewClient(b.client, funcs)
	if err := b.controller.Init(b.client.Scheme()); err != nil {
		b.t.Fatal(err)
	}
}

// bench is a JobController for TestJobs on a fake API server whose calls can be
// counted and made to fail.
type bench struct {
	t          *testing.T
	client     client.WithWatch
	controller *controller.JobController[*testv1.TestJob]
	recorder   *recorder
	clock      *clienttesting.FakePassiveClock
	metrics    *prometheus.Registry

	mu    sync.Mutex
	calls []string
	// fail is asked before each write, with for example "create pod job-worker-0".
	fail func(call string) error
}

func newBench(t *testing.T, author jobkit.ControllerInterface[*testv1.TestJob], objects ...client.Object) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, testv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{t: t, recorder: &recorder{}, metrics: prometheus.NewRegistry(), clock: clienttesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&testv1.TestJob{}).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if err := b.called("create", o); err != nil {
					return err
				}
				o.SetUID(typesUID("uid-of-" + o.GetName()))
				o.SetCreationTimestamp(metav1.NewTime(b.clock.Now()))
				return c.Create(ctx, o, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				if err := b.called("delete", o); err != nil {
					return err
				}
				return c.Delete(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				if err := b.called("update", o); err != nil {
					return err
				}
				return c.Patch(ctx, o, p, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if err := b.called("write status of", o); err != nil {
					return err
				}
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	b.controller = &controller.JobController[*testv1.TestJob]{
		Controller: author, Client: b.client, Recorder: b.recorder, Clock: b.clock, Metrics: b.metrics,
	}
	if err := b.controller.Init(scheme); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) called(verb string, o client.Object) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	call := fmt.Sprintf("%s %s %s", verb, strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1.")), o.GetName())
	b.calls = append(b.calls, call)
	if b.fail != nil {
		return b.fail(call)
	}
	return nil
}

// job reads the job.
func (b *bench) job() *testv1.TestJob {
	b.t.Helper()
	job := &testv1.TestJob{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "ns", Name: "job"}, job); err != nil {
		b.t.Fatal(err)
	}
	return job
}

// reconcile reconciles the job once and returns the writes that followed.
func (b *bench) reconcile() ([]string, reconcile.Result, error) {
	b.t.Helper()
	return b.reconcileStale(b.job())
}

// reconcileStale reconciles the job as some cache shows it.
func (b *bench) reconcileStale(job *testv1.TestJob) ([]string, reconcile.Result, error) {
	b.t.Helper()
	b.calls = nil
	result, err := b.controller.ReconcileJobs(b.t.Context(), job)
	return b.calls, result, err
}

// conditions lists the conditions of the job that are True.
func (b *bench) conditions() []string {
	b.t.Helper()
	var out []string
	for _, c := range b.job().Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			out = append(out, c.Reason+": "+c.Message)
		}
	}
	return out
}

// setPhase puts every pod into a phase.
func (b *bench) setPhase(phase corev1.PodPhase) {
	b.t.Helper()
	var pods corev1.PodList
	if err := b.client.List(b.t.Context(), &pods); err != nil {
		b.t.Fatal(err)
	}
	for i := range pods.Items {
		pods.Items[i].Status.Phase = phase
		if err := b.client.Status().Update(b.t.Context(), &pods.Items[i]); err != nil {
			b.t.Fatal(err)
		}
	}
}

// recorder keeps the events.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%s %s: "+note, append([]any{kind, reason}, args...)...))
}

func testJob(workers int32) *testv1.TestJob {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "image"}}}}
	return &testv1.TestJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job", UID: "job-uid", CreationTimestamp: metav1.Unix(1_700_000_000, 0)},
		Spec: testv1.TestJobSpec{TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			testv1.Worker: {Replicas: &workers, Template: template},
		}},
	}
}

// answer is an answer of the API server that refuses something.
func answer(code int32, reason metav1.StatusReason, message string, causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{Causes: causes},
	}}
}

func typesUID(s string) types.UID { return types.UID(s) }

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func cmpEmpty() cmp.Option { return cmpopts.EquateEmpty() }

func mustReconcile(t *testing.T, b *bench) {
	t.Helper()
	if _, _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
}
