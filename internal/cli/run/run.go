// Package run submits jobs to a cluster and follows them to their end. It works
// with every kind that has a commonv1.JobStatus.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/explain"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	"github.com/jobkit/jobkit/internal/cli/watch"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Options say what to run, where and how.
type Options struct {
	// Client and Discovery speak to the cluster.
	Client    dynamic.Interface
	Discovery manifest.Discovery
	// Documents are the jobs.
	Documents []manifest.Document
	// Namespace is where jobs go that name none; Forced makes another one an error.
	Namespace string
	Forced    bool
	// HowToInstall says how to install the CRD of a kind; see manifest.Submitter.
	HowToInstall func(schema.GroupVersionKind) string
	// Replace deletes jobs of the same names before. Default: false.
	Replace bool
	// Detach does not wait for the jobs to end. Default: false.
	Detach bool
	// Delete deletes the jobs once all have ended. Default: false.
	Delete bool
	// Timeout is how long to wait for the end, and once more, before, until the jobs are submitted: those that
	// are replaced have to be gone. Default: 0, no limit.
	Timeout time.Duration
	// Kubectl is how the user would call kubectl for this cluster. Default: "kubectl".
	Kubectl string
}

// Errors of Run, to be distinguished with errors.Is.
var (
	// ErrNotSubmitted means that no job was submitted.
	ErrNotSubmitted = errors.New("no job was submitted")
	// ErrFailed means that a job failed. What is known of it has been said.
	ErrFailed = errors.New("not every job succeeded")
	// ErrUnknown means that it is not known how a job ended, or will.
	ErrUnknown = errors.New("it is not known how every job ended")
)

// errTimeout is the cause of the end of a wait that took too long.
var errTimeout = errors.New("the time was up")

// notTakenUp is how long an operator may take to react before the user is informed.
const notTakenUp = 10 * time.Second

// Run submits the jobs, shows their progress, and returns nil if all succeeded,
// or if they were submitted and Detach is set. Otherwise it returns one of the
// errors above. When ctx ends, the jobs are left running.
func Run(ctx context.Context, streams console.Streams, o Options) error {
	if o.Kubectl == "" {
		o.Kubectl = "kubectl"
	}
	submitter := manifest.Submitter{
		Client: o.Client, Discovery: o.Discovery, Namespace: o.Namespace, Forced: o.Forced, Replace: o.Replace,
		HowToInstall: o.HowToInstall,
		Say:          func(text string) { fmt.Fprintln(streams.Err, text) },
	}
	submitting, cancel := o.limit(ctx)
	defer cancel()
	jobs, err := submitter.Submit(submitting, o.Documents)
	if err != nil {
		return fmt.Errorf("%w:\n%w", ErrNotSubmitted, err)
	}
	if o.Detach {
		for _, job := range jobs {
			fmt.Fprintf(streams.Out, "%s %s/%s submitted\n", job.Object.GetKind(), job.Object.GetNamespace(), job.Object.GetName())
		}
		return nil
	}
	last, err := follow(ctx, streams, o, jobs)
	conclude(context.WithoutCancel(ctx), streams, o, last)
	if err != nil {
		return leave(streams.Err, o, jobs, last, err)
	}
	if o.Delete {
		err := submitter.Delete(ctx, jobs)
		if err != nil {
			fmt.Fprintf(streams.Err, "the jobs have ended, but are not all deleted: %v\n", err)
		}
	}
	return outcome(last.Jobs)
}

// limit ends a context when the time is up.
func (o *Options) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
}

// outcome is nil if all jobs succeeded, and otherwise the error that says how they ended.
func outcome(jobs []jobview.Job) error {
	switch jobview.OutcomeOf(jobs) {
	case jobview.Succeeded:
		return nil
	case jobview.Failed:
		return ErrFailed
	case jobview.Lost, jobview.Unfinished:
		return ErrUnknown
	}
	return ErrUnknown
}

// follow shows the jobs until all have ended.
func follow(ctx context.Context, streams console.Streams, o Options, jobs []manifest.Job) (jobview.Snapshot, error) {
	ctx, cancel := o.limit(ctx)
	defer cancel()
	targets := make([]watch.Target, 0, len(jobs))
	for _, job := range jobs {
		targets = append(targets, watch.Target{
			Resource: job.Resource, Namespace: job.Object.GetNamespace(), Name: job.Object.GetName(), Object: job.Object,
		})
	}
	watching, end := context.WithCancel(ctx)
	defer end()
	watcher, err := watch.Start(watching, o.Client, targets)
	if err != nil {
		return jobview.Snapshot{}, fmt.Errorf("cannot watch the jobs: %w", err)
	}
	defer watcher.Wait()
	defer end()
	reporter := watch.NewReporter(streams)
	defer reporter.Close()
	hinter := hinter{jobs: jobs, since: time.Now()}
	return watch.Follow(ctx, watcher, reporter, func(s *jobview.Snapshot) (bool, error) {
		if hints := hinter.hints(s); len(hints) > 0 {
			reporter.Say(s.At, hints...)
		}
		return jobview.OutcomeOf(s.Jobs) != jobview.Unfinished, nil
	})
}

// hinter reports, once for each job, that no operator seems to run it.
type hinter struct {
	jobs  []manifest.Job
	since time.Time
	given []int
}

// hints are the lines to say now.
func (h *hinter) hints(s *jobview.Snapshot) []string {
	if s.At.Sub(h.since) < notTakenUp {
		return nil
	}
	var lines []string
	for i, job := range s.Jobs {
		if job.TakenUp() || job.Gone || slices.Contains(h.given, i) {
			continue
		}
		h.given = append(h.given, i)
		lines = append(lines, fmt.Sprintf("no operator has taken up %s %s/%s within %s: is the operator of %s running?%s",
			job.Kind, job.Namespace, job.Name, notTakenUp, h.jobs[i].Resource.GroupResource(), managedBy(h.jobs[i])))
	}
	return lines
}

// managedBy says that a job names another controller than the usual one.
func managedBy(job manifest.Job) string {
	spec, _ := job.Object.Object["spec"].(map[string]any)
	policy, _ := spec["runPolicy"].(map[string]any)
	if manager, _ := policy["managedBy"].(string); manager != "" && manager != "kubeflow.org/training-operator" {
		return fmt.Sprintf(" Its spec.runPolicy.managedBy leaves it to %q.", manager)
	}
	return ""
}

// conclude says what is known of the jobs that failed, and then how each job ended.
func conclude(ctx context.Context, streams console.Streams, o Options, last jobview.Snapshot) {
	for _, job := range last.Jobs {
		if job.Outcome() != jobview.Failed {
			continue
		}
		fmt.Fprintf(streams.Err, "\n%s %s/%s failed:\n", job.Kind, job.Namespace, job.Name)
		for _, line := range explain.Job(ctx, o.Client, job, last.At) {
			fmt.Fprintln(streams.Err, line)
		}
		fmt.Fprintf(streams.Err, "  for its logs: %s logs -n %s -l training.kubeflow.org/job-name=%s --prefix\n",
			o.Kubectl, job.Namespace, job.Name)
	}
	fmt.Fprintln(streams.Out)
	for _, job := range last.Jobs {
		line := fmt.Sprintf("%s %s/%s: %s after %s", job.Kind, job.Namespace, job.Name,
			job.State(), jobview.Duration(job.Age(last.At)))
		if restarts := job.Restarts(); restarts > 0 {
			line += fmt.Sprintf(", restarts: %d", restarts)
		}
		fmt.Fprintln(streams.Out, line)
	}
}

// leave says that the jobs continue without being watched, and why.
func leave(out io.Writer, o Options, jobs []manifest.Job, last jobview.Snapshot, cause error) error {
	what := "the watch ended: " + cause.Error()
	switch {
	case errors.Is(cause, errTimeout):
		what = fmt.Sprintf("timed out after %s", o.Timeout)
	case errors.Is(cause, context.Canceled):
		what = "interrupted"
	}
	var commands []string
	for i, job := range last.Jobs {
		if job.Outcome() == jobview.Unfinished {
			commands = append(commands, fmt.Sprintf("  %s delete %s", o.Kubectl, jobs[i].Target()))
		}
	}
	if len(commands) > 0 {
		fmt.Fprintf(out, "\n%s. What has not ended goes on running; to delete it:\n%s\n", what, strings.Join(commands, "\n"))
	}
	return fmt.Errorf("%w: %s", ErrUnknown, what)
}
