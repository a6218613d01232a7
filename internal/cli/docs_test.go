package cli

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDocumented runs the commands of the pages that need no cluster. A command is followed by
// its output, or by none; lines of three dots stand for what is left out.
func TestDocumented(t *testing.T) {
	t.Chdir("../..")
	for path, atLeast := range map[string]int{"docs/users/cli.md": 3, "README.md": 1} {
		t.Run(path, func(t *testing.T) {
			if ran := runDocumented(t, path); ran < atLeast {
				t.Errorf("only %d commands were run", ran)
			}
		})
	}
}

// runDocumented runs the commands of a page, and returns how many there were.
func runDocumented(t *testing.T, path string) (ran int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```console\n") {
		block, _, _ = strings.Cut(block, "```")
		if i == 0 {
			continue
		}
		for part := range strings.SplitSeq("\n"+block, "\n$ ") {
			command, output, _ := strings.Cut(part, "\n")
			args, ok := strings.CutPrefix(strings.Replace(command, "go run ./cmd/jobkit ", "jobkit ", 1), "jobkit ")
			if !ok || !offline(args) {
				continue
			}
			ran++
			got := call(t.Context(), &fakeDev{}, "", strings.Fields(args)...)
			said := slices.DeleteFunc(strings.Split(output, "...\n"), func(s string) bool { return !strings.Contains(got.Out, strings.TrimRight(s, "\n")) })
			if got.Code != 0 || len(said) != strings.Count(output, "...\n")+1 {
				t.Errorf("%s: exit code %d, errors %s, output:\n%s\nthe page says:\n%s", command, got.Code, got.Err, got.Out, output)
			}
		}
	}
	return ran
}

// offline reports whether a command needs no cluster.
func offline(args string) bool {
	return strings.HasPrefix(args, "simulate ") || strings.HasPrefix(args, "explain -f ")
}
