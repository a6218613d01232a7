package controller_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/plan"
)

// setUp sets a controller of TestJobs up, and returns the error in words.
func setUp(t *testing.T, author controller.ControllerInterface[*testv1.TestJob]) string {
	t.Helper()
	b := newBench(t, testjob.Controller{})
	c := &controller.JobController[*testv1.TestJob]{
		Controller: author, Client: b.client, Recorder: b.recorder, Metrics: prometheus.NewRegistry(),
	}
	err := c.Init(b.client.Scheme())
	if err == nil {
		return ""
	}
	says, _, _ := strings.Cut(err.Error(), " in scheme ") // which says where it was made
	return says
}

// mistaken is a TestJob operator whose author made a mistake in Kind.
type mistaken struct {
	testjob.Controller

	change func(*plan.Kind)
}

func (m mistaken) Kind() plan.Kind {
	kind := m.Controller.Kind()
	m.change(&kind)
	return kind
}

// TestMistakenKinds: a mistake in Kind is refused at set-up, before any job pays for it.
func TestMistakenKinds(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*plan.Kind)
		want   string
	}{
		"None": {reason: "what is left out has a default", change: func(*plan.Kind) {}},
		"NameOfTheScheme": {
			reason: "to repeat what the scheme says is no mistake",
			change: func(k *plan.Kind) { k.Name, k.APIVersion = "TestJob", "kubeflow.org/v1" },
		},
		"AnotherName": {
			reason: "the name is that of the owner of every pod",
			change: func(k *plan.Kind) { k.Name = "Test" },
			want:   `Kind() of TestJob is not valid: Name: "Test" is not what the scheme says of *v1.TestJob, which is "TestJob": leave the field out`,
		},
		"Several": {
			reason: "all mistakes are named at once",
			change: func(k *plan.Kind) { k.OperatorName, k.PortNumber = "my operator", 0 },
			want: `Kind() of TestJob is not valid: [OperatorName: Invalid value: "my operator": is the value of a label, and names the controller: use 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, ` +
				`PortNumber: Invalid value: 0: must be from 1 to 65535, because PortName is set: give the port's number, or remove PortName]`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, setUp(t, mistaken{change: tc.change})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// Operators whose authors took care of an optional interface, but not quite.
type (
	wrongArgument struct{ testjob.Controller }
	wrongResult   struct{ testjob.Controller }
	onThePointer  struct{ testjob.Controller }
	half          struct{ testjob.Controller }
	unrelated     struct{ testjob.Controller }
)

func (wrongArgument) Default(testv1.TestJob)                                 {}
func (wrongArgument) Judge(*testv1.TestJob, plan.Tally) *plan.Verdict        { return nil }
func (wrongResult) Validate(*testv1.TestJob) error                           { return nil }
func (*onThePointer) Validate(*testv1.TestJob) field.ErrorList               { return nil }
func (half) Objects(*testv1.TestJob, *plan.Tally) []client.Object            { return nil }
func (half) CreatePod(context.Context, *testv1.TestJob, *corev1.Pod) error   { return nil }
func (unrelated) ValidateAll(context.Context, *testv1.TestJob) (bool, error) { return true, nil }

// TestNearlyImplemented: an optional interface that an author meant to implement is
// never silently left aside.
func TestNearlyImplemented(t *testing.T) {
	cases := map[string]struct {
		reason string
		author controller.ControllerInterface[*testv1.TestJob]
		want   string
	}{
		"Unrelated": {reason: "methods of other names are the author's own", author: unrelated{}},
		"Pointer":   {reason: "a pointer has the methods of both", author: &onThePointer{}},
		"Signature": {
			reason: "each method is named, with what it should be", author: wrongArgument{},
			want: "controller_test.wrongArgument has the method Default(v1.TestJob), but controller.Defaulter has Default(*v1.TestJob): give it that signature, or another name\n" +
				"controller_test.wrongArgument has the method Judge(*v1.TestJob, plan.Tally) *plan.Verdict, but controller.Judge has Judge(*v1.TestJob, *plan.Tally) *plan.Verdict: give it that signature, or another name",
		},
		"Result": {
			reason: "the results count too", author: &wrongResult{},
			want: "*controller_test.wrongResult has the method Validate(*v1.TestJob) error, but controller.Validator has Validate(*v1.TestJob) field.ErrorList: give it that signature, or another name",
		},
		"Receiver": {
			reason: "a value does not have the methods of its pointer", author: onThePointer{},
			want: "the method Validate of controller.Validator has a pointer receiver, and JobController.Controller is a controller_test.onThePointer: make it a pointer, as in &controller_test.onThePointer{}, or the receiver a value",
		},
		"Half": {
			reason: "half an interface is none", author: half{},
			want: "controller_test.half has the method Objects of controller.ObjectKeeper, but not ObjectKinds: add it, or give the other another name\n" +
				"controller_test.half has the method CreatePod of controller.PodControl, but not DeletePod: add it, or give the other another name",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, setUp(t, tc.author)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// parted is a TestJob operator with Parts and Rules of its own.
type parted struct {
	testjob.Controller

	parts func(*testv1.TestJob) controller.Parts
	rules func(*testv1.TestJob) plan.Rules
}

func (p parted) Parts(job *testv1.TestJob) controller.Parts {
	if p.parts == nil {
		return p.Controller.Parts(job)
	}
	return p.parts(job)
}

func (p parted) Rules(job *testv1.TestJob) plan.Rules {
	if p.rules == nil {
		return p.Controller.Rules(job)
	}
	return p.rules(job)
}

// TestMistakenParts: a status that is written into a copy is never written, and nobody
// would be told.
func TestMistakenParts(t *testing.T) {
	var shared commonv1.JobStatus
	cases := map[string]struct {
		reason string
		parts  func(*testv1.TestJob) controller.Parts
		want   string
	}{
		"Copy": {
			reason: "the status of a copy is not the job's",
			parts: func(job *testv1.TestJob) controller.Parts {
				status := job.Status
				return controller.Parts{RunPolicy: &job.Spec.RunPolicy, Status: &status}
			},
			want: "Parts() of TestJob returns a Status that is not the job's own, so what is written there is lost: point at the job's field, as in Status: &job.Status, not at a copy, and see that DeepCopyObject copies it",
		},
		"CopyOfTheJob": {
			reason: "nor is that of a copy of the job",
			parts: func(job *testv1.TestJob) controller.Parts {
				job = job.DeepCopy()
				return controller.Parts{RunPolicy: &job.Spec.RunPolicy, Status: &job.Status}
			},
			want: "Parts() of TestJob returns a Status that is not the job's own, so what is written there is lost: point at the job's field, as in Status: &job.Status, not at a copy, and see that DeepCopyObject copies it",
		},
		"Shared": {
			reason: "jobs do not share a status",
			parts: func(job *testv1.TestJob) controller.Parts {
				return controller.Parts{RunPolicy: &job.Spec.RunPolicy, Status: &shared}
			},
			want: "Parts() of TestJob returns the same Status for two jobs: point at the job's own field, as in Status: &job.Status",
		},
		"Nothing": {
			reason: "there must be a status",
			parts:  func(*testv1.TestJob) controller.Parts { return controller.Parts{} },
			want:   "Parts() of TestJob returns no Status: point at the job's own field, as in Status: &job.Status",
		},
		"NothingInAnEmptyJob": {
			reason: "what an empty job does not have says nothing of a real one",
			parts: func(job *testv1.TestJob) controller.Parts {
				_ = *job.Spec.TestReplicaSpecs[testv1.Worker]
				return controller.Parts{}
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, setUp(t, parted{parts: tc.parts})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestMistakenRules: rules are tried at set-up on a job that has one replica of each
// type.
func TestMistakenRules(t *testing.T) {
	success := func(rs ...plan.SuccessRule) func(*testv1.TestJob) plan.Rules {
		return func(*testv1.TestJob) plan.Rules { return plan.Rules{Success: rs} }
	}
	cases := map[string]struct {
		reason string
		rules  func(*testv1.TestJob) plan.Rules
		want   string
	}{
		"UnknownType": {
			reason: "a type that is no role", rules: success(plan.AllOf(plan.All("Nobody"))),
			want: `Rules() of TestJob cannot hold: Success[0][0]: Invalid value: "All(Nobody)": the kind has no replica type "Nobody": use one of Kind().Roles, Master, Worker`,
		},
		"IndexTooHigh": {
			reason: "a job has one Master", rules: success(plan.AllOf(plan.Index(testv1.Master, 99))),
			want: `Rules() of TestJob cannot hold: Success[0][0]: Invalid value: "Index(Master, 99)": a job has at most 1 Master, counted from 0: use an index up to 0, or raise Max of the role`,
		},
		"Nothing": {
			reason: "success by nothing", rules: success(plan.AllOf()),
			want: `Rules() of TestJob cannot hold: Success: Invalid value: "AllOf()": selects no replica, so it never holds: name replicas, or leave Success empty to wait for all`,
		},
		"OfTheJob": {
			reason: "rules that are made of the job's replicas find some",
			rules: func(job *testv1.TestJob) plan.Rules {
				var all []plan.Replicas
				for t := range job.Spec.TestReplicaSpecs {
					all = append(all, plan.All(t))
				}
				return plan.Rules{Success: []plan.SuccessRule{plan.AllOf(all...)}}
			},
		},
		"Panic": {
			reason: "what the sample job does not have says nothing of a real one",
			rules: func(job *testv1.TestJob) plan.Rules {
				return plan.Rules{Success: make([]plan.SuccessRule, len(job.Annotations["a"])-1)}
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, setUp(t, parted{rules: tc.rules})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// collector is a TestJob operator that keeps objects of some kinds.
type collector struct {
	testjob.Controller

	kinds, objects []client.Object
}

func (c *collector) ObjectKinds() []client.Object { return c.kinds }

func (c *collector) Objects(*testv1.TestJob, *plan.Tally) []client.Object { return c.objects }

// TestMistakenObjectKinds: what the library cannot keep is refused at set-up.
func TestMistakenObjectKinds(t *testing.T) {
	var none *corev1.ConfigMap
	cases := map[string]struct {
		reason string
		kinds  []client.Object
		want   string
	}{
		"Fine":    {reason: "other kinds are fine", kinds: []client.Object{&corev1.ConfigMap{}, &corev1.Secret{}}},
		"Pod":     {reason: "the library makes pods", kinds: []client.Object{&corev1.Pod{}}, want: "ObjectKinds() of TestJob names Pod, which the library keeps itself, and would delete those that it did not make: leave it out, and see Kind().ServiceMode and SetClusterSpec"},
		"Service": {reason: "and services", kinds: []client.Object{&corev1.Service{}}, want: "ObjectKinds() of TestJob names Service, which the library keeps itself, and would delete those that it did not make: leave it out, and see Kind().ServiceMode and SetClusterSpec"},
		"Job":     {reason: "a job is no object of a job", kinds: []client.Object{&testv1.TestJob{}}, want: "ObjectKinds() of TestJob names the kind of the jobs themselves: leave it out"},
		"Twice":   {reason: "once is enough", kinds: []client.Object{&corev1.ConfigMap{}, &corev1.ConfigMap{}}, want: "ObjectKinds() of TestJob names the kind ConfigMap twice: leave one out; kinds of one name in two groups cannot both be kept"},
		"Nil":     {reason: "nil is no object", kinds: []client.Object{none}, want: "ObjectKinds() of TestJob names an object that is nil: give an empty object of the kind, for example &corev1.ConfigMap{}"},
		"Unknown": {reason: "the scheme must know it", kinds: []client.Object{&appsv1.Deployment{}}, want: `ObjectKinds() of TestJob names *v1.Deployment, which the scheme does not know: call its AddToScheme: no kind is registered for the type v1.Deployment`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, setUp(t, &collector{kinds: tc.kinds})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
