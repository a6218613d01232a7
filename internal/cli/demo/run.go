package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/explain"
	"github.com/jobkit/jobkit/internal/cli/install"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	"github.com/jobkit/jobkit/internal/cli/watch"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Options say what to run, and on what.
type Options struct {
	// Examples are the jobs to run.
	Examples []Example
	// Config reaches the cluster.
	Config *rest.Config
	// Shared means that the cluster outlives the demo, which then removes what it
	// made there. Default: false, the caller stops the cluster.
	Shared bool
	// Keep leaves the jobs there. Default: false.
	Keep bool
	// Timeout is how long it may take from here. Default: 0, no limit.
	Timeout time.Duration
	// Log takes the log of the operators. Default: none.
	Log logr.Logger
	// Ready is called once the namespace exists, before the jobs are submitted. Default: nil.
	Ready func(namespace string)
	// Operators runs the operators of a namespace until its context ends.
	// Default: nil, those of this module.
	Operators func(ctx context.Context, config *rest.Config, namespace string, log logr.Logger) error
}

// Errors of Run, to be distinguished with errors.Is.
var (
	// ErrNotAsExpected means that a job ended in another way than its example says.
	ErrNotAsExpected = errors.New("not every job ended as expected")
	// ErrTimeout means that the time was up before all jobs had ended.
	ErrTimeout = errors.New("the time was up before every job had ended")
)

// runner is one run of the demo.
type runner struct {
	Options

	streams   console.Streams
	client    dynamic.Interface
	discovery *discovery.DiscoveryClient
	namespace string
	jobs      []manifest.Job
	submitted time.Time
	// steps counts the steps that were done, for each job.
	steps []int
}

// Run runs the examples and shows how they end. It returns nil if all of them ended
// as expected, and otherwise an error after having said what is known of those that
// did not. However it ends, also by the end of ctx, it leaves nothing behind on a
// shared cluster, unless Keep is set, and no goroutine. It also returns the namespace of
// the jobs; empty if it was not created.
func Run(ctx context.Context, streams console.Streams, o Options) (namespace string, err error) {
	if o.Operators == nil {
		o.Operators = runOperators
	}
	r := &runner{Options: o, streams: streams}
	parent := ctx
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, ErrTimeout)
		defer cancel()
	}
	err = r.prepare(ctx)
	if err != nil {
		return "", causeOf(ctx, err)
	}
	defer func() {
		if cleanErr := r.clean(context.WithoutCancel(parent)); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
	}()
	if o.Ready != nil {
		o.Ready(r.namespace)
	}
	ctx, stop := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		err := o.Operators(ctx, o.Config, r.namespace, o.Log)
		if err != nil {
			stop(err)
		}
	}()
	defer func() {
		stop(nil)
		<-stopped
	}()
	return r.namespace, causeOf(ctx, r.run(ctx))
}

// causeOf replaces an error that comes from the end of a context by what ended it.
func causeOf(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Canceled)) {
		return context.Cause(ctx)
	}
	return err
}

// prepare makes what the jobs need: clients, CRDs and a namespace.
func (r *runner) prepare(ctx context.Context) error {
	var err error
	r.client, err = dynamic.NewForConfig(r.Config)
	if err != nil {
		return fmt.Errorf("cannot make a client for the cluster: %w", err)
	}
	r.discovery, err = discovery.NewDiscoveryClientForConfig(r.Config)
	if err != nil {
		return fmt.Errorf("cannot make a client for the cluster: %w", err)
	}
	definitions, err := install.WithExample()
	if err != nil {
		return fmt.Errorf("cannot read the CRDs: %w", err)
	}
	if err := install.CheckNewer(ctx, r.client, definitions); err != nil {
		return err
	}
	err = install.CRDs(ctx, r.client, r.discovery, definitions)
	if err != nil {
		return fmt.Errorf("cannot install the CRDs: %w", err)
	}
	r.namespace, err = makeNamespace(ctx, r.client)
	return err
}

// run submits the jobs and follows them to their end.
func (r *runner) run(ctx context.Context) error {
	err := awaitServiceAccount(ctx, r.client, r.namespace)
	if err != nil {
		return err
	}
	err = r.submit(ctx)
	if err != nil {
		return err
	}
	targets := make([]watch.Target, 0, len(r.jobs))
	for _, job := range r.jobs {
		targets = append(targets, watch.Target{
			Resource: job.Resource, Namespace: r.namespace, Name: job.Object.GetName(), Object: job.Object,
		})
	}
	watching, end := context.WithCancel(ctx)
	defer end()
	watcher, err := watch.Start(watching, r.client, targets)
	if err != nil {
		return fmt.Errorf("cannot watch the jobs: %w", err)
	}
	defer watcher.Wait()
	defer end()
	reporter := watch.NewReporter(r.streams)
	defer reporter.Close()
	last, err := watch.Follow(ctx, watcher, reporter, func(s *jobview.Snapshot) (bool, error) {
		return r.step(ctx, s, reporter)
	})
	reporter.Close()
	return r.finish(context.WithoutCancel(ctx), last, err)
}

// submit lists the jobs and submits them.
func (r *runner) submit(ctx context.Context) error {
	width := 0
	for _, e := range r.Examples {
		width = max(width, len(e.Object.GetName()))
	}
	kinds := map[string]bool{}
	for _, e := range r.Examples {
		kinds[e.Object.GetKind()] = true
	}
	fmt.Fprintf(r.streams.Out, "%s of %s in namespace %s, each to show one thing:\n",
		jobview.Plural(len(r.Examples), "job"), jobview.Plural(len(kinds), "kind"), r.namespace)
	documents := make([]manifest.Document, 0, len(r.Examples))
	for _, e := range r.Examples {
		fmt.Fprintf(r.streams.Out, "  %-*s  %s\n", width, e.Object.GetName(), e.Shows)
		document := e.Document
		document.Object = document.Object.DeepCopy()
		documents = append(documents, document)
	}
	fmt.Fprintln(r.streams.Out)
	submitter := manifest.Submitter{Client: r.client, Discovery: r.discovery, Namespace: r.namespace, Forced: true}
	jobs, err := submitter.Submit(ctx, documents)
	if err != nil {
		return fmt.Errorf("cannot submit the examples: %w", err)
	}
	r.jobs, r.submitted, r.steps = jobs, time.Now(), make([]int, len(jobs))
	return nil
}

// step is called with each snapshot: it runs the steps that are due, and reports
// whether every job has a result.
func (r *runner) step(ctx context.Context, s *jobview.Snapshot, reporter *watch.Reporter) (bool, error) {
	for i := range s.Jobs {
		s.Jobs[i].Expect = string(r.Examples[i].Outcome)
	}
	for _, i := range Due(r.Examples, s.Jobs, s.At.Sub(r.submitted), r.steps) {
		said, err := r.do(ctx, i, r.Examples[i].Steps[r.steps[i]])
		if err != nil {
			return false, err
		}
		if said != "" {
			r.steps[i]++
			reporter.Say(s.At, said)
		}
	}
	return decided(r.Examples, s, r.steps), nil
}

// finish sums up, and says of each job that did not end as expected what is known.
// cause is why the watch ended too early, or nil.
func (r *runner) finish(ctx context.Context, last jobview.Snapshot, cause error) error {
	if cause != nil && !errors.Is(cause, ErrTimeout) {
		return cause // the jobs are not to blame
	}
	if r.streams.Size == nil {
		fmt.Fprintln(r.streams.Out)
		for _, line := range jobview.Table(last, jobview.TableOptions{HideNotes: true}) {
			fmt.Fprintln(r.streams.Out, line)
		}
	}
	wrong := unexpected(r.Examples, &last, r.steps)
	fmt.Fprintf(r.streams.Out, "\n%d of %s ended as expected, %s after the start.\n",
		len(last.Jobs)-len(wrong), jobview.Plural(len(last.Jobs), "job"), jobview.Duration(last.At.Sub(r.submitted)))
	for _, i := range wrong {
		_, why := r.Examples[i].Check(last.Jobs[i], r.steps[i], last.At)
		fmt.Fprintf(r.streams.Err, "\n%s: %s\n", last.Jobs[i].Name, why)
		for _, line := range explain.Job(ctx, r.client, last.Jobs[i], last.At) {
			fmt.Fprintln(r.streams.Err, line)
		}
	}
	if cause == nil && len(wrong) > 0 {
		return ErrNotAsExpected
	}
	return cause
}

// clean removes from a shared cluster what the demo made there.
func (r *runner) clean(ctx context.Context) error {
	if !r.Shared || r.Keep {
		return nil
	}
	fmt.Fprintf(r.streams.Err, "removing namespace %s\n", r.namespace)
	err := removeNamespace(ctx, r.client, r.namespace)
	if err != nil {
		return fmt.Errorf("cannot remove what the demo made: %w", err)
	}
	return nil
}
