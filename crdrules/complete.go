package crdrules

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/internal/plan"
)

// Options of [Complete]. The zero value is a good one.
type Options struct {
	// Short leaves out the descriptions below the pod template, most of the text. "kubectl
	// explain" then says of them the name and the type only. The definition becomes short
	// enough for "kubectl apply" without --server-side, which keeps a copy of it in an
	// annotation of at most 256 KiB. Default: all descriptions stay.
	Short bool
}

// mostContainers is how many containers a pod template may have: more than any has.
const mostContainers = 256

// CompleteFile is [Complete] for a file, which it writes again.
func CompleteFile(path string, kind jobkit.Kind, o Options) error {
	return rewrite(path, func(text []byte) ([]byte, error) { return Complete(text, kind, o) })
}

// BoundFile is [Bound] for a file, which it writes again.
func BoundFile(path string) error { return rewrite(path, Bound) }

func rewrite(path string, change func([]byte) ([]byte, error)) error {
	text, err := os.ReadFile(path) //nolint:gosec // the caller names the file
	if err != nil {
		return fmt.Errorf("cannot read a CRD: %w", err)
	}
	text, err = change(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // a file that is published
		return fmt.Errorf("cannot write a CRD: %w", err)
	}
	return nil
}

// Complete returns a definition, in YAML and as controller-gen makes it, with the rules that
// follow from the kind, and bounds as [Bound] sets them. A kind without a name gets that of the
// definition. The error says what in the definition, or in the kind, does not go together.
func Complete(crd []byte, kind jobkit.Kind, o Options) ([]byte, error) {
	return change(crd, func(d map[string]any) error {
		name := text(child(d, "spec", "names"), "kind")
		if kind.Name == "" {
			kind.Name = name
		}
		kind.SetDefaults()
		switch {
		case kind.Name != name:
			return fmt.Errorf("the CRD is that of %s and the kind is %s: give the CRD of that kind", name, kind.Name)
		case len(kind.Roles) == 0:
			return fmt.Errorf("the kind %s has no roles: set Kind.Roles", kind.Name)
		}
		return eachVersion(d, func(schema map[string]any) error { return complete(schema, &kind, o) })
	})
}

// complete completes the schema of one version.
func complete(schema map[string]any, kind *jobkit.Kind, o Options) error {
	if hasFields(kind) {
		return completeFields(schema, kind, o)
	}
	steps := plan.SpecSteps(kind, "")
	replicas := schemaAt(schema, steps[:len(steps)-1])
	spec := child(replicas, "additionalProperties")
	if child(spec, "properties", "template") == nil {
		return fmt.Errorf("the schema has no map of replica specs at spec.%s: set Kind.ReplicaSpecsField to the JSON name of the field, "+
			"or Role.Field if each role has a field of its own", kind.ReplicaSpecsField)
	}
	if err := prepare(spec, o); err != nil {
		return err
	}
	// One more than there are types, so that a job with all of them and an unknown one is refused
	// by the rule that says which are known.
	replicas["minProperties"], replicas["maxProperties"] = 1, len(kind.Roles)+1
	add(schema, jobRules(kind))
	add(replicas, replicaRules(kind))
	return nil
}

// prepare makes the schema of a replica spec fit for the rules, and short if that is wanted.
func prepare(spec map[string]any, o Options) error {
	template := child(spec, "properties", "template")
	if child(template, "properties", "metadata", "properties") == nil {
		return errors.New("the pod templates have no labels and annotations, so the API server would drop them: " +
			"generate the CRD with crd:generateEmbeddedObjectMeta=true")
	}
	// Without a bound the API server takes the rule of the main container for too expensive when
	// a kind has more than four types.
	if containers := child(template, "properties", "spec", "properties", "containers"); containers != nil && containers["maxItems"] == nil {
		containers["maxItems"] = mostContainers
	}
	if o.Short {
		dropDescriptions(child(template, "properties"))
		dropDescriptions(child(spec, "properties", "volumeClaimTemplates", "items"))
	}
	return nil
}

// add adds rules to those that a part of a schema has.
func add(schema map[string]any, rules []rule) {
	all, _ := schema["x-kubernetes-validations"].([]any)
	for _, r := range rules {
		known := slices.ContainsFunc(all, func(old any) bool {
			o, ok := old.(map[string]any)
			return ok && o["rule"] == r.rule
		})
		if !known {
			all = append(all, r.schema())
		}
	}
	schema["x-kubernetes-validations"] = all
}

// dropDescriptions removes all descriptions in a part of a schema. What is called description
// there but is no text is a property of that name.
func dropDescriptions(in any) {
	switch in := in.(type) {
	case map[string]any:
		if _, ok := in["description"].(string); ok {
			delete(in, "description")
		}
		for _, v := range in {
			dropDescriptions(v)
		}
	case []any:
		for _, v := range in {
			dropDescriptions(v)
		}
	}
}

// change changes a definition.
func change(crd []byte, do func(map[string]any) error) ([]byte, error) {
	d := map[string]any{}
	if err := yaml.Unmarshal(crd, &d); err != nil {
		return nil, fmt.Errorf("cannot read a CRD: not valid YAML: %w", err)
	}
	if d["kind"] != "CustomResourceDefinition" {
		return nil, errors.New("cannot read a CRD: it is none: give the file that controller-gen wrote")
	}
	if err := do(d); err != nil {
		return nil, err
	}
	if err := eachVersion(d, func(schema map[string]any) error { bound(schema); return nil }); err != nil {
		return nil, err
	}
	out, err := yaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("cannot write a CRD: %w", err)
	}
	return append([]byte("---\n"), out...), nil
}

// eachVersion calls do for the schema of each version of a definition.
func eachVersion(d map[string]any, do func(map[string]any) error) error {
	versions, _ := child(d, "spec")["versions"].([]any)
	if len(versions) == 0 {
		return errors.New("cannot read a CRD: it has no versions")
	}
	for _, v := range versions {
		version, _ := v.(map[string]any)
		schema := child(version, "schema", "openAPIV3Schema")
		if schema == nil {
			return fmt.Errorf("cannot read a CRD: version %v has no schema", version["name"])
		}
		if err := do(schema); err != nil {
			return err
		}
	}
	return nil
}

// child is the map at a path below another one, or nil.
func child(in map[string]any, path ...string) map[string]any {
	for _, name := range path {
		in, _ = in[name].(map[string]any)
	}
	return in
}

func text(in map[string]any, name string) string {
	s, _ := in[name].(string)
	return s
}
