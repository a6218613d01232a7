package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/jobkit/jobkit/internal/page"
)

// deletesAtOnce is how many pods are deleted at the same time.
const deletesAtOnce = 16

// Allowed asks the API server whether the user may do something.
func Allowed(ctx context.Context, client kubernetes.Interface, what authorizationv1.ResourceAttributes) (bool, error) {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("cannot ask for your rights: %w", err)
	}
	return review.Status.Allowed, nil
}

// Rights implements page.Steering.
func (c *Cluster) Rights(ctx context.Context, ref page.Ref) (page.Rights, error) {
	resource, ok := c.resources[ref.Resource]
	if !ok {
		return page.Rights{}, nil
	}
	job := authorizationv1.ResourceAttributes{
		Namespace: ref.Namespace, Name: ref.Name, Group: resource.Group, Version: resource.Version, Resource: resource.Resource,
	}
	pods := authorizationv1.ResourceAttributes{Namespace: ref.Namespace, Version: "v1", Resource: "pods"}
	var rights page.Rights
	for _, ask := range []struct {
		about       authorizationv1.ResourceAttributes
		verb, below string
		answer      *bool
	}{
		{job, "patch", "", &rights.Change},
		{job, "delete", "", &rights.Delete},
		{pods, "delete", "", &rights.Restart},
		{pods, "get", "log", &rights.Logs},
	} {
		ask.about.Verb, ask.about.Subresource = ask.verb, ask.below
		allowed, err := Allowed(ctx, c.client, ask.about)
		if err != nil {
			return page.Rights{}, err
		}
		*ask.answer = allowed
	}
	return rights, nil
}

// Do implements page.Steering. Every write carries the UID of the job, or of the pod.
func (c *Cluster) Do(ctx context.Context, ref page.Ref, uid types.UID, action page.Action) error {
	resource, ok := c.resources[ref.Resource]
	if !ok {
		return page.ErrChanged
	}
	jobs := c.dynamic.Resource(resource).Namespace(ref.Namespace)
	switch action {
	case page.Suspend, page.Resume:
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": uid},
			"spec":     map[string]any{"runPolicy": map[string]any{"suspend": action == page.Suspend}},
		})
		if err != nil {
			return fmt.Errorf("cannot %s %s: %w", action, ref.Name, err)
		}
		_, err = jobs.Patch(ctx, ref.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "jobkit-ui"})
		return known(err, fmt.Sprintf("cannot %s %s", action, ref.Name))
	case page.Delete:
		err := jobs.Delete(ctx, ref.Name, metav1.DeleteOptions{
			PropagationPolicy: ptr.To(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &uid},
		})
		return known(err, "cannot delete "+ref.Name)
	case page.Restart:
		return c.restart(ctx, ref, uid)
	default:
		return fmt.Errorf("unknown action %q", action)
	}
}

// restart deletes the job's pods that have not succeeded. Their operator replaces them, and
// counts no restart for it.
func (c *Cluster) restart(ctx context.Context, ref page.Ref, uid types.UID) error {
	job, ok := c.Job(ref)
	if !ok || job.Object.GetUID() != uid {
		return page.ErrChanged
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		first   error
	)
	free := make(chan struct{}, deletesAtOnce)
	for _, pod := range job.Pods {
		if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			only := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}
			err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, only)
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				mu.Lock()
				defer mu.Unlock()
				first = errors.Join(first, err)
			}
		})
	}
	running.Wait()
	return known(firstLine(first), "cannot restart "+ref.Name)
}

// firstLine is the first of joined errors: thousands of pods have thousands.
func firstLine(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		return firstLine(joined.Unwrap()[0])
	}
	return err
}

// known says what an answer of the API server means to the user.
func known(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: %s: %w", page.ErrForbidden, what, err)
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsInvalid(err) && strings.Contains(err.Error(), "metadata.uid"):
		return page.ErrChanged
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
