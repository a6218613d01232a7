package devenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write creates files below a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const goMod = "module github.com/jobkit/jobkit/devcluster\n\ngo 1.26.0\n\nrequire (\n\tk8s.io/api v0.37.1\n\tk8s.io/kubernetes v1.37.1\n)\n"

func TestFindSource(t *testing.T) {
	dir := write(t, map[string]string{
		"checkout/devcluster/go.mod":         goMod,
		"checkout/plan/sub/x":                "",
		"checkout/plan/devcluster/go.mod":    "module example.org/other\n",
		"elsewhere/devcluster/something.txt": "",
	})
	source := filepath.Join(dir, "checkout", "devcluster")
	for _, tt := range []struct{ reason, from, want, err string }{
		{"from the root of the checkout", "checkout", source, ""},
		{"from below, past a folder of the same name", "checkout/plan/sub", source, ""},
		{"from the module itself", "checkout/devcluster", source, ""},
		{"from outside: the error says what to do", "elsewhere", "", "inside a checkout of jobkit or a module that requires it, or name a ready binary in the environment variable JOBKIT_DEVCLUSTER"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			got, err := findSource(filepath.Join(dir, tt.from))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestKubernetesVersion(t *testing.T) {
	for _, tt := range []struct{ reason, mod, want string }{
		{"in a block", goMod, "v1.37.1"},
		{"on a line of its own", "module m\nrequire k8s.io/kubernetes v1.38.0-rc.1 // x\n", "v1.38.0-rc.1"},
		{"not required", "module m\n", ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			got, err := KubernetesVersion(write(t, map[string]string{"go.mod": tt.mod}))
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestHashSource(t *testing.T) {
	base := map[string]string{"go.mod": goMod, "go.sum": "s", "main.go": "package main", "stages/a.yaml": "a"}
	with := func(name, text string) map[string]string {
		files := map[string]string{name: text}
		for k, v := range base {
			if _, ok := files[k]; !ok {
				files[k] = v
			}
		}
		return files
	}
	hash := func(t *testing.T, files map[string]string, toolchain string) string {
		t.Helper()
		h, err := hashSource(write(t, files), toolchain)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	want := hash(t, base, "go1.26")
	for _, tt := range []struct {
		reason    string
		files     map[string]string
		toolchain string
		same      bool
	}{
		{"the same files elsewhere", base, "go1.26", true},
		{"another Go", base, "go1.27", false},
		{"a changed file", with("main.go", "package main\n"), "go1.26", false},
		{"a changed stage", with("stages/a.yaml", "b"), "go1.26", false},
		{"a new module version", with("go.sum", "t"), "go1.26", false},
		{"a new file", with("x.go", "package main"), "go1.26", false},
		{"a test is not compiled in", with("x_test.go", "package main"), "go1.26", true},
		{"nor is a document", with("README.md", "hello"), "go1.26", true},
		{"nor test data", with("testdata/x.go", "package main"), "go1.26", true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if got := hash(t, tt.files, tt.toolchain); (got == want) != tt.same {
				t.Errorf("got %s, base is %s", got, want)
			}
		})
	}
	if _, err := hashSource(t.TempDir(), ""); err == nil {
		t.Error("no error for an empty folder")
	}
}

func TestArgs(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		options Options
		want    []string
	}{
		{"the defaults are devcluster's own", Options{}, nil},
		{"negative means none", Options{Nodes: -1}, []string{"--nodes=0"}},
		{
			"everything, maps in order",
			Options{
				Dir: "/d", Nodes: 3, NodeCPU: "8", NodeMemory: "1Gi", NodePods: "10", NodeResources: map[string]string{"b": "2", "a": "1"},
				FeatureGates: map[string]bool{"B": false, "A": true}, RuntimeConfig: map[string]bool{"g/v1": true},
				CRDs: []string{"c"}, Stages: []string{"s", "t"}, Verbosity: 2, Args: []string{"--sync"},
			},
			[]string{
				"--data-dir=/d", "--nodes=3", "--node-cpu=8", "--node-memory=1Gi", "--node-pods=10", "--node-resources=a=1,b=2",
				"--feature-gates=A=true,B=false", "--runtime-config=g/v1=true", "--crds=c", "--stages=s", "--stages=t", "--verbosity=2", "--sync",
			},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			want := append([]string{"up", "--progress=json"}, tt.want...)
			if diff := cmp.Diff(want, tt.options.args()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
