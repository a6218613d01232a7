package controller_test

import (
	"context"
	"errors"
	"reflect"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clienttesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/gang/volcano"
	"github.com/jobkit/jobkit/internal/fakeapi"
	"github.com/jobkit/jobkit/internal/plan"
)

// setUp sets a controller of TestJobs up, and returns the error in words.
func setUp(t *testing.T, author jobkit.ControllerInterface[*testv1.TestJob]) string {
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

	change func(*jobkit.Kind)
}

func (m mistaken) Kind() jobkit.Kind {
	kind := m.Controller.Kind()
	m.change(&kind)
	return kind
}

// TestMistakenKinds: a mistake in Kind is refused at set-up, before any job pays for it.
func TestMistakenKinds(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*jobkit.Kind)
		want   string
	}{
		"None": {reason: "what is left out has a default", change: func(*jobkit.Kind) {}},
		"NameOfTheScheme": {
			reason: "to repeat what the scheme says is no mistake",
			change: func(k *jobkit.Kind) { k.Name, k.APIVersion = "TestJob", "kubeflow.org/v1" },
		},
		"AnotherName": {
			reason: "the name is that of the owner of every pod",
			change: func(k *jobkit.Kind) { k.Name = "Test" },
			want:   `Kind() of TestJob is not valid: Name: "Test" is not what the scheme says of *v1.TestJob, which is "TestJob": leave the field out`,
		},
		"Several": {
			reason: "all mistakes are named at once",
			change: func(k *jobkit.Kind) { k.OperatorName, k.PortNumber = "my operator", 0 },
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

func (wrongArgument) Default(testv1.TestJob)                                     {}
func (wrongArgument) EvaluateStatus(*testv1.TestJob, plan.Tally) *jobkit.Outcome { return nil }
func (wrongResult) Validate(*testv1.TestJob) error                               { return nil }
func (*onThePointer) Validate(*testv1.TestJob) field.ErrorList                   { return nil }
func (half) Objects(*testv1.TestJob, *jobkit.Tally) []jobkit.Object              { return nil }
func (half) CreatePod(context.Context, *testv1.TestJob, *corev1.Pod) error       { return nil }
func (unrelated) ValidateAll(context.Context, *testv1.TestJob) (bool, error)     { return true, nil }

// TestNearlyImplemented: an optional interface that an author meant to implement is
// never silently left aside.
func TestNearlyImplemented(t *testing.T) {
	cases := map[string]struct {
		reason string
		author jobkit.ControllerInterface[*testv1.TestJob]
		want   string
	}{
		"Unrelated": {reason: "methods of other names are the author's own", author: unrelated{}},
		"Pointer":   {reason: "a pointer has the methods of both", author: &onThePointer{}},
		"Signature": {
			reason: "each method is named, with what it should be", author: wrongArgument{},
			want: "controller_test.wrongArgument has the method Default(v1.TestJob), but jobkit.Defaulter has Default(*v1.TestJob): give it that signature, or another name\n" +
				"controller_test.wrongArgument has the method EvaluateStatus(*v1.TestJob, plan.Tally) *jobkit.Outcome, but jobkit.StatusEvaluator has EvaluateStatus(*v1.TestJob, *jobkit.Tally) *jobkit.Outcome: give it that signature, or another name",
		},
		"Result": {
			reason: "the results count too", author: &wrongResult{},
			want: "*controller_test.wrongResult has the method Validate(*v1.TestJob) error, but jobkit.Validator has Validate(*v1.TestJob) field.ErrorList: give it that signature, or another name",
		},
		"Receiver": {
			reason: "a value does not have the methods of its pointer", author: onThePointer{},
			want: "the method Validate of jobkit.Validator has a pointer receiver, and JobController.Controller is a controller_test.onThePointer: make it a pointer, as in &controller_test.onThePointer{}, or the receiver a value",
		},
		"Half": {
			reason: "half an interface is none", author: half{},
			want: "controller_test.half has the method Objects of jobkit.OwnedObjects, but not ObjectKinds: add it, or give the other another name\n" +
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

	parts func(*testv1.TestJob) jobkit.JobParts
	rules func(*testv1.TestJob) jobkit.Rules
}

func (p parted) Parts(job *testv1.TestJob) jobkit.JobParts {
	if p.parts == nil {
		return p.Controller.Parts(job)
	}
	return p.parts(job)
}

func (p parted) Rules(job *testv1.TestJob) jobkit.Rules {
	if p.rules == nil {
		return p.Controller.Rules(job)
	}
	return p.rules(job)
}

// TestMistakenParts: a status that is written into a copy is never written, and no one
// would know.
func TestMistakenParts(t *testing.T) {
	var shared commonv1.JobStatus
	cases := map[string]struct {
		reason string
		parts  func(*testv1.TestJob) jobkit.JobParts
		want   string
	}{
		"Copy": {
			reason: "the status of a copy is not the job's",
			parts: func(job *testv1.TestJob) jobkit.JobParts {
				status := job.Status
				return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, Status: &status}
			},
			want: "Parts() of TestJob returns a Status that is not the job's own, so what is written there is lost: point at the job's field, as in Status: &job.Status, not at a copy, and see that DeepCopyObject copies it",
		},
		"CopyOfTheJob": {
			reason: "nor is that of a copy of the job",
			parts: func(job *testv1.TestJob) jobkit.JobParts {
				job = job.DeepCopy()
				return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, Status: &job.Status}
			},
			want: "Parts() of TestJob returns a Status that is not the job's own, so what is written there is lost: point at the job's field, as in Status: &job.Status, not at a copy, and see that DeepCopyObject copies it",
		},
		"Shared": {
			reason: "jobs do not share a status",
			parts: func(job *testv1.TestJob) jobkit.JobParts {
				return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, Status: &shared}
			},
			want: "Parts() of TestJob returns the same Status for two jobs: point at the job's own field, as in Status: &job.Status",
		},
		"Nothing": {
			reason: "there must be a status",
			parts:  func(job *testv1.TestJob) jobkit.JobParts { return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy} },
			want:   "Parts() of TestJob returns no Status: point at the job's own field, as in Status: &job.Status",
		},
		"NoPolicy": {
			reason: "there must be a run policy",
			parts:  func(job *testv1.TestJob) jobkit.JobParts { return jobkit.JobParts{Status: &job.Status} },
			want:   "Parts() of TestJob returns no RunPolicy: point at the job's own field, as in RunPolicy: &job.Spec.RunPolicy",
		},
		"NothingInAnEmptyJob": {
			reason: "what an empty job does not have says nothing of a real one",
			parts: func(job *testv1.TestJob) jobkit.JobParts {
				_ = *job.Spec.TestReplicaSpecs[testv1.Worker]
				return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy}
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
	success := func(rs ...jobkit.SuccessRule) func(*testv1.TestJob) jobkit.Rules {
		return func(*testv1.TestJob) jobkit.Rules { return jobkit.Rules{Success: rs} }
	}
	cases := map[string]struct {
		reason string
		rules  func(*testv1.TestJob) jobkit.Rules
		want   string
	}{
		"UnknownType": {
			reason: "a type that is no role", rules: success(jobkit.AllOf(jobkit.All("Ghost"))),
			want: `Rules() of TestJob cannot hold: Success[0][0]: Invalid value: "All(Ghost)": the kind has no replica type "Ghost": use one of Kind().Roles, Master, Worker`,
		},
		"IndexTooHigh": {
			reason: "a job has one Master", rules: success(jobkit.AllOf(jobkit.Index(testv1.Master, 99))),
			want: `Rules() of TestJob cannot hold: Success[0][0]: Invalid value: "Index(Master, 99)": a job has at most 1 Master, counted from 0: use an index up to 0, or raise Max of the role`,
		},
		"Nothing": {
			reason: "success by nothing", rules: success(jobkit.AllOf()),
			want: `Rules() of TestJob cannot hold: Success: Invalid value: "AllOf()": selects no replica, so it never holds: name replicas, or leave Success empty to wait for all`,
		},
		"UnknownOrder": {
			reason: "an order of types that are no roles",
			rules: func(*testv1.TestJob) jobkit.Rules {
				return jobkit.Rules{
					StartAfter:  []jobkit.StartAfter{{Type: testv1.Worker, After: []commonv1.ReplicaType{testv1.Master, "Chief"}}},
					MinReplicas: map[commonv1.ReplicaType]int32{"Boss": 2},
				}
			},
			want: `Rules() of TestJob cannot hold: [StartAfter[0].After[1]: Invalid value: "Chief": the kind has no replica type "Chief": use one of Kind().Roles, Master, Worker, MinReplicas: Invalid value: "Boss": the kind has no replica type "Boss": use one of Kind().Roles, Master, Worker]`,
		},
		"Circle": {
			reason: "types that wait for each other",
			rules: func(*testv1.TestJob) jobkit.Rules {
				return jobkit.Rules{StartAfter: []jobkit.StartAfter{
					{Type: testv1.Worker, After: []commonv1.ReplicaType{testv1.Master}}, {Type: testv1.Master, After: []commonv1.ReplicaType{testv1.Worker}},
				}}
			},
			want: `Rules() of TestJob cannot hold: StartAfter: Invalid value: ["Master","Worker"]: these replica types never start, because each waits for another of them, or itself: remove what closes the circle`,
		},
		"Order": {
			reason: "one type after the other",
			rules: func(*testv1.TestJob) jobkit.Rules {
				return jobkit.Rules{StartAfter: []jobkit.StartAfter{{Type: testv1.Worker, After: []commonv1.ReplicaType{testv1.Master}}}}
			},
		},
		"OfTheJob": {
			reason: "rules that are made of the job's replicas find some",
			rules: func(job *testv1.TestJob) jobkit.Rules {
				var all []jobkit.ReplicaSelector
				for t := range job.Spec.TestReplicaSpecs {
					all = append(all, jobkit.All(t))
				}
				return jobkit.Rules{Success: []jobkit.SuccessRule{jobkit.AllOf(all...)}}
			},
		},
		"Panic": {
			reason: "a panic on the sample job says nothing about a real one",
			rules: func(job *testv1.TestJob) jobkit.Rules {
				return jobkit.Rules{Success: make([]jobkit.SuccessRule, len(job.Annotations["a"])-1)}
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

	kinds, objects []jobkit.Object
}

func (c *collector) ObjectKinds() []jobkit.Object { return c.kinds }

func (c *collector) Objects(*testv1.TestJob, *jobkit.Tally) []jobkit.Object { return c.objects }

// TestMistakenObjectKinds: what the library cannot keep is refused at set-up.
func TestMistakenObjectKinds(t *testing.T) {
	var none *corev1.ConfigMap
	cases := map[string]struct {
		reason string
		kinds  []jobkit.Object
		want   string
	}{
		"Fine":    {reason: "other kinds are fine", kinds: []jobkit.Object{&corev1.ConfigMap{}, &corev1.Secret{}}},
		"Pod":     {reason: "the library makes pods", kinds: []jobkit.Object{&corev1.Pod{}}, want: "ObjectKinds() of TestJob names Pod, which the library keeps itself, and would delete those that it did not make: leave it out, and see Kind().ServiceMode and SetClusterSpec"},
		"Service": {reason: "and services", kinds: []jobkit.Object{&corev1.Service{}}, want: "ObjectKinds() of TestJob names Service, which the library keeps itself, and would delete those that it did not make: leave it out, and see Kind().ServiceMode and SetClusterSpec"},
		"Job":     {reason: "a job is not an owned object", kinds: []jobkit.Object{&testv1.TestJob{}}, want: "ObjectKinds() of TestJob names the kind of the jobs themselves: leave it out"},
		"Twice":   {reason: "once is enough", kinds: []jobkit.Object{&corev1.ConfigMap{}, &corev1.ConfigMap{}}, want: "ObjectKinds() of TestJob names the kind ConfigMap twice: leave one out; kinds of one name in two groups cannot both be kept"},
		"Nil":     {reason: "nil is not an object", kinds: []jobkit.Object{none}, want: "ObjectKinds() of TestJob names an object that is nil: give an empty object of the kind, for example &corev1.ConfigMap{}"},
		"Unknown": {reason: "the scheme must know it", kinds: []jobkit.Object{&appsv1.Deployment{}}, want: `ObjectKinds() of TestJob names *v1.Deployment, which the scheme does not know: call its AddToScheme: no kind is registered for the type v1.Deployment`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, setUp(t, &collector{kinds: tc.kinds})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
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

// exportedFields are the values of the exported fields of a controller.
func exportedFields(jobs *controller.JobController[*testv1.TestJob]) map[string]any {
	out := map[string]any{}
	for field, value := range reflect.ValueOf(jobs).Elem().Fields() {
		if field.IsExported() {
			out[field.Name] = value.Interface()
		}
	}
	return out
}

func TestSetUpKeepsFields(t *testing.T) {
	ready, err := controller.NewReadiness(prometheus.NewRegistry(), "test")
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(runtime.NewScheme()).Build()
	given := controller.JobController[*testv1.TestJob]{
		Client: c, APIReader: c, Recorder: &recorder{}, Clock: clienttesting.NewFakePassiveClock(time.Now()),
		Config: controller.Config{Readiness: ready}, Metrics: prometheus.NewRegistry(),
	}
	withManager := func(t *testing.T, jobs *controller.JobController[*testv1.TestJob]) error {
		return jobs.SetupWithManager(newCluster(t, fakeapi.New(append(fakeapi.Core(), testJobs)...), timedController{}).mgr)
	}
	alone := func(_ *testing.T, jobs *controller.JobController[*testv1.TestJob]) error {
		scheme := runtime.NewScheme()
		return errors.Join(testv1.AddToScheme(scheme), jobs.Init(scheme))
	}
	cases := map[string]struct {
		reason string
		fields controller.JobController[*testv1.TestJob]
		setUp  func(*testing.T, *controller.JobController[*testv1.TestJob]) error
	}{
		"DefaultsWithManager": {reason: "defaults are resolved apart, so that the same value can be set up with another manager", setUp: withManager},
		"GivenWithManager":    {reason: "what the author set stays", fields: given, setUp: withManager},
		"DefaultsAlone": {
			reason: "without a manager only two dependencies are required",
			fields: controller.JobController[*testv1.TestJob]{Client: c, Recorder: &recorder{}}, setUp: alone,
		},
		"GivenAlone": {reason: "what the author set stays", fields: given, setUp: alone},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			jobs := tc.fields
			jobs.Controller = testjob.Controller{}
			want := exportedFields(&jobs)
			if err := tc.setUp(t, &jobs); err != nil {
				t.Fatal(err)
			}
			for name, got := range exportedFields(&jobs) {
				if !reflect.DeepEqual(want[name], got) {
					t.Errorf("%s: set-up changed %s from %v to %v", tc.reason, name, want[name], got)
				}
			}
			if jobs.Reader() == nil {
				t.Error("after set-up there is a reader of jobs")
			}
		})
	}
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
		t.Errorf("the author's own implementations are used (-want +got):\n%s", diff)
	}
	got := b.conditions()
	if diff := cmp.Diff([]string{"TestJobCreated: TestJob job is created.", "TestJobSucceeded: enough."}, got); diff != "" {
		t.Errorf("the author's outcome decides (-want +got):\n%s", diff)
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

// TestSetupThatIsTriedAgainLeavesNothing: a kind whose gang scheduler is not installed yet is set up again and again.
func TestSetupThatIsTriedAgainLeavesNothing(t *testing.T) {
	mgr := newManager(t, fakeapi.New(append(fakeapi.Core(), testJobs)...)) // It does not serve Volcano's PodGroup.
	go func() { _ = mgr.Start(t.Context()) }()
	<-mgr.Elected()
	metrics := prometheus.NewRegistry()
	c := &controller.JobController[*testv1.TestJob]{
		Controller: testjob.Controller{}, Metrics: metrics, Config: controller.Config{GangScheduler: volcano.Scheduler{}},
	}
	if err := c.SetupWithManager(mgr); err == nil {
		t.Fatal("it is refused")
	}
	before := goruntime.NumGoroutine()
	const tries = 100
	for range tries {
		if err := c.SetupWithManager(mgr); err == nil {
			t.Fatal("it is refused")
		}
	}
	if more := goruntime.NumGoroutine() - before; more > tries/2 {
		t.Errorf("%d tries that were refused leave %d goroutines", tries, more)
	}
}
