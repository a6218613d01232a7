package jobview

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// specsDepth is how deep below spec the replica specs of a job are looked for.
const specsDepth = 3

// ReplicaSpecs are the replica specs of a job of any kind. They are in the map of its specification
// whose name is "replicaSpecs" or ends so. A kind without such a map has them in fields or lists (see
// jobkit.Role.Field), where each has a template.
func ReplicaSpecs(job *unstructured.Unstructured) map[commonv1.ReplicaType]map[string]any {
	spec, _ := job.Object["spec"].(map[string]any)
	found := map[commonv1.ReplicaType]map[string]any{}
	if specs := specsMap(spec, specsDepth); specs != nil {
		for name, value := range specs {
			one, _ := value.(map[string]any)
			found[commonv1.ReplicaType(name)] = one
		}
		return found
	}
	findSpecs(spec, specsDepth, func(name string, one map[string]any) { found[typeNamed(job, name)] = one })
	return found
}

// specsMap finds the map of replica specs, or nil.
func specsMap(in map[string]any, depth int) map[string]any {
	for _, field := range slices.Sorted(maps.Keys(in)) {
		value, _ := in[field].(map[string]any)
		if value != nil && strings.HasSuffix(strings.ToLower(field), "replicaspecs") {
			return value
		}
		if depth > 1 && value["template"] == nil {
			if found := specsMap(value, depth-1); found != nil {
				return found
			}
		}
	}
	return nil
}

// findSpecs finds the replica specs in fields and lists, each with the name of the field or the entry.
func findSpecs(in map[string]any, depth int, add func(name string, one map[string]any)) {
	if depth == 0 {
		return
	}
	visit := func(name string, value any) {
		one, _ := value.(map[string]any)
		if _, ok := one["template"].(map[string]any); ok {
			add(name, one)
			return
		}
		findSpecs(one, depth-1, add)
	}
	for field, value := range in {
		visit(field, value)
		list, _ := value.([]any)
		for _, entry := range list {
			name := field
			if fields, _ := entry.(map[string]any); fields != nil {
				if given, ok := fields["name"].(string); ok {
					name = given
				}
			}
			visit(name, entry)
		}
	}
}

// typeNamed is the replica type with the name of a field or an entry: that of the status in whatever
// letter case, and also in the plural. Before there is a status, it is the name itself.
func typeNamed(job *unstructured.Unstructured, name string) commonv1.ReplicaType {
	status, _ := job.Object["status"].(map[string]any)
	types, _ := status["replicaStatuses"].(map[string]any)
	for t := range types {
		if strings.EqualFold(t, name) || strings.EqualFold(t+"s", name) {
			return commonv1.ReplicaType(t)
		}
	}
	return commonv1.ReplicaType(strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):])
}
