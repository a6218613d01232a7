package controller_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// simJob is a kind with status fields of its own.
type simJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec   simJobSpec   `json:"spec,omitzero"`
	Status simJobStatus `json:"status,omitzero"`
}

type simJobSpec struct {
	RunPolicy    commonv1.RunPolicy                             `json:"runPolicy,omitzero"`
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"replicaSpecs,omitempty"`
}

// simJobStatus is the library's status, and how far the simulation is.
type simJobStatus struct {
	commonv1.JobStatus `json:",inline"`

	// ReadySolvers is how many solvers are ready, SolverConditions what is special about them.
	ReadySolvers     int                `json:"readySolvers,omitempty"`
	SolverConditions []metav1.Condition `json:"solverConditions,omitempty"`
}

func (j *simJob) DeepCopyObject() runtime.Object {
	out := &simJob{TypeMeta: j.TypeMeta, ObjectMeta: *j.ObjectMeta.DeepCopy()} //nolint:staticcheck // the part that is copied is named
	out.Spec.RunPolicy = *j.Spec.RunPolicy.DeepCopy()
	for t, s := range j.Spec.ReplicaSpecs {
		if out.Spec.ReplicaSpecs == nil {
			out.Spec.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
		}
		out.Spec.ReplicaSpecs[t] = s.DeepCopy()
	}
	out.Status = simJobStatus{JobStatus: *j.Status.JobStatus.DeepCopy(), ReadySolvers: j.Status.ReadySolvers} //nolint:staticcheck // the part that is copied is named
	out.Status.SolverConditions = append(out.Status.SolverConditions, j.Status.SolverConditions...)
	return out
}

// simController is the author's part of the kind.
type simController struct {
	jobkit.Defaults[*simJob]
}

func (simController) Kind() jobkit.Kind {
	return jobkit.Kind{Roles: []jobkit.Role{{Type: "Solver"}}, ContainerName: "main"}
}

// Parts points at the library's part of the status.
func (simController) Parts(job *simJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.ReplicaSpecs, Status: &job.Status.JobStatus}
}

// ReportStatus sets the others. That all solvers are ready is one event.
func (simController) ReportStatus(job *simJob, tally *jobkit.Tally) []jobkit.Event {
	solvers := tally.Of("Solver")
	was := job.Status.ReadySolvers
	job.Status.ReadySolvers = solvers.CountReady()
	if all := len(solvers.States); was < all && job.Status.ReadySolvers == all {
		job.Status.SolverConditions = []metav1.Condition{{Type: "Assembled", Status: metav1.ConditionTrue, Reason: "AllReady"}}
		return []jobkit.Event{{Reason: "SimJobAssembled", Message: fmt.Sprintf("All %d solvers are ready.", all)}}
	}
	return nil
}

var (
	_ jobkit.ControllerInterface[*simJob] = simController{}
	_ jobkit.StatusReporter[*simJob]      = simController{}
)

func simScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = scheme.AddToScheme(s)
	s.AddKnownTypeWithName(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "SimJob"}, &simJob{})
	metav1.AddToGroupVersion(s, schema.GroupVersion{Group: "example.com", Version: "v1"})
	return s
}

// simWorld is a cluster with a SimJob of two solvers, which are ready after a second.
func simWorld(author jobkit.ControllerInterface[*simJob], o jobtest.Options) (*jobtest.World, error) {
	o.Fate = func(*corev1.Pod) jobtest.Fate {
		return jobtest.Fate{Start: time.Second, Forever: true, Readiness: []time.Duration{time.Second}}
	}
	w, err := jobtest.NewWorld(author, simScheme(), o)
	if err != nil {
		return nil, err
	}
	job := &simJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job"}}
	job.Spec.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Solver": {Replicas: new(int32(2)), Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "sim", ReadinessProbe: &corev1.Probe{}}}},
	}}}
	return w, w.Client().Create(context.Background(), job)
}

func simJobIn(w *jobtest.World) (*simJob, error) {
	job := &simJob{}
	err := w.Client().Get(context.Background(), client.ObjectKey{Namespace: "ns", Name: "job"}, job)
	return job, err
}

// How does a job report how far it is? The Controller implements StatusReporter: see simController
// above, whose ReportStatus sets two fields, and returns an event.
func Example_statusOfOnesOwn() {
	w, err := simWorld(simController{}, jobtest.Options{})
	if err == nil {
		err = w.RunFor(context.Background(), 30*time.Second)
	}
	job, err2 := simJobIn(w)
	fmt.Println(err, err2)
	fmt.Printf("%d solvers are ready: %s\n", job.Status.ReadySolvers, job.Status.SolverConditions[0].Type)
	fmt.Println("the job is", job.Status.State)
	for _, e := range w.Events() {
		if strings.HasPrefix(e.Reason, "SimJob") {
			fmt.Println(e.Reason+":", e.Message)
		}
	}
	// Output:
	// <nil> <nil>
	// 2 solvers are ready: Assembled
	// the job is Running
	// SimJobAssembled: All 2 solvers are ready.
}

// TestKindStatusWhateverHappens: with any fault at any call, the kind's own part of the status is
// right in the end, there is one event at most, and all promises hold: one write of the
// status in a pass, and none at rest.
func TestKindStatusWhateverHappens(t *testing.T) {
	jobtest.Exhaust(t, 1, func(c *jobtest.Chance) error {
		w, err := simWorld(simController{}, jobtest.Options{Chance: c})
		if err != nil {
			return err
		}
		if err := w.Run(t.Context()); err != nil {
			return err
		}
		job, err := simJobIn(w)
		if err != nil || job.Status.ReadySolvers != 2 || len(job.Status.SolverConditions) != 1 || job.Status.State != commonv1.JobRunning {
			return fmt.Errorf("while it runs the status is %+v, %w\n%s", job.Status, err, w.Transcript())
		}
		events := 0
		for _, e := range w.Events() {
			if e.Reason == "SimJobAssembled" {
				events++
			}
		}
		if events > 1 {
			return fmt.Errorf("there are %d events\n%s", events, w.Transcript())
		}
		job.Spec.RunPolicy.Suspend = new(true)
		if err := w.Client().Update(t.Context(), job); err != nil {
			return err
		}
		if err := w.Run(t.Context()); err != nil {
			return err
		}
		if job, err = simJobIn(w); err != nil || job.Status.State != commonv1.JobSuspended || job.Status.ReadySolvers != 0 {
			return fmt.Errorf("in the end the status is %+v, %w\n%s", job.Status, err, w.Transcript())
		}
		return nil
	})
}

// badReporter makes a mistake in ReportStatus.
type badReporter struct {
	simController

	report func(*simJob, *jobkit.Tally) []jobkit.Event
}

func (b badReporter) ReportStatus(job *simJob, tally *jobkit.Tally) []jobkit.Event {
	return b.report(job, tally)
}

// TestKindStatusMistakes: what an author does wrong in ReportStatus stalls the job, or has no effect.
func TestKindStatusMistakes(t *testing.T) {
	tests := map[string]struct {
		reason  string
		report  func(*simJob, *jobkit.Tally) []jobkit.Event
		stalled string
	}{
		"Panic": {
			reason: "a panic is the operator's mistake", stalled: "the operator's ReportStatus panicked: oops",
			report: func(*simJob, *jobkit.Tally) []jobkit.Event { panic("oops") },
		},
		"Reason": {
			reason: "so is an event that the API would refuse", stalled: `an event with the reason "two words" and the message "x"`,
			report: func(*simJob, *jobkit.Tally) []jobkit.Event {
				return []jobkit.Event{{Reason: "two words", Message: "x"}}
			},
		},
		"Message": {
			reason: "and one without words", stalled: `an event with the reason "Word" and the message ""`,
			report: func(*simJob, *jobkit.Tally) []jobkit.Event { return []jobkit.Event{{Reason: "Word"}} },
		},
		"OtherFields": {
			reason: "the library's part of the status, the specification and the tally are not the author's to change: no condition of theirs names the state",
			report: func(job *simJob, tally *jobkit.Tally) []jobkit.Event {
				job.Status.Conditions = append(job.Status.Conditions, commonv1.JobCondition{Type: "Theirs", Status: corev1.ConditionTrue})
				job.Status.State, job.Status.Restarts, job.Labels = "Theirs", 99, map[string]string{"theirs": "yes"}
				maps.DeleteFunc(job.Spec.ReplicaSpecs, func(commonv1.ReplicaType, *commonv1.ReplicaSpec) bool { return true })
				for i := range tally.Types {
					clear(tally.Types[i].States)
					clear(tally.Types[i].Pods)
					tally.Types[i].Counts = commonv1.ReplicaStatus{Failed: 7}
				}
				return nil
			},
		},
		"EventWithoutChange": {
			reason: "an event without a change of the status is not recorded: it would come again and again",
			report: func(*simJob, *jobkit.Tally) []jobkit.Event {
				return []jobkit.Event{{Reason: "Again", Message: "And again."}}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w, err := simWorld(badReporter{report: tc.report}, jobtest.Options{})
			if err == nil {
				err = w.RunFor(t.Context(), 30*time.Second)
			}
			if err != nil {
				t.Fatal(err)
			}
			job, err := simJobIn(w)
			if err != nil {
				t.Fatal(err)
			}
			c := job.Status.Condition(commonv1.JobStalled)
			if stalled := c != nil && c.Reason == "SimJobOperatorError" && strings.Contains(c.Message, tc.stalled); stalled != (tc.stalled != "") {
				t.Errorf("%s: the conditions are %+v", tc.reason, job.Status.Conditions)
			}
			for _, e := range w.Events() {
				if e.Reason == "Again" {
					t.Errorf("%s: got %+v", tc.reason, e)
				}
			}
			if tc.stalled != "" {
				return
			}
			if job.Status.State != commonv1.JobRunning || job.Status.Restarts != 0 || job.Status.ReplicaStatuses["Solver"].Active != 2 || len(job.Labels) > 0 {
				t.Errorf("%s: the job is %+v", tc.reason, job)
			}
			if err := w.Run(t.Context()); err != nil {
				t.Errorf("%s: %v", tc.reason, err)
			}
		})
	}
}

// simWriter has a StatusWriter, too.
type simWriter struct{ simController }

func (simWriter) WriteStatus(context.Context, *simJob, *commonv1.JobStatus) error { return nil }

// plainReporter is of a kind whose status is the library's alone.
type plainReporter struct{ trainController }

func (plainReporter) ReportStatus(*testv1.TestJob, *jobkit.Tally) []jobkit.Event { return nil }

// noClient is a client that set-up does not call.
type noClient struct{ client.Client }

// TestKindStatusSetUp: what cannot work is refused at set-up.
func TestKindStatusSetUp(t *testing.T) {
	both := &controller.JobController[*simJob]{Controller: simWriter{}, Client: noClient{}, Recorder: &recorder{}}
	plain := &controller.JobController[*testv1.TestJob]{Controller: plainReporter{}, Client: noClient{}, Recorder: &recorder{}}
	known := simScheme()
	if err := testv1.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"has both WriteStatus() and ReportStatus()":                            both.Init(known),
		"ReportStatus() of TestJob has no field to set: have the job's status": plain.Init(known),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}
