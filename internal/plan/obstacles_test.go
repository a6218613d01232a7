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

// settleWith settles a plan of which one action met an obstacle.
func settleWith(m *model, action plan.Action, o plan.Obstacle) plan.Plan {
	return plan.Conclude(&m.in, plan.TallyOf(&m.in), m.decide(), plan.ExecutionResult{
		Failures: []plan.Obstruction{{Action: action, Obstacle: o, Message: "because."}},
	})
}

// TestWhatIsInTheWay: the condition names the object, and what could not be done.
func TestWhatIsInTheWay(t *testing.T) {
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
			s := settleWith(m, tc.action, plan.Refused)
			c := s.Status.Condition(commonv1.JobStalled)
			if got, want := c.Reason+": "+c.Message, tc.want+": because."; got != want {
				t.Errorf("want %q, got %q", want, got)
			}
		})
	}
}

// TestWhoMadeItInvalid: an object that is invalid in itself fails a job that never had
// such objects. A job that had some goes on, whether it was edited or not: an API
// server may find invalid today what it did not yesterday. That it had some the status
// says when no pod does any more.
func TestWhoMadeItInvalid(t *testing.T) {
	w0 := plan.CreatePod{Name: "job-worker-0", Type: worker}
	forget := func(s *commonv1.JobStatus) { *s = commonv1.JobStatus{} }
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
			reason: "a type that the job has no more has no pods", generation: 2,
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
			if got := settleWith(m, tc.action, plan.Invalid).Status.State; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

// TestOutcomeChangesTheConditions: a conclusion is written when it is a new one, in
// whatever part.
func TestOutcomeChangesTheConditions(t *testing.T) {
	m := newModel(workers(1))
	m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(10))
	pod := plan.CreatePod{Name: "job-worker-0", Type: worker}
	m.in.Status = settleWith(m, pod, plan.NameConflict).Status
	cases := map[string]struct {
		reason  string
		outcome plan.ExecutionResult
		write   bool
	}{
		"Same": {
			reason:  "the same again is not news",
			outcome: plan.ExecutionResult{Failures: []plan.Obstruction{{Action: pod, Obstacle: plan.NameConflict, Message: "because."}}},
		},
		"First": {
			reason: "the first obstacle is the one to tell of",
			outcome: plan.ExecutionResult{Failures: []plan.Obstruction{
				{Action: pod, Obstacle: plan.NameConflict, Message: "because."}, {Action: pod, Obstacle: plan.Refused, Message: "of that."},
			}},
		},
		"Reason": {
			reason:  "another obstacle is news",
			outcome: plan.ExecutionResult{Failures: []plan.Obstruction{{Action: pod, Obstacle: plan.Refused, Message: "because."}}}, write: true,
		},
		"Message": {
			reason:  "another message is news",
			outcome: plan.ExecutionResult{Failures: []plan.Obstruction{{Action: pod, Obstacle: plan.NameConflict, Message: "of that."}}}, write: true,
		},
		"None": {reason: "that nothing is in the way any more is news", write: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := m.decide()
			s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, tc.outcome)
			if s.WriteStatus != tc.write || s.WriteStatus && s.Status.LastReconcileTime == nil {
				t.Errorf("%s: write is %v", tc.reason, s.WriteStatus)
			}
			if len(tc.outcome.Failures) == 0 && s.RequeueAfter != 10*time.Second {
				t.Errorf("the deadline is still to be kept, got another look after %s", s.RequeueAfter)
			}
		})
	}
}

// TestSomethingElseThanPods: a job that lacks only a service or an object is as
// stalled as one that lacks a pod, until it is created.
func TestSomethingElseThanPods(t *testing.T) {
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
			m.in.Status = settleWith(m, p.Actions[0], plan.Refused).Status
			if p := m.decide(); p.Status.State != commonv1.JobStalled {
				t.Errorf("while it is to be created the outcome decides, got %s", p.Status.State)
			}
			m.in.Services, m.in.Objects = started(workers(1), nil).in.Services, nil
			p = m.decide()
			want := []string{"Created=True TestJobCreated: TestJob job is created.", "Running=True TestJobRunning: TestJob ns/job is running."}
			if diff := cmp.Diff(want, conditions(&p.Status)); diff != "" {
				t.Errorf("nothing is in the way any more (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStuckPodsThatAreLeftAlone: a finalizer is its owner's affair, and what is not
// being deleted is not stuck.
func TestStuckPodsThatAreLeftAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		grace *int64
		want  int
	}{
		"DeletedByForceAlready": {new(int64(0)), 0},
		"OneSecond":             {new(int64(1)), 1},
		"NoGracePeriod":         {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			pod := m.pod("worker-0")
			pod.Spec.NodeName = "node-7"
			m.leave(pod)
			pod.DeletionGracePeriodSeconds = tc.grace
			m.in.DeadNodes = map[string]bool{"node-7": true}
			m.in.Now = m.in.Now.Add(time.Hour)
			m.in.Status.LastReconcileTime = nil
			if p := m.decide(); len(p.Actions) != tc.want || tc.want == 0 && p.RequeueAfter != 0 {
				t.Errorf("got %v, again after %s", p.Actions, p.RequeueAfter)
			}
			if nodes := plan.SuspectNodes(m.in.Pods, m.in.Now); len(nodes) != tc.want {
				t.Errorf("suspect nodes: %v", nodes)
			}
		})
	}
}
