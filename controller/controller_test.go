package controller_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clienttesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

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

// reconcile looks at the job once and returns the writes that followed.
func (b *bench) reconcile() ([]string, reconcile.Result, error) {
	b.t.Helper()
	return b.reconcileStale(b.job())
}

// reconcileStale looks at the job as some cache shows it.
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

func TestLifeOfAJob(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(3))
	steps := []struct {
		reason string
		before func()
		writes []string
		want   []string
	}{
		{
			reason: "everything is created first, each once",
			writes: []string{
				"create service job",
				"create pod job-worker-0", "create pod job-worker-1", "create pod job-worker-2",
			},
		},
		{
			reason: "a second look writes nothing, because the pods may run in a moment",
		},
		{
			reason: "a second later the job says that it was created",
			before: func() { b.clock.SetTime(b.clock.Now().Add(time.Second)) },
			writes: []string{"write status of testjob job"},
			want:   []string{"TestJobCreated: TestJob job is created."},
		},
		{
			reason: "one write when the pods run",
			before: func() { b.setPhase(corev1.PodRunning) },
			writes: []string{"write status of testjob job"},
			want:   []string{"TestJobCreated: TestJob job is created.", "TestJobRunning: TestJob ns/job is running."},
		},
		{
			reason: "one write when they have succeeded, and the service goes",
			before: func() { b.setPhase(corev1.PodSucceeded) },
			writes: []string{"write status of testjob job", "delete service job"},
			want:   []string{"TestJobCreated: TestJob job is created.", "TestJobSucceeded: TestJob ns/job successfully completed."},
		},
		{
			reason: "nothing is written once the job has finished",
			want:   []string{"TestJobCreated: TestJob job is created.", "TestJobSucceeded: TestJob ns/job successfully completed."},
		},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		writes, _, err := b.reconcile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sorted(step.writes), sorted(writes)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
		if diff := cmp.Diff(step.want, b.conditions()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
	}
	want := []string{
		"Normal SuccessfulCreateService: Created service: job",
		"Normal SuccessfulCreatePod: Created 3 pods",
		"Normal TestJobSucceeded: TestJob ns/job successfully completed.",
		"Normal SuccessfulDeleteService: Deleted service: job",
	}
	if diff := cmp.Diff(want, b.recorder.events); diff != "" {
		t.Errorf("events are told once, and together for all pods (-want +got):\n%s", diff)
	}
}

func TestWhatStopsACreate(t *testing.T) {
	foreign := func(owner *metav1.OwnerReference) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-worker-1", UID: "foreign"}}
		if owner != nil {
			p.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		return p
	}
	pods := schema.GroupResource{Resource: "pods"}
	podKind := schema.GroupKind{Kind: "Pod"}
	cases := map[string]struct {
		reason string
		pod    *corev1.Pod
		fail   error
		author jobkit.ControllerInterface[*testv1.TestJob]
		want   string
		err    string
	}{
		"ForeignPod": {
			reason: "a pod of nobody with the wanted name is left alone, and the job says so",
			pod:    foreign(nil),
			want:   "TestJobNameConflict: TestJob ns/job cannot create pod job-worker-1: a pod of that name is there and belongs to no job: delete or rename it, or give the job another name",
		},
		"PodOfAnotherJob": {
			reason: "so is that of another job",
			pod:    foreign(&metav1.OwnerReference{APIVersion: "kubeflow.org/v1", Kind: "OtherJob", Name: "job", UID: "other", Controller: new(true)}),
			want:   "TestJobNameConflict: TestJob ns/job cannot create pod job-worker-1: a pod of that name is there and belongs to OtherJob job: delete it, or give one of the two another name",
		},
		"PodOfTheJobBefore": {
			reason: "the pods of a deleted job of the same name go soon: not worth a condition",
			pod:    foreign(&metav1.OwnerReference{APIVersion: "kubeflow.org/v1", Kind: "TestJob", Name: "job", UID: "before", Controller: new(true)}),
			err:    "cannot create pod ns/job-worker-1 yet: the one of that name is still being deleted",
		},
		"OwnPodWithoutItsLabel": {
			reason: "a pod that somebody took out of the controller's sight is the job's all the same: it gets its labels back",
			pod:    foreign(&metav1.OwnerReference{APIVersion: "kubeflow.org/v1", Kind: "TestJob", Name: "job", UID: "job-uid", Controller: new(true)}),
		},
		"Quota": {
			reason: "a quota stalls the job; what changes in the message is cut off",
			fail:   apierrors.NewForbidden(pods, "job-worker-1", errors.New("exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4")),
			want:   `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: pods "job-worker-1" is forbidden: exceeded quota: team, requested: pods=1`,
		},
		"Webhook": {
			reason: "so does an admission webhook, whatever its code",
			fail:   apierrors.NewBadRequest(`admission webhook "policy" denied the request: no`),
			want:   `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: admission webhook "policy" denied the request: no`,
		},
		"WebhookNotFound": {
			reason: "and whatever it means: this is no namespace that goes",
			fail:   answer(http.StatusNotFound, metav1.StatusReasonNotFound, `admission webhook "policy" denied the request: no such team`),
			want:   `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: admission webhook "policy" denied the request: no such team`,
		},
		"WebhookAlreadyExists": {
			reason: "nor is a name taken because a webhook says so",
			fail:   answer(http.StatusConflict, metav1.StatusReasonAlreadyExists, `admission webhook "policy" denied the request: no two`),
			want:   `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: admission webhook "policy" denied the request: no two`,
		},
		"WebhookInvalid": {
			reason: "a webhook that names fields is still a policy",
			fail: answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `admission webhook "policy" denied the request: spec.containers[0].image: no`,
				metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: "spec.containers[0].image"}),
			want: `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: admission webhook "policy" denied the request: spec.containers[0].image: no`,
		},
		"AdmissionPolicy": {
			reason: "an admission policy refuses with the code and reason of an invalid object, unless it says otherwise; its cause names no field",
			fail: answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `pods "job-worker-1" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'freeze' denied request: maintenance`,
				metav1.StatusCause{Message: `ValidatingAdmissionPolicy 'freeze' with binding 'freeze' denied request: maintenance`}),
			want: `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: pods "job-worker-1" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'freeze' denied request: maintenance`,
		},
		"Injected": {
			reason: "what is invalid the user did not write: some admission put a second container in",
			fail:   apierrors.NewInvalid(podKind, "job-worker-1", field.ErrorList{field.Required(field.NewPath("spec", "containers").Index(1).Child("image"), "")}),
			want:   `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: Pod "job-worker-1" is invalid: spec.containers[1].image: Required value`,
		},
		"InjectedVolume": {
			reason: "or a first volume",
			fail:   apierrors.NewInvalid(podKind, "job-worker-1", field.ErrorList{field.Required(field.NewPath("spec", "volumes").Index(0).Child("name"), "")}),
			want:   `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: Pod "job-worker-1" is invalid: spec.volumes[0].name: Required value`,
		},
		"NotServed": {
			reason: "a 404 that is not of the namespace is reported: nothing else tells of it",
			fail:   answer(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource"),
			want:   "TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: the server could not find the requested resource",
		},
		"NoNamespace": {
			reason: "a namespace that is gone takes the job with it; until the cache shows that, it is tried again",
			fail:   apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"),
			err:    `cannot create pod ns/job-worker-1: namespaces "ns" not found`,
		},
		"Method": {
			reason: "what the server refuses for good is no error that passes",
			fail:   apierrors.NewMethodNotSupported(pods, "create"),
			want:   `TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: create is not supported on resources of kind "pods"`,
		},
		"TooLargeForUs": {
			reason: "a pod that is small as it was sent, others have made too large",
			fail:   apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
			want:   "TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: Request entity too large: limit is 3145728",
		},
		"TooLarge": {
			reason: "a pod that is too large is the job's mistake, and the condition says which variable",
			author: broken{how: func() error { return nil }, size: 2 << 20},
			fail:   apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
			want: "TestJobFailedValidation: TestJob ns/job cannot create pod job-worker-1: it is too large for the API server: the variable CLUSTER of container test-container has 2097160 bytes: " +
				"use fewer replicas, or shorter values (Request entity too large: limit is 3145728)",
		},
		"TooLargeForTheStore": {
			reason: "the store says so in another way",
			author: broken{how: func() error { return nil }, size: 2 << 20},
			fail:   apierrors.NewInternalError(errors.New("etcdserver: request is too large")),
			want: "TestJobFailedValidation: TestJob ns/job cannot create pod job-worker-1: it is too large for the API server: the variable CLUSTER of container test-container has 2097160 bytes: " +
				"use fewer replicas, or shorter values (Internal error occurred: etcdserver: request is too large)",
		},
		"Invalid": {
			reason: "a template that the API server finds invalid fails the job",
			fail:   apierrors.NewInvalid(podKind, "job-worker-1", field.ErrorList{field.Invalid(field.NewPath("spec", "priority"), 7, "no")}),
			want:   `TestJobFailedValidation: TestJob ns/job cannot create pod job-worker-1: Pod "job-worker-1" is invalid: spec.priority: Invalid value: 7: no`,
		},
		"Timeout": {
			reason: "an error that passes is tried again and is no condition",
			fail:   apierrors.NewTimeoutError("busy", 1),
			err:    "cannot create pod ns/job-worker-1: Timeout: busy",
		},
		"NamespaceIsGoing": {
			reason: "a namespace that is being deleted takes the job with it: nothing to say",
			fail: &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: 403, Details: &metav1.StatusDetails{
				Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}},
			}}},
		},
		"Panic": {
			reason: "a panic of the operator's own code stalls the job that causes it",
			author: broken{how: func() error { panic("index out of range") }},
			want:   "TestJobOperatorError: TestJob ns/job cannot create pod job-worker-1: the operator's SetClusterSpec panicked: index out of range: this is a bug of the operator, please report it",
		},
		"UsersMistake": {
			reason: "a terminal error of the operator's own code is the user's mistake",
			author: broken{how: func() error { return reconcile.TerminalError(errors.New("spec.mode: use a or b")) }},
			want:   "TestJobFailedValidation: TestJob ns/job cannot create pod job-worker-1: terminal error: spec.mode: use a or b",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{testJob(2)}
			if tc.pod != nil {
				objects = append(objects, tc.pod)
			}
			author := tc.author
			if author == nil {
				author = testjob.Controller{}
			}
			b := newBench(t, author, objects...)
			b.clock.SetTime(time.Unix(1_700_000_010, 0))
			b.fail = func(call string) error {
				if call == "create pod job-worker-1" {
					return tc.fail
				}
				return nil
			}
			// The first look says at once why a pod is missing; the second has nothing new to say.
			var err error
			for range 2 {
				_, _, err = b.reconcile()
			}
			if got := fmt.Sprint(err); tc.err != "" && got != tc.err || tc.err == "" && err != nil {
				t.Errorf("%s: the error is %q, want %q", tc.reason, got, tc.err)
			}
			var want []string
			if tc.want != "" {
				want = []string{tc.want}
			}
			got := b.conditions()
			if diff := cmp.Diff(want, got[1:], cmpEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if tc.pod != nil {
				still := &corev1.Pod{}
				if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(tc.pod), still); err != nil || still.UID != "foreign" {
					t.Errorf("%s: the pod must not be touched: %v, %v", tc.reason, still.UID, err)
				}
			}
		})
	}
}

// answer is an answer of the API server that refuses something.
func answer(code int32, reason metav1.StatusReason, message string, causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{Causes: causes},
	}}
}

// broken is a TestJob controller whose SetClusterSpec fails for replica 1, or gives it
// a variable of some size.
type broken struct {
	testjob.Controller
	how  func() error
	size int
}

func (c broken) SetClusterSpec(_ *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if r.Index != 1 {
		return nil
	}
	if c.size > 0 {
		main := &template.Spec.Containers[0]
		main.Env = append(main.Env, corev1.EnvVar{Name: "CLUSTER", Value: strings.Repeat("x", c.size)})
	}
	return c.how()
}

func TestStaleViews(t *testing.T) {
	t.Run("OfANewJobThatChanged", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(2))
		stale := b.job()
		job := b.job()
		job.Spec.RunPolicy.Suspend = new(true)
		if err := b.client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		writes, result, err := b.reconcileStale(stale)
		if err != nil || result.RequeueAfter == 0 || len(writes) > 0 {
			t.Errorf("a stale view is no error, only another look, and nothing is created: %v, %v, %v", writes, result, err)
		}
	})
	t.Run("OfALargeJobThatChanged", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(20))
		stale := b.job()
		job := b.job()
		job.Spec.RunPolicy.Suspend = new(true)
		if err := b.client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		writes, result, err := b.reconcileStale(stale)
		if err != nil || result.RequeueAfter == 0 {
			t.Errorf("a stale view is no error, only another look: %v, %v", result, err)
		}
		if diff := cmp.Diff([]string{"write status of testjob job"}, writes); diff != "" {
			t.Errorf("the refused status write must stop everything else (-want +got):\n%s", diff)
		}
	})
	t.Run("WithoutAStatusToWrite", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(2))
		mustReconcile(t, b)
		stale := b.job()
		job := b.job()
		job.Spec.RunPolicy.Suspend = new(true)
		if err := b.client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if err := b.client.Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-worker-0"}}); err != nil {
			t.Fatal(err)
		}
		writes, _, err := b.reconcileStale(stale)
		if err != nil || len(writes) > 0 {
			t.Errorf("no pod may be created for a job that has been suspended meanwhile: %v, %v", writes, err)
		}
	})
	t.Run("OfTheOwnStatusWrite", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(2))
		stale := b.job()
		mustReconcile(t, b)
		writes, _, err := b.reconcileStale(stale)
		if err != nil || len(writes) > 0 {
			t.Errorf("the controller knows what it wrote before its cache does: %v, %v", writes, err)
		}
	})
}

func TestOwnWritesAreNotRepeated(t *testing.T) {
	author := &blind{}
	b := newBench(t, author, testJob(3))
	mustReconcile(t, b)
	for range 3 {
		writes, result, err := b.reconcile()
		if err != nil || len(writes) > 0 {
			t.Fatalf("pods that the cache does not show yet must not be created again: %v, %v", writes, err)
		}
		if result.RequeueAfter == 0 {
			t.Error("if the cache never shows them the job must be looked at again")
		}
	}
	// Somebody took them away before the cache ever showed them.
	if err := b.client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("ns")); err != nil {
		t.Fatal(err)
	}
	b.clock.SetTime(b.clock.Now().Add(time.Minute))
	writes, _, err := b.reconcile()
	want := []string{
		"create pod job-worker-0", "create pod job-worker-1", "create pod job-worker-2",
		"create service job", // which is there
		"write status of testjob job",
	}
	if diff := cmp.Diff(want, sorted(writes)); diff != "" || err != nil {
		t.Errorf("what is remembered is forgotten after a while (-want +got): %v\n%s", err, diff)
	}
}

func TestOwnWritesOfALongLookAreRemembered(t *testing.T) {
	b := newBench(t, &blind{}, testJob(3))
	b.fail = func(call string) error {
		if strings.HasPrefix(call, "create") {
			b.clock.SetTime(b.clock.Now().Add(3 * time.Second)) // a large job, or a slow API server
		}
		return nil
	}
	mustReconcile(t, b)
	writes, _, err := b.reconcile()
	if diff := cmp.Diff([]string{"write status of testjob job"}, writes); diff != "" || err != nil {
		t.Errorf("what was created a moment ago, late in a long look, must not be created again (-want +got): %v\n%s", err, diff)
	}
}

// blind is a TestJob controller whose cache never shows a pod or a service.
type blind struct{ testjob.Controller }

func (*blind) ListPods(context.Context, *testv1.TestJob) ([]*corev1.Pod, error) { return nil, nil }
func (*blind) ListServices(context.Context, *testv1.TestJob) ([]*corev1.Service, error) {
	return nil, nil
}

func TestSlowStart(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(100))
	b.fail = func(call string) error {
		if strings.HasPrefix(call, "create pod") {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("no"))
		}
		return nil
	}
	writes, _, err := b.reconcile()
	if err != nil {
		t.Fatal(err)
	}
	// The first batch: the service and seven pods.
	want := []string{
		"create pod job-worker-0", "create pod job-worker-1", "create pod job-worker-2", "create pod job-worker-3",
		"create pod job-worker-4", "create pod job-worker-5", "create pod job-worker-6",
		"create service job", "write status of testjob job",
	}
	if diff := cmp.Diff(want, sorted(writes)); diff != "" {
		t.Errorf("creates that are bound to fail are not tried a hundred times (-want +got):\n%s", diff)
	}
}

func TestSetUpMistakes(t *testing.T) {
	scheme := runtime.NewScheme()
	c := fake.NewClientBuilder().WithScheme(scheme).Build()
	author := testjob.Controller{}
	cases := map[string]struct {
		controller controller.JobController[*testv1.TestJob]
		want       string
	}{
		"NoController": {
			want: "JobController.Controller is not set: give it a type that implements ControllerInterface",
		},
		"NoClient": {
			controller: controller.JobController[*testv1.TestJob]{Controller: author},
			want:       "JobController.Client is not set: set it, or use SetupWithManager",
		},
		"NoRecorder": {
			controller: controller.JobController[*testv1.TestJob]{Controller: author, Client: c},
			want:       "JobController.Recorder is not set: set it, or use SetupWithManager",
		},
		"Gang": {
			controller: controller.JobController[*testv1.TestJob]{
				Controller: author, Client: c, Recorder: &recorder{},
				Config: commonv1.JobControllerConfiguration{EnableGangScheduling: true, GangSchedulerName: "none"},
			},
			want: `JobController.Config.EnableGangScheduling is true, but GangSchedulerName is "none": name a scheduler, or set EnableGangScheduling to false`,
		},
		"Scheme": {
			controller: controller.JobController[*testv1.TestJob]{Controller: author, Client: c, Recorder: &recorder{}},
			want:       `the scheme does not know *v1.TestJob: call its AddToScheme: no kind is registered for the type v1.TestJob in scheme`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := tc.controller.Init(scheme)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
	t.Run("NotSetUp", func(t *testing.T) {
		jc := &controller.JobController[*testv1.TestJob]{Controller: author}
		_, err := jc.ReconcileJobs(t.Context(), testJob(1))
		if !errors.Is(err, reconcile.TerminalError(nil)) || !strings.Contains(err.Error(), "call SetupWithManager, Builder or Init before ReconcileJobs") {
			t.Errorf("got %v", err)
		}
	})
}

// TestOptionalInterfaces checks that what an author implements is used.
func TestOptionalInterfaces(t *testing.T) {
	author := &opinionated{}
	b := newBench(t, author, testJob(1))
	author.asked = nil // Set-up tries the defaults on a job that it makes up.
	mustReconcile(t, b)
	b.setPhase(corev1.PodRunning)
	mustReconcile(t, b)
	want := []string{"default", "validate", "judge", "create pod job-worker-0", "default", "validate", "judge"}
	if diff := cmp.Diff(want, author.asked); diff != "" {
		t.Errorf("the author's own ways are used (-want +got):\n%s", diff)
	}
	got := b.conditions()
	if diff := cmp.Diff([]string{"TestJobCreated: TestJob job is created.", "TestJobSucceeded: enough."}, got); diff != "" {
		t.Errorf("the author's verdict decides (-want +got):\n%s", diff)
	}
}

type opinionated struct {
	testjob.Controller
	asked []string
	pods  []*corev1.Pod
}

func (o *opinionated) Default(*testv1.TestJob) { o.asked = append(o.asked, "default") }

func (o *opinionated) Validate(*testv1.TestJob) field.ErrorList {
	o.asked = append(o.asked, "validate")
	return nil
}

func (o *opinionated) EvaluateStatus(_ *testv1.TestJob, tally *jobkit.Tally) *jobkit.Outcome {
	o.asked = append(o.asked, "judge")
	return &jobkit.Outcome{Succeeded: tally.Count(jobkit.Pending) > 0, Message: "enough."}
}

func (o *opinionated) CreatePod(_ context.Context, _ *testv1.TestJob, pod *corev1.Pod) error {
	o.asked = append(o.asked, "create pod "+pod.Name)
	pod.UID = "own"
	o.pods = append(o.pods, pod)
	return nil
}

func (*opinionated) DeletePod(context.Context, *testv1.TestJob, *corev1.Pod) error { return nil }
