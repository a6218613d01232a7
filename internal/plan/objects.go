package plan

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Object is an object of a job besides its pods and services: configuration,
// permissions, an autoscaler. The kind decides on its content.
type Object struct {
	Kind, Name string
	// Wanted is the object as the kind wants it, or nil if it does not.
	Wanted runtime.Object
	// UID and Version are those of the existing object, empty if none exists.
	UID     types.UID
	Version string
	// Terminating is true when it is being deleted.
	Terminating bool
	// Role is the name of the Role that it grants, if it is a RoleBinding of one.
	Role string
	// Shared is true if an existing object is used as it is, whoever made it.
	Shared bool
	// Expected is true of one that someone else makes: it is only looked up, before pods are created.
	Expected bool
	// KeepSuspended and KeepFinished are true of one that stays when the job is suspended,
	// and when it has finished.
	KeepSuspended, KeepFinished bool
	// Patch is what must change in it (see Difference); empty if nothing must.
	Patch map[string]any
}

// Difference returns the JSON merge patch that gives found all fields of wanted, or nil if
// it has them. Fields that only found has stay: they belong to other clients, or are
// defaults.
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

// syncObjects creates and updates the kind's own objects of the job, before the pods that
// need them, and deletes those that the kind no longer wants. They are created one after the
// other, in the kind's order, but a RoleBinding never before its Role: a later object may
// grant an earlier one, so it is not created if the earlier one is not the job's.
func syncObjects(d *decision) bool {
	d.unbind()
	var bindings []Action
	for i := range d.in.Objects {
		o := &d.in.Objects[i]
		role := d.roleOf(o)
		switch {
		case o.Terminating, o.Expected:
		case role != nil && (role.Terminating || o.UID != "" && role.UID == ""):
			// The binding is created when the role exists again.
		case role != nil && o.UID == "":
			bindings = append(bindings, CreateObject{Kind: o.Kind, Name: o.Name, Object: o.Wanted, Reason: "the job needs it"})
		case o.Shared && o.UID == "":
			// It is created together with pods (see createSharedObjects).
		case o.Wanted == nil:
			d.act(DeleteObject{Kind: o.Kind, Name: o.Name, UID: o.UID, Reason: "the job does not want it"})
		case o.UID == "":
			d.act(CreateObject{Kind: o.Kind, Name: o.Name, Object: o.Wanted, Reason: "the job needs it"})
		case len(o.Patch) > 0:
			d.act(UpdateObject{Kind: o.Kind, Name: o.Name, UID: o.UID, Version: o.Version, Patch: o.Patch, Reason: "it is not as the job needs it"})
		}
	}
	d.act(bindings...)
	return false
}

// unbind deletes the bindings whose role is gone: a new role of that name, whoever made it,
// would be granted to the job.
func (d *decision) unbind() {
	for i := range d.in.Objects {
		o := &d.in.Objects[i]
		if role := d.roleOf(o); role != nil && o.UID != "" && !o.Terminating && (role.UID == "" || role.Terminating) {
			d.act(DeleteObject{Kind: o.Kind, Name: o.Name, UID: o.UID, Reason: "its Role " + role.Name + " is gone, and another of that name may not be the job's"})
		}
	}
}

// roleOf is the role among the job's own objects that a wanted RoleBinding grants, or nil.
func (d *decision) roleOf(o *Object) *Object {
	if o.Wanted == nil || o.Role == "" {
		return nil
	}
	for i := range d.in.Objects {
		if role := &d.in.Objects[i]; role.Kind == "Role" && role.Name == o.Role && role.Wanted != nil {
			return role
		}
	}
	return nil
}

// createSharedObjects creates the objects that are used whoever made them, unless they are
// already the job's, and looks up those that others make. The cache does not show those of
// other owners, so the request is made only together with pods: at rest there is none. A pod that
// is refused later for want of an object would leave those that were created before it waiting.
func createSharedObjects(d *decision) bool {
	wanted := func(o Object) bool { return o.Expected || o.Shared && o.Wanted != nil && o.UID == "" }
	if !slices.ContainsFunc(d.in.Objects, wanted) || len(d.missing()) == 0 {
		return false
	}
	for i := range d.in.Objects {
		switch o := &d.in.Objects[i]; {
		case !wanted(*o):
		case o.Expected:
			d.act(ExpectObject{Kind: o.Kind, Name: o.Name, Reason: "pods of the job need it"})
		default:
			d.act(CreateObject{Kind: o.Kind, Name: o.Name, Object: o.Wanted, Shared: true, Reason: "the job uses it"})
		}
	}
	return false
}

// deleteObjects deletes the owned objects of the job, but those that the kind wants and that
// are to be kept.
func (d *decision) deleteObjects(keep func(*Object) bool, reason string) {
	for i := range d.in.Objects {
		o := &d.in.Objects[i]
		if o.UID != "" && !o.Terminating && (o.Wanted == nil || !keep(o)) {
			d.act(DeleteObject{Kind: o.Kind, Name: o.Name, UID: o.UID, Reason: reason})
		}
	}
}
