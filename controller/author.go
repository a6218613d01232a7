package controller

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// A panic in the author's code stalls the job that causes it, which says so in a
// condition, and no other. The functions here are the only ones that call that code
// while jobs are reconciled.

// callAuthor calls a method of the author, and records a panic in it.
func (c *JobController[J]) callAuthor(ctx context.Context, in *plan.Input, method string, f func()) {
	defer func() {
		if p := recover(); p != nil && in.OperatorError == "" {
			in.OperatorError = panicked(ctx, method, p).Error()
		}
	}()
	f()
}

// callForError calls a method of the author that returns an error. A panic in it is an authorPanicError. It is
// called in goroutines, too, where nothing else would keep a panic from ending the process with all jobs.
func callForError(ctx context.Context, method string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(ctx, method, p)
		}
	}()
	return f()
}

// authorPanicError is a panic in a method of the author.
type authorPanicError struct{ message string }

// Error implements error.
func (e authorPanicError) Error() string { return e.message }

// panicked logs a panic, and returns what the job says of it.
func panicked(ctx context.Context, method string, p any) error {
	log.FromContext(ctx).Error(fmt.Errorf("panic: %v", p), "The operator's own code panicked",
		"method", method, "stack", string(debug.Stack()))
	return authorPanicError{fmt.Sprintf("the operator's %s panicked: %v: this is a bug of the operator, please report it", method, p)}
}

// partsOf asks the author for the parts of a job. The string says what is wrong with them, or
// is empty.
func (c *JobController[J]) partsOf(ctx context.Context, job J) (jobkit.JobParts, string) {
	var parts jobkit.JobParts
	var asked plan.Input
	c.callAuthor(ctx, &asked, "Parts", func() { parts = c.Controller.Parts(job) })
	switch {
	case asked.OperatorError != "":
		return parts, asked.OperatorError
	case parts.Status == nil:
		return parts, "the operator's Parts() returned no Status: this is a bug of the operator, please report it"
	case parts.RunPolicy == nil:
		return parts, "the operator's Parts() returned no RunPolicy: this is a bug of the operator, please report it"
	default:
		return parts, ""
	}
}

// haltedInput is the input for a job whose parts, or objects, are not known. It has little more
// than the status, and only if the field of the status was found at set-up.
func (c *JobController[J]) haltedInput(job J, o plan.Obstacle, why string) (*plan.Input, error) {
	status := fieldAt[commonv1.JobStatus](job, c.set.statusAt)
	if status == nil {
		return nil, fmt.Errorf("%s %s cannot continue: %s", c.set.kind.Name, client.ObjectKeyFromObject(job), why)
	}
	in := &plan.Input{
		Kind: c.set.kind, Job: identify(job), Status: *status, Halted: o, HaltedWhy: why, Now: c.set.clock.Now(),
	}
	if policy := fieldAt[commonv1.RunPolicy](job, c.set.policyAt); policy != nil {
		in.RunPolicy = *policy
	}
	return in, nil
}

// callValidators calls those methods of the author that depend on the job alone.
func (c *JobController[J]) callValidators(ctx context.Context, job J, in *plan.Input) {
	c.callAuthor(ctx, in, "Rules", func() { in.Rules = c.Controller.Rules(job) })
	if c.set.validator != nil {
		c.callAuthor(ctx, in, "Validate", func() {
			if errs := c.set.validator.Validate(job); len(errs) > 0 {
				in.Problem = errs.ToAggregate().Error()
			}
		})
	}
	if c.set.warner != nil && in.Status.Condition(commonv1.JobCreated) == nil {
		c.callAuthor(ctx, in, "Warn", func() { in.Warnings = c.set.warner.Warn(job) })
	}
}

// evaluateStatus asks the author's own StatusEvaluator, if there is one.
func (c *JobController[J]) evaluateStatus(ctx context.Context, job J, in *plan.Input, tally *plan.Tally) *jobkit.Outcome {
	if c.set.evaluator == nil {
		return nil
	}
	var outcome *jobkit.Outcome
	c.callAuthor(ctx, in, "EvaluateStatus", func() { outcome = c.set.evaluator.EvaluateStatus(job, &tally.Tally) })
	in.OperatorError = cmp.Or(in.OperatorError, plan.MistakeInOutcome(outcome))
	return outcome
}

// wantedObjects asks the author for the owned objects of a job.
func (c *JobController[J]) wantedObjects(ctx context.Context, job J, in *plan.Input, tally *plan.Tally) []jobkit.Object {
	var wanted []jobkit.Object
	c.callAuthor(ctx, in, "Objects", func() { wanted = c.set.owned.Objects(job, &tally.Tally) })
	return wanted
}

// setClusterSpec calls the author's SetClusterSpec, which completes the template of a pod.
func (c *JobController[J]) setClusterSpec(ctx context.Context, job J, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	return callForError(ctx, "SetClusterSpec", func() error { return c.Controller.SetClusterSpec(job, r, template) })
}

// listPods lists the pods of a job.
func (c *JobController[J]) listPods(ctx context.Context, job J) (pods []*corev1.Pod, err error) {
	if err := callForError(ctx, "ListPods", func() error { pods, err = c.set.lister.ListPods(ctx, job); return err }); err != nil {
		return nil, fmt.Errorf("cannot list the pods of %s %s: %w", c.set.kind.Name, client.ObjectKeyFromObject(job), err)
	}
	return pods, nil
}

// listServices lists the services of a job.
func (c *JobController[J]) listServices(ctx context.Context, job J) (services []*corev1.Service, err error) {
	if err := callForError(ctx, "ListServices", func() error { services, err = c.set.lister.ListServices(ctx, job); return err }); err != nil {
		return nil, fmt.Errorf("cannot list the services of %s %s: %w", c.set.kind.Name, client.ObjectKeyFromObject(job), err)
	}
	return services, nil
}
