package controller_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// fragile is a TestJob operator one of whose methods panics.
type fragile struct {
	testjob.Controller

	method string
}

func (f *fragile) at(method string) {
	if f.method == method {
		panic("no one thought of this")
	}
}

func (f *fragile) Rules(job *testv1.TestJob) jobkit.Rules {
	f.at("Rules")
	return f.Controller.Rules(job)
}

func (f *fragile) Parts(job *testv1.TestJob) jobkit.JobParts {
	f.at("Parts")
	return f.Controller.Parts(job)
}

func (f *fragile) SetClusterSpec(job *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	f.at("SetClusterSpec")
	return f.Controller.SetClusterSpec(job, r, template)
}

func (f *fragile) Default(*testv1.TestJob) { f.at("Default") }

func (f *fragile) Validate(*testv1.TestJob) field.ErrorList { f.at("Validate"); return nil }

func (f *fragile) Warn(*testv1.TestJob) []jobkit.Warning { f.at("Warn"); return nil }

func (f *fragile) EvaluateStatus(*testv1.TestJob, *jobkit.Tally) *jobkit.Outcome {
	f.at("EvaluateStatus")
	return nil
}

func (f *fragile) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

func (f *fragile) Objects(*testv1.TestJob, *jobkit.Tally) []jobkit.Object {
	f.at("Objects")
	return nil
}

func TestPanicsOfTheAuthor(t *testing.T) {
	for _, method := range []string{"Rules", "SetClusterSpec", "Default", "Validate", "Warn", "EvaluateStatus", "Objects"} {
		t.Run(method, func(t *testing.T) {
			author := &fragile{method: method}
			b := newBench(t, author, testJob(1))
			mustReconcile(t, b)
			mustReconcile(t, b)
			says := "cannot continue"
			if method == "SetClusterSpec" {
				says = "cannot create pod job-worker-0"
			}
			want := []string{
				"TestJobCreated: TestJob job is created.",
				"TestJobOperatorError: TestJob ns/job " + says + ": the operator's " + method +
					" panicked: no one thought of this: this is a bug of the operator, please report it",
			}
			if method == "Warn" {
				want = want[:1] // It is called once, when the job is accepted.
			}
			if diff := cmp.Diff(want, b.conditions()); diff != "" {
				t.Errorf("the job says so (-want +got):\n%s", diff)
			}
			author.method = ""
			b.restartOperator()
			for range 3 {
				mustReconcile(t, b)
			}
			if diff := cmp.Diff(want[:1], b.conditions()); diff != "" {
				t.Errorf("when the operator is fixed the job goes on (-want +got):\n%s", diff)
			}
			b.setPhase(corev1.PodSucceeded)
			mustReconcile(t, b)
			if !b.job().Status.IsTrue(commonv1.JobSucceeded) {
				t.Errorf("and ends as it should, got %q", b.conditions())
			}
		})
	}
}

// fragileCalls is a TestJob operator that does itself what the library would do on the API server, with one
// method that panics.
type fragileCalls struct {
	fragile

	client client.Client
}

func (f *fragileCalls) CreatePod(ctx context.Context, _ *testv1.TestJob, pod *corev1.Pod) error {
	f.at("CreatePod")
	return f.client.Create(ctx, pod)
}

func (f *fragileCalls) DeletePod(ctx context.Context, _ *testv1.TestJob, pod *corev1.Pod) error {
	f.at("DeletePod")
	return f.client.Delete(ctx, pod)
}

func (f *fragileCalls) CreateService(ctx context.Context, _ *testv1.TestJob, s *corev1.Service) error {
	f.at("CreateService")
	return f.client.Create(ctx, s)
}

func (f *fragileCalls) UpdateService(context.Context, *testv1.TestJob, *corev1.Service) error {
	return nil
}

func (f *fragileCalls) DeleteService(ctx context.Context, _ *testv1.TestJob, s *corev1.Service) error {
	f.at("DeleteService")
	return f.client.Delete(ctx, s)
}

func (f *fragileCalls) ListPods(ctx context.Context, _ *testv1.TestJob) (pods []*corev1.Pod, err error) {
	f.at("ListPods")
	var list corev1.PodList
	err = f.client.List(ctx, &list)
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods, err
}

func (f *fragileCalls) ListServices(ctx context.Context, _ *testv1.TestJob) (services []*corev1.Service, err error) {
	f.at("ListServices")
	var list corev1.ServiceList
	err = f.client.List(ctx, &list)
	for i := range list.Items {
		services = append(services, &list.Items[i])
	}
	return services, err
}

// TestPanicsInCalls: a panic of the author's own PodControl, ServiceControl or ChildLister, of which some run in
// goroutines of their own, does not end the process: the job says so, and continues when the operator is fixed.
func TestPanicsInCalls(t *testing.T) {
	for _, method := range []string{"CreatePod", "DeletePod", "CreateService", "DeleteService", "ListPods", "ListServices"} {
		t.Run(method, func(t *testing.T) {
			author := &fragileCalls{}
			b := newBench(t, author, testJob(2))
			author.client = b.client
			if strings.HasPrefix(method, "Create") {
				author.method = method
			}
			for range 3 {
				mustReconcile(t, b)
			}
			job := b.job()
			if author.method = method; strings.HasPrefix(method, "Delete") {
				job.Spec.RunPolicy.Suspend = new(true)
				if err := b.client.Update(t.Context(), job); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				b.clock.SetTime(b.clock.Now().Add(2 * time.Second))
				mustReconcile(t, b)
			}
			says := "the operator's " + method + " panicked: no one thought of this: this is a bug of the operator, please report it"
			if got := b.conditions(); !strings.Contains(got[len(got)-1], says) || !strings.HasPrefix(got[len(got)-1], "TestJobOperatorError") {
				t.Errorf("the job says %q, want %q", got, says)
			}
			author.method = ""
			for range 5 {
				b.clock.SetTime(b.clock.Now().Add(time.Minute))
				mustReconcile(t, b)
			}
			if got := strings.Join(b.conditions(), "\n"); strings.Contains(got, "TestJobOperatorError") {
				t.Errorf("when the operator is fixed the job goes on, got %s", got)
			}
		})
	}
}

// TestDeadlineDespitePanics: the time of a job runs on while the operator's own
// code fails.
func TestDeadlineDespitePanics(t *testing.T) {
	job := testJob(1)
	job.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(30))
	author := &fragile{}
	b := newBench(t, author, job)
	mustReconcile(t, b)
	author.method = "Rules"
	mustReconcile(t, b)
	b.clock.SetTime(b.clock.Now().Add(31 * time.Second))
	mustReconcile(t, b)
	if !b.job().Status.IsTrue(commonv1.JobFailed) {
		t.Errorf("want Failed, got %q", b.conditions())
	}
}

// TestPanicInParts: a job of which the author's Parts panics says so, and
// nothing else of it is touched.
func TestPanicInParts(t *testing.T) {
	const says = "TestJobOperatorError: TestJob ns/job cannot continue: the operator's Parts panicked: no one thought of this: this is a bug of the operator, please report it"
	author := &fragile{}
	b := newBench(t, author, testJob(2))
	mustReconcile(t, b)
	b.setPhase(corev1.PodRunning)
	b.clock.SetTime(b.clock.Now().Add(2 * time.Second))
	mustReconcile(t, b)
	before := b.job().Status
	author.method = "Parts"
	writes, result, err := b.reconcile()
	if diff := cmp.Diff([]string{"write status of testjob job"}, writes); diff != "" || err != nil || result.RequeueAfter != time.Second {
		t.Errorf("it is requeued later: after %v, %v (-want +got):\n%s", result.RequeueAfter, err, diff)
	}
	if diff := cmp.Diff([]string{"TestJobCreated: TestJob job is created.", "TestJobRunning: TestJob ns/job is running.", says}, b.conditions()); diff != "" {
		t.Errorf("the job says so (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before.ReplicaStatuses, b.job().Status.ReplicaStatuses); diff != "" {
		t.Errorf("what it said before stays (-want +got):\n%s", diff)
	}
	b.clock.SetTime(b.clock.Now().Add(time.Hour))
	if writes, result, err := b.reconcile(); len(writes) > 0 || err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("nothing is written again, and the wait grows to a minute: %q, %v, %v", writes, result.RequeueAfter, err)
	}
	if b.recorder.events[len(b.recorder.events)-1] != "Warning "+says {
		t.Errorf("want one warning, got %q", b.recorder.events)
	}
	author.method = ""
	mustReconcile(t, b)
	if got := b.job().Status; got.State != commonv1.JobRunning || got.Condition(commonv1.JobStalled) != nil {
		t.Errorf("when the operator is fixed the job continues, got %q", b.conditions())
	}
	author.method = "Parts"
	job := b.job()
	job.Spec.RunPolicy.ManagedBy = new("example.com/other")
	if writes, _, err := b.reconcileStale(job); len(writes) > 0 || err != nil {
		t.Errorf("a job of another controller is not touched: %q, %v", writes, err)
	}
}

// TestNoParts: a status that is not there, or not where set-up found it, is an error
// that says so.
func TestNoParts(t *testing.T) {
	var parts func(*testv1.TestJob) jobkit.JobParts
	author := parted{parts: func(job *testv1.TestJob) jobkit.JobParts {
		if parts != nil {
			return parts(job)
		}
		return testjob.Controller{}.Parts(job)
	}}
	b := newBench(t, author, testJob(1))
	for name, says := range map[string]string{
		"Status":    "TestJobOperatorError: TestJob ns/job cannot continue: the operator's Parts() returned no Status: this is a bug of the operator, please report it",
		"RunPolicy": "TestJobOperatorError: TestJob ns/job cannot continue: the operator's Parts() returned no RunPolicy: this is a bug of the operator, please report it",
	} {
		parts = func(job *testv1.TestJob) jobkit.JobParts {
			p := testjob.Controller{}.Parts(job)
			if name == "Status" {
				p.Status = nil
			} else {
				p.RunPolicy = nil
			}
			return p
		}
		mustReconcile(t, b)
		if diff := cmp.Diff([]string{says}, b.conditions()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// writing is a TestJob operator that writes something into the pods of its jobs.
type writing struct {
	testjob.Controller

	change func(*corev1.PodTemplateSpec)
	preset func(*testv1.TestJob)
}

func (w writing) SetClusterSpec(_ *testv1.TestJob, _ jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if w.change != nil {
		w.change(template)
	}
	return nil
}

func (w writing) Default(job *testv1.TestJob) {
	if w.preset != nil && len(job.Spec.TestReplicaSpecs) == 1 {
		w.preset(job)
	}
}

// TestInvalidByWhom: who wrote the invalid field decides whether the job
// fails, or waits for the operator to be fixed.
func TestInvalidByWhom(t *testing.T) {
	const fails, stalls = commonv1.JobFailed, commonv1.JobStalled
	container := func(change func(*corev1.Container)) func(*corev1.PodTemplateSpec) {
		return func(template *corev1.PodTemplateSpec) { change(&template.Spec.Containers[0]) }
	}
	cases := map[string]struct {
		reason string
		author writing
		call   string
		field  string
		want   commonv1.JobConditionType
	}{
		"Template": {
			reason: "what the template says the user wrote", call: "create pod job-worker-0",
			field: "spec.containers[0].image", want: fails,
		},
		"TemplateBesideTheOperators": {
			reason: "also where the operator added something", call: "create pod job-worker-0",
			author: writing{change: func(template *corev1.PodTemplateSpec) {
				template.Spec.Containers = append([]corev1.Container{{Name: "first", Image: "x"}}, template.Spec.Containers...)
			}},
			field: "spec.containers[1].image", want: fails,
		},
		"SetClusterSpec": {
			reason: "what SetClusterSpec changed the operator wrote", call: "create pod job-worker-0",
			author: writing{change: container(func(c *corev1.Container) { c.Image = " " })},
			field:  "spec.containers[0].image", want: stalls,
		},
		"AddedBySetClusterSpec": {
			reason: "and what it added", call: "create pod job-worker-0",
			author: writing{change: container(func(c *corev1.Container) { c.Env = append(c.Env, corev1.EnvVar{Name: "="}) })},
			field:  "spec.containers[0].env[0].name", want: stalls,
		},
		"Default": {
			reason: "a default of the operator is not from the user", call: "create pod job-worker-0",
			author: writing{preset: func(job *testv1.TestJob) {
				job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.ServiceAccountName = "_"
			}},
			field: "spec.serviceAccountName", want: stalls,
		},
		"Service": {
			reason: "the ports of a service are those of the template", call: "create service job",
			field: "spec.ports[0].port", want: fails,
		},
		"ServiceOfDefaults": {
			reason: "unless the operator chose them", call: "create service job",
			author: writing{preset: func(job *testv1.TestJob) {
				job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "x", ContainerPort: -1}}
			}},
			field: "spec.ports[0].port", want: stalls,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, tc.author, testJob(2))
			invalid := answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "it is invalid: "+tc.field,
				metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: tc.field})
			b.fail = func(call string) error {
				if call == tc.call {
					return invalid
				}
				return nil
			}
			for range 2 {
				mustReconcile(t, b)
			}
			reason := map[commonv1.JobConditionType]string{fails: "TestJobFailedValidation", stalls: "TestJobOperatorError"}[tc.want]
			message := "TestJob ns/job cannot " + tc.call + ": it is invalid: " + tc.field
			if tc.want == stalls {
				message += ": the operator wrote that, not the job: please report it to the operator's author"
			}
			got := b.conditions()
			if diff := cmp.Diff(reason+": "+message, got[len(got)-1]); diff != "" || b.job().Status.State != tc.want {
				t.Errorf("%s: the job is %s (-want +got):\n%s", tc.reason, b.job().Status.State, diff)
			}
			if tc.want != stalls {
				return
			}
			b.fail = nil
			b.clock.SetTime(b.clock.Now().Add(time.Minute))
			for range 2 {
				mustReconcile(t, b)
				b.setPhase(corev1.PodRunning)
			}
			if s := b.job().Status; s.State == stalls || s.Finished() {
				t.Errorf("when the operator is fixed the job continues, got %q", b.conditions())
			}
		})
	}
}

// TestInvalidDefaults: defaults of the operator that make a job invalid are the operator's
// mistake; what was invalid before is the user's.
func TestInvalidDefaults(t *testing.T) {
	negative := func(job *testv1.TestJob) { job.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(-1)) }
	const message = "spec.testReplicaSpecs[Worker].replicas: Invalid value: -1: must be from 0 to 100000"
	preset := negative
	author := &writing{preset: func(job *testv1.TestJob) { preset(job) }}
	b := newBench(t, author, testJob(2))
	for range 2 {
		mustReconcile(t, b)
	}
	want := []string{
		"TestJobCreated: TestJob job is created.",
		"TestJobOperatorError: TestJob ns/job cannot continue: the operator's Default() makes the job invalid: " + message + ": this is a bug of the operator, please report it",
	}
	if diff := cmp.Diff(want, b.conditions()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	preset = func(*testv1.TestJob) {}
	for range 2 {
		mustReconcile(t, b)
	}
	if diff := cmp.Diff(want[:1], b.conditions()); diff != "" {
		t.Errorf("when the operator is fixed the job continues (-want +got):\n%s", diff)
	}

	job := testJob(2)
	negative(job)
	b = newBench(t, &writing{preset: negative}, job)
	mustReconcile(t, b)
	if diff := cmp.Diff([]string{want[0], "TestJobFailedValidation: TestJob ns/job is not valid: " + message}, b.conditions()); diff != "" {
		t.Errorf("the user's own mistake fails the job (-want +got):\n%s", diff)
	}
}

// TestMistakenObjects: an object that could not be kept stalls the job, with what is
// wrong with it, and nothing is created.
func TestMistakenObjects(t *testing.T) {
	named := func(name string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	var none *corev1.ConfigMap
	cases := map[string]struct {
		reason  string
		objects []jobkit.Object
		want    string
	}{
		"NoName":    {reason: "one that the server names is created in each pass", objects: []jobkit.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}}}, want: `wants a ConfigMap without a name, which would be created again and again: name it after the job`},
		"Nil":       {reason: "nil is not an object", objects: []jobkit.Object{none}, want: `wants an object that is nil: leave it out`},
		"NilInside": {reason: "nor is one that holds none", objects: []jobkit.Object{jobkit.OwnedObject{KeepFinished: true}}, want: `wants an object that is nil: leave it out`},
		"TwiceWith": {reason: "whatever is said of it", objects: []jobkit.Object{&jobkit.OwnedObject{Object: named("a"), KeepFinished: true}, named("a")}, want: `wants the ConfigMap "a" twice: leave one out, or give it another name`},
		"OtherKind": {reason: "an object of another kind is never seen", objects: []jobkit.Object{&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}}, want: `wants the Secret "s" of v1, but ObjectKinds() does not name that kind: add it there`},
		"Service":   {reason: "nor is a service", objects: []jobkit.Object{&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"}}}, want: `wants the Service "s" of v1, but ObjectKinds() does not name that kind: add it there`},
		"Unknown":   {reason: "the scheme must know it", objects: []jobkit.Object{&appsv1.Deployment{}}, want: `wants a *v1.Deployment, which the scheme does not know: call its AddToScheme`},
		"Twice":     {reason: "the second would be created in each pass", objects: []jobkit.Object{named("a"), named("b"), named("a")}, want: `wants the ConfigMap "a" twice: leave one out, or give it another name`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			author := &collector{kinds: []jobkit.Object{&corev1.ConfigMap{}}, objects: tc.objects}
			b := newBench(t, author, testJob(1))
			writes, result, err := b.reconcile()
			if diff := cmp.Diff([]string{"write status of testjob job"}, writes); diff != "" || err != nil || result.RequeueAfter == 0 {
				t.Errorf("nothing is created, and it is tried again later: %v, %v (-want +got):\n%s", result, err, diff)
			}
			want := []string{"TestJobCreated: TestJob job is created.", "TestJobOperatorError: TestJob ns/job cannot continue: the operator's Objects() " + tc.want}
			if diff := cmp.Diff(want, b.conditions()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			author.objects = []jobkit.Object{named("a")}
			mustReconcile(t, b)
			mustReconcile(t, b)
			if diff := cmp.Diff(want[:1], b.conditions()); diff != "" {
				t.Errorf("when the operator is fixed the job continues (-want +got):\n%s", diff)
			}
		})
	}
}
