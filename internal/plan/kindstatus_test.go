package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestTakesKindStatus: who is asked for a kind's own part of the status.
func TestTakesKindStatus(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*plan.Input)
		want   bool
	}{
		"Runs":          {reason: "a job that runs", change: func(*plan.Input) {}, want: true},
		"Suspended":     {reason: "a suspended one, too", change: func(in *plan.Input) { in.RunPolicy.Suspend = new(true) }, want: true},
		"Invalid":       {reason: "not one whose specification is not valid", change: func(in *plan.Input) { in.Problem = "spec.x is wrong" }},
		"OperatorError": {reason: "not one on which the operator fails", change: func(in *plan.Input) { in.OperatorError = "it fails" }},
		"Deleted":       {reason: "not one that goes", change: func(in *plan.Input) { in.Job.Deleted = true }},
		"Foreign":       {reason: "not one of another manager", change: func(in *plan.Input) { in.RunPolicy.ManagedBy = new("kueue.x-k8s.io/multikueue") }},
		"Unreadable":    {reason: "not one that cannot be decoded", change: func(in *plan.Input) { in.Unreadable = "quantity" }},
		"Finished": {
			reason: "not one that had ended: what it said last stays",
			change: func(in *plan.Input) {
				in.Status.Conditions = append(in.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobSucceeded, Status: "True"})
				in.Status.CompletionTime = new(metav1.NewTime(in.Now))
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			tc.change(&m.in)
			p := plan.Decide(&m.in, plan.TallyOf(&m.in), nil)
			if got := m.in.TakesKindStatus(&p); got != tc.want {
				t.Errorf("%s: got %t", tc.reason, got)
			}
		})
	}
}

// TestReportKindStatus: how soon the kind's own part of the status is written.
func TestReportKindStatus(t *testing.T) {
	many := make([]jobkit.Event, 15)
	for i := range many {
		many[i] = jobkit.Event{Warning: i == 0, Reason: "Word", Message: strings.Repeat("x", 2000)}
	}
	cases := map[string]struct {
		reason string
		was    plan.StatusChange
		events []jobkit.Event
		want   plan.StatusChange
		told   int
	}{
		"Fields":     {reason: "fields may wait as counts do", was: plan.StatusUnchanged, want: plan.StatusCounts},
		"WithCounts": {reason: "together with them", was: plan.StatusCounts, want: plan.StatusCounts},
		"WithNews":   {reason: "or come with what does not wait", was: plan.StatusNews, want: plan.StatusNews},
		"Events":     {reason: "an event does not wait", was: plan.StatusCounts, events: many[:1], want: plan.StatusNews, told: 1},
		"Many":       {reason: "the first ten are recorded", was: plan.StatusUnchanged, events: many, want: plan.StatusNews, told: 10},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := plan.Plan{StatusChange: tc.was}
			p.ReportKindStatus(tc.events)
			if p.StatusChange != tc.want || len(p.Events) != tc.told {
				t.Errorf("%s: got %v and %d events, want %v and %d", tc.reason, p.StatusChange, len(p.Events), tc.want, tc.told)
			}
			if tc.told > 0 && (!p.Events[0].Warning || p.Events[0].Reason != "Word" || len(p.Events[0].Message) > 1000) {
				t.Errorf("%s: the first is %+v", tc.reason, p.Events[0])
			}
		})
	}
}

// TestMistakesInReports: reasons are words that the API accepts.
func TestMistakesInReports(t *testing.T) {
	got := map[string]bool{}
	for _, reason := range []string{"", "Converged", "V2Converged", "ZAaz09", "converged", "Two words", "Ümlaut", "2Fast", strings.Repeat("A", 128), strings.Repeat("A", 129)} {
		mistake := plan.MistakeInOutcome(&jobkit.Outcome{Reason: reason})
		got[reason] = mistake != ""
		if inEvent := plan.MistakeInEvents([]jobkit.Event{{Reason: reason, Message: "x"}}); (inEvent != "") != (mistake != "" || reason == "") {
			t.Errorf("an event with the reason %q: %s", reason, inEvent)
		}
	}
	want := map[string]bool{
		"": false, "Converged": false, "V2Converged": false, "ZAaz09": false, "converged": true, "Two words": true, "Ümlaut": true, "2Fast": true,
		strings.Repeat("A", 128): false, strings.Repeat("A", 129): true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("which reasons are mistakes (-want +got):\n%s", diff)
	}
	if plan.MistakeInOutcome(nil) != "" || plan.MistakeInEvents([]jobkit.Event{{Reason: "Word"}}) == "" {
		t.Error("no outcome is no mistake; an event without a message is one")
	}
}
