package plan

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Object is an object of a job beside its pods and services: configuration,
// permissions, an autoscaler. What it holds is the affair of the kind.
type Object struct {
	Kind, Name string
	// Wanted is the object as the kind wants it, or nil if it does not.
	Wanted runtime.Object
	// UID and Version are those of the object that is there, empty if none is.
	UID     types.UID
	Version string
	// Leaving is true when it is being deleted.
	Leaving bool
	// Patch is what has to change in it (see Difference); empty if nothing has to.
	Patch map[string]any
}

// Difference returns the JSON merge patch that makes found say all that wanted
// says, or nil if it does already. What only found says stays: it belongs to
// somebody else, or is a default.
func Difference(wanted, found map[string]any) map[string]any {
	var patch map[string]any
	for key, w := range wanted {
		f, there := found[key]
		if there && equality.Semantic.DeepEqual(w, f) {
			continue
		}
		value := w
		inner, isMap := w.(map[string]any)
		if old, ok := f.(map[string]any); isMap && ok {
			diff := Difference(inner, old)
			if diff == nil {
				continue
			}
			value = diff
		}
		if patch == nil {
			patch = map[string]any{}
		}
		patch[key] = value
	}
	return patch
}

// objects creates and mends the further objects of the job, before the pods that
// need them, and removes those that the kind does not want any more.
func objects(d *decision) bool {
	for i := range d.in.Objects {
		o := &d.in.Objects[i]
		switch {
		case o.Leaving:
		case o.Wanted == nil:
			d.act(DeleteObject{Kind: o.Kind, Name: o.Name, UID: o.UID, Reason: "the job does not want it"})
		case o.UID == "":
			d.act(CreateObject{Kind: o.Kind, Name: o.Name, Object: o.Wanted, Reason: "the job needs it"})
		case len(o.Patch) > 0:
			d.act(UpdateObject{Kind: o.Kind, Name: o.Name, UID: o.UID, Version: o.Version, Patch: o.Patch, Reason: "it is not as the job needs it"})
		}
	}
	return false
}

// deleteObjects deletes the further objects of the job: all, or those that the kind
// does not want while pods of a finished job run on.
func (d *decision) deleteObjects(keepWanted bool, reason string) {
	for i := range d.in.Objects {
		o := &d.in.Objects[i]
		if o.UID != "" && !o.Leaving && (o.Wanted == nil || !keepWanted) {
			d.act(DeleteObject{Kind: o.Kind, Name: o.Name, UID: o.UID, Reason: reason})
		}
	}
}
