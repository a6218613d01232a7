package main

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestProblems(t *testing.T) {
	repository := fstest.MapFS{
		"docs/a.md":     {Data: []byte("# A page\n\n## What `Rules` mean: all\n\n## Twice\n\n## Twice\n\n```\n# not a heading\n```\n")},
		"docs/sub/b.md": {Data: []byte("# B\n")},
		"cmd/main.go":   {Data: []byte("package main\n")},
	}
	cases := map[string]struct {
		reason, file, text string
		want               []string
	}{
		"Links": {
			reason: "files, folders, anchors of other pages and of the page itself",
			file:   "docs/sub/c.md",
			text: "# C\n\n[a](../a.md) [a](../a.md#what-rules-mean-all) [twice](../a.md#twice-1) [b](b.md#b) [c](#c) [cmd](../../cmd)\n" +
				"[top](../../cmd/main.go#L1) [web](https://example.com/x#y)\n",
		},
		"Missing": {
			reason: "each link that leads nowhere, with its line",
			file:   "docs/c.md",
			text:   "[x](b.md)\n\n[y](a.md#nothing)\n\n[z](#not-here)\n\n[up](../../x)\n\n[r]: gone.md\n",
			want: []string{
				"docs/c.md:1: the link to b.md: docs/b.md does not exist",
				"docs/c.md:3: the link to a.md#nothing: docs/a.md has no heading of that name",
				"docs/c.md:5: the link to #not-here: docs/c.md has no heading of that name",
				"docs/c.md:7: the link to ../../x: it leaves the repository",
				"docs/c.md:9: the link to gone.md: docs/gone.md does not exist",
			},
		},
		"CodeIsNoLink": {
			reason: "what looks like a link inside code is code",
			file:   "docs/c.md", text: "`[x](b.md)`\n\n```go\n[y](b.md)\n```\n",
		},
		"HeadingInCode": {
			reason: "a comment of a shell script is not a heading",
			file:   "docs/c.md", text: "[x](a.md#not-a-heading)\n",
			want: []string{"docs/c.md:1: the link to a.md#not-a-heading: docs/a.md has no heading of that name"},
		},
		"Mentions": {
			reason: "comments and messages name pages by their path",
			file:   "cmd/main.go",
			text:   "// See docs/a.md, and\n// docs/old.md. Not https://kubernetes.io/docs/concepts.md.\n",
			want:   []string{"cmd/main.go:2: docs/old.md does not exist: name the page that has its contents now"},
		},
		"Wide": {
			reason: "prose is wrapped",
			file:   "docs/c.md", text: "# C\n\nshort\nlines\n",
			want: []string{"docs/c.md:3: the prose is not wrapped at 120 columns: run make fmt"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			repository := maps.Clone(repository)
			repository[c.file] = &fstest.MapFile{Data: []byte(c.text)}
			got, err := run(repository, []string{c.file}, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 23)) // 114 columns
	cases := map[string]struct{ reason, text, want string }{
		"Fill":          {"lines of a paragraph are joined", "a\nb\n\nc\nd\n", "a b\n\nc d\n"},
		"Break":         {"a line has at most 120 columns", long + " 12345 next\n", long + " 12345\nnext\n"},
		"TooLong":       {"a word that is longer stays whole", strings.Repeat("x", 130) + " y\n", strings.Repeat("x", 130) + "\ny\n"},
		"Items":         {"items are filled each for itself, indented", "- a\n  b\n- " + long + " next\n", "- a b\n- " + long + "\n  next\n"},
		"Numbers":       {"so are numbered ones", "10. a\nb\n", "10. a b\n"},
		"ItemParagraph": {"a second paragraph of an item stays in it", "- a\n\n  b\n  c\n\nd\n", "- a\n\n  b c\n\nd\n"},
		"Nested":        {"items in items keep their depth", "- a\n  - b\n    c\n", "- a\n  - b c\n"},
		"Fence":         {"fenced code stays", "a\n```sh\nb\nc  \n```\nd\ne\n", "a\n```sh\nb\nc  \n```\nd e\n"},
		"LongFence":     {"a fence ends with a mark of its own length", "````\n```\na\nb\n````\n", "````\n```\na\nb\n````\n"},
		"Indented":      {"so does indented code", "a\n\n    b\n    c\n", "a\n\n    b\n    c\n"},
		"Table":         {"and a table", "a\n| x | y |\n|---|---|\n| 1 | 2 |\n", "a\n| x | y |\n|---|---|\n| 1 | 2 |\n"},
		"Other":         {"headings, quotes and HTML too", "# a\nb\n> c\n> d\n<!-- e -->\nf\n", "# a\nb\n> c\n> d\n<!-- e -->\nf\n"},
		"Code":          {"a code span is not broken", long + " `a b c d`\n", long + "\n`a b c d`\n"},
		"Link":          {"nor the text of a short link", long + " [a b](c.md)\n", long + "\n[a b](c.md)\n"},
		"Dash":          {"no line begins with what would make it an item", long + " abcde - b\n", long + "\nabcde - b\n"},
		"HardBreak":     {"a line break that is meant stays", "a\\\nb\n", "a\\\nb\n"},
		"NoNewline":     {"the last line ends", "a", "a\n"},
		"Spaces":        {"spaces at the end of a line go", "a  \n  \nb \n", "a\n\nb\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := wrap(c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if diff := cmp.Diff(got, wrap(got)); diff != "" {
				t.Errorf("done twice it is the same (-once +twice):\n%s", diff)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, file := range []string{"a.md", "b.go"} {
		if err := os.WriteFile(file, []byte("a\nb\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := run(os.DirFS("."), []string{"a.md", "b.go"}, true); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"a.md": "a b\n", "b.go": "a\nb\n"} {
		if got, _ := os.ReadFile(file); string(got) != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if _, err := run(os.DirFS("."), []string{"gone.md"}, false); err == nil {
		t.Error("a file that does not exist is an error")
	}
}
