package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/demo"
)

const demoHelp = `Start a control plane on this machine (or use the one of "jobkit dev up"), install the
job kinds, run their operators in this process, and run the example jobs to their end.
An address that it prints shows them in a browser meanwhile, as "jobkit ui" would.
Each example shows one thing of one kind, and says how it ends; the demo checks that.

No container runs: pods live as their annotations say, and nothing but Go is needed.
The first time, the control plane is built, which takes minutes; then it is cached.
Nothing is left behind, also when the demo is interrupted, unless --keep is given.

The columns of the table: PENDING, RUNNING, SUCCEEDED and FAILED (PEND, RUN, DONE and
FAIL on a narrow terminal) count replicas; RESTARTS (RST) counts restarts, and in
brackets failures that podFailurePolicy ignores; AGE stops when a job has finished.

Exit codes:
  0  every job ended as its example says
  1  one did not, or the time was up; what is known of it is on standard error
  2  the command line is wrong
  3  the demo was interrupted`

// demoFlags are the flags of jobkit demo.
type demoFlags struct {
	timeout time.Duration
	keep    bool
	list    bool
}

// demoCommand is jobkit demo.
func (a *app) demoCommand() *cobra.Command {
	const usual = 2 * time.Minute
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo [EXAMPLE|KIND]...",
		Short: "run the example jobs on a control plane on this machine",
		Long:  demoHelp,
		RunE:  func(cmd *cobra.Command, args []string) error { return a.demo(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&f.timeout, "timeout", usual, "how long it may take once the control plane is up")
	flags.BoolVar(&f.keep, "keep", false, "leave the control plane and the jobs for inspection")
	flags.BoolVar(&f.list, "list", false, "list the examples and run none")
	return cmd
}

// demo executes jobkit demo.
func (a *app) demo(ctx context.Context, f demoFlags, names []string) error {
	if f.timeout <= 0 {
		return withCode(exitRefused, fmt.Errorf("--timeout is %s: it must be above 0", f.timeout))
	}
	all, err := demo.Examples()
	if err != nil {
		return withCode(exitFailed, err)
	}
	examples, err := demo.Select(all, names)
	if err != nil {
		return withCode(exitRefused, err)
	}
	if f.list {
		for _, e := range examples {
			fmt.Fprintf(a.streams.Out, "%-16s %-10s %s\n", e.Object.GetName(), e.Object.GetKind(), e.Shows)
		}
		return nil
	}
	err = demo.Local{
		Environment: a.dev, Examples: examples, Keep: f.keep, Timeout: f.timeout,
		Log: func(file io.Writer) logr.Logger {
			log := a.logger(file)
			setLogger(log)
			return log
		},
	}.Run(ctx, a.streams)
	if errors.Is(err, context.Canceled) {
		return withCode(exitUnknown, errors.New("interrupted"))
	}
	if errors.Is(err, demo.ErrTimeout) {
		err = fmt.Errorf("%w; --timeout is %s", err, f.timeout)
	}
	return withCode(exitFailed, err)
}
