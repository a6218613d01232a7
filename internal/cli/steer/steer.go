// Package steer changes jobs: it suspends, resumes, restarts and deletes them.
package steer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"

	"github.com/jobkit/jobkit/internal/cli/jobs"
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

// resource is where a job is.
func resource(client dynamic.Interface, job *jobs.Found) dynamic.ResourceInterface {
	return client.Resource(job.Kind.Resource).Namespace(job.Object.GetNamespace())
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
		return fmt.Sprintf("%s %s", job, verb), setSuspend(ctx, client, job, on)
	}
}

// setSuspend writes the job's suspend, if it is still the same job.
func setSuspend(ctx context.Context, client dynamic.Interface, job *jobs.Found, on bool) error {
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"runPolicy":{"suspend":%t}}}`, job.Object.GetUID(), on)
	_, err := resource(client, job).Patch(ctx, job.Object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "jobkit"})
	if err != nil {
		return fmt.Errorf("cannot change spec.runPolicy.suspend of %s: %w", job, err)
	}
	return nil
}

// Delete deletes jobs, with what they own.
func Delete(client dynamic.Interface) Do {
	return func(ctx context.Context, job *jobs.Found) (string, error) {
		uid := job.Object.GetUID()
		err := resource(client, job).Delete(ctx, job.Object.GetName(), metav1.DeleteOptions{
			PropagationPolicy: ptr.To(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &uid},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("cannot delete %s: %w", job, err)
		}
		return fmt.Sprintf("%s deleted", job), nil
	}
}

// queueLabel is that of a job in a queue of Kueue, which suspends and resumes the job itself.
const queueLabel = "kueue.x-k8s.io/queue-name"

// Restart restarts jobs as a whole: it suspends them, waits until their pods are gone, and
// resumes them. No limit counts that.
func Restart(client dynamic.Interface, timeout time.Duration) Do {
	return func(ctx context.Context, job *jobs.Found) (string, error) {
		if err := finished(job, "restarted"); err != nil {
			return "", err
		}
		if queue := job.Object.GetLabels()[queueLabel]; queue != "" {
			return "", fmt.Errorf("%s is in the queue %q, and only Kueue may suspend and resume it: "+
				"name the replicas to restart, for example: jobkit restart %s worker", job, queue, job.Object.GetName())
		}
		if suspended(job) {
			return "", fmt.Errorf("%s is suspended: start it with: jobkit resume %s", job, job.Object.GetName())
		}
		if err := setSuspend(ctx, client, job, true); err != nil {
			return "", err
		}
		if err := awaitSuspended(ctx, client, job, timeout); err != nil {
			return "", fmt.Errorf("%s is suspended, but not resumed, because %w: when its pods are gone, resume it with: jobkit resume %s",
				job, err, job.Object.GetName())
		}
		if err := setSuspend(ctx, client, job, false); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s restarted", job), nil
	}
}

// errStillThere means that a job was not suspended in time.
var errStillThere = errors.New("its pods are not gone in time")

// awaitSuspended waits until the operator has suspended a job, and its pods are gone.
func awaitSuspended(ctx context.Context, client dynamic.Interface, job *jobs.Found, timeout time.Duration) error {
	const interval = 200 * time.Millisecond
	pods := client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(job.Object.GetNamespace())
	err := wait.PollUntilContextTimeout(ctx, interval, timeout, true, func(ctx context.Context) (bool, error) {
		now, err := resource(client, job).Get(ctx, job.Object.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, err //nolint:wrapcheck // named below
		}
		view := (&jobs.Found{Object: now}).View()
		if view.State() != "Suspended" {
			return false, nil
		}
		return gone(ctx, pods, job.Pods)
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return errStillThere
	}
	return err //nolint:wrapcheck // the caller says of what
}

// gone reports whether pods are gone; others may have their names.
func gone(ctx context.Context, client dynamic.ResourceInterface, pods []*corev1.Pod) (bool, error) {
	for _, pod := range pods {
		still, err := client.Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && still.GetUID() == pod.UID {
			return false, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("cannot read pod %s: %w", pod.Name, err)
		}
	}
	return true, nil
}

// RestartReplicas deletes the pods of replicas, which the operator creates again. No limit
// counts that. With restart scope Job the others restart with them.
func RestartReplicas(client dynamic.Interface, words []string) Do {
	return func(ctx context.Context, job *jobs.Found) (string, error) {
		if err := finished(job, "restarted"); err != nil {
			return "", err
		}
		pods, err := job.Choose(words)
		if err != nil {
			return "", err
		}
		var done []string
		for _, pod := range pods {
			uid := pod.UID
			err := client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(pod.Namespace).
				Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return "", fmt.Errorf("cannot delete pod %s: %w", pod.Name, err)
			}
			done = append(done, jobs.Replica(job.Object.GetName(), pod))
		}
		return fmt.Sprintf("%s: restarted %s", job, strings.Join(done, ", ")), nil
	}
}
