package jobtest

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// careless is a TestJob operator whose author makes one mistake or another.
type careless struct {
	testjob.Controller

	rules     func(*testv1.TestJob) jobkit.Rules
	image     string
	object    *corev1.ConfigMap
	undecided bool   // whether EvaluateStatus never decides
	parts     func() // is called before the parts are returned
}

func (c *careless) Parts(job *testv1.TestJob) jobkit.JobParts {
	if c.parts != nil && job.Name == "j" {
		c.parts()
	}
	return c.Controller.Parts(job)
}

func (c *careless) Rules(job *testv1.TestJob) jobkit.Rules {
	if c.rules == nil {
		return c.Controller.Rules(job)
	}
	return c.rules(job)
}

func (c *careless) SetClusterSpec(job *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if c.image != "" {
		template.Spec.Containers[0].Image = c.image
	}
	return c.Controller.SetClusterSpec(job, r, template)
}

func (*careless) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

func (c *careless) Objects(*testv1.TestJob, *jobkit.Tally) []jobkit.Object {
	if c.object == nil {
		return nil
	}
	return []jobkit.Object{c.object.DeepCopy()}
}

func (c *careless) EvaluateStatus(_ *testv1.TestJob, tally *jobkit.Tally) *jobkit.Outcome {
	if !c.undecided {
		return nil
	}
	return &jobkit.Outcome{Running: tally.Count(jobkit.Active) > 0}
}

// invalidImages finds pods with a strange image invalid, and ConfigMaps with a strange name.
func invalidImages(o client.Object) error {
	switch o := o.(type) {
	case *corev1.Pod:
		if o.Spec.Containers[0].Image == "no image" {
			return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), o.Name, field.ErrorList{
				field.Invalid(field.NewPath("spec", "containers").Index(0).Child("image"), "no image", "must not have spaces"),
			})
		}
	case *corev1.ConfigMap:
		if o.Name == "Config" {
			return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind(), o.Name, field.ErrorList{
				field.Invalid(field.NewPath("metadata", "name"), "Config", "must be lower case"),
			})
		}
	}
	return nil
}

// TestP12OperatorsMistakesStallAJob: what the author of an operator did wrong never fails
// a job of its users. The job says so, and goes on when the operator is fixed.
func TestP12OperatorsMistakesStallAJob(t *testing.T) {
	for name, tc := range map[string]struct {
		author careless
		want   string
	}{
		"an object without a name":    {careless{object: &corev1.ConfigMap{}}, "wants a ConfigMap without a name"},
		"an object that is invalid":   {careless{object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "Config"}}}, "metadata.name"},
		"a pod that is made invalid":  {careless{image: "no image"}, "the operator wrote that, not the job"},
		"a panic in Parts":            {careless{parts: func() { panic("oops") }}, "the operator's Parts panicked: oops"},
		"an outcome that never comes": {careless{undecided: true}, "EvaluateStatus() reports neither"},
		"rules that never hold": {careless{rules: func(*testv1.TestJob) jobkit.Rules {
			return jobkit.Rules{Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.Index(testv1.Worker, 99))}}
		}}, "Rules().Success is AllOf(Index(Worker, 99))"},
	} {
		t.Run(name, func(t *testing.T) {
			author := tc.author
			w := storyOf(t, &author, Options{Admit: invalidImages})
			w.parts = func(o client.Object) jobkit.JobParts { // The monitor makes no mistakes.
				job, ok := o.(*testv1.TestJob)
				if !ok {
					return jobkit.JobParts{}
				}
				return testjob.Controller{}.Parts(job)
			}
			w.statusOf = func(o client.Object) *commonv1.JobStatus { return w.parts(o).Status }
			if err := w.Client().Create(t.Context(), newJob("j", 2)); err != nil {
				t.Fatal(err)
			}
			pass(t, w, time.Minute)
			got := read(t, w, "j").Status
			c := got.Condition(commonv1.JobStalled)
			if c == nil || c.Reason != "TestJobOperatorError" || !strings.Contains(c.Message, tc.want) || got.Finished() {
				t.Fatalf("want the job to be stalled by %q, got %+v:\n%s", tc.want, got.Conditions, w.Transcript())
			}
			author = careless{}
			job := read(t, w, "j")
			job.Annotations = map[string]string{"someone": "was-here"}
			if err := w.Client().Update(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			rest(t, w)
			if got := read(t, w, "j").Status; got.State != commonv1.JobSucceeded {
				t.Errorf("when the operator is fixed the job goes on, but it is %s:\n%s", got.State, w.Transcript())
			}
		})
	}
}

// TestMonitorSeesUndecidedJobs: the monitor notices a job that goes on forever although
// all its replicas have succeeded.
func TestMonitorSeesUndecidedJobs(t *testing.T) {
	w := story(t, Options{}, newJob("j", 2))
	rest(t, w)
	job := read(t, w, "j")
	job.Status.Conditions, job.Status.State, job.Status.ReplicaStatuses = nil, "", nil
	var pods corev1.PodList
	if err := w.Client().List(t.Context(), &pods); err != nil || len(pods.Items) != 2 {
		t.Fatalf("want two pods, got %d, %v", len(pods.Items), err)
	}
	w.monitor.checkDecided(job, []*corev1.Pod{&pods.Items[0]})
	if w.broken != nil {
		t.Errorf("one of two may go on: %v", w.broken)
	}
	w.monitor.checkDecided(job, []*corev1.Pod{&pods.Items[0], &pods.Items[1]})
	if v, ok := errors.AsType[*ViolationError](error(w.broken)); !ok || v.Promise != "P3" || !strings.Contains(v.Message, "all 2 replicas of job j have succeeded") {
		t.Errorf("want a violation of P3, got %v", w.broken)
	}
}
