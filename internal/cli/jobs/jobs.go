// Package jobs finds the jobs of a cluster: those of all kinds that it serves, with their pods.
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/pager"
	"k8s.io/utils/ptr"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Discovery lists the kinds that a cluster serves; client-go's discovery client implements it.
type Discovery interface {
	// ServerResourcesForGroupVersionWithContext lists the resources of an API version.
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// Finder finds jobs.
type Finder struct {
	Client    dynamic.Interface
	Discovery Discovery
	// Namespace is where to search; empty is all of them.
	Namespace string
	// Selector chooses jobs by their labels. Default: all.
	Selector string
	// Others are kinds besides those of kubeflow.org/v1. Default: none.
	Others []schema.GroupVersionKind
	// Needed makes it an error if the cluster does not serve one of Others. Default: false, it is left out.
	Needed bool
	// Again is for a list that is read again and again: the API server answers from its cache, and jobs that are named
	// and do not exist are left out. Default: false.
	Again bool
}

// Kind is a job kind that the cluster serves.
type Kind struct {
	Name     string
	Resource schema.GroupVersionResource
}

// is reports whether a word names the kind: as kubectl takes it, in any case.
func (k Kind) is(word string) bool {
	word, group, qualified := strings.Cut(strings.ToLower(word), ".")
	return (!qualified || group == k.Resource.Group) && (word == k.Resource.Resource || word == strings.ToLower(k.Name))
}

// Found is a job of the cluster.
type Found struct {
	Kind   Kind
	Object *unstructured.Unstructured
	// Pods are those that the job controls, by name; nil if they cannot be read.
	Pods []*corev1.Pod
	// NoPods says why the pods cannot be read.
	NoPods error
	// Named means that the job was asked for by its name.
	Named bool
	// Gone means that it no longer exists.
	Gone bool
}

// CheckPods is an error if the pods of the job are not known.
func (f *Found) CheckPods() error {
	if f.NoPods == nil {
		return nil
	}
	return fmt.Errorf("cannot list the pods of %s: %w", f, f.NoPods)
}

// View is the job as it is shown.
func (f *Found) View() jobview.Job {
	job := jobview.FromObject(f.Object, f.Pods)
	job.Gone = f.Gone
	return job
}

// String names the job, for example "PyTorchJob default/a".
func (f *Found) String() string {
	return fmt.Sprintf("%s %s/%s", f.Object.GetKind(), f.Object.GetNamespace(), f.Object.GetName())
}

// Kinds are the job kinds that the cluster serves, by name: those of kubeflow.org/v1, and the others that are known.
func (f *Finder) Kinds(ctx context.Context) ([]Kind, error) {
	version := kubeflowv1.GroupVersion
	resources, err := f.resources(ctx, version)
	if err != nil {
		return nil, err
	}
	var kinds []Kind
	for _, r := range resources {
		if strings.HasSuffix(r.Kind, "Job") {
			kinds = append(kinds, Kind{r.Kind, version.WithResource(r.Name)})
		}
	}
	for _, other := range f.Others {
		resources, err := f.resources(ctx, other.GroupVersion())
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(resources, func(r metav1.APIResource) bool { return r.Kind == other.Kind })
		switch {
		case i < 0 && f.Needed:
			return nil, fmt.Errorf("the cluster does not serve the kind %s of %s: check --kinds, or install its CRD", other.Kind, other.GroupVersion())
		case i < 0:
			continue
		}
		if k := (Kind{other.Kind, other.GroupVersion().WithResource(resources[i].Name)}); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 { // others can serve this version, too, with kinds such as Notebook
		return nil, errors.New("the cluster has no job kinds that jobkit knows: install those of jobkit with jobkit install-crds, " +
			"or name those of other operators with --kinds, such as SimJob.v1.sim.example.com")
	}
	slices.SortStableFunc(kinds, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	return kinds, nil
}

// resources are those of an API version that could be jobs; none if the cluster does not serve it.
func (f *Finder) resources(ctx context.Context, version schema.GroupVersion) ([]metav1.APIResource, error) {
	list, err := f.Discovery.ServerResourcesForGroupVersionWithContext(ctx, version.String())
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("cannot read the kinds of %s: %w", version, err)
	}
	return slices.DeleteFunc(slices.Clone(ptr.Deref(list, metav1.APIResourceList{}).APIResources), func(r metav1.APIResource) bool {
		return !r.Namespaced || strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list")
	}), nil
}

// List finds the jobs that words name: kinds ("pytorchjobs"), jobs ("a"), or both
// ("pytorchjob/a"); all jobs if there are none. A kind that may not be listed is left out if
// others may be.
func (f *Finder) List(ctx context.Context, words []string) ([]Found, error) {
	kinds, err := f.Kinds(ctx)
	if err != nil {
		return nil, err
	}
	chosen, names := choose(kinds, words)
	switch {
	case len(names) > 0 && f.Selector != "":
		return nil, fmt.Errorf("%q names a job, and %q chooses by labels: leave one out", names[0], f.Selector)
	case len(names) > 0:
		return f.named(ctx, kinds, chosen, names)
	}
	found, err := f.of(ctx, chosen)
	if err != nil {
		return nil, err
	}
	f.addPods(ctx, found, commonv1.JobNameLabel)
	slices.SortStableFunc(found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Object.GetNamespace(), b.Object.GetNamespace()), cmp.Compare(a.Object.GetName(), b.Object.GetName()))
	})
	return found, nil
}

// choose divides words into the kinds and the jobs that they name.
func choose(kinds []Kind, words []string) (chosen []Kind, names []string) {
	for _, word := range words {
		i := slices.IndexFunc(kinds, func(k Kind) bool { return k.is(word) })
		if i < 0 {
			names = append(names, word)
		} else {
			chosen = append(chosen, kinds[i])
		}
	}
	if len(chosen) == 0 {
		chosen = kinds
	}
	return chosen, names
}

// of lists the jobs of some kinds.
func (f *Finder) of(ctx context.Context, kinds []Kind) ([]Found, error) {
	var (
		found []Found
		errs  []error
	)
	for _, k := range kinds {
		before := len(found)
		err := f.each(ctx, k.Resource, f.Selector, func(o *unstructured.Unstructured) { found = append(found, Found{Kind: k, Object: o}) })
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot list %s: %w", k.Resource.Resource, err))
			found = found[:before]
		}
	}
	if len(errs) == len(kinds) || slices.ContainsFunc(errs, func(err error) bool { return !apierrors.IsForbidden(err) }) {
		return nil, errors.Join(errs...)
	}
	return found, nil
}

// each lists the objects of a resource: in pages, so that the API server need not hold all of a large cluster at once,
// or from its cache.
func (f *Finder) each(
	ctx context.Context, resource schema.GroupVersionResource, selector string, do func(*unstructured.Unstructured),
) error {
	of := f.Client.Resource(resource).Namespace(f.Namespace)
	o := metav1.ListOptions{LabelSelector: selector}
	if f.Again {
		o.ResourceVersion = "0" // any version that it has: the list is read again soon
	}
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return of.List(ctx, o) })
	//nolint:wrapcheck // the callers say what was read
	return pages.EachListItem(ctx, o, func(item runtime.Object) error {
		if object, ok := item.(*unstructured.Unstructured); ok {
			object.SetManagedFields(nil) // half of a small object, and never shown
			do(object)
		}
		return nil
	})
}

// named finds jobs by their names, in the order of these: of the chosen kinds, or of the one that is part of the name.
func (f *Finder) named(ctx context.Context, kinds, chosen []Kind, names []string) ([]Found, error) {
	found := make([]Found, 0, len(names))
	for _, name := range names {
		among := chosen
		if strings.Contains(name, "/") {
			among = kinds
		}
		one, err := f.one(ctx, among, name)
		if _, missing := errors.AsType[*missingError](err); missing && f.Again {
			continue
		}
		if err != nil {
			return nil, err
		}
		one.Named = true
		found = append(found, one)
	}
	return found, nil
}

// One finds the job that a word names: "a" or "pytorchjob/a".
func (f *Finder) One(ctx context.Context, word string) (Found, error) {
	kinds, err := f.Kinds(ctx)
	if err != nil {
		return Found{}, err
	}
	return f.one(ctx, kinds, word)
}

func (f *Finder) one(ctx context.Context, kinds []Kind, word string) (Found, error) {
	name := word
	if kind, rest, found := strings.Cut(word, "/"); found {
		name = rest
		i := slices.IndexFunc(kinds, func(k Kind) bool { return k.is(kind) })
		if i < 0 {
			return Found{}, fmt.Errorf("%q: the cluster has no job kind %q: it has %s", word, kind, names(kinds))
		}
		kinds = kinds[i : i+1]
	}
	if f.Namespace == "" {
		return Found{}, fmt.Errorf("%q is in one namespace: name it with -n in place of -A", word)
	}
	var (
		found  []Found
		denied error
	)
	for _, k := range kinds {
		object, err := f.Client.Resource(k.Resource).Namespace(f.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			found = append(found, Found{Kind: k, Object: object})
		case apierrors.IsForbidden(err):
			denied = err
		case !apierrors.IsNotFound(err):
			return Found{}, fmt.Errorf("cannot read %s: %w", word, err)
		}
	}
	switch len(found) {
	case 0:
		if denied != nil {
			return Found{}, fmt.Errorf("no job that you may read is named %q in namespace %s: %w", word, f.Namespace, denied)
		}
		return Found{}, &missingError{word: word, namespace: f.Namespace}
	case 1:
		f.addPods(ctx, found, labels.Set{commonv1.JobNameLabel: name}.String())
		return found[0], nil
	}
	var choices []string
	for i := range found {
		choices = append(choices, strings.ToLower(found[i].Kind.Name)+"/"+name)
	}
	return Found{}, fmt.Errorf("several jobs are named %q in namespace %s: choose one: %s", word, f.Namespace, strings.Join(choices, ", "))
}

// missingError says that there is no job of a name.
type missingError struct{ word, namespace string }

func (e *missingError) Error() string {
	return fmt.Sprintf("no job is named %q in namespace %s: \"jobkit get -A\" lists all jobs", e.word, e.namespace)
}

// names lists kinds.
func names(kinds []Kind) string {
	out := make([]string, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, k.Name)
	}
	return strings.Join(out, ", ")
}

// addPods gives each job its pods: those whose labels match, and whose controller it is.
func (f *Finder) addPods(ctx context.Context, found []Found, selector string) {
	if len(found) == 0 {
		return
	}
	wanted := map[types.UID]bool{}
	for i := range found {
		wanted[found[i].Object.GetUID()] = true
	}
	byOwner := map[types.UID][]*corev1.Pod{}
	err := f.each(ctx, corev1.SchemeGroupVersion.WithResource("pods"), selector, func(o *unstructured.Unstructured) {
		pod := &corev1.Pod{}
		owner := metav1.GetControllerOf(o)
		if owner != nil && wanted[owner.UID] && runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, pod) == nil {
			byOwner[owner.UID] = append(byOwner[owner.UID], pod)
		}
	})
	if err != nil { // the status has counts
		for i := range found {
			found[i].NoPods = err
		}
		return
	}
	for i := range found {
		found[i].Pods = append([]*corev1.Pod{}, byOwner[found[i].Object.GetUID()]...)
		slices.SortFunc(found[i].Pods, ByReplica)
	}
}

// ByReplica compares pods by the type and index of their replicas.
func ByReplica(a, b *corev1.Pod) int {
	la, lb := a.Labels, b.Labels
	return cmp.Or(
		cmp.Compare(la[commonv1.ReplicaTypeLabel], lb[commonv1.ReplicaTypeLabel]),
		cmp.Compare(len(la[commonv1.ReplicaIndexLabel]), len(lb[commonv1.ReplicaIndexLabel])),
		cmp.Compare(la[commonv1.ReplicaIndexLabel], lb[commonv1.ReplicaIndexLabel]), cmp.Compare(a.Name, b.Name))
}

// Replica is the name of a pod within its job, for example "worker-1".
func Replica(job string, pod *corev1.Pod) string { return strings.TrimPrefix(pod.Name, job+"-") }

// Choose picks the pods of a job that words name: replicas ("worker-1"), types ("worker") or
// pods; all if there are none.
func (f *Found) Choose(words []string) ([]*corev1.Pod, error) {
	if len(words) == 0 {
		return f.Pods, nil
	}
	var chosen []*corev1.Pod
	for _, word := range words {
		fits := false
		for _, pod := range f.Pods {
			if f.names(word, pod) {
				fits = true
				if !slices.Contains(chosen, pod) { // two words can name one
					chosen = append(chosen, pod)
				}
			}
		}
		if !fits {
			return nil, fmt.Errorf("%s has no pod of replica %q: it has %s", f, word, f.replicas())
		}
	}
	return chosen, nil
}

// names reports whether a word names a pod of the job, or its type. A replica whose pod has no number, such as the
// launcher of an MPIJob, is named with one, too: "launcher-0" is what messages and the page call it.
func (f *Found) names(word string, pod *corev1.Pod) bool {
	typ := pod.Labels[commonv1.ReplicaTypeLabel]
	for _, name := range []string{Replica(f.Object.GetName(), pod), typ, typ + "-" + pod.Labels[commonv1.ReplicaIndexLabel]} {
		if strings.EqualFold(word, name) {
			return true
		}
	}
	return word == pod.Name
}

// replicas names those that have pods.
func (f *Found) replicas() string {
	const most = 10
	var out []string
	for _, pod := range f.Pods {
		out = append(out, Replica(f.Object.GetName(), pod))
	}
	switch {
	case len(out) == 0:
		return "no pods now"
	case len(out) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(out[:most], ", "), len(out)-most)
	}
	return strings.Join(out, ", ")
}
