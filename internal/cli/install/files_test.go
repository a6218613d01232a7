package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/internal/cli/install"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good/a.yaml":             "kind: CustomResourceDefinition\nmetadata: {name: as.x.y}\nspec: {group: x.y, names: {kind: A}, versions: [{name: v1, served: true}]}\n",
		"good/kustomization.yaml": "kind: Kustomization\nresources: [a.yaml]\n",
		"good/README.md":          "text",
		"none/kustomization.yaml": "kind: Kustomization\n",
		"bad/a.yaml":              "kind: CustomResourceDefinition\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		reason string
		paths  []string
		want   []string
		err    string
	}{
		{"a folder: what is no definition is left out", []string{"good"}, []string{"as.x.y"}, ""},
		{"a file", []string{"good/a.yaml"}, []string{"as.x.y"}, ""},
		{"a folder without definitions", []string{"good", "none"}, nil, "none holds no CRD: name a file or a folder that does, or run make generate there"},
		{"a definition that serves nothing", []string{"bad"}, nil, "it has no name or serves no version"},
		{"nothing", []string{"nosuch"}, nil, "no such file"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var paths, got []string
			for _, p := range c.paths {
				paths = append(paths, filepath.Join(dir, p))
			}
			definitions, err := install.Files(paths)
			for _, d := range definitions {
				got = append(got, d.Object.GetName())
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
