package scaffold_test

import (
	"errors"
	"flag"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/internal/cli/scaffold"
)

var rewrite = flag.Bool("rewrite", false, "write examples/simjob again")

const example = "../../../examples/simjob"

func read(t *testing.T, r scaffold.Request) *scaffold.Project {
	t.Helper()
	p, err := scaffold.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func simjob() scaffold.Request {
	return scaffold.Request{
		GroupVersion: "sim.example.com/v1", Kind: "SimJob", Roles: "Coordinator:1,Solver",
		Module: "github.com/jobkit/jobkit/examples/simjob", Jobkit: scaffold.Requirement{Version: "v0.1.0"},
	}
}

// TestExample: examples/simjob is what the scaffold writes, but for go.mod: the example is a part of this
// module, so that it is compiled, linted and tested with it. "go test ./internal/cli/scaffold -rewrite" writes it.
func TestExample(t *testing.T) {
	files, err := read(t, simjob()).Files()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range files {
		if f.Path != "go.mod" {
			want[f.Path] = string(f.Text)
		}
	}
	if *rewrite {
		if err := os.RemoveAll(example); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			path := filepath.Join(example, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil { //nolint:gosec // files of the repository
				t.Fatal(err)
			}
		}
	}
	got := map[string]string{}
	err = fs.WalkDir(os.DirFS(example), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(example, name))
		got[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example is not what the scaffold writes; run: go test ./internal/cli/scaffold -rewrite (-want +got):\n%s", diff)
	}
}

// TestVersions: a new module requires what this one does.
func TestVersions(t *testing.T) {
	files, err := read(t, simjob()).Files()
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`)
	own := map[string]string{"github.com/jobkit/jobkit": "v0.1.0"}
	for _, name := range []string{"../../../hack/tools.mod", "../../../go.mod"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)( // indirect)?$`).FindAllStringSubmatch(string(text), -1) {
			own[m[1]] = m[2]
		}
	}
	i := slices.IndexFunc(files, func(f scaffold.File) bool { return f.Path == "go.mod" })
	all := required.FindAllStringSubmatch(string(files[i].Text), -1)
	for _, m := range all {
		if own[m[1]] != m[2] {
			t.Errorf("%s is required at %s, and here at %q", m[1], m[2], own[m[1]])
		}
	}
	if len(all) < 8 {
		t.Errorf("%d requirements cannot be all:\n%s", len(all), files[i].Text)
	}
}

// TestShapes: kinds of any shape make Go that can be formatted, and say what their shape is.
func TestShapes(t *testing.T) {
	for _, tt := range []struct {
		reason, roles string
		want, not     map[string]string
	}{
		{
			"one type of any number: all its replicas decide", "Worker",
			map[string]string{"controller.go": "jobkit.Defaults[", "clusterspec.go": "WORKER_ADDRESS", "_types.go": "subresource:scale"},
			map[string]string{"controller.go": "Rules(", "integration_test.go": "too many"},
		},
		{
			"types of any number: no replica is in every job, so there is no place to meet", "A,B",
			map[string]string{"controller.go": "jobkit.Defaults["},
			map[string]string{"clusterspec.go": "_ADDRESS"},
		},
		{
			"fixed numbers only: there is nothing to scale", "Left:2,Right:3",
			map[string]string{"controller.go": "Default: new(int32(3)), Min: 3, Max: 3", "integration_test.go": "new(int32(3))", "example.golden": "LEFT_ADDRESS=try-simjob-left-0.try-simjob:29500"},
			map[string]string{"_types.go": "subresource:scale"},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			r := simjob()
			r.Roles = tt.roles
			files, err := read(t, r).Files()
			if err != nil {
				t.Fatal(err)
			}
			check := func(texts map[string]string, want bool) {
				for suffix, text := range texts {
					i := slices.IndexFunc(files, func(f scaffold.File) bool { return strings.HasSuffix(f.Path, suffix) })
					if strings.Contains(string(files[i].Text), text) != want {
						t.Errorf("%s: %q is in it: %t\n%s", files[i].Path, text, !want, files[i].Text)
					}
				}
			}
			check(tt.want, true)
			check(tt.not, false)
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		reason string
		change func(*scaffold.Request)
		want   string
	}{
		{"no group", func(r *scaffold.Request) { r.GroupVersion = "v1" }, `the API version "v1" has no group and version: write them as in sim.example.com/v1`},
		{"a group in upper case", func(r *scaffold.Request) { r.GroupVersion = "Sim.example.com/v1" }, `the group "Sim.example.com" is not valid: use a domain`},
		{"a group without a dot", func(r *scaffold.Request) { r.GroupVersion = "sim/v1" }, `the group "sim" is not valid`},
		{"a group of Kubernetes", func(r *scaffold.Request) { r.GroupVersion = "sim.k8s.io/v1" }, `the group "sim.k8s.io" is reserved for Kubernetes itself`},
		{"a version of software", func(r *scaffold.Request) { r.GroupVersion = "sim.example.com/1.0" }, `the version "1.0" is not valid: use v1, v1beta1`},
		{"a kind in lower case", func(r *scaffold.Request) { r.Kind = "simjob" }, `the kind "simjob" is not valid: begin it with an upper-case letter`},
		{"a kind that Go knows", func(r *scaffold.Request) { r.Kind = "Func" }, `the kind "Func" cannot be the name of a Go package in lower case: choose another one, as in FuncJob`},
		{"a kind that is called as a package which its program imports", func(r *scaffold.Request) { r.Kind = "Operator" }, `the kind "Operator" in lower case is what files of the module call another Go package: choose another one, as in OperatorJob`},
		{"a long kind", func(r *scaffold.Request) { r.Kind = "A" + strings.Repeat("b", 30) }, `has 31 characters: use at most 30`},
		{"no roles", func(r *scaffold.Request) { r.Roles = "" }, `no replica types are given: write --roles as in Coordinator:1,Solver`},
		{"a role with a hyphen", func(r *scaffold.Request) { r.Roles = "My-Role" }, `the replica type "My-Role" is not valid`},
		{"a role without a name", func(r *scaffold.Request) { r.Roles = "A,,B" }, `the replica type "" is not valid`},
		{"a long role", func(r *scaffold.Request) { r.Roles = "A" + strings.Repeat("b", 20) }, `has 21 characters: use at most 20`},
		{"no replica of a role", func(r *scaffold.Request) { r.Roles = "A:0" }, `the replica type "A" has the number "0": write 1 to 100, or leave it out`},
		{"a number that is none", func(r *scaffold.Request) { r.Roles = "A:many" }, `the replica type "A" has the number "many"`},
		{"a role twice", func(r *scaffold.Request) { r.Roles = "Head,HEAD" }, `the replica type "HEAD" is given twice`},
		{"a role named as the kind", func(r *scaffold.Request) { r.Roles = "SimJob" }, `the replica type "SimJob" has the name of something else in package v1`},
		{"a module path with a space", func(r *scaffold.Request) { r.Module = "a b" }, `the module path "a b" is not valid`},
		{"all mistakes at once: the first", func(r *scaffold.Request) { r.Kind, r.Roles = "x", "y" }, `the kind "x"`},
		{"all mistakes at once: the second", func(r *scaffold.Request) { r.Kind, r.Roles = "x", "y" }, `the replica type "y"`},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			r := simjob()
			tt.change(&r)
			_, err := scaffold.Read(r)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for kind, want := range map[string]string{"SimJob": "simjobs", "Study": "studies", "Survey": "surveys", "Batch": "batches", "Bus": "buses"} {
		r := simjob()
		r.Kind = kind
		if got := read(t, r).Plural(); got != want {
			t.Errorf("the plural of %s is %s, want %s", kind, got, want)
		}
	}
	for group, want := range map[string]string{"sim.example.com/v1": "simv1", "my-sim.example.com/v1beta1": "simjobv1beta1", "core.example.com/v1": "simjobv1"} {
		r := simjob()
		r.GroupVersion = group
		if got := read(t, r).Alias(); got != want {
			t.Errorf("the alias of %s is %s, want %s", group, got, want)
		}
	}
}

// TestImports: no kind and no group makes a file that imports two packages by one name.
func TestImports(t *testing.T) {
	names := map[string]bool{}
	for _, all := range imports(t, read(t, simjob())) {
		for _, name := range all {
			names[strings.TrimSuffix(name, "v1")] = true
		}
	}
	for name := range names {
		r := simjob()
		r.GroupVersion, r.Kind = name+".example.com/v1", strings.ToUpper(name[:1])+name[1:]
		p, err := scaffold.Read(r)
		if err != nil { // The kind is refused.
			r.Kind = "SimJob"
			p = read(t, r)
		}
		for file, all := range imports(t, p) {
			slices.Sort(all)
			if len(slices.Compact(slices.Clone(all))) < len(all) {
				t.Errorf("the kind %s of %s: %s imports two packages by one name: %v", r.Kind, r.GroupVersion, file, all)
			}
		}
	}
}

// imports are what the Go files of a module call the packages that they import.
func imports(t *testing.T, p *scaffold.Project) map[string][]string {
	t.Helper()
	files, err := p.Files()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range files {
		if path.Ext(f.Path) != ".go" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			name := path.Base(strings.Trim(i.Path.Value, `"`))
			if i.Name != nil {
				name = i.Name.Name
			}
			all[f.Path] = append(all[f.Path], name)
		}
	}
	return all
}

// TestWrite: nothing is replaced.
func TestWrite(t *testing.T) {
	p := read(t, simjob())
	dir := filepath.Join(t.TempDir(), "new", "simjob")
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "internal", "simjob", "controller.go")); err != nil {
		t.Error(err)
	}
	if err := p.Write(dir); err == nil || !strings.Contains(err.Error(), "has files already, such as .github, and nothing is replaced: name another folder with --dir") {
		t.Errorf("error %v", err)
	}
	repository := t.TempDir()
	if err := os.Mkdir(filepath.Join(repository, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(repository); err != nil {
		t.Errorf("a new repository: %v", err)
	}
}
