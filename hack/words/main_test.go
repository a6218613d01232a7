package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		reason, file, text string
		want               []string
	}{
		"Go": {
			reason: "comments, strings and identifiers; a phrase on two lines of a comment is found; an identifier counts once",
			file:   "a.go",
			text: "package a\n\n// F is done for\n// ever.\nfunc lookAgain() string {\n\tlookAgain()\n\treturn \"mend it\"\n}\n\n" +
				"/* a block, made anew */\n",
			want: []string{`3 "for ever"`, `5 "look Again"`, `7 "mend"`, `10 "anew"`},
		},
		"Foreign": {
			reason: "names of other modules, import paths and tags are not ours",
			file:   "a.go",
			text:   "package a\n\nimport x \"example.com/prove\"\n\ntype T struct {\n\tA int `json:\"settle\"`\n}\n\nvar _ = x.Prove\n",
		},
		"OwnAfterForeign": {
			reason: "a method of a value is ours even if a package has one of that name",
			file:   "a.go",
			text:   "package a\n\nimport \"example.com/x\"\n\nvar _ = x.Y.Prove\n",
			want:   []string{`5 "Prove"`},
		},
		"Markdown": {
			reason: "prose is checked; code, spans and targets of links are not",
			file:   "a.md",
			text:   "Nobody\n\n```go\nmend()\n```\n`anew` [a](mend.md) https://example.com/mend\nis\nthere\n",
			want:   []string{`1 "Nobody"`, `7 "is there"`},
		},
		"Text": {
			reason: "other files are text",
			file:   "Makefile", text: "fix: ## mends it\n", want: []string{`1 "mends"`},
		},
		"Unless": {
			reason: "some words have honest uses that can be known by what follows",
			file:   "a.md",
			text:   "It looks like one. Is there a job? Are no more than two. It looks around. Look up.\n",
			want:   []string{`1 "looks"`},
		},
		"Longest": {
			reason: "what stands first in the list names the find",
			file:   "a.md", text: "it looks at it again\n", want: []string{`1 "looks at it again"`},
		},
		"WholeWords": {
			reason: "words inside of words are others",
			file:   "a.go", text: "package a\n\n// lookup, recommend, stranger, overlook\nvar lookup, Stranger int\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			finds, err := check(list(), c.file, []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range finds {
				got = append(got, strings.TrimPrefix(f.place(), c.file+":")+" \""+f.text+"\"")
				if f.use == "" {
					t.Errorf("%q names no word to use", f.text)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
	if _, err := check(list(), "a.go", []byte("no Go")); err == nil {
		t.Error("code that cannot be parsed is an error")
	}
}

func TestWordsOf(t *testing.T) {
	for name, want := range map[string]string{
		"lookAgain": "look Again", "Row39_Look": "Row39 Look", "PVCLook": "PVC Look", "tls2Settle": "tls2 Settle", "_x": " x", "x": "x", "URL": "URL",
	} {
		if got := wordsOf(name); got != want {
			t.Errorf("wordsOf(%q) is %q, want %q", name, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"docs/a.md":                  "ever\n\nHe mends it.\nIt is anew.\n",
		"docs/sub/b.go":              "package b\n\nvar anew int\n",
		"docs/sub/zz_generated.x.go": "package b\n\nvar mend int\n",
		"docs/sub/c.yaml":            "mend: it\n",
		"hack/words/list.go":         "package main\n\nvar mend int\n",
		"allowed":                    "# comment\n\ndocs/a.md\tHe mends\n",
		"stale":                      "docs/a.md\tShe mends\n",
		"bad":                        "docs/a.md He mends\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		reason, allow string
		count         bool
		paths         []string
		code          int
		want, wantErr string
	}{
		"Finds": {
			reason: "folders are searched for Go and Markdown, without generated files and the list itself",
			paths:  []string{"."}, code: 1,
			want: "docs/a.md:3: \"mends\": use fix\ndocs/a.md:4: \"anew\": use again\ndocs/sub/b.go:3: \"anew\": use again\n",
		},
		"Named":   {reason: "a file that is named is read whatever it is", paths: []string{"docs/sub/c.yaml"}, code: 1, want: "docs/sub/c.yaml:1: \"mend\": use fix\n"},
		"Allowed": {reason: "an honest use is none", allow: "allowed", paths: []string{"docs/a.md"}, code: 1, want: "docs/a.md:4: \"anew\": use again\n"},
		"Stale": {
			reason: "the list of honest uses does not outlive them", allow: "stale", paths: []string{"docs/a.md"}, code: 1,
			want: "stale:1: nothing needs this line any longer: remove it\ndocs/a.md:3: \"mends\": use fix\ndocs/a.md:4: \"anew\": use again\n",
		},
		"NotRead": {reason: "unless their file was not read", allow: "stale", paths: []string{"docs/sub/b.go"}, code: 1, want: "docs/sub/b.go:3: \"anew\": use again\n"},
		"Count": {
			reason: "counts by word and by folder, most first", count: true, paths: []string{"docs"}, code: 1,
			want: "    2 docs/\n    2 use again\n    1 docs/sub/\n    1 use fix\n    3 in all\n",
		},
		"Bad":     {reason: "a line without a tab is an error", allow: "bad", paths: []string{"docs"}, wantErr: "bad:1: want a path, a tab"},
		"NoFile":  {reason: "so is a path that does not exist", paths: []string{"gone"}, wantErr: "cannot list the files"},
		"NoAllow": {reason: "and a list that does not exist", allow: "gone", paths: []string{"docs"}, wantErr: "cannot read the honest uses"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			code, err := run(&out, c.allow, c.count, c.paths)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("%s: got error %v, want %q", c.reason, err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", c.reason, err)
			}
			if diff := cmp.Diff(c.want, out.String()); diff != "" || code != c.code {
				t.Errorf("%s: code %d, want %d (-want +got):\n%s", c.reason, code, c.code, diff)
			}
		})
	}
}
