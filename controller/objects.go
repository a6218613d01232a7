package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/internal/apierror"
	"github.com/jobkit/jobkit/internal/plan"
)

// objectsOf compares the owned objects that the author wants for a job with the existing ones.
func (c *JobController[J]) objectsOf(ctx context.Context, job J, in *plan.Input, tally *plan.Tally) ([]plan.Object, error) {
	if c.set.owned == nil && c.set.gang == nil || in.Job.Deleted {
		return nil, nil
	}
	found, err := c.foundObjects(ctx, job, in)
	if err != nil {
		return nil, err
	}
	if err := c.adoptable(ctx, job, in, found); err != nil {
		return nil, err
	}
	var wanted []jobkit.Object
	if c.set.owned != nil {
		wanted = c.wantedObjects(ctx, job, in, tally)
		in.OperatorError = cmp.Or(in.OperatorError, c.mistakeInObjects(wanted))
	}
	if in.OperatorError != "" {
		return nil, nil // Existing objects stay as they are.
	}
	out := make([]plan.Object, 0, len(wanted)+len(found))
	for _, w := range wanted {
		o, err := c.compare(ctx, job, in, w, found)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	groups, err := c.gangObjects(ctx, job, in, tally, found)
	if err != nil {
		return nil, err
	}
	out = append(out, groups...)
	wantedCount := len(out)
	for key, f := range found { // those that are left are not wanted
		out = append(out, plan.Object{
			Kind: key.kind, Name: key.name, UID: f.GetUID(), Version: f.GetResourceVersion(), Terminating: f.GetDeletionTimestamp() != nil,
		})
	}
	slices.SortFunc(out[wantedCount:], func(a, b plan.Object) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return out, nil
}

// mistakeInObjects says what is wrong with the objects that the author wants for a job, or "".
// Such an object could not be created, or not be found again.
func (c *JobController[J]) mistakeInObjects(wanted []jobkit.Object) string {
	names := map[childName]bool{}
	for _, o := range wanted {
		o = ownedObject(o).Object
		if isNil(o) {
			return "the operator's Objects() wants an object that is nil: leave it out"
		}
		gvk, err := apiutil.GVKForObject(o, c.set.client.Scheme())
		if err != nil {
			return fmt.Sprintf("the operator's Objects() wants a %T, which the scheme does not know: call its AddToScheme", o)
		}
		name := childName{gvk.Kind, o.GetName()}
		switch {
		case !slices.Contains(c.set.objectKinds, gvk):
			return fmt.Sprintf("the operator's Objects() wants the %s %q of %s, but ObjectKinds() does not name that kind: add it there",
				gvk.Kind, o.GetName(), gvk.GroupVersion())
		case o.GetName() == "":
			return fmt.Sprintf("the operator's Objects() wants a %s without a name, which would be created again and again: name it after the job", gvk.Kind)
		case names[name]:
			return fmt.Sprintf("the operator's Objects() wants the %s %q twice: leave one out, or give it another name", gvk.Kind, o.GetName())
		}
		names[name] = true
	}
	return ""
}

// isNil reports whether there is no object, or a pointer to none.
func isNil(o client.Object) bool {
	return o == nil || reflect.ValueOf(o).Kind() == reflect.Pointer && reflect.ValueOf(o).IsNil()
}

// compare compares one object that the author wants with the existing one.
func (c *JobController[J]) compare(
	ctx context.Context, job J, in *plan.Input, wanted client.Object, found map[childName]client.Object,
) (plan.Object, error) {
	o, f, err := c.match(in, wanted, found)
	if err != nil {
		return o, reconcile.TerminalError(fmt.Errorf("Objects() of %s wants an object of an unknown kind: %w", in.Kind.Name, err))
	}
	if f == nil {
		return o, nil
	}
	wanted = ownedObject(wanted).Object
	return o, c.compareContent(ctx, job, &o, wanted, f)
}

// match makes a wanted object the job's, and returns the existing one, or nil. It removes that
// from found.
func (c *JobController[J]) match(
	in *plan.Input, wanted client.Object, found map[childName]client.Object,
) (plan.Object, client.Object, error) {
	owned := ownedObject(wanted)
	wanted = owned.Object
	gvk, err := apiutil.GVKForObject(wanted, c.set.client.Scheme())
	if err != nil {
		return plan.Object{}, nil, fmt.Errorf("the scheme does not know %T: %w", wanted, err)
	}
	wanted.GetObjectKind().SetGroupVersionKind(gvk)
	plan.Claim(in, wanted)
	key := childName{gvk.Kind, wanted.GetName()}
	if owned.MustExist {
		delete(found, key) // Even if it is the job's, it is not for the operator to delete.
		return plan.Object{Kind: gvk.Kind, Name: wanted.GetName(), Wanted: wanted, Expected: true}, nil, nil
	}
	o := plan.Object{
		Kind: gvk.Kind, Name: wanted.GetName(), Wanted: wanted,
		Shared: owned.UseExisting, KeepSuspended: owned.KeepSuspended, KeepFinished: owned.KeepFinished,
	}
	if binding, ok := wanted.(*rbacv1.RoleBinding); ok && binding.RoleRef.Kind == kindRole {
		o.Role = binding.RoleRef.Name
	}
	f, ok := found[key]
	if !ok {
		return o, nil, nil
	}
	delete(found, key)
	o.UID, o.Version, o.Terminating = f.GetUID(), f.GetResourceVersion(), f.GetDeletionTimestamp() != nil
	return o, f, nil
}

// content is the content of an object, without what the API server adds to it.
func content(o client.Object) (map[string]any, error) {
	if _, ok := o.(*unstructured.Unstructured); ok {
		o = o.DeepCopyObject().(*unstructured.Unstructured) //nolint:forcetypeassert // it is its own copy
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("cannot compare the %T %s: %w", o, o.GetName(), err)
	}
	delete(m, "status")
	delete(m, "apiVersion")
	delete(m, "kind")
	m["metadata"] = ownMetadata(o)
	return m, nil
}

// ownMetadata is the metadata of an object without its identity.
func ownMetadata(o client.Object) map[string]any {
	metadata := map[string]any{}
	if labels := o.GetLabels(); len(labels) > 0 {
		metadata["labels"] = asAny(labels)
	}
	if annotations := o.GetAnnotations(); len(annotations) > 0 {
		metadata["annotations"] = asAny(annotations)
	}
	return metadata
}

func asAny(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// foundObjects are the owned objects whose controller is the job.
func (c *JobController[J]) foundObjects(ctx context.Context, job J, in *plan.Input) (map[childName]client.Object, error) {
	found := map[childName]client.Object{}
	for _, gvk := range c.set.objectKinds {
		seen, err := c.set.cache.listObjects(ctx, job, gvk)
		if err != nil {
			return nil, fmt.Errorf("cannot list the %s objects of %s %s/%s: %w", gvk.Kind, in.Kind.Name, in.Job.Namespace, in.Job.Name, err)
		}
		if c.set.gang != nil && slices.Contains(c.set.gang.kinds, gvk) {
			if seen, err = c.allWhole(ctx, job, gvk, seen); err != nil {
				return nil, err
			}
		}
		shown := len(seen)
		seen = withPendingWrites(c.set.pending, job, gvk.Kind, seen, in.Now)
		in.Uncached = in.Uncached || len(seen) > shown
		for _, o := range seen {
			found[childName{gvk.Kind, o.GetName()}] = o
		}
	}
	return found, nil
}

// listObjects finds the objects of a kind whose controller is the job.
func (l *cacheLister[J]) listObjects(ctx context.Context, job J, gvk schema.GroupVersionKind) ([]client.Object, error) {
	list, err := l.emptyList(gvk)
	if err != nil {
		return nil, err
	}
	if err := l.list(ctx, job, list); err != nil {
		return nil, err
	}
	var out []client.Object
	err = meta.EachListItem(list, func(item runtime.Object) error {
		if o, ok := item.(client.Object); ok && metav1.IsControlledBy(o, job) {
			out = append(out, o)
		}
		return nil
	})
	return out, err //nolint:wrapcheck // the caller says of what
}

// emptyList is an empty list of objects of a kind.
func (l *cacheLister[J]) emptyList(gvk schema.GroupVersionKind) (client.ObjectList, error) {
	lists := gvk.GroupVersion().WithKind(gvk.Kind + "List")
	if !l.typed(gvk) {
		u := &unstructured.UnstructuredList{}
		u.SetGroupVersionKind(lists)
		return u, nil
	}
	empty, err := l.scheme.New(lists)
	if err != nil {
		return nil, fmt.Errorf("the scheme does not know the list of %s: %w", gvk.Kind, err)
	}
	list, ok := empty.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%T is not a list of objects", empty)
	}
	return list, nil
}

// typed reports whether objects of a kind are read as a Go type.
func (l *cacheLister[J]) typed(gvk schema.GroupVersionKind) bool {
	return l.scheme.Recognizes(gvk) && !slices.Contains(l.untyped, gvk)
}

// newObject is an empty object of a kind.
func (l *cacheLister[J]) newObject(gvk schema.GroupVersionKind) (client.Object, bool) {
	if !l.typed(gvk) {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(gvk)
		return u, true
	}
	empty, err := l.scheme.New(gvk)
	if err != nil {
		return nil, false
	}
	o, ok := empty.(client.Object)
	return o, ok
}

// createObject creates an owned object.
func (c *JobController[J]) createObject(ctx context.Context, job J, in *plan.Input, a plan.CreateObject) result {
	o, ok := a.Object.(client.Object)
	if !ok {
		return result{obstacle: plan.OperatorError, message: fmt.Sprintf("%T is not an API object", a.Object)}
	}
	r := c.classifyCreate(ctx, job, in, a.Kind, o, c.set.client.Create(ctx, o))
	if a.Shared && r.obstacle == plan.NameConflict && !r.otherJob {
		return result{}
	}
	return r
}

// expectObject looks up an object that someone else makes.
func (c *JobController[J]) expectObject(ctx context.Context, in *plan.Input, a plan.ExpectObject) result {
	gvk, _ := c.set.kindNamed(a.Kind)
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(gvk)
	err := c.set.live.Get(ctx, client.ObjectKey{Namespace: in.Job.Namespace, Name: a.Name}, o)
	switch {
	case err == nil && o.DeletionTimestamp == nil,
		apierrors.IsForbidden(err): // Then it is not known, and the pods will show.
		return result{}
	case err == nil, apierrors.IsNotFound(err):
		return result{obstacle: plan.Missing, message: fmt.Sprintf(
			"there is no %s of that name in the namespace %s: create it, or have the job name another one", a.Kind, in.Job.Namespace)}
	default:
		return result{err: fmt.Errorf("cannot look up %s %s/%s: %w", a.Kind, in.Job.Namespace, a.Name, err)}
	}
}

// updateObject fixes an owned object, if it has not changed since it was observed.
func (c *JobController[J]) updateObject(ctx context.Context, job J, in *plan.Input, a plan.UpdateObject) result {
	o, patch, err := c.patchFor(in, a)
	if err != nil {
		return result{err: err}
	}
	return c.classifyUpdate(job, a.Kind, o, c.set.client.Patch(ctx, o, patch))
}

// patchFor returns a merge patch with its precondition.
func (c *JobController[J]) patchFor(in *plan.Input, a plan.UpdateObject) (client.Object, client.Patch, error) {
	gvk, known := c.set.kindNamed(a.Kind)
	o, ok := c.set.cache.newObject(gvk)
	if !known || !ok {
		return nil, nil, fmt.Errorf("cannot update %s %s: the kind is not among those that ObjectKinds names", a.Kind, a.Name)
	}
	o.SetNamespace(in.Job.Namespace)
	o.SetName(a.Name)
	body := maps.Clone(a.Patch)
	metadata := map[string]any{"uid": a.UID, "resourceVersion": a.Version}
	if m, ok := a.Patch["metadata"].(map[string]any); ok {
		maps.Copy(metadata, m)
	}
	body["metadata"] = metadata
	data, err := json.Marshal(body)
	return o, client.RawPatch(types.MergePatchType, data), err
}

// updateService gives a service the ports and the selector that it should have, if it has
// not changed since it was observed.
func (c *JobController[J]) updateService(ctx context.Context, job J, in *plan.Input, a plan.UpdateService) result {
	service := plan.NewService(in, a.CreateService)
	service.UID, service.ResourceVersion = a.UID, a.Version
	err := callForError(ctx, "UpdateService", func() error { return c.set.services.UpdateService(ctx, job, service) })
	return c.classifyUpdate(job, kindService, service, err)
}

// classifyUpdate returns the result of an update, by its error.
func (c *JobController[J]) classifyUpdate(job J, kind string, o client.Object, err error) result {
	switch {
	case err == nil:
		c.set.pending.recordWrite(job, kind, o, c.set.clock.Now())
		return result{done: true}
	case (apierrors.IsNotFound(err) || apierrors.IsConflict(err)) && !apierror.ByWebhook(err):
		return result{stale: true} // The cache will show its present state.
	default:
		return classifyFailure("update", kind, o, err)
	}
}

// deleteObject deletes an owned object.
func (c *JobController[J]) deleteObject(ctx context.Context, job J, in *plan.Input, a plan.DeleteObject) result {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: in.Job.Namespace, Name: a.Name, UID: a.UID}}
	if gvk, ok := c.set.kindNamed(a.Kind); ok {
		o.SetGroupVersionKind(gvk)
	}
	o.ResourceVersion = c.set.pending.uncachedVersion(job, a.Kind, o)
	return c.classifyDelete(job, a.Kind, o, deleteIfUnchanged(ctx, c.set.client, o))
}

// ownedObject is a wanted object, and what the author says of it.
func ownedObject(o client.Object) jobkit.OwnedObject {
	switch owned := o.(type) {
	case jobkit.OwnedObject:
		return owned
	case *jobkit.OwnedObject:
		if owned != nil {
			return *owned
		}
	}
	return jobkit.OwnedObject{Object: o}
}
