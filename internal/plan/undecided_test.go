package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

const cannotEnd = "Stalled=True TestJobOperatorError: TestJob ns/job cannot end: all its replicas have succeeded, " +
	"but no success rule selects a replica of the job: Rules().Success is "

// TestRulesThatNeverHold: a job whose pods have all ended and whose rules say nothing
// about that does not count as if it ran.
func TestRulesThatNeverHold(t *testing.T) {
	cases := map[string]struct {
		reason  string
		success []jobkit.SuccessRule
		says    string
	}{
		"NoSuchType":  {reason: "no replica is of this type", success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.All("Ghost"))}, says: "AllOf(All(Ghost))"},
		"NoSuchIndex": {reason: "the job has two", success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.Index(worker, 99))}, says: "AllOf(Index(Worker, 99))"},
		"Nothing":     {reason: "nothing is selected", success: []jobkit.SuccessRule{jobkit.AllOf()}, says: "AllOf()"},
		"Several": {
			reason:  "all are named",
			success: []jobkit.SuccessRule{jobkit.AnyOf(jobkit.All("Ghost"), jobkit.Index(worker, 2)), jobkit.AllOf()},
			says:    "AllOf(), AnyOf(All(Ghost), Index(Worker, 2))",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) { m.in.Rules.Success = tc.success })
			m.end(m.pod("worker-0"), 0)
			m.reconcileUntilStable()
			if m.in.Status.State != commonv1.JobRunning {
				t.Errorf("as long as one runs nothing is said, got %s", m.in.Status.State)
			}
			m.end(m.pod("worker-1"), 0)
			m.reconcileUntilStable()
			got := conditions(&m.in.Status)
			if diff := cmp.Diff(cannotEnd+tc.says+": this is a bug of the operator, please report it", got[len(got)-1]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			before := m.in.Status
			m.in.Now = m.in.Now.Add(time.Hour)
			p := m.reconcile()
			if diff := cmp.Diff(before, m.in.Status); diff != "" || len(p.Actions) > 0 || p.StatusChange != plan.StatusUnchanged || p.RequeueAfter > 0 || len(p.Events) > 0 {
				t.Errorf("nothing more happens, got %v, again after %v (-want +got):\n%s", p.Actions, p.RequeueAfter, diff)
			}
		})
	}
}

// TestUndecidedEnds: what the operator could not decide it can when the job, or the
// operator itself, has changed.
func TestUndecidedEnds(t *testing.T) {
	third := func() *model {
		m := started(workers(2), func(m *model) { m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.Index(worker, 2))} })
		for _, p := range m.in.Pods {
			m.end(p, 0)
		}
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobStalled {
			t.Fatalf("want the job to be stalled, it is %s", m.in.Status.State)
		}
		return m
	}
	t.Run("ScaledUp", func(t *testing.T) {
		m := third()
		m.in.Replicas[worker].Replicas = new(int32(3))
		m.reconcileUntilStable()
		m.run()
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobRunning {
			t.Errorf("want Running, got %q", conditions(&m.in.Status))
		}
		m.end(m.pod("worker-2"), 0)
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobSucceeded {
			t.Errorf("want Succeeded, got %q", conditions(&m.in.Status))
		}
	})
	t.Run("OperatorFixed", func(t *testing.T) {
		m := third()
		m.in.Rules = jobkit.Rules{}
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobSucceeded || m.in.Status.Condition(commonv1.JobStalled) != nil {
			t.Errorf("want Succeeded, got %q", conditions(&m.in.Status))
		}
	})
	t.Run("ObstaclesHaveNoSay", func(t *testing.T) {
		m := third()
		m.in.Services = nil
		p := m.decide()
		if len(p.Actions) == 0 {
			t.Fatal("want the service to be created again")
		}
		refused := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{Obstructions: []plan.Obstruction{{Action: p.Actions[0], Obstacle: plan.Refused, Message: "no"}}})
		done := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{ServicesCreated: []string{"job"}})
		if refused.StatusChange != plan.StatusUnchanged || done.StatusChange != plan.StatusUnchanged {
			t.Errorf("the condition would flip in each pass: %q, %q", conditions(&refused.Status), conditions(&done.Status))
		}
	})
	t.Run("PodsAreGone", func(t *testing.T) {
		m := third()
		m.in.Pods = nil
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobStalled || len(m.in.Pods) > 0 {
			t.Errorf("what succeeded is recorded, got %q and %d pods", conditions(&m.in.Status), len(m.in.Pods))
		}
	})
}

// TestMistakesInRules: what can be seen in rules without a job.
func TestMistakesInRules(t *testing.T) {
	success := func(rs ...jobkit.SuccessRule) jobkit.Rules { return jobkit.Rules{Success: rs} }
	cases := map[string]struct {
		reason  string
		rules   jobkit.Rules
		partial bool // whether the rules are those of a job that lacks replica types
		want    []string
	}{
		"None": {reason: "the zero value is valid"},
		"Valid": {
			reason: "every type and index that a job can have is valid, and so is one rule of several that selects nothing",
			rules: jobkit.Rules{
				Success: []jobkit.SuccessRule{jobkit.AllOf(), jobkit.AllOf(jobkit.All("Worker"), jobkit.Index("Launcher", 0)), jobkit.AnyOf(jobkit.Index("Worker", jobkit.MaxReplicas-1))},
				Running: []jobkit.ReplicaSelector{jobkit.All("Launcher")}, Master: []jobkit.ReplicaSelector{jobkit.Index("Worker", -1)},
			},
		},
		"UnknownTypes": {
			reason: "wherever they are",
			rules: jobkit.Rules{
				Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.All("Worker"), jobkit.All("Ghost"))},
				Running: []jobkit.ReplicaSelector{jobkit.All("worker")}, Master: []jobkit.ReplicaSelector{jobkit.Index("Boss", 0)}, Optional: []jobkit.ReplicaSelector{jobkit.All("")},
			},
			want: []string{
				`Success[0][1]: Invalid value: "All(Ghost)": the kind has no replica type "Ghost": use one of Kind().Roles, Launcher, Worker`,
				`Running[0]: Invalid value: "All(worker)": the kind has no replica type "worker": use one of Kind().Roles, Launcher, Worker`,
				`Master[0]: Invalid value: "Index(Boss, 0)": the kind has no replica type "Boss": use one of Kind().Roles, Launcher, Worker`,
				`Optional[0]: Invalid value: "All()": the kind has no replica type "": use one of Kind().Roles, Launcher, Worker`,
			},
		},
		"TypeOfAnEmptyJob": {
			reason: "a rule may take its type from the job, and find none in one that has none", partial: true,
			rules: success(jobkit.AllOf(jobkit.All(""))),
		},
		"SelectionOfAnEmptyJob": {reason: "nor must it find any", partial: true, rules: success(jobkit.AllOf())},
		"IndexTooHigh": {
			reason: "a job has one Launcher", rules: success(jobkit.AllOf(jobkit.Index("Launcher", 1))), partial: true,
			want: []string{`Success[0][0]: Invalid value: "Index(Launcher, 1)": a job has at most 1 Launcher, counted from 0: use an index up to 0, or raise Max of the role`},
		},
		"IndexOutOfReach": {
			reason: "no job has so many", rules: success(jobkit.AllOf(jobkit.Index("Worker", jobkit.MaxReplicas))),
			want: []string{`Success[0][0]: Invalid value: "Index(Worker, 100000)": a job has at most 100000 Worker, counted from 0: use an index up to 99999, or raise Max of the role`},
		},
		"Nothing": {
			reason: "success by nothing never comes", rules: success(jobkit.AnyOf()),
			want: []string{`Success: Invalid value: "AnyOf()": selects no replica, so it never holds: name replicas, or leave Success empty to wait for all`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			kind := launcherKind()
			kind.SetDefaults()
			var got []string
			for _, err := range plan.ValidateRules(&kind, tc.rules, !tc.partial) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
