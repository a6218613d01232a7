package controller_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/plan"
)

// fragile is a TestJob operator one of whose methods panics.
type fragile struct {
	testjob.Controller

	method string
}

func (f *fragile) at(method string) {
	if f.method == method {
		panic("nobody thought of this")
	}
}

func (f *fragile) Rules(job *testv1.TestJob) plan.Rules {
	f.at("Rules")
	return f.Controller.Rules(job)
}

func (f *fragile) SetClusterSpec(job *testv1.TestJob, r controller.Replica, template *corev1.PodTemplateSpec) error {
	f.at("SetClusterSpec")
	return f.Controller.SetClusterSpec(job, r, template)
}

func (f *fragile) Default(*testv1.TestJob) { f.at("Default") }

func (f *fragile) Validate(*testv1.TestJob) field.ErrorList { f.at("Validate"); return nil }

func (f *fragile) Warn(*testv1.TestJob) []plan.Event { f.at("Warn"); return nil }

func (f *fragile) Judge(*testv1.TestJob, *plan.Tally) *plan.Verdict { f.at("Judge"); return nil }

func (f *fragile) ObjectKinds() []client.Object { return []client.Object{&corev1.ConfigMap{}} }

func (f *fragile) Objects(*testv1.TestJob, *plan.Tally) []client.Object { f.at("Objects"); return nil }

func TestPanicsOfTheAuthor(t *testing.T) {
	for _, method := range []string{"Rules", "SetClusterSpec", "Default", "Validate", "Warn", "Judge", "Objects"} {
		t.Run(method, func(t *testing.T) {
			author := &fragile{method: method}
			b := newBench(t, author, testJob(1))
			mustReconcile(t, b)
			mustReconcile(t, b)
			says := "cannot go on"
			if method == "SetClusterSpec" {
				says = "cannot create pod job-worker-0"
			}
			want := []string{
				"TestJobCreated: TestJob job is created.",
				"TestJobOperatorError: TestJob ns/job " + says + ": the operator's " + method +
					" panicked: nobody thought of this: this is a bug of the operator, please report it",
			}
			if method == "Warn" {
				want = want[:1] // It is asked once, when the job is taken up.
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
				t.Errorf("when the operator is mended the job goes on (-want +got):\n%s", diff)
			}
			b.setPhase(corev1.PodSucceeded)
			mustReconcile(t, b)
			if !b.job().Status.IsTrue(commonv1.JobSucceeded) {
				t.Errorf("and ends as it should, got %q", b.conditions())
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
