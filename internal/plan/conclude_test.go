package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// outcome concludes a plan of which the first action met an obstacle.
func outcome(m *model, o plan.Obstacle) (plan.Plan, plan.Plan) {
	p := m.decide()
	return p, plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{
		Obstructions: []plan.Obstruction{{Action: p.Actions[0], Obstacle: o, Message: "because."}},
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
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
				m.in.Replicas[worker].Replicas = new(int32(2))
				m.in.Job.Generation++
			}
			_, concluded := outcome(m, tc.obstacle)
			if diff := cmp.Diff(tc.want, conditions(&concluded.Status)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if concluded.StatusChange != plan.StatusNews || len(concluded.Actions) > 0 {
				t.Errorf("%s: the conclusion is to be written, and nothing else done: %+v", tc.reason, concluded)
			}
		})
	}
}

func TestStalledJob(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	_, concluded := outcome(m, plan.NameConflict)
	m.in.Status = concluded.Status

	for _, step := range []struct{ age, again time.Duration }{
		{0, time.Second}, {8 * time.Second, 8 * time.Second}, {time.Hour, time.Minute},
	} {
		m.in.Now = epoch.Add(step.age)
		p, concluded := outcome(m, plan.NameConflict)
		if p.StatusChange != plan.StatusUnchanged || concluded.StatusChange != plan.StatusUnchanged || len(concluded.Events) > 0 {
			t.Errorf("after %s: the same obstacle is to be reported once; writes are %v and %v, events %v",
				step.age, p.StatusChange != plan.StatusUnchanged, concluded.StatusChange != plan.StatusUnchanged, concluded.Events)
		}
		if concluded.RequeueAfter != step.again {
			t.Errorf("after %s: the next try is to follow after %s, got %s", step.age, step.again, concluded.RequeueAfter)
		}
	}

	p := m.decide()
	done := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{PodsCreated: []string{"job-worker-0"}})
	if done.StatusChange != plan.StatusNews || done.Status.Condition(commonv1.JobStalled) != nil {
		t.Errorf("the job is no longer stalled when the pod is created: %q", conditions(&done.Status))
	}
}

// TestStalledJobAndObstacles: what is only known to have been created may have met
// what stalls the job since, so it is no reason to say that nothing does.
func TestStalledJobAndObstacles(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	_, concluded := outcome(m, plan.NameConflict)
	m.in.Status = concluded.Status
	m.reconcileUntilStable()

	m.in.Status, m.in.Uncached = concluded.Status, true
	if p := m.decide(); !p.Status.IsTrue(commonv1.JobStalled) {
		t.Errorf("the pod is only known from a write, but the job is no longer stalled: %q", conditions(&p.Status))
	}
	m.in.Uncached = false
	if p := m.decide(); p.Status.IsTrue(commonv1.JobStalled) {
		t.Errorf("the pod exists, but the job is still stalled: %q", conditions(&p.Status))
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
		t.Errorf("a pod that was deleted by force has its own event, with the reason (-want +got):\n%s", diff)
	}
	o = plan.ExecutionResult{PodsForced: []plan.DeletePod{forced, {Name: "g", Force: true, Reason: "another"}}}
	if got := o.Events(); len(got) != 1 || got[0].Message != "Deleted 2 pods by force, the first of them f: its node n is gone or out of service" {
		t.Errorf("several are one event, got %v", got)
	}
	if events := (&plan.ExecutionResult{}).Events(); len(events) > 0 {
		t.Errorf("nothing was done, but reported: %v", events)
	}
}

// TestOperatorErrorStalls: nothing is concluded about a job whose operator's own code failed, but its time runs.
func TestOperatorErrorStalls(t *testing.T) {
	m := started(workers(1), func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(60)) })
	m.drop(m.pod("worker-0"))
	m.in.OperatorError = "it panicked"
	if p := m.reconcile(); p.Status.State != commonv1.JobStalled || len(p.Actions) > 0 || p.RequeueAfter == 0 {
		t.Errorf("want it stalled, requeued and left alone, it is %s, again after %s, and is to %v", p.Status.State, p.RequeueAfter, p.Actions)
	}
	m.in.Now = epoch.Add(time.Hour)
	if p := m.reconcile(); p.Status.State != commonv1.JobFailed {
		t.Errorf("want it failed when its time is over, it is %s", p.Status.State)
	}
}

// concludeWith concludes a plan of which one action met an obstacle.
func concludeWith(m *model, action plan.Action, o plan.Obstacle) plan.Plan {
	return plan.Conclude(&m.in, plan.TallyOf(&m.in), m.decide(), plan.ExecutionResult{
		Obstructions: []plan.Obstruction{{Action: action, Obstacle: o, Message: "because."}},
	})
}

// TestMessageOfAnObstacle: the condition names the object, and what could not be done.
func TestMessageOfAnObstacle(t *testing.T) {
	cases := map[string]struct {
		action plan.Action
		want   string
	}{
		"Pod":           {plan.CreatePod{Name: "job-worker-0", Type: worker}, "TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-0"},
		"Service":       {plan.CreateService{Name: "job"}, "TestJobCreateRefused: TestJob ns/job cannot create service job"},
		"Object":        {plan.CreateObject{Kind: "ConfigMap", Name: "job-config"}, "TestJobCreateRefused: TestJob ns/job cannot create ConfigMap job-config"},
		"UpdateService": {plan.UpdateService{CreateService: plan.CreateService{Name: "job"}}, "TestJobUpdateRefused: TestJob ns/job cannot update service job"},
		"UpdateObject":  {plan.UpdateObject{Kind: "ConfigMap", Name: "job-config"}, "TestJobUpdateRefused: TestJob ns/job cannot update ConfigMap job-config"},
		"DeletePod":     {plan.DeletePod{Name: "job-worker-0"}, "TestJobDeleteRefused: TestJob ns/job cannot delete pod job-worker-0"},
		"DeleteService": {plan.DeleteService{Name: "job"}, "TestJobDeleteRefused: TestJob ns/job cannot delete service job"},
		"DeleteObject":  {plan.DeleteObject{Kind: "ConfigMap", Name: "job-config"}, "TestJobDeleteRefused: TestJob ns/job cannot delete ConfigMap job-config"},
		"DeleteJob":     {plan.DeleteJob{}, "TestJobDeleteRefused: TestJob ns/job cannot delete the job"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			s := concludeWith(m, tc.action, plan.Refused)
			c := s.Status.Condition(commonv1.JobStalled)
			if got, want := c.Reason+": "+c.Message, tc.want+": because."; got != want {
				t.Errorf("want %q, got %q", want, got)
			}
		})
	}
}

// TestInvalidObject: an object that is invalid in itself fails a job that never had
// such objects. A job that had some continues, whether it was edited or not: an API
// server may find invalid today what it did not yesterday. That it had some the status
// says when no pod does any longer.
func TestInvalidObject(t *testing.T) {
	w0 := plan.CreatePod{Name: "job-worker-0", Type: worker}
	forget := func(s *commonv1.JobStatus) { *s = commonv1.JobStatus{} }
	onlyCondition := func(t commonv1.JobConditionType) func(*commonv1.JobStatus) {
		return func(s *commonv1.JobStatus) {
			*s = commonv1.JobStatus{Conditions: []commonv1.JobCondition{{Type: t, Status: corev1.ConditionFalse}}}
		}
	}
	cases := map[string]struct {
		reason     string
		generation int64
		action     plan.Action
		drop       string
		status     func(*commonv1.JobStatus)
		want       commonv1.JobConditionType
	}{
		"NeverEdited": {
			reason: "a job that has such pods was valid", generation: 1,
			action: w0, status: forget, want: commonv1.JobStalled,
		},
		"Edited": {
			reason: "an edit made the workers invalid", generation: 2,
			action: w0, status: forget, want: commonv1.JobStalled,
		},
		"New": {
			reason: "a job without pods that never ran was invalid from the start", generation: 1,
			action: w0, drop: "-", status: forget, want: commonv1.JobFailed,
		},
		"NewAndEdited": {
			reason: "or from before it was begun", generation: 2,
			action: w0, drop: "-", status: forget, want: commonv1.JobFailed,
		},
		"OtherType": {
			reason: "pods of another type say nothing of this one", generation: 2, drop: "worker-",
			action: w0, status: forget, want: commonv1.JobFailed,
		},
		"UnknownType": {
			reason: "a removed type has no pods", generation: 2,
			action: plan.CreatePod{Name: "job-chief-0", Type: "Chief"}, status: forget, want: commonv1.JobFailed,
		},
		"Service": {
			reason: "any pod shows that the service was fine before", generation: 2, drop: "worker-",
			action: plan.CreateService{Name: "job"}, status: forget, want: commonv1.JobStalled,
		},
		"ServiceOfNothing": {
			reason: "without any pod it never was", generation: 2, drop: "-",
			action: plan.CreateService{Name: "job"}, status: forget, want: commonv1.JobFailed,
		},
		"Ran": {
			reason: "a job that ran had pods, although they are gone", generation: 1, drop: "-",
			action: w0, status: func(s *commonv1.JobStatus) { s.ReplicaStatuses = nil }, want: commonv1.JobStalled,
		},
		"Counted": {
			reason: "a status that counted a pod of the type shows that there was one", generation: 1, drop: "-",
			action: w0, want: commonv1.JobStalled,
			status: func(s *commonv1.JobStatus) {
				*s = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Active: 1}}}
			},
		},
		"Restarted": {
			reason: "so does one that counted a restart", generation: 1, drop: "-",
			action: w0, status: func(s *commonv1.JobStatus) { *s = commonv1.JobStatus{Restarts: 1} }, want: commonv1.JobStalled,
		},
		"RestartedAsAWhole": {
			reason: "so does its attempt", generation: 1, drop: "-",
			action: w0, status: func(s *commonv1.JobStatus) { *s = commonv1.JobStatus{Attempt: 1} }, want: commonv1.JobStalled,
		},
		"RanOnce": {
			reason: "so does a condition that is no longer true", generation: 1, drop: "-",
			action: w0, status: onlyCondition(commonv1.JobRunning), want: commonv1.JobStalled,
		},
		"RestartedOnce": {
			reason: "so does this one", generation: 1, drop: "-",
			action: w0, status: onlyCondition(commonv1.JobRestarting), want: commonv1.JobStalled,
		},
		"Created": {
			reason: "that it is created says nothing", generation: 1, drop: "-",
			action: w0, status: onlyCondition(commonv1.JobCreated), want: commonv1.JobFailed,
		},
		"Update": {
			reason: "what is to be updated was valid", generation: 1, drop: "-",
			action: plan.UpdateService{CreateService: plan.CreateService{Name: "job"}}, status: forget, want: commonv1.JobStalled,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, nil)
			m.in.Job.Generation = tc.generation
			var kept []*corev1.Pod
			for _, p := range m.in.Pods {
				if tc.drop == "" || !strings.Contains(p.Name, tc.drop) {
					kept = append(kept, p)
				}
			}
			m.in.Pods = kept
			if tc.status != nil {
				tc.status(&m.in.Status)
			}
			if got := concludeWith(m, tc.action, plan.Invalid).Status.State; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

// TestInvalidObjectOfATypeThatHadPods: each record of a type shows that it had pods, alone, and says nothing
// of another type's. A service was fine if any type had some.
func TestInvalidObjectOfATypeThatHadPods(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		rs     *commonv1.ReplicaStatus
		had    bool
	}{
		"Nil":         {reason: "another client wrote null"},
		"Nothing":     {reason: "nothing of it was ever counted", rs: &commonv1.ReplicaStatus{Selector: "x=y"}},
		"Active":      {reason: "one ran", rs: &commonv1.ReplicaStatus{Active: 1}, had: true},
		"Succeeded":   {reason: "one succeeded", rs: &commonv1.ReplicaStatus{Succeeded: 1}, had: true},
		"Failed":      {reason: "one failed", rs: &commonv1.ReplicaStatus{Failed: 1}, had: true},
		"Indexes":     {reason: "the index of one that succeeded is known", rs: &commonv1.ReplicaStatus{SucceededIndexes: "0"}, had: true},
		"RoleAttempt": {reason: "it was restarted", rs: &commonv1.ReplicaStatus{Attempt: 1}, had: true},
		"Attempts":    {reason: "one was restarted", rs: &commonv1.ReplicaStatus{Attempts: map[string]int32{"0": 1}}, had: true},
		"InPlace": {
			reason: "one was restarted in its place", had: true,
			rs: &commonv1.ReplicaStatus{InPlaceRestarts: map[string]commonv1.InPlaceRestarts{"0": {PodUID: "x", Count: 1}}},
		},
	} {
		for of, action := range map[string]plan.Action{
			"Itself": plan.CreatePod{Name: "job-worker-0", Type: worker}, "Other": plan.CreatePod{Name: "job-master-0", Type: master}, "Service": plan.CreateService{Name: "job"},
		} {
			t.Run(name+"/"+of, func(t *testing.T) {
				m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
				p := m.decide()
				m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: tc.rs}
				s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{
					Obstructions: []plan.Obstruction{{Action: action, Obstacle: plan.Invalid, Message: "because."}},
				})
				want := commonv1.JobFailed
				if tc.had && of != "Other" {
					want = commonv1.JobStalled
				}
				if got := s.Status.State; got != want {
					t.Errorf("%s: want %s, got %s", tc.reason, want, got)
				}
			})
		}
	}
}

// TestOutcomeChangesTheConditions: a conclusion is written when it is a new one, in
// whatever part.
func TestOutcomeChangesTheConditions(t *testing.T) {
	m := newModel(workers(1))
	m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(10))
	pod := plan.CreatePod{Name: "job-worker-0", Type: worker}
	m.in.Status = concludeWith(m, pod, plan.NameConflict).Status
	cases := map[string]struct {
		reason  string
		outcome plan.ExecutionResult
		write   bool
	}{
		"Same": {
			reason:  "the same again is not news",
			outcome: plan.ExecutionResult{Obstructions: []plan.Obstruction{{Action: pod, Obstacle: plan.NameConflict, Message: "because."}}},
		},
		"First": {
			reason: "the first obstacle is the one to report",
			outcome: plan.ExecutionResult{Obstructions: []plan.Obstruction{
				{Action: pod, Obstacle: plan.NameConflict, Message: "because."}, {Action: pod, Obstacle: plan.Refused, Message: "of that."},
			}},
		},
		"Reason": {
			reason:  "another obstacle is news",
			outcome: plan.ExecutionResult{Obstructions: []plan.Obstruction{{Action: pod, Obstacle: plan.Refused, Message: "because."}}}, write: true,
		},
		"Message": {
			reason:  "another message is news",
			outcome: plan.ExecutionResult{Obstructions: []plan.Obstruction{{Action: pod, Obstacle: plan.NameConflict, Message: "of that."}}}, write: true,
		},
		"None": {reason: "that nothing is in the way any longer is news", write: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := m.decide()
			s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, tc.outcome)
			if (s.StatusChange == plan.StatusNews) != tc.write {
				t.Errorf("%s: write is %v", tc.reason, s.StatusChange != plan.StatusUnchanged)
			}
			if len(tc.outcome.Obstructions) == 0 && s.RequeueAfter != 10*time.Second {
				t.Errorf("the deadline is still to be kept, got it requeued after %s", s.RequeueAfter)
			}
		})
	}
}

// TestStalledForObjectsOtherThanPods: a job that lacks only a service or an object is as
// stalled as one that lacks a pod, until it is created.
func TestStalledForObjectsOtherThanPods(t *testing.T) {
	object := plan.Object{Kind: "ConfigMap", Name: "c", Wanted: &corev1.ConfigMap{}}
	cases := map[string]func(*model){
		"Service": func(m *model) { m.in.Services = nil },
		"Object":  func(m *model) { m.in.Objects = []plan.Object{object} },
	}
	for name, lose := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			lose(m)
			p := m.decide()
			if len(p.Actions) != 1 {
				t.Fatalf("want one action, got %v", p.Actions)
			}
			m.in.Status = concludeWith(m, p.Actions[0], plan.Refused).Status
			if p := m.decide(); p.Status.State != commonv1.JobStalled {
				t.Errorf("while it is to be created the outcome decides, got %s", p.Status.State)
			}
			m.in.Services, m.in.Objects = started(workers(1), nil).in.Services, nil
			p = m.decide()
			want := []string{"Created=True TestJobCreated: TestJob job is created.", "Running=True TestJobRunning: TestJob ns/job is running."}
			if diff := cmp.Diff(want, conditions(&p.Status)); diff != "" {
				t.Errorf("nothing is in the way any longer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCleanUpIsTriedAgain: a pod of a finished job that cannot be deleted is tried again, after a
// second at first and after a minute at most, and one event says so.
func TestCleanUpIsTriedAgain(t *testing.T) {
	m := newModel(workers(2))
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll)
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	for _, p := range m.in.Pods {
		m.end(p, 0)
	}
	p := m.decide()
	m.write(&p)
	for _, step := range []struct {
		since, again time.Duration
		events       int
	}{{0, time.Second, 1}, {8 * time.Second, 8 * time.Second, 0}, {time.Hour, time.Minute, 0}} {
		p := m.decide()
		if len(p.Actions) == 0 {
			t.Fatal("the pods are to be deleted")
		}
		obstruction := plan.Obstruction{Action: p.Actions[0], Obstacle: plan.Refused, Message: "because."}
		m.in.Tried = nil
		if step.since > 0 {
			m.in.Tried = []plan.Tried{{Obstruction: obstruction, Since: m.in.Now.Add(-step.since), Again: m.in.Now}}
		}
		done := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{Obstructions: []plan.Obstruction{obstruction}})
		if done.RequeueAfter != step.again || done.RetryAfter != step.again || len(done.Events) != step.events {
			t.Errorf("tried for %s: want a pass in %s and %d events, got %s and %v", step.since, step.again, step.events, done.RequeueAfter, done.Events)
		}
	}
}
