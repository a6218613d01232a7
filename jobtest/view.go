package jobtest

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cacheFilter is what the operator's caches keep of the objects of a kind.
type cacheFilter struct {
	selector  labels.Selector
	transform func(any) (any, error)
	// check is asked of each object that a cache holds, if it is set.
	check func(client.Object)
}

// apply returns an object as a cache holds it, or nil if it leaves it out.
func (l *cacheFilter) apply(o client.Object) client.Object {
	if o == nil || l.selector != nil && !l.selector.Matches(labels.Set(o.GetLabels())) {
		return nil
	}
	if l.transform == nil {
		return o
	}
	out, err := l.transform(clone(o))
	if err != nil {
		return nil
	}
	lean, _ := out.(client.Object)
	if lean != nil && l.check != nil {
		l.check(lean)
	}
	return lean
}

// view is one cache of one process: the objects of a kind as they were some
// changes ago.
type view struct {
	table   *table
	filter  *cacheFilter
	pos     int // how many changes of the table it has seen
	objects map[types.NamespacedName]client.Object
	keys    []types.NamespacedName // sorted
}

// newView lists a kind as it was after pos changes.
func newView(t *table, filter *cacheFilter, pos int) *view {
	v := &view{table: t, filter: filter}
	v.relist(pos)
	return v
}

// behind is how many changes the view has not seen.
func (v *view) behind() int { return len(v.table.log) - v.pos }

// relist makes the view what it would be after pos changes, which may be fewer
// than it has seen.
func (v *view) relist(pos int) {
	v.objects, v.keys, v.pos = map[types.NamespacedName]client.Object{}, nil, 0
	for v.pos < pos {
		v.next()
	}
}

// last is the object of the last change, as it was before that if it was deleted.
func (v *view) last() client.Object { return v.table.log[v.pos-1].lean }

// next takes in the next change and returns what it did to the view: the object
// before and after, nil if it was or is not part of it.
func (v *view) next() (was, is client.Object) {
	c := &v.table.log[v.pos]
	v.pos++
	if !c.leanDone {
		c.lean, c.leanDone = v.filter.apply(c.object), true
	}
	key := client.ObjectKeyFromObject(c.object)
	was, is = v.objects[key], c.lean
	if c.verb == deleted {
		is = nil
	}
	at, there := slices.BinarySearchFunc(v.keys, key, compareKeys)
	switch {
	case is == nil && there:
		delete(v.objects, key)
		v.keys = slices.Delete(v.keys, at, at+1)
	case is != nil:
		v.objects[key] = is
		if !there {
			v.keys = slices.Insert(v.keys, at, key)
		}
	}
	return was, is
}
