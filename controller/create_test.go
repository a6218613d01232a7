package controller_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

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
			reason: "a pod without an owner with the wanted name is left alone, and the job says so",
			pod:    foreign(nil),
			want:   "TestJobNameConflict: TestJob ns/job cannot create pod job-worker-1: a pod of that name exists and belongs to no job: delete or rename it, or give the job another name",
		},
		"PodOfAnotherJob": {
			reason: "so is that of another job",
			pod:    foreign(&metav1.OwnerReference{APIVersion: "kubeflow.org/v1", Kind: "OtherJob", Name: "job", UID: "other", Controller: new(true)}),
			want:   "TestJobNameConflict: TestJob ns/job cannot create pod job-worker-1: a pod of that name exists and belongs to OtherJob job: delete it, or give one of the two another name",
		},
		"PodOfTheJobBefore": {
			reason: "the pods of a deleted job of the same name go soon: not worth a condition",
			pod:    foreign(&metav1.OwnerReference{APIVersion: "kubeflow.org/v1", Kind: "TestJob", Name: "job", UID: "before", Controller: new(true)}),
			err:    "cannot create pod ns/job-worker-1 yet: the one of that name is still being deleted",
		},
		"OwnPodWithoutItsLabel": {
			reason: "a pod that another client took out of the controller's sight is the job's all the same: it gets its labels back",
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
			reason: "and whatever its reason: this is not a terminating namespace",
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
			reason: "a 404 that is not of the namespace is reported: nothing else reports it",
			fail:   answer(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource"),
			want:   "TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: the server could not find the requested resource",
		},
		"NoNamespace": {
			reason: "a namespace that is gone takes the job with it; until the cache shows that, it is tried again",
			fail:   apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"),
			err:    `cannot create pod ns/job-worker-1: namespaces "ns" not found`,
		},
		"Method": {
			reason: "what the server refuses permanently is not a transient error",
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
			// The first pass says at once why a pod is missing; the second has nothing new to say.
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

// TestNamespaceIsGoingKeepsConditions: that a namespace is being deleted does not say that the
// obstacle of before is gone. Two leaders, of which one has not seen that yet, would otherwise
// write the condition in turn.
func TestNamespaceIsGoingKeepsConditions(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(1))
	b.clock.SetTime(time.Unix(1_700_000_010, 0))
	fail := error(apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "job-worker-0", errors.New("exceeded quota: q")))
	b.fail = func(call string) error {
		if call == "create pod job-worker-0" {
			return fail
		}
		return nil
	}
	for range 2 {
		if _, _, err := b.reconcile(); err != nil {
			t.Fatal(err)
		}
	}
	want := b.conditions()
	if len(want) != 2 || !strings.Contains(want[1], "TestJobCreateRefused") {
		t.Fatalf("the job should be stalled: %q", want)
	}
	fail = &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: 403, Details: &metav1.StatusDetails{
		Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}},
	}}}
	b.clock.SetTime(time.Unix(1_700_003_610, 0))
	if _, _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.conditions()); diff != "" {
		t.Errorf("conditions (-before +after):\n%s", diff)
	}
}

// broken is a TestJob controller whose SetClusterSpec fails for replica 1, or gives it
// a variable of some size.
type broken struct {
	testjob.Controller
	how  func() error
	size int
}

func (c broken) SetClusterSpec(_ *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if r.Index() != 1 {
		return nil
	}
	if c.size > 0 {
		main := &template.Spec.Containers[0]
		main.Env = append(main.Env, corev1.EnvVar{Name: "CLUSTER", Value: strings.Repeat("x", c.size)})
	}
	return c.how()
}

// TestRefusedWhileTheJobCannotBeRead: what the API server finds invalid is not tried again at once, also where the
// job, which says who made the mistake, cannot be read at that moment.
func TestRefusedWhileTheJobCannotBeRead(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(1))
	b.intercept(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, whole := o.(*unstructured.Unstructured); whole {
			return apierrors.NewTimeoutError("not now", 1)
		}
		return c.Get(ctx, key, o, opts...)
	}})
	b.fail = func(call string) error {
		if call == "create pod job-worker-0" {
			return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "job-worker-0", field.ErrorList{field.Required(field.NewPath("spec", "volumes"), "")})
		}
		return nil
	}
	for pass, want := range []bool{true, false} {
		writes, _, err := b.reconcile()
		if err != nil {
			t.Fatal(err)
		}
		if tried := slices.Contains(writes, "create pod job-worker-0"); tried != want {
			t.Errorf("pass %d: the pod is tried: %t, want %t; writes: %q", pass, tried, want, writes)
		}
	}
	if c := b.job().Status.Condition(commonv1.JobStalled); c == nil || c.Reason != "TestJobCreateRefused" {
		t.Errorf("the job says that it waits: %+v", c)
	}
}

// TestExistingPodThatTheCacheNeverShows: a pod that exists but is gone before the cache shows it
// causes no event, so the job is requeued as long as the cache does not show it.
func TestExistingPodThatTheCacheNeverShows(t *testing.T) {
	b := newBench(t, &blind{}, testJob(1))
	mustReconcile(t, b)
	b.restartOperator()
	if _, result, err := b.reconcile(); err != nil || result.RequeueAfter == 0 || result.RequeueAfter > time.Minute {
		t.Errorf("the pod exists, and the cache does not show it: requeue after %s, error %v; want a requeue soon", result.RequeueAfter, err)
	}
}
