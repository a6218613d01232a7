package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestNothingIsCreatedByThePassThatEndsAJob: whatever ends it is the last word.
func TestNothingIsCreatedByThePassThatEndsAJob(t *testing.T) {
	cases := map[string]struct {
		change  func(*model)
		outcome *jobkit.Outcome
	}{
		"Outcome":  {change: func(*model) {}, outcome: &jobkit.Outcome{Failed: true}},
		"Success":  {change: func(*model) {}, outcome: &jobkit.Outcome{Succeeded: true}},
		"Deadline": {change: func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(0)) }},
		"Failure":  {change: func(m *model) { m.end(m.pod("worker-0"), 1) }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), nil)
			m.drop(m.pod("worker-1"))
			tc.change(m)
			p := plan.Decide(&m.in, plan.TallyOf(&m.in), tc.outcome)
			creates := slices.ContainsFunc(p.Actions, func(a plan.Action) bool { return strings.HasPrefix(a.String(), "create") })
			if !p.Status.Finished() || creates {
				t.Errorf("the job is %s, and wants %v", p.Status.State, p.Actions)
			}
		})
	}
}
