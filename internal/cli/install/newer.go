package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// CheckNewer is an error if a definition of the cluster has fields that ours lacks: it is of a newer
// version, and the API server would drop these fields of the jobs that exist, counts of restarts among them.
func CheckNewer(ctx context.Context, client dynamic.Interface, definitions []Definition) error {
	for _, d := range definitions {
		there, err := client.Resource(resource()).Get(ctx, d.Object.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			continue // who may write and not read goes on as before
		}
		if err != nil {
			return fmt.Errorf("cannot read CRD %s: %w", d.Object.GetName(), err)
		}
		if drops := newer(there, d.Object); len(drops) > 0 {
			return fmt.Errorf("CRD %s of the cluster is of a newer version, and has fields that this one does not know (%s): "+
				"the API server would drop them from jobs that exist; use the newer version of jobkit", d.Object.GetName(), some(drops))
		}
	}
	return nil
}

// newer are the fields that a definition of the cluster has and ours not. One that lacks fields of ours is older, or
// that of another operator, such as an early training-operator.
func newer(there, ours *unstructured.Unstructured) []string {
	own := schemas(ours)
	var out []string
	for version, theirs := range schemas(there) {
		if known, both := own[version]; both && len(lacking(known, theirs, "")) == 0 {
			out = append(out, lacking(theirs, known, "")...)
		}
	}
	return out
}

// schemas are those of the versions of a definition.
func schemas(definition *unstructured.Unstructured) map[string]map[string]any {
	out := map[string]map[string]any{}
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		out[name], _, _ = unstructured.NestedMap(version, "schema", "openAPIV3Schema")
	}
	return out
}

// lacking are the fields below a path that one schema has and another not. The templates of pods are
// left out: they are Kubernetes', and differ by its version.
func lacking(want, have map[string]any, path string) []string {
	var out []string
	wanted, _ := want["properties"].(map[string]any)
	had, _ := have["properties"].(map[string]any)
	open, _ := have["x-kubernetes-preserve-unknown-fields"].(bool)
	for name, w := range wanted {
		field, _ := w.(map[string]any)
		own, has := had[name].(map[string]any)
		switch {
		case !has && !open:
			out = append(out, path+"."+name)
		case has && name != "template":
			out = append(out, lacking(field, own, path+"."+name)...)
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		of, isList := want[key].(map[string]any)
		own, both := have[key].(map[string]any)
		if isList && both {
			out = append(out, lacking(of, own, path+"[]")...)
		}
	}
	return out
}

// some names the first of some fields.
func some(fields []string) string {
	const most = 3
	slices.Sort(fields)
	text := strings.Join(fields[:min(len(fields), most)], ", ")
	if len(fields) > most {
		text += fmt.Sprintf(" and %d more", len(fields)-most)
	}
	return text
}
