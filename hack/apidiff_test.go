package hack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAPIDiff runs hack/api-diff in a repository that is made up, before and after a release
// and with changes of its API.
func TestAPIDiff(t *testing.T) {
	const (
		api        = "package p\n\n// F is old.\nfunc F() {}\n"
		more       = api + "\n// G is new.\nfunc G() {}\n"
		other      = "package p\n\n// F is old.\nfunc F(int) {}\n"
		breaking   = "# Changelog\n\n## Unreleased\n\n### Incompatible changes\n\n- F takes an int.\n\n## v1.2.3\n"
		compatible = "# Changelog\n\n## Unreleased\n\n## v0.1.0\n\n### Incompatible changes\n\n- Old ones.\n"
	)
	cases := map[string]struct {
		reason, tag, now, changelog string
		fails                       bool
		want                        string
	}{
		"NoTag":    {reason: "before the first release there is nothing to compare", now: other, want: "No release is tagged yet"},
		"Same":     {reason: "no change, no word", tag: "v1.2.3", now: api},
		"More":     {reason: "what is new is printed, and compatible", tag: "v1.2.3", now: more, want: "- G: added"},
		"Other":    {reason: "a signature that changed is not", tag: "v1.2.3", now: other, fails: true, want: "- F: changed from func() to func(int)"},
		"Removed":  {reason: "nor is a package that is gone", tag: "v1.2.3", fails: true, want: "example.com/m/p: removed"},
		"NoExcuse": {reason: "after v1 no changelog makes up for it", tag: "v1.2.3", now: other, changelog: breaking, fails: true, want: "Restore what was removed"},
		"V0":       {reason: "before v1 the changelog does", tag: "v0.1.0", now: other, changelog: breaking, want: "which v0 permits"},
		"V0Silent": {reason: "if it says so of this version", tag: "v0.1.0", now: other, changelog: compatible, fails: true, want: "no longer compatible with v0.1.0: example.com/m/p"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{"api-diff", "tools.mod", "tools.sum"} {
				copyFile(t, file, filepath.Join(dir, "hack", file))
			}
			writeFile(t, filepath.Join(dir, "go.mod"), "module example.com/m\n\ngo 1.26.0\n")
			writeFile(t, filepath.Join(dir, "CHANGELOG.md"), c.changelog)
			source := filepath.Join(dir, "p", "p.go")
			writeFile(t, source, api)
			git(t, dir, "init", "--quiet")
			git(t, dir, "add", ".")
			git(t, dir, "commit", "--quiet", "--message=release")
			if c.tag != "" {
				git(t, dir, "tag", c.tag)
			}
			if writeFile(t, source, c.now); c.now == "" {
				if err := os.RemoveAll(filepath.Dir(source)); err != nil {
					t.Fatal(err)
				}
			}

			diff := exec.CommandContext(t.Context(), filepath.Join(dir, "hack", "api-diff"), "./p", "./new")
			diff.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
			out, err := diff.CombinedOutput()
			if (err != nil) != c.fails || !strings.Contains(string(out), c.want) || c.want == "" && len(out) > 0 {
				t.Errorf("%s: error %v, want one: %t; it printed\n%swant %q", c.reason, err, c.fails, out, c.want)
			}
		})
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	args = append([]string{"-C", dir, "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}, args...)
	if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
		t.Fatalf("git: %v\n%s", err, out)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyFile copies a file with its mode.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, string(text))
	if err := os.Chmod(to, info.Mode()); err != nil {
		t.Fatal(err)
	}
}
