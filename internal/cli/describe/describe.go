// Package describe says of a job what state it is in, why, and what happens next and when.
package describe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/explain"
	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	"github.com/jobkit/jobkit/internal/page"
)

// Facts are what Job says, for programs.
type Facts struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`
	// Why is why the job failed, does not make progress, or restarts; empty if nothing is wrong.
	Why string `json:"why,omitempty"`
	// Next is what happens next, and InSeconds when; Steps are all that is known to follow.
	Next      string      `json:"next,omitempty"`
	InSeconds float64     `json:"inSeconds,omitempty"`
	Steps     []page.Step `json:"steps,omitempty"`
	// Budgets are the limits of restarts, and how much of them is used.
	Budgets  []page.Budget `json:"budgets,omitempty"`
	Restarts int           `json:"restarts"`
	Ignored  int           `json:"ignored,omitempty"`
	// Replicas are how many of each type are wanted.
	Replicas map[commonv1.ReplicaType]int `json:"replicas,omitempty"`
	Failures []commonv1.ReplicaFailure    `json:"failures,omitempty"`
	// Conditions are those of the status.
	Conditions []commonv1.JobCondition `json:"conditions,omitempty"`
}

// FactsOf are those of a job.
func FactsOf(job *jobs.Found, now time.Time) Facts {
	view, outlook := job.View(), outlookOf(job, now)
	f := Facts{
		Kind: view.Kind, Namespace: view.Namespace, Name: view.Name, State: view.State(), Why: view.Note(),
		Steps: outlook.Next, Budgets: outlook.Budgets,
		Restarts: view.Restarts(), Ignored: view.Ignored(), Replicas: view.Replicas,
		Failures: view.Status.Failures, Conditions: view.Status.Conditions,
	}
	if len(outlook.Next) > 0 {
		first := outlook.Next[0]
		f.Next = first.Text
		if first.At != 0 {
			f.InSeconds = time.UnixMilli(first.At).Sub(now).Seconds()
		}
	}
	return f
}

// outlookOf is what happens next, as the page shows it too.
func outlookOf(job *jobs.Found, now time.Time) page.Outlook {
	return page.OutlookOf(page.Input{Job: page.Job{Object: job.Object, Pods: job.Pods}, Now: now})
}

// Job describes a job, in lines for a person.
func Job(ctx context.Context, client dynamic.Interface, job *jobs.Found, now time.Time) []string {
	view := job.View()
	return append(Summary(view, outlookOf(job, now), limits(job.Object), now), explain.Job(ctx, client, view, now)...)
}

// stepWords is a step in words.
func stepWords(s page.Step, now time.Time) string {
	in := time.UnixMilli(s.At).Sub(now)
	switch {
	case s.At == 0:
		return s.Text
	case in <= 0:
		return "now: " + s.Text
	}
	return "in " + jobview.Duration(in) + ": " + s.Text
}

// Summary is the pure part: state, reason, plan and counts.
func Summary(view jobview.Job, outlook page.Outlook, limits string, now time.Time) []string {
	lines := []string{fmt.Sprintf("%s %s/%s", view.Kind, view.Namespace, view.Name)}
	add := func(name, text string) {
		for i, part := range console.Wrap(console.OneLine(text), 86) { //nolint:mnd // 100 columns
			if i > 0 {
				name = ""
			}
			lines = append(lines, fmt.Sprintf("  %-10s  %s", name, part))
		}
	}
	add("state", state(view, now))
	if note := view.Note(); note != "" {
		add("why", note)
	}
	for i, s := range outlook.Next {
		name := "next"
		if i > 0 {
			name = ""
		}
		add(name, stepWords(s, now))
	}
	restarts := jobview.Plural(view.Restarts(), "restart")
	if limits != "" {
		restarts += ", " + limits
	}
	if n := view.Ignored(); n > 0 {
		restarts += ", " + jobview.Plural(n, "failure") + " ignored"
	}
	add("restarts", restarts)
	for _, b := range outlook.Budgets {
		add("used", fmt.Sprintf("%d of %d %s", b.Used, b.Limit, b.Text))
	}
	for _, t := range slices.Sorted(maps.Keys(view.Replicas)) {
		add("replicas", fmt.Sprintf("%d %s: %s", view.Replicas[t], t, counts(view, t)))
	}
	for _, f := range view.Status.Failures {
		add("failure", failure(&f, now))
	}
	for i := range lines {
		lines[i] = console.Clean(lines[i])
	}
	return lines
}

// failure is a failure in words.
func failure(f *commonv1.ReplicaFailure, now time.Time) string {
	code := f.Reason
	if f.ExitCode != nil {
		code = strings.TrimPrefix(fmt.Sprintf("%s, exit code %d", f.Reason, *f.ExitCode), ", ")
	}
	text := fmt.Sprintf("%s-%d, attempt %d, %s ago", strings.ToLower(string(f.Type)), f.Index, f.Attempt+1,
		jobview.Duration(max(0, now.Sub(f.Time.Time))))
	if f.Node != "" {
		text += ", on " + f.Node
	}
	return text + ": " + strings.TrimSuffix(code+": "+f.Message, ": ")
}

// state is the state, and since when.
func state(view jobview.Job, now time.Time) string {
	text := view.State()
	if c := view.Status.Condition(commonv1.JobConditionType(text)); c != nil && !c.LastTransitionTime.IsZero() {
		text += " for " + jobview.Duration(max(0, now.Sub(c.LastTransitionTime.Time)))
	}
	return text + ", age " + jobview.Duration(max(0, now.Sub(view.Created)))
}

// counts are the replicas of a type by state.
func counts(view jobview.Job, t commonv1.ReplicaType) string {
	if text := view.Tallies()[t].String(); text != "" {
		return text
	}
	return "no pods"
}

// limits are those of the job's restarts, in words.
func limits(job *unstructured.Unstructured) string {
	var parts []string
	for _, field := range []string{"backoffLimit", "backoffLimitPerReplica", "backoffLimitWindowSeconds", "maxJobRestarts"} {
		if n, found, err := unstructured.NestedInt64(job.Object, "spec", "runPolicy", field); found && err == nil {
			parts = append(parts, fmt.Sprintf("%s %d", field, n))
		}
	}
	if len(parts) == 0 {
		return "no limit"
	}
	return strings.Join(parts, ", ")
}
