package jobtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// api is a client of the World: a user's, or that of a process of the operator.
type api struct {
	w *World
	// p is the process, nil for a user.
	p *process
	// live reads from the server, not from the caches of the process.
	live bool
}

var _ client.Client = api{}

// errNotSimulated is returned by what the World cannot do.
var errNotSimulated = errors.New("this is not simulated by jobtest.World")

// do makes a call and puts what the server replies into an object. A user's call
// succeeds or not by the rules of the server; that of a process may meet a fault
// too.
func (a api) do(op call, into client.Object, f func() (client.Object, error)) error {
	var reply client.Object
	var err error
	if a.p != nil {
		reply, err = a.p.call(op, f)
	} else {
		reply, err = f()
		a.w.logf("user: %s%s", op, outcome(err))
	}
	if err != nil || into == nil {
		return err
	}
	return assign(op.table.gvk, reply, into)
}

// table is the table of an object's kind.
func (a api) table(o runtime.Object) (*table, error) {
	gvk, err := a.GroupVersionKindFor(o)
	if err != nil {
		return nil, err
	}
	return a.w.server.table(gvk), nil
}

// Get implements client.Reader.
func (a api) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	t, err := a.table(o)
	if err != nil {
		return err
	}
	if a.p == nil {
		return get(t, t.get(key), key, o)
	}
	if a.live {
		err := a.do(call{verb: "read", table: t, key: key}, o, func() (client.Object, error) {
			there := t.get(key)
			if there == nil {
				return nil, apierrors.NewNotFound(t.resource(), key.Name)
			}
			return there, nil
		})
		if pod, ok := o.(*corev1.Pod); ok && err == nil {
			a.p.read(pod)
		}
		return err
	}
	return a.p.cached(t, func(v *view) error {
		there := v.objects[key]
		if there != nil && t == a.w.jobs {
			a.p.found(there)
			if a.w.older != nil {
				there = a.w.older.shows(there)
			}
		}
		return get(t, there, key, o)
	})
}

func get(t *table, there client.Object, key client.ObjectKey, into client.Object) error {
	if there == nil {
		return apierrors.NewNotFound(t.resource(), key.Name)
	}
	if err := assign(t.gvk, there, into); err != nil {
		return err
	}
	into.GetObjectKind().SetGroupVersionKind(t.gvk)
	return nil
}

// List implements client.Reader.
func (a api) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	gvk, err := a.GroupVersionKindFor(list)
	if err != nil {
		return err
	}
	gvk.Kind = gvk.Kind[:max(len(gvk.Kind)-len("List"), 0)]
	t := a.w.server.table(gvk)
	var o client.ListOptions
	o.ApplyOptions(opts)
	if o.FieldSelector != nil && !o.FieldSelector.Empty() {
		return fmt.Errorf("field selector %s: %w", o.FieldSelector, errNotSimulated)
	}
	copied := o.UnsafeDisableDeepCopy == nil || !*o.UnsafeDisableDeepCopy
	if a.p == nil {
		return fill(list, t, t.keys, t.objects, &o, copied)
	}
	if a.live {
		err := a.do(call{verb: "list", table: t}, nil, func() (client.Object, error) {
			if a.p.pass != nil {
				a.p.pass.seen = append(a.p.pass.seen, t.all()...)
			}
			return nil, fill(list, t, t.keys, t.objects, &o, true)
		})
		a.noteList(list, err)
		return err
	}
	err = a.p.cached(t, func(v *view) error {
		if a.p.pass != nil {
			a.p.pass.seen = slices.AppendSeq(a.p.pass.seen, maps.Values(v.objects))
		}
		return fill(list, t, v.keys, v.objects, &o, copied)
	})
	a.noteList(list, err)
	return err
}

// noteList has the process of a client note which pods a list showed it.
func (a api) noteList(list client.ObjectList, err error) {
	if pods, ok := list.(*corev1.PodList); ok && err == nil {
		a.p.listed(pods, a.live)
	}
}

// fill puts the selected objects into a list.
func fill(
	list client.ObjectList, t *table, keys []types.NamespacedName, from map[types.NamespacedName]client.Object,
	o *client.ListOptions, copied bool,
) error {
	items, err := meta.GetItemsPtr(list)
	if err != nil {
		return fmt.Errorf("%T is not a list: %w", list, err)
	}
	slice := reflect.ValueOf(items).Elem()
	slice.SetZero()
	found := make([]client.Object, 0, len(keys))
	for _, key := range keys {
		object := from[key]
		if o.Namespace != "" && o.Namespace != key.Namespace ||
			o.LabelSelector != nil && !o.LabelSelector.Matches(labels.Set(object.GetLabels())) {
			continue
		}
		if reflect.TypeOf(object).Elem() != slice.Type().Elem() {
			return fmt.Errorf("a list of %s is a list of %T in this World, not of %s", t.gvk.Kind, object, slice.Type().Elem())
		}
		found = append(found, object)
	}
	if len(found) == 0 {
		return nil
	}
	slice.Set(reflect.MakeSlice(slice.Type(), len(found), len(found)))
	for i, object := range found {
		if copied {
			object = clone(object)
		}
		slice.Index(i).Set(reflect.ValueOf(object).Elem())
	}
	return nil
}

// Create implements client.Writer.
func (a api) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	t, err := a.table(o)
	if err != nil {
		return err
	}
	op := call{verb: verbCreate, table: t, key: client.ObjectKeyFromObject(o), write: true, object: o}
	return a.do(op, o, func() (client.Object, error) { return a.w.server.create(t, o) })
}

// Delete implements client.Writer.
func (a api) Delete(_ context.Context, o client.Object, opts ...client.DeleteOption) error {
	t, err := a.table(o)
	if err != nil {
		return err
	}
	var options client.DeleteOptions
	options.ApplyOptions(opts)
	how := deletion{grace: options.GracePeriodSeconds}
	if p := options.Preconditions; p != nil {
		if p.UID != nil {
			how.uid = *p.UID
		}
		if p.ResourceVersion != nil {
			how.version = *p.ResourceVersion
		}
	}
	if options.PropagationPolicy != nil {
		how.propagation = *options.PropagationPolicy
	}
	key := client.ObjectKeyFromObject(o)
	op := call{verb: verbDelete, table: t, key: key, write: true, guarded: how.uid != "", uid: how.uid, version: how.version}
	op.force = how.grace != nil && *how.grace == 0
	return a.do(op, nil, func() (client.Object, error) { return nil, a.w.server.delete(t, key, how) })
}

// Update implements client.Writer.
func (a api) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	return a.update(o, "update", false)
}

func (a api) update(o client.Object, verb string, statusOnly bool) error {
	t, err := a.table(o)
	if err != nil {
		return err
	}
	op := call{verb: verb, table: t, key: client.ObjectKeyFromObject(o), write: true, status: statusOnly, version: o.GetResourceVersion()}
	op.guarded = op.version != ""
	err = a.do(op, o, func() (client.Object, error) { return a.w.server.update(t, o, statusOnly) })
	if pod, ok := o.(*corev1.Pod); ok && err == nil && statusOnly && a.p == nil && ended(pod) {
		a.w.monitor.ended(pod, pod.DeletionTimestamp == nil) // The user plays the pod's node.
	}
	return err
}

// Patch implements client.Writer.
func (a api) Patch(_ context.Context, o client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return a.patch(o, patch, "patch", false)
}

func (a api) patch(o client.Object, patch client.Patch, verb string, statusOnly bool) error {
	t, err := a.table(o)
	if err != nil {
		return err
	}
	data, err := patch.Data(o)
	if err != nil {
		return fmt.Errorf("cannot make the patch: %w", err)
	}
	key := client.ObjectKeyFromObject(o)
	op := call{verb: verb, table: t, key: key, write: true, status: statusOnly, version: versionIn(data), patch: data}
	op.guarded = op.version != ""
	return a.do(op, o, func() (client.Object, error) {
		return a.w.server.patch(t, key, patch.Type(), data, statusOnly)
	})
}

// DeleteAllOf implements client.Writer.
func (a api) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return fmt.Errorf("DeleteAllOf: %w", errNotSimulated)
}

// Apply implements client.Writer.
func (a api) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return fmt.Errorf("server-side apply: %w", errNotSimulated)
}

// Status implements client.Client.
func (a api) Status() client.SubResourceWriter { return subresource{a, "status"} }

// SubResource implements client.Client.
func (a api) SubResource(name string) client.SubResourceClient { return subresource{a, name} }

// Scheme implements client.Client.
func (a api) Scheme() *runtime.Scheme { return a.w.server.scheme }

// RESTMapper implements client.Client.
func (a api) RESTMapper() meta.RESTMapper { return meta.NewDefaultRESTMapper(nil) }

// GroupVersionKindFor implements client.Client.
func (a api) GroupVersionKindFor(o runtime.Object) (schema.GroupVersionKind, error) {
	switch o.(type) {
	case *corev1.Pod:
		return corev1.SchemeGroupVersion.WithKind("Pod"), nil
	case *corev1.Node:
		return corev1.SchemeGroupVersion.WithKind("Node"), nil
	case *corev1.PodList:
		return corev1.SchemeGroupVersion.WithKind("PodList"), nil
	}
	gvk, err := apiutil.GVKForObject(o, a.w.server.scheme)
	if err != nil {
		return gvk, fmt.Errorf("the scheme of this World does not know %T: %w", o, err)
	}
	return gvk, nil
}

// IsObjectNamespaced implements client.Client. All objects of a World but its nodes
// are.
func (a api) IsObjectNamespaced(o runtime.Object) (bool, error) {
	_, node := o.(*corev1.Node)
	return !node, nil
}

// subresource is a client of one subresource. Only status is simulated.
type subresource struct {
	api  api
	name string
}

func (s subresource) check() error {
	if s.name != "status" {
		return fmt.Errorf("subresource %s: %w", s.name, errNotSimulated)
	}
	return nil
}

// Get implements client.SubResourceReader.
func (s subresource) Get(context.Context, client.Object, client.Object, ...client.SubResourceGetOption) error {
	return fmt.Errorf("reading subresource %s: %w", s.name, errNotSimulated)
}

// Create implements client.SubResourceWriter.
func (s subresource) Create(context.Context, client.Object, client.Object, ...client.SubResourceCreateOption) error {
	return fmt.Errorf("creating subresource %s: %w", s.name, errNotSimulated)
}

// Update implements client.SubResourceWriter.
func (s subresource) Update(_ context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.api.update(o, "update the status of", true)
}

// Patch implements client.SubResourceWriter.
func (s subresource) Patch(_ context.Context, o client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.api.patch(o, patch, "write the status of", true)
}

// Apply implements client.SubResourceWriter.
func (s subresource) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return fmt.Errorf("server-side apply: %w", errNotSimulated)
}

// versionIn is the resource version that a merge patch holds, or empty.
func versionIn(data []byte) string {
	var patch struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if json.Unmarshal(data, &patch) != nil {
		return ""
	}
	return patch.Metadata.ResourceVersion
}
