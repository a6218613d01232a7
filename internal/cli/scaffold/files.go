package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/config/crd"
	"github.com/jobkit/jobkit/crdrules"
)

//go:embed all:templates
var templates embed.FS

// The versions that a new module requires: those of this module's go.mod, and of the tools in
// hack/tools.mod. A test compares.
var versions = map[string]string{ //nolint:gochecknoglobals // a table
	"Go":                "1.26.0",
	"Cmp":               "v0.7.0",
	"Kubernetes":        "v0.37.1",
	"ControllerRuntime": "v0.25.2",
	"ControllerTools":   "v0.23.0",
	"YAML":              "v1.6.0",
}

// File is a file of a module.
type File struct {
	// Path is its place in the module, with slashes.
	Path string
	Text []byte
}

// Files returns the files of the module, in the order of their paths.
func (p *Project) Files() ([]File, error) {
	definition, err := p.definition()
	if err != nil {
		return nil, err
	}
	files := []File{{Path: fmt.Sprintf("config/crd/%s_%s.yaml", p.Group, p.Plural()), Text: definition}}
	err = fs.WalkDir(templates, "templates", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := p.execute(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, File{Path: p.place(name), Text: text})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the files: %w", err)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// place is where the file of a template is in the module.
func (p *Project) place(name string) string {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".tmpl")
	return strings.NewReplacer("_kind_", p.Lower(), "_version_", p.Version).Replace(name)
}

// execute makes a file from its template.
func (p *Project) execute(name string) ([]byte, error) {
	text, err := templates.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read it: %w", err)
	}
	t, err := template.New(path.Base(name)).Delims("<<", ">>").Option("missingkey=error").Funcs(template.FuncMap{
		"lower": strings.ToLower,
		"upper": strings.ToUpper,
		"quote": quotePath,
		"indexes": func(n int32) []int {
			all := make([]int, n)
			for i := range all {
				all[i] = i
			}
			return all
		},
	}).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("cannot read it: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data{p, versions}); err != nil {
		return nil, fmt.Errorf("cannot fill it: %w", err)
	}
	if strings.HasSuffix(name, ".go.tmpl") {
		// Alignment and the order of imports depend on the names.
		text, err := format.Source(out.Bytes())
		if err != nil {
			return nil, fmt.Errorf("cannot format it: %w", err)
		}
		return text, nil
	}
	return out.Bytes(), nil
}

// data is what templates can use.
type data struct {
	*Project

	Versions map[string]string
}

// quotePath writes a path as go.mod needs it.
func quotePath(p string) string {
	if strings.ContainsAny(p, " \t\"'`()[]{},") {
		return strconv.Quote(p)
	}
	return p
}

// RoleRules are the rules of the operator's role that depend on the group, as controller-gen
// writes and sorts them.
func (d data) RoleRules() []string {
	rule := func(group, resource string, verbs ...string) string {
		return fmt.Sprintf("- apiGroups:\n  - %s\n  resources:\n  - %s\n  verbs:\n  - %s", group, resource, strings.Join(verbs, "\n  - "))
	}
	rules := map[string]string{
		"events.k8s.io/":       rule("events.k8s.io", "events", "create", "patch"),
		d.Group + "/":          rule(d.Group, d.Plural(), "delete", "get", "list", "watch"),
		d.Group + "/finalizer": rule(d.Group, d.Plural()+"/finalizers", "update"),
		d.Group + "/status":    rule(d.Group, d.Plural()+"/status", "patch"),
	}
	var sorted []string
	for _, k := range slices.Sorted(maps.Keys(rules)) {
		sorted = append(sorted, rules[k])
	}
	return sorted
}

// definition is the CRD, as "make generate" in the module makes it: that of TestJob, whose
// types have the same parts, under other names.
func (p *Project) definition() ([]byte, error) {
	text, err := crd.Files.ReadFile("kubeflow.org_testjobs.yaml")
	if err != nil {
		return nil, fmt.Errorf("cannot read the CRD of TestJob: %w", err)
	}
	d := map[string]any{}
	if err := yaml.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("cannot read the CRD of TestJob: %w", err)
	}
	d["metadata"].(map[string]any)["name"] = p.Plural() + "." + p.Group //nolint:forcetypeassert // a file of this module
	spec := d["spec"].(map[string]any)                                  //nolint:forcetypeassert // a file of this module
	spec["group"] = p.Group
	spec["names"] = map[string]any{"kind": p.Kind, "listKind": p.Kind + "List", "plural": p.Plural(), "singular": p.Lower()}
	version := spec["versions"].([]any)[0].(map[string]any) //nolint:forcetypeassert // a file of this module
	version["name"] = p.Version
	p.describe(version)
	text, err = yaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("cannot write the CRD: %w", err)
	}
	text, err = crdrules.Complete(text, p.JobkitKind(), crdrules.Options{Short: true})
	if err != nil {
		return nil, fmt.Errorf("cannot complete the CRD: %w", err)
	}
	return text, nil
}

// describe puts what is the kind's own in the place of what is TestJob's.
//
//nolint:forcetypeassert // a file of this module
func (p *Project) describe(version map[string]any) {
	subresources := map[string]any{"status": map[string]any{}}
	if scaled := p.Scaled(); scaled != "" {
		subresources["scale"] = map[string]any{
			"specReplicasPath":   ".spec.replicaSpecs." + scaled + ".replicas",
			"statusReplicasPath": ".status.replicaStatuses." + scaled + ".active",
			"labelSelectorPath":  ".status.replicaStatuses." + scaled + ".selector",
		}
	}
	version["subresources"] = subresources
	schema := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	schema["description"] = strings.Join(p.KindDoc(), "\n")
	delete(schema, "x-kubernetes-validations")
	spec := schema["properties"].(map[string]any)["spec"].(map[string]any)
	spec["description"] = "Spec is the desired state of the job."
	spec["required"] = []any{"replicaSpecs"}
	fields := spec["properties"].(map[string]any)
	replicas := fields["testReplicaSpecs"].(map[string]any)
	delete(fields, "testReplicaSpecs")
	fields["replicaSpecs"] = replicas
	replicas["description"] = strings.Join(p.ReplicaSpecsDoc(), "\n")
	delete(replicas, "x-kubernetes-validations")
}

// Write writes the module to a folder, which must not exist, or be empty.
func (p *Project) Write(dir string) error {
	files, err := p.Files()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot write to %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.Name() != ".git" { // a new repository is as good as an empty folder
			return fmt.Errorf("the folder %s has files already, such as %s, and nothing is replaced: name another folder with --dir", dir, e.Name())
		}
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("cannot write the module: %w", err)
		}
		if err := os.WriteFile(name, f.Text, 0o644); err != nil { //nolint:gosec // a module is not secret
			return fmt.Errorf("cannot write the module: %w", err)
		}
	}
	return nil
}
