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
)

// Facts are what Job says, for programs.
type Facts struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`
	// Why is why the job failed, does not make progress, or restarts; empty if nothing is wrong.
	Why string `json:"why,omitempty"`
	// Next is what the operator would do next, and InSeconds when; NextError why that is not known.
	Next      string  `json:"next,omitempty"`
	InSeconds float64 `json:"inSeconds,omitempty"`
	NextError string  `json:"nextError,omitempty"`
	Restarts  int     `json:"restarts"`
	Ignored   int     `json:"ignored,omitempty"`
	// Replicas are how many of each type are wanted.
	Replicas map[commonv1.ReplicaType]int `json:"replicas,omitempty"`
	Failures []commonv1.ReplicaFailure    `json:"failures,omitempty"`
	// Conditions are those of the status.
	Conditions []commonv1.JobCondition `json:"conditions,omitempty"`
}

// FactsOf are those of a job.
func FactsOf(ctx context.Context, client dynamic.Interface, job *jobs.Found, now time.Time) Facts {
	view := job.View()
	f := Facts{
		Kind: view.Kind, Namespace: view.Namespace, Name: view.Name, State: view.State(), Why: view.Note(),
		Restarts: view.Restarts(), Ignored: view.Ignored(), Replicas: view.Replicas,
		Failures: view.Status.Failures, Conditions: view.Status.Conditions,
	}
	next, err := Next(ctx, client, job, now)
	if err != nil {
		f.NextError = err.Error()
	}
	f.Next, f.InSeconds = next.What, next.In.Seconds()
	return f
}

// Job describes a job, in lines for a person.
func Job(ctx context.Context, client dynamic.Interface, job *jobs.Found, now time.Time) []string {
	next, err := Next(ctx, client, job, now)
	words := next.String()
	if err != nil {
		words = "not known: " + err.Error()
	}
	view := job.View()
	return append(Summary(view, words, limits(job.Object), now), explain.Job(ctx, client, view, now)...)
}

// Summary is the pure part: state, reason, plan and counts.
func Summary(view jobview.Job, next, limits string, now time.Time) []string {
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
	if view.Outcome() == jobview.Unfinished || next != (Step{}).String() {
		add("next", next)
	}
	restarts := jobview.Plural(view.Restarts(), "restart")
	if limits != "" {
		restarts += ", " + limits
	}
	if n := view.Ignored(); n > 0 {
		restarts += ", " + jobview.Plural(n, "failure") + " ignored"
	}
	add("restarts", restarts)
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
