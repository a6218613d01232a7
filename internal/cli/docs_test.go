package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDocumented runs the commands of README and of the pages for users that need no cluster. A
// command is followed by its output, or by none; lines of three dots stand for what is left out.
func TestDocumented(t *testing.T) {
	t.Chdir("../..")
	atLeast := map[string]int{
		"README.md": 1, "docs/users/cli.md": 3, "docs/users/first-job.md": 2,
		"docs/users/recipes/air-gapped.md": 1, "docs/users/recipes/checkpoint.md": 1, "docs/users/recipes/elastic.md": 1,
		"docs/users/recipes/hangs.md": 1, "docs/users/recipes/kueue.md": 1, "docs/users/recipes/service-mesh.md": 1,
		"docs/users/recipes/spot-nodes.md": 1, "docs/users/recipes/volcano.md": 1,
	}
	for _, path := range userPages(t) {
		t.Run(path, func(t *testing.T) {
			if ran := runDocumented(t, path); ran < atLeast[path] {
				t.Errorf("only %d commands were run, not %d", ran, atLeast[path])
			}
			delete(atLeast, path)
		})
	}
	var all []documented
	for _, path := range userPages(t) {
		all = append(all, commandsOf(t, path)...)
	}
	recipes, err := filepath.Glob("examples/recipes/*.yaml")
	if err != nil || len(recipes) == 0 {
		t.Error("no recipes", err)
	}
	for _, recipe := range recipes {
		if !slices.ContainsFunc(all, func(c documented) bool { return offline(c.args) && strings.Contains(c.args, recipe) }) {
			t.Errorf("no page shows what happens to %s", recipe)
		}
	}
	if len(atLeast) > 0 {
		t.Errorf("pages that do not exist: %v", atLeast)
	}
}

// userPages are README and the pages for users.
func userPages(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md"}
	err := filepath.WalkDir("docs/users", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// documented is a command of a page, with the output that the page says it has.
type documented struct {
	args, output string
}

// commandsOf are the jobkit commands of a page, in its blocks of the languages console and sh.
func commandsOf(t *testing.T, path string) (all []documented) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks(string(text), "console") {
		for part := range strings.SplitSeq("\n"+block, "\n$ ") {
			command, output, _ := strings.Cut(part, "\n")
			if args, ok := jobkitArgs(command); ok {
				all = append(all, documented{args, output})
			}
		}
	}
	for _, block := range blocks(string(text), "sh") {
		for line := range strings.Lines(block) {
			if args, ok := jobkitArgs(line); ok {
				all = append(all, documented{args, ""})
			}
		}
	}
	return all
}

// blocks are the fenced blocks of a language.
func blocks(text, language string) (all []string) {
	for i, block := range strings.Split(text, "```"+language+"\n") {
		if i > 0 {
			block, _, _ = strings.Cut(block, "```")
			all = append(all, block)
		}
	}
	return all
}

// jobkitArgs are the arguments of a line that runs jobkit, without the comment at its end.
func jobkitArgs(line string) (string, bool) {
	line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
	line = strings.Replace(line, "go run ./cmd/jobkit ", "jobkit ", 1)
	if _, inner, ok := strings.Cut(line, "(jobkit "); ok { // source <(jobkit ...)
		inner, _, _ = strings.Cut(inner, ")")
		return inner, true
	}
	args, ok := strings.CutPrefix(line, "jobkit ")
	return strings.TrimSpace(args), ok
}

// runDocumented runs the commands of a page that need no cluster, and returns how many there were.
func runDocumented(t *testing.T, path string) (ran int) {
	t.Helper()
	for _, c := range commandsOf(t, path) {
		if !offline(c.args) {
			continue
		}
		ran++
		got := call(t.Context(), &fakeDev{}, "", strings.Fields(c.args)...)
		said := slices.DeleteFunc(strings.Split(c.output, "...\n"), func(s string) bool { return !strings.Contains(got.Out, strings.TrimRight(s, "\n")) })
		if got.Code != 0 || len(said) != strings.Count(c.output, "...\n")+1 {
			t.Errorf("%s: exit code %d, errors %s, output:\n%s\nthe page says:\n%s", c.args, got.Code, got.Err, got.Out, c.output)
		}
	}
	return ran
}

// offline reports whether a command needs no cluster.
func offline(args string) bool {
	for _, command := range []string{"simulate", "explain -f", "completion", "version", "help"} {
		if strings.HasPrefix(args+" ", command+" ") {
			return true
		}
	}
	return strings.HasSuffix(args, "--help")
}

// TestDocumentedOnCluster checks that each command of these pages that needs a cluster is run by
// the test of cmd/jobkit on one, or that there is a reason why it is not.
func TestDocumentedOnCluster(t *testing.T) {
	t.Chdir("../..")
	tests, err := os.ReadFile("cmd/jobkit/integration_test.go")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := map[string]string{
		"ui":     "test/page runs it, in a browser",
		"logs":   "no container runs on the dev control plane; test/nodes has real ones, logs/logs_test.go a server that has logs",
		"top":    "top/top_test.go, on a server of objects",
		"demo":   "TestDemo",
		"new":    "hack/stranger",
		"dev":    "TestOnRunningControlPlane",
		"doctor": "migrateCluster",
	}
	for _, path := range userPages(t) {
		for _, c := range commandsOf(t, path) {
			if offline(c.args) {
				continue
			}
			verb := strings.Fields(c.args)[0]
			if elsewhere[verb] == "" && !strings.Contains(string(tests), `"`+verb) {
				t.Errorf("%s: no test on a control plane runs jobkit %s", path, c.args)
			}
			// It is also one that there is: its flags are those that it has.
			if got := call(t.Context(), &fakeDev{}, "", append(strings.Fields(c.args), "--help")...); got.Code != 0 {
				t.Errorf("%s: jobkit %s: %s", path, c.args, got.Err)
			}
		}
	}
}
