package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// outcome settles a plan of which the first action met an obstacle.
func outcome(m *model, o plan.Obstacle) (plan.Plan, plan.Plan) {
	p := m.decide()
	return p, plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{
		Failures: []plan.Obstruction{{Action: p.Actions[0], Obstacle: o, Message: "because."}},
	})
}

func TestObstacles(t *testing.T) {
	cases := map[string]struct {
		reason   string
		obstacle plan.Obstacle
		running  bool
		want     []string
	}{
		"NameConflict": {
			reason: "a taken name stalls the job, which says so", obstacle: plan.NameConflict,
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Stalled=True TestJobNameConflict: TestJob ns/job cannot create pod job-worker-0: because.",
			},
		},
		"Refused": {
			reason: "a quota stalls the job; it never fails it", obstacle: plan.Refused,
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Stalled=True TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-0: because.",
			},
		},
		"Invalid": {
			reason: "an invalid template is the user's mistake", obstacle: plan.Invalid,
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Failed=True TestJobFailedValidation: TestJob ns/job cannot create pod job-worker-0: because.",
			},
		},
		"InvalidAfterAnEdit": {
			reason: "an edit that makes the template invalid does not fail a job that runs", obstacle: plan.Invalid, running: true,
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Running=True TestJobRunning: TestJob ns/job is running.",
				"Stalled=True TestJobInvalid: TestJob ns/job cannot create pod job-worker-1: because.",
			},
		},
		"Broken": {
			reason: "a bug of the operator never fails the job", obstacle: plan.OperatorError,
			want: []string{
				"Created=True TestJobCreated: TestJob job is created.",
				"Stalled=True TestJobOperatorError: TestJob ns/job cannot create pod job-worker-0: because.",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
			m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
			if tc.running {
				m.settle()
				m.run()
				m.settle()
				m.in.Replicas[worker].Replicas = new(int32(2))
				m.in.Job.Generation++
			}
			_, settled := outcome(m, tc.obstacle)
			if diff := cmp.Diff(tc.want, conditions(&settled.Status)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if !settled.WriteStatus || len(settled.Actions) > 0 {
				t.Errorf("%s: the conclusion is to be written, and nothing else done: %+v", tc.reason, settled)
			}
		})
	}
}

func TestStalledJob(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	_, settled := outcome(m, plan.NameConflict)
	m.in.Status = settled.Status

	for _, step := range []struct{ age, again time.Duration }{
		{0, time.Second}, {8 * time.Second, 8 * time.Second}, {time.Hour, time.Minute},
	} {
		m.in.Now = epoch.Add(step.age)
		p, settled := outcome(m, plan.NameConflict)
		if p.WriteStatus || settled.WriteStatus || len(settled.Events) > 0 {
			t.Errorf("after %s: the same obstacle is to be told once; writes are %v and %v, events %v",
				step.age, p.WriteStatus, settled.WriteStatus, settled.Events)
		}
		if settled.RequeueAfter != step.again {
			t.Errorf("after %s: the next try is to follow after %s, got %s", step.age, step.again, settled.RequeueAfter)
		}
	}

	p := m.decide()
	done := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{PodsCreated: []string{"job-worker-0"}})
	if !done.WriteStatus || done.Status.Condition(commonv1.JobStalled) != nil {
		t.Errorf("the job is no longer stalled when the pod is created: %q", conditions(&done.Status))
	}
}

// TestStalledJobAndMemory: what is only remembered to have been created may have met
// what stalls the job since, so it is no reason to say that nothing does.
func TestStalledJobAndMemory(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	_, settled := outcome(m, plan.NameConflict)
	m.in.Status = settled.Status
	m.settle()

	m.in.Status, m.in.Uncached = settled.Status, true
	if p := m.decide(); !p.Status.IsTrue(commonv1.JobStalled) {
		t.Errorf("the pod is only remembered, but the job is no longer stalled: %q", conditions(&p.Status))
	}
	m.in.Uncached = false
	if p := m.decide(); p.Status.IsTrue(commonv1.JobStalled) {
		t.Errorf("the pod is there, but the job is still stalled: %q", conditions(&p.Status))
	}
}

func TestOutcomeEvents(t *testing.T) {
	o := plan.ExecutionResult{
		PodsCreated: []string{"a", "b", "c"}, ServicesCreated: []string{"s"},
		PodsDeleted: []string{"d"}, ServicesDeleted: []string{"t", "u"},
	}
	want := []plan.Event{
		{Reason: "SuccessfulCreateService", Message: "Created service: s"},
		{Reason: "SuccessfulCreatePod", Message: "Created 3 pods", Pod: plan.PodRef{Name: "a"}},
		{Reason: "SuccessfulDeletePod", Message: "Deleted pod: d", Pod: plan.PodRef{Name: "d"}},
		{Reason: "SuccessfulDeleteService", Message: "Deleted 2 services"},
	}
	if diff := cmp.Diff(want, o.Events()); diff != "" {
		t.Errorf("one event per verb and kind, and the first pod that it is about (-want +got):\n%s", diff)
	}
	forced := plan.DeletePod{Name: "f", UID: "u", Force: true, Reason: "its node n is gone or out of service"}
	o = plan.ExecutionResult{PodsDeleted: []string{"d"}, PodsForced: []plan.DeletePod{forced}}
	want = []plan.Event{
		{Reason: "SuccessfulDeletePod", Message: "Deleted pod: d", Pod: plan.PodRef{Name: "d"}},
		{Warning: true, Reason: "ForcedDeletePod", Message: "Deleted pod by force: f: its node n is gone or out of service", Pod: plan.PodRef{Name: "f", UID: "u"}},
	}
	if diff := cmp.Diff(want, o.Events()); diff != "" {
		t.Errorf("a pod that was deleted by force is told of by itself, with the reason (-want +got):\n%s", diff)
	}
	o = plan.ExecutionResult{PodsForced: []plan.DeletePod{forced, {Name: "g", Force: true, Reason: "another"}}}
	if got := o.Events(); len(got) != 1 || got[0].Message != "Deleted 2 pods by force, the first of them f: its node n is gone or out of service" {
		t.Errorf("several are one event, got %v", got)
	}
	if events := (&plan.ExecutionResult{}).Events(); len(events) > 0 {
		t.Errorf("nothing was done, and told: %v", events)
	}
}

// TestBrokenOperator: nothing is concluded about a job whose operator's own code failed, but its time runs.
func TestBrokenOperator(t *testing.T) {
	m := started(workers(1), func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(60)) })
	m.drop(m.pod("worker-0"))
	m.in.OperatorError = "it panicked"
	if p := m.reconcile(); p.Status.State != commonv1.JobStalled || len(p.Actions) > 0 || p.RequeueAfter == 0 {
		t.Errorf("want it stalled, looked at again and left alone, it is %s, again after %s, and is to %v", p.Status.State, p.RequeueAfter, p.Actions)
	}
	m.in.Now = epoch.Add(time.Hour)
	if p := m.reconcile(); p.Status.State != commonv1.JobFailed {
		t.Errorf("want it failed when its time is over, it is %s", p.Status.State)
	}
}
