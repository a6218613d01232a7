// Package steer changes jobs from the command line, in words: it suspends, resumes, restarts and
// deletes those that are named.
package steer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/steer"
)

// Do changes one job and says what it did.
type Do func(ctx context.Context, job *jobs.Found) (string, error)

// Each does it to each job: what fails for one is not left undone for the others.
func Each(ctx context.Context, out io.Writer, found []jobs.Found, do Do) error {
	var errs []error
	for i := range found {
		said, err := do(ctx, &found[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(out, said)
	}
	return errors.Join(errs...)
}

// named names a job.
func named(job *jobs.Found) steer.Job {
	return steer.Job{
		Resource: job.Kind.Resource, Namespace: job.Object.GetNamespace(), Name: job.Object.GetName(), UID: job.Object.GetUID(),
	}
}

// suspended reads the job's suspend.
func suspended(job *jobs.Found) bool {
	on, _, _ := unstructured.NestedBool(job.Object.Object, "spec", "runPolicy", "suspend")
	return on
}

// finished refuses a job that has ended.
func finished(job *jobs.Found, verb string) error {
	view := job.View()
	if !view.Status.Finished() {
		return nil
	}
	return fmt.Errorf("%s has %s already, and cannot be %s: to run it again, submit it again: jobkit run --replace -f FILE",
		job, strings.ToLower(view.State()), verb)
}

// Suspend suspends jobs, or resumes them.
func Suspend(client dynamic.Interface, on bool) Do {
	verb := "resumed"
	if on {
		verb = "suspended"
	}
	return func(ctx context.Context, job *jobs.Found) (string, error) {
		if err := finished(job, verb); err != nil {
			return "", err
		}
		if suspended(job) == on {
			return fmt.Sprintf("%s is %s already", job, map[bool]string{true: "suspended", false: "not suspended"}[on]), nil
		}
		if err := steer.Suspend(ctx, client, named(job), on); err != nil {
			return "", fmt.Errorf("cannot change spec.runPolicy.suspend of %s: %w", job, err)
		}
		return fmt.Sprintf("%s %s%s", job, verb, unlessQueued(job, on)), nil
	}
}

// unlessQueued says what Kueue does to a job of one of its queues that someone else suspends or resumes.
func unlessQueued(job *jobs.Found, on bool) string {
	queue := job.Object.GetLabels()["kueue.x-k8s.io/queue-name"]
	switch {
	case queue == "":
		return ""
	case on:
		return fmt.Sprintf(", but Kueue resumes it while it is admitted to the queue %s: to hold it, set spec.active of its Workload to false", queue)
	default:
		return fmt.Sprintf(", but Kueue suspends it again until it is admitted to the queue %s", queue)
	}
}

// Delete deletes jobs, with what they own.
func Delete(client dynamic.Interface) Do {
	return func(ctx context.Context, job *jobs.Found) (string, error) {
		if err := steer.Delete(ctx, client, named(job)); err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("cannot delete %s: %w", job, err)
		}
		return fmt.Sprintf("%s deleted", job), nil
	}
}

// Restart restarts jobs, or of each the replicas that words name: it deletes their pods that
// have not succeeded, and the operator creates them again. No limit counts that. With restart
// scope Job the others restart with them.
func Restart(client dynamic.Interface, words ...string) Do {
	return func(ctx context.Context, job *jobs.Found) (string, error) {
		if err := finished(job, "restarted"); err != nil {
			return "", err
		}
		if suspended(job) {
			return "", fmt.Errorf("%s is suspended: start it with: jobkit resume %s", job, job.Object.GetName())
		}
		if err := job.CheckPods(); err != nil {
			return "", fmt.Errorf("cannot restart %s: %w", job, err)
		}
		pods, err := job.Choose(words)
		if err != nil {
			return "", err
		}
		done, err := steer.Restart(ctx, client, pods)
		switch {
		case err != nil:
			return "", fmt.Errorf("cannot restart %s: %w", job, err)
		case len(done) == 0:
			return fmt.Sprintf("%s has nothing to restart there: its pods have succeeded, or are being replaced already", job), nil
		case len(words) == 0:
			return fmt.Sprintf("%s restarted", job), nil
		}
		names := make([]string, 0, len(done))
		for _, pod := range done {
			names = append(names, jobs.Replica(job.Object.GetName(), pod))
		}
		return fmt.Sprintf("%s: restarted %s", job, strings.Join(names, ", ")), nil
	}
}
