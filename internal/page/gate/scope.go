package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/jobkit/jobkit/internal/page/kube"
)

const (
	// maxNamespaces are shown to a caller who may not see all, and maxTried are asked about.
	maxNamespaces, maxTried = 20, 200
	// asksInParallel is how many questions are asked at once.
	asksInParallel = 8
	// findsEvery is how many rechecks there are until namespaces are tried again that the caller did not see.
	findsEvery = 10
	// all stands for all namespaces.
	all = ""
)

// find finds what a caller may see: kinds by namespace, or in all at once; and what is left out.
func (i *identity) find(ctx context.Context, client kubernetes.Interface, kinds []kube.Kind, asked []string) error {
	var notes []string
	if len(asked) == 0 {
		some, err := allowed(ctx, client, kinds, all)
		if err != nil {
			return err
		}
		if len(some) > 0 || len(kinds) == 0 {
			i.shown, i.note = map[string][]kube.Kind{all: some}, others(kinds, some)
			return nil
		}
		var cut bool
		if asked, cut, err = candidates(ctx, client, i.user); err != nil {
			return err
		}
		if cut {
			notes = append(notes, fmt.Sprintf("Only the first %d namespaces by name were tried: name others that you want.", maxTried))
		}
		i.found = true
	}
	var err error
	if i.shown, err = byNamespace(ctx, client, kinds, asked); err != nil {
		return err
	}
	if left := len(i.shown) - maxNamespaces; left > 0 {
		for _, namespace := range slices.Sorted(maps.Keys(i.shown))[maxNamespaces:] {
			delete(i.shown, namespace)
		}
		notes = append(notes, fmt.Sprintf("You may see %d more namespaces than are shown here: name those that you want.", left))
	}
	i.note = strings.Join(notes, " ")
	return nil
}

// others says which kinds are not among some.
func others(kinds, some []kube.Kind) string {
	var names []string
	for _, k := range kinds {
		if !slices.Contains(some, k) {
			names = append(names, k.Kind)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("You may not list %s in all namespaces, so they are not shown: name namespaces in which you may.", strings.Join(names, ", "))
}

// byNamespace is what a caller may see in each of some namespaces.
func byNamespace(ctx context.Context, client kubernetes.Interface, kinds []kube.Kind, namespaces []string) (map[string][]kube.Kind, error) {
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		first   error
	)
	found := map[string][]kube.Kind{}
	free := make(chan struct{}, asksInParallel)
	for _, namespace := range namespaces {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			some, err := allowedIn(ctx, client, kinds, namespace)
			mu.Lock()
			defer mu.Unlock()
			first = errors.Join(first, err)
			if len(some) > 0 {
				found[namespace] = some
			}
		})
	}
	running.Wait()
	return found, first
}

// candidates are namespaces in which a caller might see jobs: those that they may list, or
// that of their service account. cut means that there are others.
func candidates(ctx context.Context, client kubernetes.Interface, user string) (names []string, cut bool, err error) {
	list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: maxTried})
	if err == nil {
		names = make([]string, 0, len(list.Items))
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		// A server may answer with more than it was asked for.
		return names[:min(len(names), maxTried)], list.Continue != "" || len(names) > maxTried, nil
	}
	if !apierrors.IsForbidden(err) {
		return nil, false, fmt.Errorf("cannot list namespaces: %w", err)
	}
	if rest, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		namespace, _, _ := strings.Cut(rest, ":")
		return []string{namespace}, false, nil
	}
	return nil, false, nil
}

// allowedIn are the kinds whose jobs may be listed in a namespace. One question is about all of them. Not all clusters
// know the whole answer: there, one more is about each kind that is not in it.
func allowedIn(ctx context.Context, client kubernetes.Interface, kinds []kube.Kind, namespace string) ([]kube.Kind, error) {
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return allowed(ctx, client, kinds, namespace)
	case err != nil:
		return nil, fmt.Errorf("cannot ask for your rights: %w", err)
	}
	var granted, unknown []kube.Kind
	for _, k := range kinds {
		if slices.ContainsFunc(review.Status.ResourceRules, func(r authorizationv1.ResourceRule) bool { return lists(&r, k) }) {
			granted = append(granted, k)
		} else {
			unknown = append(unknown, k)
		}
	}
	if !review.Status.Incomplete && review.Status.EvaluationError == "" {
		return granted, nil
	}
	others, err := allowed(ctx, client, unknown, namespace)
	if err != nil {
		return nil, err
	}
	// In the order of the kinds, so that the same rights are the same list.
	return slices.DeleteFunc(slices.Clone(kinds), func(k kube.Kind) bool {
		return !slices.Contains(granted, k) && !slices.Contains(others, k)
	}), nil
}

// lists reports whether a rule lets all jobs of a kind be listed.
func lists(r *authorizationv1.ResourceRule, k kube.Kind) bool {
	has := func(list []string, value string) bool {
		return slices.Contains(list, "*") || slices.Contains(list, value)
	}
	return len(r.ResourceNames) == 0 && has(r.Verbs, "list") && has(r.APIGroups, k.Resource.Group) && has(r.Resources, k.Resource.Resource)
}

// allowed are the kinds whose jobs may be listed in a namespace, or in all, by one question about each.
func allowed(ctx context.Context, client kubernetes.Interface, kinds []kube.Kind, namespace string) ([]kube.Kind, error) {
	var out []kube.Kind
	for _, k := range kinds {
		ok, err := kube.Allowed(ctx, client, authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "list", Group: k.Resource.Group, Version: k.Resource.Version, Resource: k.Resource.Resource,
		})
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, k)
		}
	}
	return out, nil
}
