// Package podgroup is shared by the back ends that use a PodGroup without its Go type.
package podgroup

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
)

// Empty is an empty object of a kind whose Go types are another project's.
func Empty(gvk schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u
}

// fieldsAnnotation of a PodGroup lists the fields of its spec that the job has set. It
// distinguishes a field that the job no longer sets from one that another client has set. It is
// never empty.
const fieldsAnnotation = commonv1.LabelPrefix + "pod-group-fields"

// fieldMinResources is the one field of a spec that is a map of quantities.
const fieldMinResources = "minResources"

// New makes an object with the given spec, without fields that are nil, 0 or empty. It has the
// annotations of the job, in which schedulers read what the spec has no field for.
func New(gvk schema.GroupVersionKind, j *gang.Job, spec map[string]any) *unstructured.Unstructured {
	u := Empty(gvk)
	u.SetNamespace(j.Namespace)
	u.SetName(j.GroupName())
	for name, value := range spec {
		if value == "" || value == int64(0) || value == nil {
			delete(spec, name)
		}
	}
	spec["minMember"] = int64(j.MinMember())
	if r := j.MinResources(); len(r) > 0 {
		spec[fieldMinResources] = quantities(r)
	}
	u.Object["spec"] = spec
	annotations := map[string]string{}
	maps.Copy(annotations, j.Annotations)
	annotations[fieldsAnnotation] = strings.Join(slices.Sorted(maps.Keys(spec)), ",")
	u.SetAnnotations(annotations)
	return u
}

// quantities converts resources to JSON values.
func quantities(list corev1.ResourceList) map[string]any {
	out := make(map[string]any, len(list))
	for name, q := range list {
		out[string(name)] = q.String()
	}
	return out
}

// Patch is the merge patch that makes the spec of found match that of wanted. Fields that
// wanted does not have are removed if the job has set them, and kept otherwise. The resources
// all belong to the job.
func Patch(wanted, found jobkit.Object) map[string]any {
	want, have := nested(wanted, "spec"), nested(found, "spec")
	patch := map[string]any{}
	for name, value := range want {
		if name == fieldMinResources {
			if resources := patchResources(value, have[name]); len(resources) > 0 {
				patch[name] = resources
			}
		} else if !equality.Semantic.DeepEqual(value, have[name]) {
			patch[name] = value
		}
	}
	for name := range strings.SplitSeq(found.GetAnnotations()[fieldsAnnotation], ",") {
		_, wanted := want[name]
		if _, there := have[name]; there && !wanted {
			patch[name] = nil
		}
	}
	if len(patch) == 0 {
		return nil
	}
	return map[string]any{"spec": patch}
}

// patchResources compares quantities by their value: 1000m is 1.
func patchResources(want, have any) map[string]any {
	w, _ := want.(map[string]any)
	h, _ := have.(map[string]any)
	patch := map[string]any{}
	for name, value := range w {
		if !sameQuantity(value, h[name]) {
			patch[name] = value
		}
	}
	for name := range h {
		if _, ok := w[name]; !ok {
			patch[name] = nil
		}
	}
	return patch
}

func sameQuantity(a, b any) bool {
	x, ok := a.(string)
	y, ok2 := b.(string)
	if !ok || !ok2 {
		return equality.Semantic.DeepEqual(a, b)
	}
	p, err := resource.ParseQuantity(x)
	q, err2 := resource.ParseQuantity(y)
	return err == nil && err2 == nil && p.Cmp(q) == 0
}

// Find returns the object of the group's name, or nil.
func Find(j *gang.Job, found []jobkit.Object) *unstructured.Unstructured {
	for _, o := range found {
		if u, ok := o.(*unstructured.Unstructured); ok && u.GetName() == j.GroupName() {
			return u
		}
	}
	return nil
}

// Phase is the phase in the status of an object.
func Phase(u *unstructured.Unstructured) string {
	phase, _ := nested(u, "status")["phase"].(string)
	return phase
}

// Condition returns the message of a condition that is True, and when it became so.
func Condition(u *unstructured.Unstructured, typ string) (string, time.Time, bool) {
	list, _ := nested(u, "status")["conditions"].([]any)
	for _, entry := range list {
		c, _ := entry.(map[string]any)
		if c["type"] != typ || c["status"] != string(corev1.ConditionTrue) {
			continue
		}
		message, _ := c["message"].(string)
		at, _ := c["lastTransitionTime"].(string)
		since, err := time.Parse(time.RFC3339, at)
		if err != nil {
			since = u.GetCreationTimestamp().Time
		}
		return message, since, true
	}
	return "", time.Time{}, false
}

// nested is a field of an object that holds fields itself. It must not be changed.
func nested(o jobkit.Object, field string) map[string]any {
	u, ok := o.(*unstructured.Unstructured)
	if !ok || u == nil {
		return nil
	}
	m, _ := u.Object[field].(map[string]any)
	return m
}
