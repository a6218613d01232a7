package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/scaffold"
	"github.com/jobkit/jobkit/internal/version"
)

const newHelp = `Write a Go module with the operator of a job kind of your own: types, controller, tests,
program, CRD, permissions, deployment, an example job. It passes its own "make test" at
once. Then say what is special about your kind.

--roles are the replica types. "Coordinator:1,Solver" means exactly one Coordinator and any
number of Solvers in each job. If the first type has exactly one replica, and there are
others, it decides when the job succeeds; otherwise all replicas do.`

// newFlags are the flags of jobkit new.
type newFlags struct {
	scaffold.Request

	dir    string
	noTidy bool
}

// newCommand is jobkit new.
func (a *app) newCommand() *cobra.Command {
	var f newFlags
	cmd := &cobra.Command{
		Use:   "new GROUP/VERSION KIND --roles TYPE[:NUMBER],...",
		Short: "write the module of an operator for a job kind of your own",
		Long:  newHelp,
		Example: "  jobkit new sim.example.com/v1 SimJob --roles Coordinator:1,Solver\n" +
			"  jobkit new ml.example.com/v1beta1 EvalJob --roles Worker --module example.com/eval --dir eval",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("jobkit new needs the API version and the kind: write them as in: " +
					"jobkit new sim.example.com/v1 SimJob --roles Coordinator:1,Solver")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.GroupVersion, f.Kind = args[0], args[1]
			return a.new(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Roles, "roles", "", "the replica `types`, each with the number of its replicas if that is fixed")
	flags.StringVar(&f.Module, "module", "", "the `path` of the Go module (default the group and the kind)")
	flags.StringVar(&f.dir, "dir", "", "the `folder` to write to, which must not exist, or be empty (default the kind in lower case)")
	flags.StringVar(&f.Jobkit.Path, "jobkit", "", "a `checkout` of jobkit that the module uses (default the version of this program)")
	flags.BoolVar(&f.noTidy, "no-tidy", false, `do not run "go mod tidy" in the module`)
	return cmd
}

// new executes jobkit new.
func (a *app) new(ctx context.Context, f newFlags) error {
	project, err := scaffold.Read(f.Request)
	if err != nil {
		return withCode(exitRefused, err)
	}
	project.Jobkit, err = requirement(f.Jobkit.Path, version.Published())
	if err != nil {
		return withCode(exitRefused, err)
	}
	if f.dir == "" {
		f.dir = project.Lower()
	}
	if err := project.Write(f.dir); err != nil {
		return withCode(exitFailed, err)
	}
	if !f.noTidy {
		fmt.Fprintln(a.streams.Err, "fetching modules (go mod tidy)")
		if err := tidy(ctx, f.dir); err != nil {
			return withCode(exitFailed, err)
		}
	}
	fmt.Fprintf(a.streams.Out, `The module %s is in the folder %s.

  cd %[2]s
  make test      # golden files, and jobs in a simulated cluster
  make dev       # a control plane on this machine
  make run       # the operator, against it

What is special about your kind is in internal/%[3]s; README.md says more.
`, project.Module, f.dir, project.Lower())
	return nil
}

var jobkitModule = regexp.MustCompile(`(?m)^module github\.com/jobkit/jobkit$`)

// requirement says where the module gets jobkit from: the checkout that is named, or the version
// that this program was published as.
func requirement(checkout, published string) (scaffold.Requirement, error) {
	switch {
	case checkout == "" && published == "":
		return scaffold.Requirement{}, errors.New("this jobkit was built from a checkout, so it has no version that the module could require: " +
			"name the checkout with --jobkit")
	case checkout == "":
		return scaffold.Requirement{Version: published}, nil
	}
	path, err := filepath.Abs(checkout)
	if err != nil {
		return scaffold.Requirement{}, fmt.Errorf("--jobkit is %s: cannot find it: %w", checkout, err)
	}
	text, err := os.ReadFile(filepath.Join(path, "go.mod"))
	if err != nil || !jobkitModule.Match(text) {
		return scaffold.Requirement{}, fmt.Errorf("--jobkit is %s: that is no checkout of jobkit: name the folder with its go.mod", checkout)
	}
	return scaffold.Requirement{Version: "v0.0.0", Path: path}, nil
}

// tidy completes the requirements of a new module.
func tidy(ctx context.Context, dir string) error {
	c := exec.CommandContext(ctx, "go", "mod", "tidy")
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off")
	out, err := c.CombinedOutput()
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	const shown = 10
	lines = lines[max(0, len(lines)-shown):]
	return fmt.Errorf("the module is written to %s, but its requirements cannot be fetched: "+
		"run \"go mod tidy\" there when the Go module proxy can be reached: %w\n%s",
		dir, err, strings.Join(lines, "\n"))
}
