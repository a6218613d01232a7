package jobtest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// verb is what happened to an object.
type verb string

const (
	added    verb = "added"
	modified verb = "modified"
	deleted  verb = "deleted"
)

// change is one event of a watch. Objects in changes and tables never change: a
// write replaces them.
type change struct {
	verb   verb
	object client.Object
	// was is the object before the change, nil if it was added.
	was client.Object
	// lean is the object as the operator's cache holds it, made when first asked
	// for; nil with leanDone set means that the cache leaves it out.
	lean     client.Object
	leanDone bool
}

// table holds the objects of one kind, and all that ever happened to them.
type table struct {
	gvk     schema.GroupVersionKind
	objects map[types.NamespacedName]client.Object
	keys    []types.NamespacedName // sorted
	log     []change
	born    map[types.NamespacedName]int // how many had the name so far
}

// store is the state of the simulated cluster, as etcd holds it.
type store struct {
	scheme  *runtime.Scheme
	now     func() time.Time
	version uint64
	tables  []*table
	// observe records every change, in order.
	observe func(t *table, c change)
}

// table returns the table of a kind, and makes it if it is new.
func (s *store) table(gvk schema.GroupVersionKind) *table {
	for _, t := range s.tables {
		if t.gvk == gvk {
			return t
		}
	}
	t := &table{gvk: gvk, objects: map[types.NamespacedName]client.Object{}, born: map[types.NamespacedName]int{}}
	s.tables = append(s.tables, t)
	return t
}

func (t *table) get(key types.NamespacedName) client.Object { return t.objects[key] }

// all lists the objects in the order of their names.
func (t *table) all() []client.Object {
	out := make([]client.Object, 0, len(t.keys))
	for _, k := range t.keys {
		out = append(out, t.objects[k])
	}
	return out
}

// resource is the plural that error messages name the kind by.
func (t *table) resource() schema.GroupResource {
	plural, _ := metaPlural(t.gvk)
	return schema.GroupResource{Group: t.gvk.Group, Resource: plural}
}

func compareKeys(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// insert adds an object, which the store takes over.
func (s *store) insert(t *table, o client.Object) client.Object {
	key := client.ObjectKeyFromObject(o)
	t.born[key]++
	o.SetUID(types.UID(fmt.Sprintf("%s/%s#%d", t.resource().Resource, key.Name, t.born[key])))
	o.SetCreationTimestamp(metav1.NewTime(s.now().Truncate(time.Second)))
	o.SetGeneration(1)
	o.SetSelfLink("")
	s.stamp(o)
	at, _ := slices.BinarySearchFunc(t.keys, key, compareKeys)
	t.keys = slices.Insert(t.keys, at, key)
	t.objects[key] = o
	s.record(t, change{verb: added, object: o})
	return o
}

// replace puts a new state of an object, which the store takes over, in the place
// of the old. A state that differs in nothing is no write.
func (s *store) replace(t *table, old, o client.Object) client.Object {
	o.SetResourceVersion(old.GetResourceVersion())
	o.SetSelfLink("")
	if equality.Semantic.DeepEqual(old, o) {
		return old
	}
	s.stamp(o)
	t.objects[client.ObjectKeyFromObject(o)] = o
	s.record(t, change{verb: modified, object: o, was: old})
	return o
}

// remove takes an object away.
func (s *store) remove(t *table, old client.Object) {
	key := client.ObjectKeyFromObject(old)
	delete(t.objects, key)
	if at, ok := slices.BinarySearchFunc(t.keys, key, compareKeys); ok {
		t.keys = slices.Delete(t.keys, at, at+1)
	}
	last := successor(old)
	s.stamp(last)
	s.record(t, change{verb: deleted, object: last, was: old})
}

func (s *store) stamp(o client.Object) {
	s.version++
	o.SetResourceVersion(strconv.FormatUint(s.version, 10))
}

func (s *store) record(t *table, c change) {
	t.log = append(t.log, c)
	if s.observe != nil {
		s.observe(t, c)
	}
}

// clone copies an object.
func clone[O client.Object](o O) O {
	c, ok := o.DeepCopyObject().(O)
	if !ok {
		panic(fmt.Sprintf("jobtest: the deep copy of a %T is a %T: this is a bug of its DeepCopyObject", o, c))
	}
	return c
}

// successor copies an object whose fields are to be replaced, not changed: what they point at
// is that of the object, which never changes.
func successor[O client.Object](o O) O {
	v := reflect.ValueOf(o)
	if _, ok := client.Object(o).(*unstructured.Unstructured); ok || v.Kind() != reflect.Pointer {
		return clone(o)
	}
	next := reflect.New(v.Type().Elem())
	next.Elem().Set(v.Elem())
	c, ok := reflect.TypeAssert[O](next)
	if !ok {
		return clone(o)
	}
	return c
}

// assign copies an object of the store into the variable of a caller, which may be
// of the same type, metadata only, or unstructured.
func assign(gvk schema.GroupVersionKind, from client.Object, into client.Object) error {
	switch into := into.(type) {
	case *metav1.PartialObjectMetadata:
		*into = metav1.PartialObjectMetadata{}
		into.SetGroupVersionKind(gvk)
		copyMeta(from, &into.ObjectMeta)
		return nil
	case *unstructured.Unstructured:
		// Of an unstructured object the converter returns the inside, not a copy.
		m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(clone(from))
		if err != nil {
			return fmt.Errorf("cannot convert a %T: %w", from, err)
		}
		into.Object = m
		into.SetGroupVersionKind(gvk)
		return nil
	}
	if reflect.TypeOf(from) != reflect.TypeOf(into) {
		return fmt.Errorf("%s is a %T in this World and cannot be read into a %T", gvk.Kind, from, into)
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(clone(from)).Elem())
	return nil
}

// copyMeta copies the metadata of an object.
func copyMeta(from client.Object, into *metav1.ObjectMeta) {
	shared := metav1.ObjectMeta{
		Name: from.GetName(), Namespace: from.GetNamespace(), UID: from.GetUID(),
		ResourceVersion: from.GetResourceVersion(), Generation: from.GetGeneration(),
		CreationTimestamp: from.GetCreationTimestamp(), DeletionTimestamp: from.GetDeletionTimestamp(),
		DeletionGracePeriodSeconds: from.GetDeletionGracePeriodSeconds(),
		Labels:                     from.GetLabels(), Annotations: from.GetAnnotations(),
		OwnerReferences: from.GetOwnerReferences(), Finalizers: from.GetFinalizers(),
	}
	shared.DeepCopyInto(into)
}

// part returns a field of an object's struct, for example its Status.
func part(o client.Object, name string) (reflect.Value, bool) {
	v := reflect.ValueOf(o)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, false
	}
	f := v.Elem().FieldByName(name)
	return f, f.IsValid()
}
