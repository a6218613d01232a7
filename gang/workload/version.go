package workload

import (
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/gang/group"
)

// All policies of this package are in terms of v1beta1, whose Go types Kubernetes' API
// module has. This file alone knows what is different in other versions; their objects are
// unstructured, so that no version of that module needs to have their types.
const (
	version1      = "v1"       // not there yet; expected to be like v1beta1
	version1beta1 = "v1beta1"  // Kubernetes v1.37
	version1alpha = "v1alpha3" // the same fields, in Kubernetes v1.37 too
	version1old   = "v1alpha2" // Kubernetes v1.36
)

// fieldSpec is the field of an object that says what is wanted.
const fieldSpec = "spec"

// Versions are those of scheduling.k8s.io that the back end speaks, the best first.
func Versions() []string { return []string{version1, version1beta1, version1alpha, version1old} }

// kindsOf are the kinds that a version must have.
func kindsOf(version string) []schema.GroupVersionKind {
	gv := schema.GroupVersion{Group: schedulingv1beta1.GroupName, Version: version}
	return []schema.GroupVersionKind{gv.WithKind("Workload"), gv.WithKind("PodGroup")}
}

// Served tells whether all kinds of a version are served, as the given function says of one.
func Served(version string, served func(schema.GroupVersionKind) (bool, error)) (bool, error) {
	for _, kind := range kindsOf(version) {
		if ok, err := served(kind); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// typed tells whether objects have Go types.
func (s Scheduler) typed() bool { return s.Version == "" || s.Version == version1beta1 }

// fixed tells whether the API lets nothing of a group change, not even its size.
func (s Scheduler) fixed() bool { return s.Version == version1old }

// initiallyScheduled is the type of the condition that says whether a group fits.
func (s Scheduler) initiallyScheduled() string {
	if s.Version == version1old {
		return "PodGroupScheduled"
	}
	return schedulingv1beta1.PodGroupInitiallyScheduled
}

// express returns objects in the version that is spoken.
func (s Scheduler) express(workload *schedulingv1beta1.Workload, podGroup *schedulingv1beta1.PodGroup) []client.Object {
	if s.typed() {
		return []client.Object{workload, podGroup}
	}
	kinds := kindsOf(s.Version)
	w, g := translate(kinds[0], workload), translate(kinds[1], podGroup)
	if s.Version == version1old {
		for _, template := range templatesOf(w) {
			oldMode(template)
		}
		spec, _ := g.Object[fieldSpec].(map[string]any)
		oldMode(spec)
		oldReference(spec)
	}
	return []client.Object{w, g}
}

// translate makes an object of a kind that has the same fields.
func translate(kind schema.GroupVersionKind, o client.Object) *unstructured.Unstructured {
	u := group.Empty(kind)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return u // It cannot fail: the types are made for it.
	}
	u.Object[fieldSpec] = dropNil(content[fieldSpec])
	u.SetNamespace(o.GetNamespace())
	u.SetName(o.GetName())
	return u
}

// dropNil removes the fields that the Go types do not leave out when they are empty.
func dropNil(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, v := range value {
			if v == nil {
				delete(value, name)
			} else {
				value[name] = dropNil(v)
			}
		}
	case []any:
		for i := range value {
			value[i] = dropNil(value[i])
		}
	}
	return value
}

// oldMode makes a word of a disruption mode, as v1alpha2 has it.
func oldMode(spec map[string]any) {
	if _, ok := spec["disruptionMode"]; ok {
		spec["disruptionMode"] = "PodGroup" // The other one is the default.
	}
}

// oldReference makes the reference to a Workload what it is in v1alpha2.
func oldReference(spec map[string]any) {
	ref, ok := spec["workloadRef"].(map[string]any)
	if !ok {
		return
	}
	delete(spec, "workloadRef")
	spec["podGroupTemplateRef"] = map[string]any{
		"workload": map[string]any{"workloadName": ref["workloadName"], "podGroupTemplateName": ref["templateName"]},
	}
}

// templatesOf are the templates of a Workload. They must not be changed in one that was
// found.
func templatesOf(u *unstructured.Unstructured) []map[string]any {
	list, _, _ := unstructured.NestedFieldNoCopy(u.Object, fieldSpec, "podGroupTemplates")
	var out []map[string]any
	entries, _ := list.([]any)
	for _, entry := range entries {
		if template, ok := entry.(map[string]any); ok {
			out = append(out, template)
		}
	}
	return out
}

// pathOfSize is where a PodGroup, in its spec, and a template hold the size.
var pathOfSize = []string{"schedulingPolicy", "gang", "minCount"} //nolint:gochecknoglobals // a constant

// sizeIn is the size in a spec or template, and whether there is one.
func sizeIn(spec map[string]any) (int64, bool) {
	size, ok, err := unstructured.NestedInt64(spec, pathOfSize...)
	return size, ok && err == nil
}

// patchUntyped is what Patch does to objects without Go types.
func patchUntyped(wanted, found *unstructured.Unstructured) map[string]any {
	w, _ := wanted.Object[fieldSpec].(map[string]any)
	f, _ := found.Object[fieldSpec].(map[string]any)
	if templates := templatesOf(wanted); len(templates) == 1 {
		copied := templatesOf(found.DeepCopy())
		if len(copied) != 1 {
			return nil
		}
		want, _ := sizeIn(templates[0])
		if have, ok := sizeIn(copied[0]); !ok || have == want {
			return nil
		}
		if err := unstructured.SetNestedField(copied[0], want, pathOfSize...); err != nil {
			return nil
		}
		// A merge patch replaces lists as a whole: all but the size stays.
		return map[string]any{fieldSpec: map[string]any{"podGroupTemplates": []any{copied[0]}}}
	}
	want, _ := sizeIn(w)
	if have, ok := sizeIn(f); !ok || have == want {
		return nil
	}
	return map[string]any{fieldSpec: map[string]any{"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": want}}}}
}

// stateOf is what a PodGroup of any version says of itself, and its size.
func stateOf(o client.Object) (conditions []metav1.Condition, size int64) {
	switch o := o.(type) {
	case *schedulingv1beta1.PodGroup:
		if o.Spec.SchedulingPolicy.Gang != nil {
			size = int64(o.Spec.SchedulingPolicy.Gang.MinCount)
		}
		return o.Status.Conditions, size
	case *unstructured.Unstructured:
		if o.GetKind() != "PodGroup" {
			return nil, 0
		}
		var status schedulingv1beta1.PodGroupStatus
		if content, ok := o.Object["status"].(map[string]any); ok {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &status); err != nil {
				status = schedulingv1beta1.PodGroupStatus{} // Another version may have other fields.
			}
		}
		spec, _ := o.Object[fieldSpec].(map[string]any)
		size, _ = sizeIn(spec)
		return status.Conditions, size
	}
	return nil, 0
}
