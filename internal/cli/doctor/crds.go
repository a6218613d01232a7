package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/internal/cli/install"
)

// checkCRDs finds CRDs that are missing, or older than this version: the API server would drop
// fields that it does not know, counts of restarts among them. Kinds that no operator runs need none.
func checkCRDs(ctx context.Context, c *Cluster) ([]Finding, error) {
	var found []Finding
	var missing []string
	definitions := c.run(ctx)
	for _, d := range definitions {
		there, err := c.get(ctx, crds(), "", d.Object.GetName())
		if err != nil {
			return found, err
		}
		if there == nil {
			missing = append(missing, d.Object.GetName())
			continue
		}
		if f := compareCRDs(d.Object, there); f != nil {
			found = append(found, *f)
		}
	}
	if len(missing) > 0 {
		found = append(found, Finding{
			Level: Problem, Message: fmt.Sprintf("missing: %s; jobs of these kinds cannot be created", strings.Join(missing, ", ")),
			Fix: "jobkit install-crds",
		})
	}
	if len(found) == 0 {
		which := "all %d kinds are served"
		if len(definitions) < len(c.Definitions) {
			which = "the %d kinds that the operator runs are served"
		}
		return ok(which+", with all fields of this version", len(definitions)), nil
	}
	return found, nil
}

// run are the definitions of the kinds that an operator runs; all if that cannot be found out.
func (c *Cluster) run(ctx context.Context) []install.Definition {
	all, err := c.list(ctx, Deployments(), "", "")
	if err != nil {
		return c.Definitions
	}
	var kinds []string
	for _, d := range readAll(own(all)) {
		if d.unread != nil {
			return c.Definitions
		}
		kinds = append(kinds, d.scope.Kinds...)
	}
	if len(kinds) == 0 {
		return c.Definitions
	}
	return slices.DeleteFunc(slices.Clone(c.Definitions), func(d install.Definition) bool {
		return !slices.ContainsFunc(d.Kinds, func(k schema.GroupVersionKind) bool { return slices.Contains(kinds, strings.ToLower(k.Kind)) })
	})
}

// compareCRDs finds out whether a CRD of the cluster knows the fields of ours; nil if it does.
func compareCRDs(ours, there *unstructured.Unstructured) *Finding {
	for version, want := range schemas(ours) {
		have, served := schemas(there)[version]
		if !served {
			return &Finding{
				Level: Problem, Message: fmt.Sprintf("%s does not serve %s: it is that of another operator, such as mpi-operator, and a cluster has one of the two",
					there.GetName(), version),
				Fix: "see docs/operators/from-training-operator-v1.md, MPIJob v2beta1",
			}
		}
		var lacks []string
		for _, part := range []string{"status", "spec"} {
			lacks = append(lacks, lacking(want, have, part)...)
		}
		if len(lacks) > 0 {
			return &Finding{
				Level: Problem, Message: fmt.Sprintf("%s is older than this version, and lacks %s: the operator runs none of its jobs", there.GetName(), few(lacks)),
				Fix: "jobkit install-crds",
			}
		}
	}
	return nil
}

// schemas are those of the versions that a CRD serves.
func schemas(crd *unstructured.Unstructured) map[string]map[string]any {
	out := map[string]map[string]any{}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		if served, _ := version["served"].(bool); !served {
			continue
		}
		out[name], _, _ = unstructured.NestedMap(version, "schema", "openAPIV3Schema", "properties")
	}
	return out
}

// lacking are the fields of a part, and of the run policy, that one schema has and another not.
func lacking(want, have map[string]any, part string) []string {
	var out []string
	for _, fields := range [][]string{{part}, {part, "runPolicy"}} {
		path := strings.Split(strings.Join(fields, ".properties.")+".properties", ".")
		wanted, _, _ := unstructured.NestedMap(want, path...)
		had, _, _ := unstructured.NestedMap(have, path...)
		for name := range wanted {
			if _, has := had[name]; !has {
				out = append(out, strings.Join(fields, ".")+"."+name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// few names some, and counts the others.
func few(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
