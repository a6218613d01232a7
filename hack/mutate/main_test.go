package main

import (
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changes lists what can be changed in the body of a function.
func changes(t *testing.T, function string) []string {
	t.Helper()
	file := &source{name: "f.go", text: "package p\n" + function, fset: token.NewFileSet()}
	var err error
	if file.parsed, err = parser.ParseFile(file.fset, file.name, file.text, parser.ParseComments); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range find(file) {
		out = append(out, m.change)
	}
	return out
}

func TestFind(t *testing.T) {
	tests := map[string]struct {
		reason string
		code   string
		want   []string
	}{
		"Boundary": {
			reason: "a boundary is moved, and the condition negated",
			code:   "func f() bool { return a < b }",
			want:   []string{"removed: return a < b", "a < b  becomes  a <= b", "a < b  becomes  a >= b"},
		},
		"Logic": {
			reason: "operators and operands of a condition",
			code:   "func f() { if a && !b() {} }",
			want:   []string{"a && !b()  becomes  a || !b()", "a  becomes  !a", "!b()  becomes  b()"},
		},
		"Numbers": {
			reason: "numbers go up and down, and are shown with their line",
			code:   "func f() {\n\tx := 7 // seven\n}",
			want:   []string{"x := 7  becomes  x := 8", "x := 7  becomes  x := (6)"},
		},
		"Signature": {
			reason: "the length of an array in a signature is a type",
			code:   "func f() [2]int { return g() }",
			want:   []string{"removed: return g()", "g()  becomes  !g()"},
		},
		"Words": {
			reason: "true and false, min and max",
			code:   "func f() {\n\tx := min(a, true)\n}",
			want:   []string{"x := min(a, true)  becomes  x := max(a, true)", "x := min(a, true)  becomes  x := min(a, false)"},
		},
		"Statements": {
			reason: "each statement that does something is left out",
			code:   "func f() {\n\tx := y\n\tx = y\n\tf()\n\tx++\n\tfor {\n\t\tcontinue\n\t}\n}",
			want:   []string{"removed: x = y", "removed: f()", "removed: x++", "x++  becomes  x--", "removed: continue"},
		},
		"Lists": {
			reason: "elements and fields are left out",
			code:   "func f() { _ = []T{{A: a}, b} }",
			want:   []string{"removed: _ = []T{{A: a}, b}", "removed: {A: a}", "removed: b", "removed: A: a"},
		},
		"Cases": {
			reason: "cases and their values are left out, unless the default does the same",
			code:   "func f() {\n\tswitch x {\n\tcase a, b:\n\t\tf()\n\tcase c:\n\t\tg()\n\tdefault:\n\t\tg()\n\t}\n}",
			want:   []string{"removed: case a, b: f()", "removed: a", "removed: b", "removed: f()", "removed: g()", "removed: g()"},
		},
		"Conditions": {
			reason: "in a switch without a value the order counts, so the default may repeat a case",
			code:   "func f() {\n\tswitch {\n\tcase a:\n\tdefault:\n\t}\n}",
			want:   []string{"removed: case a:", "a  becomes  !a", "removed: default:"},
		},
		"Texts": {
			reason: "texts are not changed",
			code:   "func (x T) String() string { return x.a + \"b\" }\nfunc f() {\n\tx := \"1\"\n}",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, changes(t, tc.code)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNamesAreUnique(t *testing.T) {
	file := &source{name: "f.go", text: "package p\nfunc f() { f(); f() }\nfunc g() { f() }\nvar x = 1", fset: token.NewFileSet()}
	file.parsed, _ = parser.ParseFile(file.fset, file.name, file.text, 0)
	var got []string
	for _, m := range find(file) {
		got = append(got, m.name)
	}
	want := []string{
		"f.go f: removed: f()", "f.go f: removed: f() (2)", "f.go g: removed: f()",
		"f.go outside of functions: var x = 1  becomes  var x = 2", "f.go outside of functions: var x = 1  becomes  var x = (0)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseIgnored(t *testing.T) {
	all := []*mutant{{name: "f.go f: a"}, {name: "f.go f: b"}}
	tests := map[string]struct {
		reason, text string
		want         map[string]bool
		wantErr      string
	}{
		"Reason":   {reason: "one reason may stand for several", text: "# Because.\nf.go f: a\nf.go f: b\n", want: map[string]bool{"f.go f: a": true, "f.go f: b": true}},
		"NoReason": {reason: "each needs a reason", text: "# Because.\n\nf.go f: a\n", wantErr: "3: give the reason in a comment above: f.go f: a"},
		"Stale":    {reason: "what no longer exists must go", text: "# Because.\nf.go f: c\n", wantErr: "2: no such mutation exists any longer: f.go f: c"},
		"All":      {reason: "one run reports all that is wrong", text: "f.go f: a\n# Because.\nf.go f: c\n", wantErr: "1: give the reason in a comment above: f.go f: a\n3: no such mutation exists any longer: f.go f: c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseIgnored(tc.text, all)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if diff := cmp.Diff(tc.want, got) + cmp.Diff(tc.wantErr, message); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRun mutates a small module.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/p\n\ngo 1.26.0\n",
		"p.go": `package p

const limit = 10

type T struct{ n int }

// Add counts up to the limit.
func (t *T) Add(n int) (full bool) {
	for ; n > 0; n-- {
		if t.n == limit {
			return true
		}
		t.n++
	}
	return false
}

func untested(a, b int) int { return a * b }
`,
		"p_test.go": `package p

import "testing"

func TestAdd(t *testing.T) {
	var x T
	if x.Add(10) || x.n != 10 || !x.Add(1) || x.n != 10 {
		t.Error(x)
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	err := run(t.Context(), &out, &options{dir: dir, least: 95})
	want := `14 mutations, 0 of them ignored
p.go:18: a * b  becomes  a / b
mutation score: 92.9 % (13 of 14 caught)
`
	if diff := cmp.Diff(want, strings.ReplaceAll(out.String(), dir+string(filepath.Separator), "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err == nil || err.Error() != "the score is to be at least 95 %" {
		t.Errorf("a score below the least is an error, got %v", err)
	}
}

func TestReport(t *testing.T) {
	a, b := &mutant{name: "a"}, &mutant{name: "b"}
	tests := map[string]struct {
		reason   string
		survived []*mutant
		want     string
	}{
		"Both":    {reason: "a is to be noticed, b is not", survived: []*mutant{b}},
		"Neither": {reason: "a score below the least is an error", survived: []*mutant{a, b}, want: "the score is to be at least 90 %"},
		"Ignored": {reason: "what a test notices is not to be ignored", want: "a test notices this mutation, take it off the list of ignored ones: b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			message := ""
			if err := report(io.Discard, []*mutant{a}, []*mutant{b}, tc.survived, 90); err != nil {
				message = err.Error()
			}
			if diff := cmp.Diff(tc.want, message); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPick(t *testing.T) {
	a, b := &source{name: "a.go"}, &source{name: "b.go"}
	ignored := filepath.Join(t.TempDir(), "ignored.txt")
	if err := os.WriteFile(ignored, []byte("# Because.\na2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		reason      string
		options     options
		want        int
		wantIgnored int
	}{
		"All":     {reason: "all of them", want: 4},
		"Files":   {reason: "those of a file", options: options{files: "^a"}, want: 3},
		"Ignored": {reason: "less those that are ignored", options: options{files: "^a", ignore: ignored}, want: 2, wantIgnored: 1},
		"Others":  {reason: "those of other files are valid", options: options{files: "^b", ignore: ignored}, want: 1},
		"Sample":  {reason: "a sample", options: options{sample: 2}, want: 2},
		"Large":   {reason: "a sample of more than there are", options: options{sample: 9}, want: 4},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			all := []*mutant{{name: "a1", file: a}, {name: "a2", file: a}, {name: "a3", file: a}, {name: "b1", file: b}}
			in, others, err := tc.options.inFiles(all)
			if err != nil {
				t.Fatal(err)
			}
			got, n, err := tc.options.pick(in, others)
			if err != nil || len(got) != tc.want || len(n) != tc.wantIgnored {
				t.Errorf("%s: want %d and %d ignored, got %d and %d, %v", tc.reason, tc.want, tc.wantIgnored, len(got), len(n), err)
			}
		})
	}
}

func TestRunsFor(t *testing.T) {
	file := &source{name: "f.go", text: "package p\n\nfunc f(x int) {\n\tswitch x {\n\tcase 1:\n\t\tf(2)\n\t}\n}\n\nvar x = 1\n", fset: token.NewFileSet()}
	file.parsed, _ = parser.ParseFile(file.fset, file.name, file.text, 0)
	profile := func(body, ofCase string) map[string][]block {
		t.Helper()
		blocks, err := parseProfile("mode: set\nm/p/f.go:3.15,4.11 1 " + body + "\nm/p/f.go:5.9,6.7 1 " + ofCase + "\nm/p/g.go:1.1,9.1 1 1\n")
		if err != nil {
			t.Fatal(err)
		}
		return blocks
	}
	tests := []*test{
		{name: "TestNone", blocks: profile("0", "0")},
		{name: "TestLong", blocks: profile("1", "1"), took: time.Second},
		{name: "TestBody", blocks: profile("1", "0")},
		{name: "TestAll", blocks: profile("1", "1")},
	}
	want := map[string][][]string{
		"f.go:5: removed: case 1: f(2)":            {{"-test.run", "^(TestBody|TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
		"f.go:5: case 1:  becomes  case 2:":        {{"-test.run", "^(TestBody|TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
		"f.go:5: case 1:  becomes  case (0):":      {{"-test.run", "^(TestBody|TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
		"f.go:6: removed: f(2)":                    {{"-test.run", "^(TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
		"f.go:6: f(2)  becomes  f(3)":              {{"-test.run", "^(TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
		"f.go:6: f(2)  becomes  f((1))":            {{"-test.run", "^(TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
		"f.go:10: var x = 1  becomes  var x = 2":   {{"-test.run", "^(TestNone|TestBody|TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
		"f.go:10: var x = 1  becomes  var x = (0)": {{"-test.run", "^(TestNone|TestBody|TestAll)$", "-x"}, {"-test.run", "^(TestLong)$", "-x"}},
	}
	got := map[string][][]string{}
	for _, m := range find(file) {
		m.file.path = "f.go"
		got[m.String()] = runsFor(m, tests, []string{"-x"})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if runs := runsFor(find(file)[1], tests[:1], nil); len(runs) > 0 {
		t.Errorf("no test reaches it, so none is to run: %q", runs)
	}
	if _, err := parseProfile("m/p/f.go:1.x"); err == nil {
		t.Error("a profile that cannot be read is an error")
	}
}

// TestUnchanged: a test that fails only because the code can be changed is left out, and named.
func TestUnchanged(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, script, out, wantErr string
		want                         []string
	}{
		"Pass":  {reason: "all tests stay", script: "exit 0", want: []string{"TestA", "TestB"}},
		"Fail":  {reason: "one is left out", script: "echo '--- FAIL: TestB (0.00s)'; echo '    --- FAIL: TestA/x (0.00s)'; exit 1", want: []string{"TestA"}, out: "left out: TestB, which fails if the code can be changed, although it is not\n"},
		"Panic": {reason: "the binary does not run", script: "exit 2", wantErr: "cannot run the tests without any mutation: exit status 2"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			target := &target{dir: t.TempDir()}
			binary := filepath.Join(target.dir, "tests")
			if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+tc.script+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
				t.Fatal(err)
			}
			tests, _, err := target.unchanged(t.Context(), &out, binary, []*test{{name: "TestA"}, {name: "TestB"}}, nil)
			var got []string
			for _, x := range tests {
				got = append(got, x.name)
			}
			message := ""
			if err != nil {
				message = err.Error()
			}
			if diff := cmp.Diff(tc.want, got) + cmp.Diff(tc.out, out.String()) + cmp.Diff(tc.wantErr, message); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
