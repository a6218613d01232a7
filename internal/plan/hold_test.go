package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func tried(a plan.Action, o plan.Obstacle) plan.Tried {
	return plan.Tried{Obstruction: plan.Obstruction{Action: a, Obstacle: o, Message: "because."}, Again: epoch.Add(8 * time.Second)}
}

func names(actions []plan.Action) []string {
	var out []string
	for _, a := range actions {
		out = append(out, a.String())
	}
	return out
}

// TestHeldBack: what met an obstacle is not tried in each pass, and what needs it waits.
func TestHeldBack(t *testing.T) {
	w := func(name string) plan.Action { return plan.CreatePod{Name: name, Type: worker} }
	object := plan.Object{Kind: "ConfigMap", Name: "c", UID: "c", Wanted: &corev1.ConfigMap{}, Patch: map[string]any{"data": "x"}}
	cases := map[string]struct {
		reason string
		tried  []plan.Tried
		change func(*model)
		want   []string
		says   string
	}{
		"Quota": {
			reason: "a quota that does not admit one pod does not admit the next either", tried: []plan.Tried{tried(w("job-worker-0"), plan.Refused)},
			says: "TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-0: because.",
		},
		"Name": {
			reason: "a name that is taken says nothing of the others", tried: []plan.Tried{tried(w("job-worker-0"), plan.NameConflict)},
			want: []string{"create service job: the job has one", "create pod job-worker-1 (attempt 0): replica 1 of Worker is missing"},
			says: "TestJobNameConflict: TestJob ns/job cannot create pod job-worker-0: because.",
		},
		"Update": {
			reason: "no pod before the object that it may need is as it should be", tried: []plan.Tried{tried(plan.UpdateObject{Kind: "ConfigMap", Name: "c"}, plan.Invalid)},
			change: func(m *model) { m.in.Objects = []plan.Object{object} },
			says:   "TestJobInvalid: TestJob ns/job cannot update ConfigMap c: because.",
		},
		"Delete": {
			reason: "a delete that is refused holds nothing else back", tried: []plan.Tried{tried(plan.DeletePod{Name: "job-worker-7"}, plan.Refused)},
			change: func(m *model) {
				m.in.Pods = append(m.in.Pods, &corev1.Pod{})
				m.in.Pods[0].Name, m.in.Pods[0].UID = "job-worker-7", "7"
			},
			want: []string{
				"create service job: the job has one", "create pod job-worker-0 (attempt 0): replica 0 of Worker is missing",
				"create pod job-worker-1 (attempt 0): replica 1 of Worker is missing",
			},
			says: "TestJobDeleteRefused: TestJob ns/job cannot delete pod job-worker-7: because.",
		},
		"Several": {
			reason: "what holds others back is said before what does not",
			tried: []plan.Tried{
				tried(plan.DeletePod{Name: "job-worker-7"}, plan.Refused),
				tried(w("job-worker-0"), plan.NameConflict), tried(w("job-worker-1"), plan.NameConflict),
			},
			change: func(m *model) {
				m.in.Pods = append(m.in.Pods, &corev1.Pod{})
				m.in.Pods[0].Name, m.in.Pods[0].UID = "job-worker-7", "7"
			},
			want: []string{"create service job: the job has one"},
			says: "TestJobNameConflict: TestJob ns/job cannot create pod job-worker-0: because.",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			if tc.change != nil {
				tc.change(m)
			}
			m.in.Tried = tc.tried
			p := m.decide()
			if diff := cmp.Diff(tc.want, names(p.Actions)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			c := p.Status.Condition(commonv1.JobStalled)
			if c == nil || c.Reason+": "+c.Message != tc.says || p.StatusChange != plan.StatusNews {
				t.Errorf("the job says why, at once: %+v, write is %v", c, p.StatusChange != plan.StatusUnchanged)
			}
			if p.RequeueAfter != 8*time.Second {
				t.Errorf("another try when its time comes, got one after %s", p.RequeueAfter)
			}
			m.in.Status = p.Status
			again := m.decide()
			if again.StatusChange != plan.StatusUnchanged || len(again.Events) > 0 {
				t.Errorf("nothing new, but it writes %v, emits %v", again.StatusChange != plan.StatusUnchanged, again.Events)
			}
			s := plan.Conclude(&m.in, plan.TallyOf(&m.in), again, plan.ExecutionResult{PodsCreated: []string{"job-worker-0", "job-worker-1"}, ServicesCreated: []string{"job"}})
			if !s.Status.IsTrue(commonv1.JobStalled) {
				t.Errorf("what is held back still is, although the rest is done: %q", conditions(&s.Status))
			}
		})
	}
}

// TestInvalidEndsAllActions: a job that fails by what was tried before does nothing in that pass. The next
// one cleans up, by the rules for jobs that have ended.
func TestInvalidEndsAllActions(t *testing.T) {
	m := newModel(workers(1))
	m.in.Services = []*corev1.Service{plan.NewService(&m.in, plan.CreateService{Name: "job-old"})}
	if got := actions(m.decide()); len(got) == 0 || got[0] != "delete service job-old: the job does not want this service" {
		t.Fatalf("the service is surplus, got %q", got)
	}
	m.in.Tried = []plan.Tried{tried(plan.CreatePod{Name: "job-worker-0", Type: worker}, plan.Invalid)}
	if p := m.decide(); p.Status.State != commonv1.JobFailed || len(p.Actions) > 0 {
		t.Errorf("want it failed and nothing done, got %s and %q", p.Status.State, actions(p))
	}
}

// TestHeldDeletes: a delete and a delete by force are two requests. That one was refused says nothing of the other.
func TestHeldDeletes(t *testing.T) {
	for name, tc := range map[string]struct {
		reason       string
		force, tried bool
		held         bool
	}{
		"Delete":      {reason: "it was refused", held: true},
		"Force":       {reason: "it was refused", force: true, tried: true, held: true},
		"OnlyDelete":  {reason: "by force may be permitted", force: true},
		"OnlyByForce": {reason: "without force may be permitted", tried: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.in.RunPolicy.ServiceMode, m.in.Services = new(commonv1.ServiceModeNone), nil
			if tc.force {
				m.in.RunPolicy.ForceDeleteAfterSeconds = new(int64(60))
				m.terminate(m.pod("worker-0"))
				m.after(time.Hour)
			} else {
				m.in.RunPolicy.Suspend = new(true)
			}
			m.in.Status = m.decide().Status
			m.in.Tried = []plan.Tried{{
				Obstruction: plan.Obstruction{Action: plan.DeletePod{Name: "job-worker-0", Force: tc.tried}, Obstacle: plan.Refused, Message: "no."},
				Again:       m.in.Now.Add(time.Second),
			}}
			p := m.decide()
			if got := len(p.Actions) == 0; got != tc.held || p.Held != tc.held {
				t.Errorf("%s: held back: %t, want %t: %v", tc.reason, p.Held, tc.held, names(p.Actions))
			}
		})
	}
}

// TestInvalidIsKeptAcrossTheStatusWrite: a large job whose status is written
// before its pods fails in the next pass, without another try.
func TestInvalidIsKeptAcrossTheStatusWrite(t *testing.T) {
	m := newModel(workers(20))
	p := m.decide()
	if p.StatusChange == plan.StatusUnchanged {
		t.Fatal("the shell writes the status of a large job first")
	}
	m.in.Status = p.Status
	m.in.Tried = []plan.Tried{tried(plan.CreatePod{Name: "job-worker-0", Type: worker}, plan.Invalid)}
	if p = m.decide(); p.Status.State != commonv1.JobFailed || len(p.Actions) > 0 {
		t.Errorf("want it failed and nothing done, got %s and %v", p.Status.State, names(p.Actions))
	}
}

// TestRefusedUpdateDoesNotFlap: while an update is refused the condition stays as it
// is, pass after pass; when it is done the condition goes.
func TestRefusedUpdateDoesNotFlap(t *testing.T) {
	m := started(workers(1), nil)
	m.in.Objects = []plan.Object{{Kind: "ConfigMap", Name: "c", UID: "c", Wanted: &corev1.ConfigMap{}, Patch: map[string]any{"data": "x"}}}
	events, writes := 0, 0
	for range 10 {
		p := m.decide()
		s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{Obstructions: []plan.Obstruction{{Action: p.Actions[0], Obstacle: plan.Refused, Message: "no."}}})
		if s.RetryAfter < time.Second || s.RequeueAfter < time.Second {
			t.Errorf("the next try follows after %s", s.RetryAfter)
		}
		for _, w := range []plan.Plan{p, s} {
			if w.StatusChange != plan.StatusUnchanged {
				writes++
			}
			events += len(w.Events)
		}
		m.in.Status = s.Status
		m.in.Now = m.in.Now.Add(s.RetryAfter)
	}
	if events != 1 || writes != 1 {
		t.Errorf("want one event and one write, got %d and %d", events, writes)
	}
	p := m.decide()
	if s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{Undone: true}); !s.Status.IsTrue(commonv1.JobStalled) {
		t.Error("a timeout does not show that nothing is in the way")
	}
	if s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{}); s.Status.IsTrue(commonv1.JobStalled) {
		t.Error("the update is done, but the job is still stalled")
	}
}

// TestRefusedDeletes: a suspended job says what keeps it from being cleaned up.
func TestRefusedDeletes(t *testing.T) {
	m := started(workers(1), nil)
	m.in.RunPolicy.Suspend = new(true)
	m.in.Status = m.decide().Status
	stalled := 0
	for range 5 {
		p := m.decide()
		if len(p.Actions) == 0 {
			t.Fatal("nothing to clean up")
		}
		s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{Obstructions: []plan.Obstruction{{Action: p.Actions[0], Obstacle: plan.Refused, Message: "no."}}})
		for _, w := range []plan.Plan{p, s} {
			if w.StatusChange != plan.StatusUnchanged {
				stalled++
			}
		}
		m.in.Status = s.Status
		m.in.Now = m.in.Now.Add(time.Minute)
	}
	if c := m.in.Status.Condition(commonv1.JobStalled); stalled != 1 || c == nil || c.Reason != "TestJobDeleteRefused" {
		t.Errorf("want it said once, written %d times: %q", stalled, conditions(&m.in.Status))
	}
	m.in.Pods, m.in.Services = nil, nil
	if p := m.decide(); p.Status.Condition(commonv1.JobStalled) != nil || p.StatusChange != plan.StatusNews {
		t.Errorf("all is gone, but the job is still stalled: %q", conditions(&p.Status))
	}
}

// TestRefusedCleanUp: the conditions of a job that has ended are final, so an event
// reports what cannot be deleted, once, and it is tried again later and later.
func TestRefusedCleanUp(t *testing.T) {
	m := started(workers(1), nil)
	m.end(m.pod("worker-0"), 0)
	m.in.Status = m.decide().Status
	var emitted []string
	var waits []time.Duration
	for range 5 {
		p := m.decide()
		if len(p.Actions) == 0 {
			t.Fatal("nothing to clean up")
		}
		f := plan.Obstruction{Action: p.Actions[0], Obstacle: plan.Refused, Message: "no."}
		s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{Obstructions: []plan.Obstruction{f}})
		if p.StatusChange != plan.StatusUnchanged || s.StatusChange != plan.StatusUnchanged {
			t.Errorf("nothing is to be written: %q", conditions(&s.Status))
		}
		for _, e := range s.Events {
			emitted = append(emitted, e.String())
		}
		waits = append(waits, s.RetryAfter)
		m.in.Tried = []plan.Tried{{Obstruction: f, Since: epoch, Again: m.in.Now.Add(s.RetryAfter)}}
		if p := m.decide(); !p.Held || len(p.Actions) > 0 || p.StatusChange != plan.StatusUnchanged {
			t.Errorf("it is held back: %v", names(p.Actions))
		}
		m.in.Now = m.in.Now.Add(s.RetryAfter)
	}
	if diff := cmp.Diff([]string{"warning event TestJobDeleteRefused: TestJob ns/job cannot delete service job: no."}, emitted); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]time.Duration{time.Second, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, waits); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTogether: what may be executed at the same time.
func TestTogether(t *testing.T) {
	claim, config := plan.CreateObject{Kind: plan.VolumeClaimKind, Name: "a"}, plan.CreateObject{Kind: "ConfigMap", Name: "a"}
	for name, tc := range map[string]struct {
		reason    string
		before, a plan.Action
		want      bool
	}{
		"Pods":         {"they do not need each other", plan.CreatePod{Name: "a"}, plan.CreatePod{Name: "b"}, true},
		"Services":     {"nor do pods and services", plan.CreateService{Name: "a"}, plan.CreatePod{Name: "b"}, true},
		"Claims":       {"nor do claims", claim, claim, true},
		"Objects":      {"a later one may refer to an earlier one", config, config, false},
		"Kinds":        {"claims come before other objects", claim, config, false},
		"Mount":        {"and before pods", claim, plan.CreatePod{Name: "b"}, false},
		"Updates":      {"they do not need each other", plan.UpdateService{}, plan.UpdateObject{}, true},
		"Deletes":      {"nor do these", plan.DeletePod{}, plan.DeleteService{}, true},
		"OwnedObjects": {"which go together, too", plan.DeleteObject{}, plan.DeleteObject{}, true},
		"Last":         {"the job goes last", plan.DeletePod{}, plan.DeleteJob{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := plan.Together(tc.before, tc.a); got != tc.want {
				t.Errorf("%s: got %t", tc.reason, got)
			}
		})
	}
}

// TestHeldBackByAnother: known-bugs row 178. Of two processes that remember different answers to the same
// request, neither corrects what the other has reported; a new answer does.
func TestHeldBackByAnother(t *testing.T) {
	create := plan.CreatePod{Type: worker, Name: "job-worker-0"}
	const taken = "TestJob ns/job cannot create pod job-worker-1: the name is taken"
	cases := map[string]struct {
		reason, said, want string
	}{
		"Nothing":       {"what it remembers is news", "", "TestJob ns/job cannot create pod job-worker-0: because."},
		"AboutAPod":     {"the answer to the last request is on record", taken, taken},
		"AboutAService": {"that is something else", "TestJob ns/job cannot create service job: taken", "TestJob ns/job cannot create pod job-worker-0: because."},
		"AboutADelete":  {"that is something else", "TestJob ns/job cannot delete pod job-worker-7: taken", "TestJob ns/job cannot create pod job-worker-0: because."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			if tc.said != "" {
				m.in.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJobNameConflict", Message: tc.said}}
			}
			m.in.Tried = []plan.Tried{tried(create, plan.Refused)}
			p := m.decide()
			c := p.Status.Condition(commonv1.JobStalled)
			if c == nil || c.Message != tc.want {
				t.Errorf("%s: want %q, got %v", tc.reason, tc.want, c)
			}
		})
	}
}
