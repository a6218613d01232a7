package cli

import (
	"os"
	"strings"
	"testing"
)

// TestDocumented runs the commands of the page that need no cluster. A command is followed by
// its output, or by none.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/users/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	ran := 0
	for i, block := range strings.Split(string(text), "```console\n") {
		block, _, _ = strings.Cut(block, "```")
		if i == 0 {
			continue
		}
		for part := range strings.SplitSeq("\n"+block, "\n$ ") {
			command, output, _ := strings.Cut(part, "\n")
			args, ok := strings.CutPrefix(command, "jobkit ")
			if !ok || !offline(args) {
				continue
			}
			ran++
			got := call(t.Context(), &fakeDev{}, "", strings.Fields(args)...)
			output = strings.TrimRight(output, "\n")
			if got.Code != 0 || !strings.Contains(got.Out, output) {
				t.Errorf("%s: exit code %d, errors %s, output:\n%s\nthe page says:\n%s", command, got.Code, got.Err, got.Out, output)
			}
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands were run", ran)
	}
}

// offline reports whether a command needs no cluster.
func offline(args string) bool {
	return strings.HasPrefix(args, "simulate ") || strings.HasPrefix(args, "explain -f ")
}
