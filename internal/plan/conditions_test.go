package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestTimesOfACondition: LastTransitionTime is when the status changed,
// LastUpdateTime when anything did; both are whole seconds, as the API stores them.
func TestTimesOfACondition(t *testing.T) {
	m := started(workers(1), nil)
	later := epoch.Add(time.Minute)
	cases := []struct {
		reason, problem string
		now             time.Time
		status          corev1.ConditionStatus
		changed, update time.Time
	}{
		{"a new condition changed now, in whole seconds", "one thing", epoch.Add(1700 * time.Millisecond), "True", epoch.Add(time.Second), epoch.Add(time.Second)},
		{"the same again changes nothing", "one thing", later, "True", epoch.Add(time.Second), epoch.Add(time.Second)},
		{"another message is an update, and no transition", "another", later, "True", epoch.Add(time.Second), later},
	}
	for _, tc := range cases {
		m.in.Now, m.in.Problem = tc.now, tc.problem
		m.reconcileUntilStable()
		c := m.in.Status.Condition(commonv1.JobStalled)
		if c.Status != tc.status || !c.LastTransitionTime.Time.Equal(tc.changed) || !c.LastUpdateTime.Time.Equal(tc.update) {
			t.Errorf("%s: want transition %s and update %s, got %+v", tc.reason, tc.changed, tc.update, *c)
		}
	}
	m.in.Problem, m.in.Now = "", epoch.Add(time.Hour)
	m.end(m.pod("worker-0"), 0)
	m.reconcileUntilStable()
	c := m.in.Status.Condition(commonv1.JobRunning)
	if c.Status != corev1.ConditionFalse || !c.LastTransitionTime.Time.Equal(m.in.Now) || !c.LastUpdateTime.Time.Equal(m.in.Now) {
		t.Errorf("a condition that ends has changed now: %+v", *c)
	}
}

// TestWordsOfACondition: a message that has the same words in another order is no news; any other is.
func TestWordsOfACondition(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, now string
		news        bool
	}{
		"Same":       {"it says the same", "over: cpu=1, memory=2", false},
		"OtherOrder": {"a map has no order", "over: memory=2, cpu=1", false},
		"OtherWord":  {"it says something else", "over: memory=2, cpu=3", true},
		"Longer":     {"it says more", "over: cpu=1, memory=2, gpu=3", true},
		"Separators": {"it is not what an order explains", "over: cpu=1 memory=2", true},
		"Twice":      {"each word counts", "over: cpu=1, cpu=1 1 1", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.in.Problem = "over: cpu=1, memory=2"
			m.reconcileUntilStable()
			was := m.in.Status.Condition(commonv1.JobStalled).Message
			m.in.Problem = tc.now
			p := m.decide()
			want := was
			if tc.news {
				want = strings.Replace(was, "over: cpu=1, memory=2", tc.now, 1)
			}
			if diff := cmp.Diff(want, p.Status.Condition(commonv1.JobStalled).Message); diff != "" || (p.StatusChange == plan.StatusNews) != tc.news {
				t.Errorf("%s: status change %v (-want +got):\n%s", tc.reason, p.StatusChange, diff)
			}
		})
	}
}

// TestStalledStaysLast: a job that runs in part is stalled, so Stalled stays behind
// the other conditions and names the state, until it ends.
func TestStalledStaysLast(t *testing.T) {
	const (
		created = "Created=True TestJobCreated: TestJob job is created."
		runs    = "Running=True TestJobRunning: TestJob ns/job is running."
		stalled = "Stalled=True TestJobNameConflict: TestJob ns/job cannot create pod job-worker-2: because."
	)
	m := newModel(workers(3))
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	taken := func() plan.Plan {
		p := m.decide()
		for _, a := range p.Actions {
			if a, ok := a.(plan.CreatePod); ok && a.Index < 2 {
				m.apply(a)
			}
		}
		m.in.Status = plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{
			Obstructions: []plan.Obstruction{{Action: p.Actions[len(p.Actions)-1], Obstacle: plan.NameConflict, Message: "because."}},
		}).Status
		return p
	}
	taken()
	if diff := cmp.Diff([]string{created, stalled}, conditions(&m.in.Status)); diff != "" {
		t.Errorf("two pods exist and one does not (-want +got):\n%s", diff)
	}
	m.run()
	p := taken()
	if diff := cmp.Diff([]string{created, runs, stalled}, conditions(&m.in.Status)); diff != "" || m.in.Status.State != commonv1.JobStalled {
		t.Errorf("a job that runs in part is stalled, got %s (-want +got):\n%s", m.in.Status.State, diff)
	}
	if p.StatusChange != plan.StatusProgress || len(p.Events) != 0 {
		t.Errorf("that it runs its condition says, and no event does: %v", p.Events)
	}

	t.Run("Suspended", func(t *testing.T) {
		m := model{in: m.in}
		m.in.Pods, m.in.Status = slices.Clone(m.in.Pods), *m.in.Status.DeepCopy()
		m.in.RunPolicy.Suspend = new(true)
		m.reconcileUntilStable()
		want := []string{
			created, "Running=False TestJobSuspended: TestJob job is suspended.",
			"Suspended=True TestJobSuspended: TestJob job is suspended.",
		}
		if diff := cmp.Diff(want, conditions(&m.in.Status)); diff != "" {
			t.Errorf("a suspended job wants nothing that could be in the way (-want +got):\n%s", diff)
		}
	})
	t.Run("Failed", func(t *testing.T) {
		m := model{in: m.in}
		m.in.Pods, m.in.Status = slices.Clone(m.in.Pods), *m.in.Status.DeepCopy()
		m.end(m.pod("worker-0"), 1)
		m.reconcileUntilStable()
		if s := &m.in.Status; s.Condition(commonv1.JobStalled) != nil || s.State != commonv1.JobFailed {
			t.Errorf("a job that has ended is not stalled: %q", conditions(s))
		}
	})
}

// TestWarnings: what the controller has to say about a job is reported once, when the
// job is taken up.
func TestWarnings(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
	m.in.Warnings = []jobkit.Warning{{Reason: "OldField", Message: "use the new one."}}
	m.in.Replicas[master].Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	m.in.Replicas[worker].Template.Spec.RestartPolicy = corev1.RestartPolicyAlways
	want := []plan.Event{
		{Warning: true, Reason: "SetPodTemplateRestartPolicy", Message: "The restartPolicy Always in the pod template of Worker is not used: " +
			"restartPolicy of the replica spec, Never, decides."},
		{Warning: true, Reason: "OldField", Message: "use the new one."},
	}
	if diff := cmp.Diff(want, m.reconcile().Events); diff != "" {
		t.Errorf("a restart policy that does not count is worth a warning, one that says the same is not (-want +got):\n%s", diff)
	}
	if events := m.reconcile().Events; len(events) > 0 {
		t.Errorf("and it is reported once, got again %v", events)
	}
}

// TestJobEndedByAnotherController: a status that has a condition and no time
// gets the condition's.
func TestJobEndedByAnotherController(t *testing.T) {
	ended := metav1.NewTime(epoch.Add(-time.Minute))
	cases := map[string]struct {
		reason string
		c      commonv1.JobCondition
		want   time.Time
	}{
		"Succeeded": {"the condition knows when", commonv1.JobCondition{Type: commonv1.JobSucceeded, LastTransitionTime: ended}, ended.Time},
		"Failed":    {"the condition knows when", commonv1.JobCondition{Type: commonv1.JobFailed, LastTransitionTime: ended}, ended.Time},
		"NoTime":    {"or else now is as good as any time", commonv1.JobCondition{Type: commonv1.JobFailed}, epoch},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			tc.c.Status = corev1.ConditionTrue
			m.in.Status.Conditions = []commonv1.JobCondition{tc.c}
			if got := m.decide().Status.CompletionTime; got == nil || !got.Time.Equal(tc.want) {
				t.Errorf("%s: want %s, got %v", tc.reason, tc.want, got)
			}
		})
	}
}
