// Command api-reference writes the reference of the kubeflow.org kinds from their CRDs: each field
// with its type, default and description, and what the API server refuses.
//
//	go run ./hack/api-reference docs/users/api.md config/crd/kubeflow.org_*jobs.yaml
//
// It has once what all kinds share. Pod templates and other large types of Kubernetes are named
// and not repeated.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 3 { //nolint:mnd // the page and a CRD
		fmt.Fprintln(os.Stderr, "usage: api-reference PAGE CRD...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "api-reference:", err)
		os.Exit(1)
	}
}

func run(page string, files []string) error {
	kinds := make([]kind, 0, len(files))
	for _, file := range files {
		k, err := read(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		kinds = append(kinds, k)
	}
	text, err := reference(kinds)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Clean(page), []byte(text), 0o644); err != nil { //nolint:gosec // a document is for all to read
		return fmt.Errorf("cannot write the reference: %w", err)
	}
	return nil
}

type schema = apiextensionsv1.JSONSchemaProps

// kind is a job kind: its schemas, and the name of the field that has its replica specs.
type kind struct {
	name, replicas string
	root           schema
}

func (k *kind) spec() schema { return k.root.Properties["spec"] }

func (k *kind) replicaSpec() schema {
	specs := k.spec().Properties[k.replicas]
	return *specs.AdditionalProperties.Schema
}

// rules are those of the kind, without those of its run policy and of its replica specs.
func (k *kind) rules() []rule {
	spec := k.spec()
	all := slices.Concat(ownRules(k.root, ""), ownRules(spec, "spec"), ownRules(spec.Properties[k.replicas], "spec."+k.replicas),
		rules(spec, "spec"))
	for i := range all {
		all[i].path = strings.ReplaceAll(all[i].path, k.replicas, "*ReplicaSpecs")
		all[i].message = strings.ReplaceAll(all[i].message, k.replicas, "*ReplicaSpecs")
	}
	return all
}

// sharedRules are the rules that all kinds have.
func sharedRules(kinds []kind) []rule {
	return slices.DeleteFunc(kinds[0].rules(), func(r rule) bool {
		return slices.ContainsFunc(kinds, func(k kind) bool { return !slices.Contains(k.rules(), r) })
	})
}

func read(file string) (kind, error) {
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return kind{}, fmt.Errorf("cannot read the definition: %w", err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return kind{}, fmt.Errorf("it is no CRD: %w", err)
	}
	k := kind{name: crd.Spec.Names.Kind, root: *crd.Spec.Versions[0].Schema.OpenAPIV3Schema}
	for name := range k.spec().Properties {
		if strings.HasSuffix(name, "ReplicaSpecs") {
			k.replicas = name
		}
	}
	if k.replicas == "" {
		return kind{}, errors.New("its spec has no replica specs")
	}
	return k, nil
}

// reference is the page.
func reference(kinds []kind) (string, error) {
	first := kinds[0]
	for _, k := range kinds[1:] {
		for what, same := range map[string]bool{
			"runPolicy":     reflect.DeepEqual(k.spec().Properties["runPolicy"], first.spec().Properties["runPolicy"]),
			"replica specs": reflect.DeepEqual(fields(k.replicaSpec(), ""), fields(first.replicaSpec(), "")),
			"status":        reflect.DeepEqual(fields(k.root.Properties["status"], ""), fields(first.root.Properties["status"], "")),
		} {
			if !same {
				return "", fmt.Errorf("the %s of %s and %s differ: the reference has one for all kinds", what, first.name, k.name)
			}
		}
	}
	var out strings.Builder
	out.WriteString(head)
	shared := sharedRules(kinds)
	fmt.Fprint(&out, "\n## All kinds\n")
	writeRules(&out, shared)
	for _, k := range kinds {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", k.name, paragraph(k.root.Description))
		writeFields(&out, fields(k.spec(), "spec."))
		writeRules(&out, slices.DeleteFunc(k.rules(), func(r rule) bool { return slices.Contains(shared, r) }))
	}
	replica := first.replicaSpec()
	fmt.Fprintf(&out, "\n## Replica specs\n\nThe values of `spec.*ReplicaSpecs`, by replica type.\n\n")
	writeFields(&out, fields(replica, ""))
	writeRules(&out, slices.Concat(ownRules(replica, ""), rules(replica, "")))
	policy := first.spec().Properties["runPolicy"]
	fmt.Fprintf(&out, "\n## Run policy\n\n`spec.runPolicy`. [Run policies](run-policies.md) explains the fields.\n\n")
	writeFields(&out, fields(policy, ""))
	writeRules(&out, slices.Concat(ownRules(policy, ""), rules(policy, "")))
	fmt.Fprintf(&out, "\n## Status\n\n`status`, which the operator writes. [Concepts](concepts.md) explains it.\n\n")
	writeFields(&out, fields(first.root.Properties["status"], ""))
	return out.String(), nil
}

const head = `# API reference

Generated from the CRDs in [config/crd](../../config/crd) by ` + "`make generate`" + `. "Refused" is what the API server says
about a job that breaks a rule. Types of Kubernetes are named and not repeated: ` + "`kubectl explain`" + ` has them.
`

// field is a row of the reference.
type field struct{ path, typ, what string }

// section reports whether a field has a section of its own, or is a large type of Kubernetes.
func section(name string) string {
	switch name {
	case "runPolicy":
		return "[run policy](#run-policy)"
	case "template":
		return "PodTemplateSpec"
	case "volumeClaimTemplates":
		return "list of PersistentVolumeClaim"
	case "metrics":
		return "list of MetricSpec (autoscaling/v2)"
	}
	if strings.HasSuffix(name, "ReplicaSpecs") {
		return "map of [replica specs](#replica-specs)"
	}
	return ""
}

// fields are those of an object and of the objects in it.
func fields(s schema, prefix string) (all []field) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		typ := section(name)
		all = append(all, field{prefix + name, cmp.Or(typ, typeOf(p)), said(p, slices.Contains(s.Required, name))})
		switch {
		case typ != "":
		case p.Items != nil:
			all = append(all, fields(*p.Items.Schema, prefix+name+"[].")...)
		case p.AdditionalProperties != nil && p.AdditionalProperties.Schema != nil:
			all = append(all, fields(*p.AdditionalProperties.Schema, prefix+name+".*.")...)
		default:
			all = append(all, fields(p, prefix+name+".")...)
		}
	}
	return all
}

// typeOf is the type of a field in words, with its bounds.
func typeOf(s schema) string {
	typ := s.Type
	switch {
	case s.XIntOrString:
		typ = "integer or string"
	case s.Items != nil:
		typ = "list of " + typeOf(*s.Items.Schema)
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		typ = "map of " + typeOf(*s.AdditionalProperties.Schema)
	case s.Format == "date-time":
		typ = "time"
	}
	if len(s.Enum) > 0 {
		values := make([]string, 0, len(s.Enum))
		for _, v := range s.Enum {
			value, err := strconv.Unquote(string(v.Raw))
			if err != nil {
				value = string(v.Raw)
			}
			values = append(values, "`"+cmp.Or(value, `""`)+"`")
		}
		typ = strings.Join(values, ", ")
	}
	return typ + bounds(s)
}

func bounds(s schema) string {
	number := func(f *float64) string { return strconv.FormatFloat(*f, 'f', -1, 64) }
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf(", %s to %s", number(s.Minimum), number(s.Maximum))
	case s.Minimum != nil:
		return ", at least " + number(s.Minimum)
	case s.Maximum != nil:
		return ", at most " + number(s.Maximum)
	case s.MaxItems != nil:
		return fmt.Sprintf(", at most %d", *s.MaxItems)
	}
	return ""
}

// said is what a field is for.
func said(s schema, required bool) string {
	text := cell(s.Description)
	if s.Default != nil {
		text += " Default in the CRD: `" + string(s.Default.Raw) + "`."
	}
	if required {
		text = "Required. " + text
	}
	return strings.TrimSpace(text)
}

// cell is a text on one line of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`).Replace(strings.Join(strings.Fields(text), " "))
}

// paragraph is a description, wrapped as the documentation is.
func paragraph(text string) string {
	const width = 120
	var out strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			out.WriteByte('\n')
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String()
}

func writeFields(out *strings.Builder, all []field) {
	fmt.Fprint(out, "| field | type | |\n|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", f.path, f.typ, f.what)
	}
}

// rule is a rule of validation: where it holds, and what is said.
type rule struct{ path, message string }

// ownRules are those of a schema itself.
func ownRules(s schema, path string) (all []rule) {
	for _, r := range s.XValidations {
		all = append(all, rule{strings.TrimPrefix(path+r.FieldPath, "."), cmp.Or(r.Message, r.MessageExpression)})
	}
	return all
}

// rules are those of what is in an object, but for what has a section of its own.
func rules(s schema, path string) (all []rule) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		at := strings.TrimPrefix(path+"."+name, ".")
		if name == "runPolicy" || strings.HasSuffix(name, "ReplicaSpecs") {
			continue
		}
		all = append(all, ownRules(p, at)...)
		if p.Items != nil {
			all = append(all, ownRules(*p.Items.Schema, at+"[]")...)
			all = append(all, rules(*p.Items.Schema, at+"[]")...)
		}
		if p.AdditionalProperties != nil && p.AdditionalProperties.Schema != nil {
			all = append(all, ownRules(*p.AdditionalProperties.Schema, at+".*")...)
			all = append(all, rules(*p.AdditionalProperties.Schema, at+".*")...)
		}
		all = append(all, rules(p, at)...)
	}
	return all
}

func writeRules(out *strings.Builder, all []rule) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(out, "\n| field | refused |\n|---|---|\n")
	for _, r := range all {
		path := "the job"
		if r.path != "" {
			path = "`" + r.path + "`"
		}
		fmt.Fprintf(out, "| %s | %s |\n", path, cell(r.message))
	}
}
