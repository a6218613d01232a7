package kube

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/jobkit/jobkit/internal/page"
	"github.com/jobkit/jobkit/internal/steer"
)

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
	job := steer.Job{Resource: resource, Namespace: ref.Namespace, Name: ref.Name, UID: uid}
	what := fmt.Sprintf("cannot %s %s", action, ref.Name)
	switch action {
	case page.Suspend, page.Resume:
		return known(steer.Suspend(ctx, c.dynamic, job, action == page.Suspend), what)
	case page.Delete:
		return known(steer.Delete(ctx, c.dynamic, job), what)
	case page.Restart:
		now, ok := c.Job(ref)
		if !ok || now.Object.GetUID() != uid {
			return page.ErrChanged
		}
		_, err := steer.Restart(ctx, c.dynamic, now.Pods)
		return known(err, what)
	default:
		return fmt.Errorf("unknown action %q", action)
	}
}

// known says what an answer of the API server means to the user.
func known(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: %s: %w", page.ErrForbidden, what, err)
	case steer.Gone(err):
		return page.ErrChanged
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
