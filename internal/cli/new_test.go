package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/internal/cli/scaffold"
)

func TestNew(t *testing.T) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	line := "new sim.example.com/v1 SimJob --roles Coordinator:1,Solver --no-tidy --jobkit " + checkout
	want := answer{0, `The module sim.example.com/simjob is in the folder simjob.

  cd simjob
  make test      # golden files, and jobs in a simulated cluster
  make dev       # a control plane on this machine
  make run       # the operator, against it

What is special about your kind is in internal/simjob; README.md says more.
`, ""}
	if diff := cmp.Diff(want, call(t.Context(), &fakeDev{}, "", strings.Fields(line)...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := os.ReadFile("simjob/go.mod")
	if err != nil || !strings.Contains(string(text), "replace github.com/jobkit/jobkit => "+checkout+"\n") {
		t.Errorf("go.mod does not use the checkout: %v\n%s", err, text)
	}
	for _, c := range []struct {
		reason, args, want string
		code               int
	}{
		{"nothing is replaced", line, "jobkit: the folder simjob has files already, such as .github, and nothing is replaced: name another folder with --dir\n", exitFailed},
		{
			"a program without a version", "new sim.example.com/v1 SimJob --roles Solver",
			"jobkit: this jobkit was built from a checkout, so it has no version that the module could require: name the checkout with --jobkit\n", exitRefused,
		},
		{"no checkout", "new sim.example.com/v1 SimJob --roles Solver --jobkit simjob", "jobkit: --jobkit is simjob: that is no checkout of jobkit: name the folder with its go.mod\n", exitRefused},
		{
			"no kind", "new sim.example.com/v1",
			"jobkit: jobkit new needs the API version and the kind: write them as in: jobkit new sim.example.com/v1 SimJob --roles Coordinator:1,Solver\n", exitRefused,
		},
		{
			"a bad name", "new sim/v1 SimJob --roles Solver --jobkit " + checkout,
			"jobkit: the group \"sim\" is not valid: use a domain of yours in lower case, as in sim.example.com\n", exitRefused,
		},
	} {
		if diff := cmp.Diff(answer{c.code, "", c.want}, call(t.Context(), &fakeDev{}, "", strings.Fields(c.args)...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

// TestTidyFails: the module exists, and the user knows what is left to do.
func TestTidyFails(t *testing.T) {
	dir := t.TempDir()
	err := tidy(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), `run "go mod tidy" there when the Go module proxy can be reached`) || !strings.Contains(err.Error(), "go.mod file not found") {
		t.Errorf("error %v", err)
	}
}

func TestRequirement(t *testing.T) {
	if got, err := requirement("", "v1.2.3"); err != nil || got != (scaffold.Requirement{Version: "v1.2.3"}) {
		t.Errorf("a published program requires its own version: %v, %v", got, err)
	}
}
