package manifest

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// How often a job that is being deleted is looked at, at first and at most, and when the user is told.
const (
	firstPoll = 50 * time.Millisecond
	slowPoll  = time.Second
	tellAfter = 2 * time.Second
)

// createOrReplace creates a job, after the deletion of one of its name if Replace is set.
func (s *Submitter) createOrReplace(ctx context.Context, job *Job) error {
	err := s.create(ctx, job)
	if err == nil || !s.Replace || !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := s.remove(ctx, job); err != nil {
		return fmt.Errorf("%s: cannot replace the existing job: %w", job.Place(), err)
	}
	return s.create(ctx, job)
}

// remove deletes the job that has the name of another one, and waits until it is gone.
func (s *Submitter) remove(ctx context.Context, job *Job) error {
	jobs := s.Client.Resource(job.Resource).Namespace(job.Object.GetNamespace())
	there, err := jobs.Get(ctx, job.Object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read it: %w", err)
	}
	// Its UID makes sure that no job is deleted which someone else has created in its place meanwhile.
	err = jobs.Delete(ctx, there.GetName(), metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: new(there.GetUID())},
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("cannot delete it: %w", refused(err))
	}
	return s.awaitEnd(ctx, jobs, job, there)
}

// awaitEnd waits until a job that was deleted is gone. It may have finalizers, which take their time. What may pass, such
// as an API server that starts again, is tried again.
func (s *Submitter) awaitEnd(ctx context.Context, jobs dynamic.ResourceInterface, job *Job, there *unstructured.Unstructured) error {
	pause, told, begun := firstPoll, false, time.Now()
	for {
		now, err := jobs.Get(ctx, there.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && now.GetUID() != there.GetUID():
			return nil
		case err == nil:
			there = now
		case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), apierrors.IsBadRequest(err), apierrors.IsMethodNotSupported(err):
			return fmt.Errorf("it is deleted, but whether it is gone cannot be read: %w", err)
		}
		if !told && s.Say != nil && time.Since(begun) >= tellAfter {
			told = true
			s.Say("waiting until " + job.Target() + " is deleted" + because(there, err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is still being deleted%s: %w", because(there, err), context.Cause(ctx))
		case <-time.After(pause):
		}
		pause = min(2*pause, slowPoll)
	}
}

// because says why a job is not gone yet, as far as that is known.
func because(job *unstructured.Unstructured, err error) string {
	switch finalizers := job.GetFinalizers(); {
	case err != nil:
		return ", but it cannot be read: " + err.Error()
	case len(finalizers) > 0:
		return ", for which its finalizers have to be removed: " + strings.Join(finalizers, ", ")
	}
	return ""
}
