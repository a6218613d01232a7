package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/demo"
	"github.com/jobkit/jobkit/internal/devenv"
)

const demoHelp = `Start a control plane on this machine (or use the one of "jobkit dev up"), install the
job kinds, run their operators in this process, and run the example jobs to their end.
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
	err = a.runDemo(ctx, f, examples)
	if errors.Is(err, context.Canceled) {
		return withCode(exitUnknown, errors.New("interrupted"))
	}
	if errors.Is(err, demo.ErrTimeout) {
		err = fmt.Errorf("%w; --timeout is %s", err, f.timeout)
	}
	return withCode(exitFailed, err)
}

// runDemo finds or starts a control plane and runs the examples on it.
func (a *app) runDemo(ctx context.Context, f demoFlags, examples []demo.Example) (err error) {
	log, err := os.CreateTemp("", "jobkit-demo-*.log")
	if err != nil {
		return fmt.Errorf("cannot make a file for the operators' log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	cluster, err := a.demoCluster(ctx, f.keep)
	if err != nil {
		return errors.Join(err, os.Remove(log.Name()))
	}
	defer func() {
		err = errors.Join(err, cluster.stop())
	}()
	config, err := cluster.RESTConfig()
	if err != nil {
		return fmt.Errorf("cannot reach the control plane: %w", err)
	}
	logger := a.logger(log)
	setLogger(logger)
	namespace, err := demo.Run(ctx, a.streams, demo.Options{
		Examples: examples, Config: config, Shared: cluster.shared, Keep: f.keep, Timeout: f.timeout, Log: logger,
	})
	if f.keep && namespace != "" {
		a.kept(cluster, namespace, examples)
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return errors.Join(err, os.Remove(log.Name()))
	}
	fmt.Fprintf(a.streams.Err, "\nlogs: %s (operators)", log.Name())
	if cluster.shared {
		fmt.Fprintf(a.streams.Err, ", %s (control plane)", cluster.LogFile())
	}
	fmt.Fprintln(a.streams.Err)
	return err
}

// demoCluster is a control plane for a demo.
type demoCluster struct {
	devCluster

	// shared means that the control plane outlives the demo.
	shared bool
	stop   func() error
}

// demoCluster uses the control plane that runs, or starts one: for good if it is to
// be kept, and otherwise one that ends with the demo.
func (a *app) demoCluster(ctx context.Context, keep bool) (demoCluster, error) {
	running, err := a.dev.find()
	switch {
	case err == nil:
		fmt.Fprintln(a.streams.Err, `using the control plane that is running ("jobkit dev up")`)
		return demoCluster{running, true, func() error { return nil }}, nil
	case !errors.Is(err, errNotRunning):
		return demoCluster{}, err
	}
	fmt.Fprintln(a.streams.Err, "starting a control plane on this machine")
	options := devenv.Options{Progress: a.streams.Err}
	if keep {
		cluster, _, err := a.dev.up(ctx, options)
		if err != nil {
			return demoCluster{}, err
		}
		return demoCluster{cluster, true, func() error { return nil }}, nil
	}
	cluster, err := a.dev.start(ctx, options)
	if err != nil {
		return demoCluster{}, err
	}
	return demoCluster{cluster, false, cluster.Stop}, nil
}

// kept says how to inspect what --keep has left.
func (a *app) kept(cluster devCluster, namespace string, examples []demo.Example) {
	var kinds []string
	for _, e := range examples {
		kinds = append(kinds, strings.ToLower(e.Object.GetKind()))
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	fmt.Fprintln(a.streams.Out, strings.Join([]string{
		"",
		"The control plane and the jobs are kept; the operators have ended with this command. Inspect them:",
		"  export KUBECONFIG=" + cluster.Kubeconfig(),
		"  kubectl get " + strings.Join(kinds, ",") + ",pods,services,events -n " + namespace,
		"  kubectl describe " + strings.Join(kinds, ",") + " -n " + namespace,
		"Remove them:",
		"  kubectl delete namespace " + namespace,
		"  jobkit dev down",
	}, "\n"))
}
