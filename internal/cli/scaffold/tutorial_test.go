package scaffold_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jobkit/jobkit/internal/cli/scaffold"
)

// TestTutorial: what the tutorial tells authors to do fits what they have then. The program
// hack/stranger does it.
func TestTutorial(t *testing.T) {
	text, err := os.ReadFile("../../../docs/authors/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`new (\S+) (\S+) --roles (\S+)\n`).FindStringSubmatch(string(text))
	if line == nil {
		t.Fatal("the tutorial does not call jobkit new")
	}
	files, err := read(t, scaffold.Request{GroupVersion: line[1], Kind: line[2], Roles: line[3]}).Files()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range files {
		texts[f.Path] = string(f.Text)
	}
	targets := regexp.MustCompile(`\bmake ([a-z-]+)\b`).FindAllStringSubmatch(string(text), -1)
	for _, target := range targets {
		if !strings.Contains(texts["Makefile"], "\n"+target[1]+":") {
			t.Errorf("the tutorial calls make %s, and the Makefile has no such target", target[1])
		}
	}
	if len(targets) < 5 {
		t.Errorf("it calls make %d times, which cannot be all", len(targets))
	}
	for _, path := range regexp.MustCompile(`(internal|examples)/simjob[a-z/]*\.[a-z]+`).FindAllString(string(text), -1) {
		if strings.Contains(path, "internal/simjob/internal") || strings.HasPrefix(path, "examples/simjob/") {
			continue // where this repository has it
		}
		if texts[path] == "" {
			t.Errorf("the tutorial names %s, and the module has no such file", path)
		}
	}
	stranger, err := os.ReadFile(filepath.Join("..", "..", "..", "hack", "stranger", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	const edit = `podtemplate.Fixed("SOLVERS", r.Count(simv1.Solver)),`
	if !strings.Contains(string(text), edit) || !strings.Contains(string(stranger), strings.ReplaceAll(edit, `"`, `\"`)) ||
		!strings.Contains(texts["internal/simjob/clusterspec.go"], "simv1 ") {
		t.Error("the edit of the tutorial is not the one that hack/stranger makes")
	}
}
