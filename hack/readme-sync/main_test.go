package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const code = `// Package p is short.
package p

import "fmt"

// T is a type.
type T[J any] struct {
	Job J
}

const (
	// A and B belong together.
	A, B = 1, 2
	C    = 3
)

// M is a method.
func (t *T[J]) M() {
	fmt.Println(t)
}

func f() {}
`

func repository() fstest.MapFS {
	return fstest.MapFS{
		"p/p.go":   {Data: []byte(code)},
		"job.yaml": {Data: []byte("kind: TestJob\n")},
	}
}

func TestSync(t *testing.T) {
	cases := map[string]struct {
		reason, text, want, wantErr string
	}{
		"no marks": {
			reason: "a document without marks stays as it is, to the last byte",
			text:   "# Title\r\nno newline at the end",
			want:   "# Title\r\nno newline at the end",
		},
		"declarations": {
			reason: "what stood between the marks is replaced by the declarations named, in that order, with their comments",
			text:   "a\n<!-- code: p/p.go f T.M T -->\nold\n```\nold\n<!-- /code -->\nb\n",
			want: "a\n<!-- code: p/p.go f T.M T -->\n```go\nfunc f() {}\n\n// M is a method.\nfunc (t *T[J]) M() {\n\tfmt.Println(t)\n}\n\n" +
				"// T is a type.\ntype T[J any] struct {\n\tJob J\n}\n```\n<!-- /code -->\nb\n",
		},
		"group": {
			reason: "a name of a group stands for the group",
			text:   "<!-- code: p/p.go B -->\n<!-- /code -->\n",
			want: "<!-- code: p/p.go B -->\n```go\nconst (\n\t// A and B belong together.\n\tA, B = 1, 2\n\tC    = 3\n)\n```\n" +
				"<!-- /code -->\n",
		},
		"two blocks": {
			reason: "a document may have several, of any language",
			text:   "<!-- code: job.yaml -->\n<!-- /code -->\nand\n<!-- code: p/p.go -->\n<!-- /code -->",
			want: "<!-- code: job.yaml -->\n```yaml\nkind: TestJob\n```\n<!-- /code -->\nand\n" +
				"<!-- code: p/p.go -->\n```go\n" + code + "```\n<!-- /code -->\n",
		},
		"no file":  {reason: "a mark names a file", text: "<!-- code:  -->\n<!-- /code -->", wantErr: "1: name a file"},
		"bad file": {reason: "the file must exist", text: "x\n<!-- code: q.go -->\n<!-- /code -->", wantErr: "2: cannot read the code: open q.go"},
		"bad name": {reason: "the name is in the file", text: "<!-- code: p/p.go G -->\n<!-- /code -->", wantErr: "1: p/p.go declares no G"},
		"no end":   {reason: "a forgotten end does not eat the rest", text: "\n<!-- code: p/p.go -->\nrest", wantErr: "2: this never ends"},
		"nested":   {reason: "nor does it reach the next", text: "<!-- code: job.yaml -->\n<!-- code: job.yaml -->\n", wantErr: "2: this begins"},
		"only end": {reason: "an end has a beginning", text: "<!-- /code -->", wantErr: "1: <!-- /code --> without a beginning"},
		"not Go":   {reason: "names are for Go", text: "<!-- code: job.yaml kind -->\n<!-- /code -->", wantErr: "1: cannot read the code: job.yaml"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := sync(repository(), c.text)
			if c.wantErr != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.wantErr) {
					t.Fatalf("%s: got error %v, want %q", c.reason, err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", c.reason, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if again, err := sync(repository(), got); err != nil || again != got {
				t.Errorf("done twice it is the same: %v\n%s", err, cmp.Diff(got, again))
			}
		})
	}
}

func TestRun(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, file := range repository() {
		write(t, name, string(file.Data))
	}
	write(t, "README.md", "<!-- code: job.yaml -->\n<!-- /code -->\n")
	files := []string{"README.md"}
	if err := run(os.DirFS("."), files, true); err == nil || !strings.Contains(err.Error(), "README.md shows code that has changed") {
		t.Fatalf("-check fails on drift: %v", err)
	}
	if err := run(os.DirFS("."), files, false); err != nil {
		t.Fatal(err)
	}
	if err := run(os.DirFS("."), files, true); err != nil {
		t.Fatalf("-check is content with what a run wrote: %v", err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
