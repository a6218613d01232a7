package kubernetes

import (
	"fmt"

	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/internal/podgroup"
)

// The rest of this package uses v1beta1, whose Go types are in Kubernetes' API module. Only
// this file knows how other versions differ. Their objects are unstructured, so that this does
// not depend on the version of that module.
const (
	version1      = "v1"       // not there yet; expected to be like v1beta1
	version1beta1 = "v1beta1"  // Kubernetes v1.37
	version1alpha = "v1alpha3" // the same fields, in Kubernetes v1.37 too
	version1old   = "v1alpha2" // Kubernetes v1.36
)

// Names of fields: what is wanted, and the groups of a Workload.
const (
	fieldSpec      = "spec"
	fieldTemplates = "podGroupTemplates"
)

// Versions are the versions of scheduling.k8s.io that the back end supports, the best first.
func Versions() []string { return []string{version1, version1beta1, version1alpha, version1old} }

// kindsOf are the kinds that a version must have.
func kindsOf(version string) []schema.GroupVersionKind {
	gv := schema.GroupVersion{Group: schedulingv1beta1.GroupName, Version: version}
	return []schema.GroupVersionKind{gv.WithKind("Workload"), gv.WithKind("PodGroup")}
}

// Detect implements gang.Detector: it chooses the best version that the cluster serves.
func (s Scheduler) Detect(mapper meta.RESTMapper) (gang.Scheduler, error) { //nolint:ireturn // the interface asks for it
	if s.Version != "" {
		return s, nil
	}
	for _, version := range Versions() {
		ok, err := served(mapper, version)
		if err != nil {
			return s, fmt.Errorf("cannot find out which versions of %s the cluster serves: %w", schedulingv1beta1.GroupName, err)
		}
		if ok {
			s.Version = version
			return s, nil
		}
	}
	return s, nil
}

// served reports whether all kinds of a version are served.
func served(mapper meta.RESTMapper, version string) (bool, error) {
	for _, kind := range kindsOf(version) {
		_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if gang.NotServed(err) {
			return false, nil
		}
		if err != nil {
			return false, err //nolint:wrapcheck // the caller wraps it
		}
	}
	return true, nil
}

// typed reports whether objects have Go types.
func (s Scheduler) typed() bool { return s.Version == "" || s.Version == version1beta1 }

// fixed reports whether nothing of a group can change in the API, not even its size.
func (s Scheduler) fixed() bool { return s.Version == version1old }

// initiallyScheduled is the type of the condition that reports whether a group fits.
func (s Scheduler) initiallyScheduled() string {
	if s.Version == version1old {
		return "PodGroupScheduled"
	}
	return schedulingv1beta1.PodGroupInitiallyScheduled
}

// express converts objects to the version in use.
func (s Scheduler) express(workload *schedulingv1beta1.Workload, podGroup *schedulingv1beta1.PodGroup) []jobkit.Object {
	if s.typed() {
		return []jobkit.Object{workload, podGroup}
	}
	kinds := kindsOf(s.Version)
	w, g := translate(kinds[0], workload), translate(kinds[1], podGroup)
	if s.Version == version1old {
		for _, template := range templatesOf(specOf(w)) {
			oldMode(template)
		}
		oldMode(specOf(g))
		oldReference(specOf(g))
	}
	return []jobkit.Object{w, g}
}

// translate makes an object of a kind that has the same fields.
func translate(kind schema.GroupVersionKind, o jobkit.Object) *unstructured.Unstructured {
	u := podgroup.Empty(kind)
	u.Object[fieldSpec] = specOf(o)
	u.SetNamespace(o.GetNamespace())
	u.SetName(o.GetName())
	return u
}

// specOf is the spec of an object, with or without a Go type. The spec of an existing object
// must not be changed.
func specOf(o jobkit.Object) map[string]any {
	content := map[string]any{}
	if u, ok := o.(*unstructured.Unstructured); ok {
		content = u.Object
	} else if converted, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o); err == nil { // It cannot fail.
		content = converted
		content[fieldSpec] = dropNil(content[fieldSpec])
	}
	spec, _ := content[fieldSpec].(map[string]any)
	return spec
}

// dropNil removes empty fields that the Go types do not omit.
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

// oldMode makes a disruption mode a string, as in v1alpha2.
func oldMode(spec map[string]any) {
	if _, ok := spec["disruptionMode"]; ok {
		spec["disruptionMode"] = "PodGroup" // The other one is the default.
	}
}

// oldReference converts the reference to a Workload to that of v1alpha2.
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

// templatesOf are the templates in the spec of a Workload.
func templatesOf(spec map[string]any) []map[string]any {
	var out []map[string]any
	entries, _ := spec[fieldTemplates].([]any)
	for _, entry := range entries {
		if template, ok := entry.(map[string]any); ok {
			out = append(out, template)
		}
	}
	return out
}

// pathOfSize is where a PodGroup, in its spec, and a template hold the size.
var pathOfSize = []string{"schedulingPolicy", "gang", "minCount"} //nolint:gochecknoglobals // a constant

// sizeIn is the size in a spec or template; ok is false if it has none.
func sizeIn(spec map[string]any) (int64, bool) {
	size, ok, err := unstructured.NestedInt64(spec, pathOfSize...)
	return size, ok && err == nil
}

// newSize is the size that is wanted, and whether it differs from the one found.
func newSize(wanted, found map[string]any) (int64, bool) {
	want, isWanted := sizeIn(wanted)
	have, isFound := sizeIn(found)
	return want, isWanted && isFound && want != have
}

// patchSize is the patch of the size of a group, in a template of a Workload or in a PodGroup. It
// is nil if the size is right or the existing group has none. Kubernetes allows no other change.
func patchSize(wanted, found map[string]any) map[string]any {
	templates := templatesOf(wanted)
	if len(templates) == 0 {
		want, differs := newSize(wanted, found)
		if !differs {
			return nil
		}
		return map[string]any{fieldSpec: map[string]any{"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": want}}}}
	}
	others := templatesOf(found)
	if len(templates) != 1 || len(others) != 1 {
		return nil
	}
	want, differs := newSize(templates[0], others[0])
	if !differs {
		return nil
	}
	// A merge patch replaces lists as a whole: all but the size stays.
	template := runtime.DeepCopyJSON(others[0])
	if err := unstructured.SetNestedField(template, want, pathOfSize...); err != nil {
		return nil
	}
	return map[string]any{fieldSpec: map[string]any{fieldTemplates: []any{template}}}
}

// stateOf is the status of a PodGroup of any version, and its size.
func stateOf(o jobkit.Object) (conditions []metav1.Condition, size int64) {
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
		size, _ = sizeIn(specOf(o))
		return status.Conditions, size
	}
	return nil, 0
}
