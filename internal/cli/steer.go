package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/await"
	"github.com/jobkit/jobkit/internal/cli/cluster"
	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/steer"
	"github.com/jobkit/jobkit/internal/cli/watch"
)

// jobFlags are the flags of commands that work on jobs of a cluster.
type jobFlags struct {
	clusterFlags

	kinds         kindFlag
	allNamespaces bool
	selector      string
}

// addTo adds the flags to a command. several commands take all jobs that fit.
func (f *jobFlags) addTo(cmd *cobra.Command, several bool) {
	f.clusterFlags.addTo(cmd, true)
	cmd.Flags().Lookup("namespace").Usage = "`namespace` of the jobs (default the context's)"
	f.kinds.addTo(cmd)
	if several {
		cmd.Flags().BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "the jobs of all namespaces")
		cmd.Flags().StringVarP(&f.selector, "selector", "l", "", "the jobs with these `labels`, as kubectl writes them")
	}
	cmd.ValidArgsFunction = f.complete
}

// finder connects to the cluster.
func (a *app) finder(ctx context.Context, f *jobFlags) (*jobs.Finder, *cluster.Client, error) {
	return f.finder(ctx, a.streams.Err)
}

func (f *jobFlags) finder(ctx context.Context, warnings io.Writer) (*jobs.Finder, *cluster.Client, error) {
	others, needed, err := f.kinds.read()
	if err != nil {
		return nil, nil, err
	}
	client, err := f.Connect(ctx, warnings)
	if err != nil {
		return nil, nil, err
	}
	finder := &jobs.Finder{
		Client: client.Dynamic, Discovery: client.Discovery, Namespace: client.Namespace, Selector: f.selector,
		Others: others, Needed: needed,
	}
	if f.allNamespaces {
		finder.Namespace = ""
	}
	return finder, client, nil
}

// complete offers the names of jobs.
func (f *jobFlags) complete(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	const longest = 2 * time.Second
	ctx, cancel := context.WithTimeout(cmd.Context(), longest)
	defer cancel()
	one := jobFlags{clusterFlags: f.clusterFlags, kinds: f.kinds} // of one namespace
	finder, _, err := one.finder(ctx, cmd.ErrOrStderr())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, err := finder.List(ctx, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for i := range found {
		names = append(names, found[i].Object.GetName()+"\t"+found[i].Kind.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// needJob refuses a command line without a job.
func needJob(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no job is named: write %s NAME, or KIND/NAME\nsee: %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

// named finds the jobs that the arguments of a command name, and connects to their cluster.
func (a *app) named(ctx context.Context, f *jobFlags, names []string) ([]jobs.Found, *cluster.Client, error) {
	finder, client, err := a.finder(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	found := make([]jobs.Found, 0, len(names))
	for _, name := range names {
		job, err := finder.One(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, job)
	}
	return found, client, nil
}

// steerCommands are those that change jobs.
func (a *app) steerCommands() []*cobra.Command {
	return []*cobra.Command{
		a.eachCommand("suspend", "delete the pods of jobs, until they are resumed", func(c *cluster.Client) steer.Do { return steer.Suspend(c.Dynamic, true) }),
		a.eachCommand("resume", "run jobs again that are suspended", func(c *cluster.Client) steer.Do { return steer.Suspend(c.Dynamic, false) }),
		a.eachCommand("delete", "delete jobs, with what they own", func(c *cluster.Client) steer.Do { return steer.Delete(c.Dynamic) }),
		a.restartCommand(),
	}
}

// eachCommand is a command that does the same to each job that it is given.
func (a *app) eachCommand(name, short string, do func(*cluster.Client) steer.Do) *cobra.Command {
	var f jobFlags
	cmd := &cobra.Command{
		Use:     name + " JOB...",
		Short:   short,
		Example: "  jobkit " + name + " torch-ddp\n  jobkit " + name + " -n research pytorchjob/torch-ddp",
		Args:    needJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, client, err := a.named(cmd.Context(), &f, args)
			if err != nil {
				return withCode(exitRefused, err)
			}
			return withCode(exitFailed, steer.Each(cmd.Context(), a.streams.Out, found, do(client)))
		},
	}
	f.addTo(cmd, false)
	return cmd
}

const restartHelp = `Restart a job, or some of its replicas. No limit counts that.

The pods that have not succeeded are deleted, and the operator creates them again; with restart
scope Job the whole job starts again. A job that has ended cannot be restarted. The button of
"jobkit ui" does the same.`

// restartCommand is jobkit restart.
func (a *app) restartCommand() *cobra.Command {
	var f jobFlags
	cmd := &cobra.Command{
		Use:     "restart JOB [REPLICA...]",
		Short:   "restart a job, or some of its replicas",
		Long:    restartHelp,
		Example: "  jobkit restart torch-ddp\n  jobkit restart torch-ddp worker-1 worker-2\n  jobkit restart torch-ddp worker",
		Args:    needJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, client, err := a.named(cmd.Context(), &f, args[:1])
			if err != nil {
				return withCode(exitRefused, err)
			}
			return withCode(exitFailed, steer.Each(cmd.Context(), a.streams.Out, found, steer.Restart(client.Dynamic, args[1:]...)))
		},
	}
	f.addTo(cmd, false)
	return cmd
}

const waitHelp = `Wait until jobs are in a state.

Exit codes:
  0  all are
  1  one is in a state from which it cannot come there: it has ended
  2  the command line is wrong, there is no such job, or the cluster does not answer
  3  the time is up, or the command was interrupted`

// waitCommand is jobkit wait.
func (a *app) waitCommand() *cobra.Command {
	var (
		f       jobFlags
		goal    string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:     "wait JOB...",
		Short:   "wait until jobs are in a state",
		Long:    waitHelp,
		Example: "  jobkit wait torch-ddp --timeout 1h\n  jobkit wait torch-ddp --for running",
		Args:    needJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := await.ReadGoal(goal)
			if err != nil {
				return withCode(exitRefused, err)
			}
			if timeout < 0 {
				return withCode(exitRefused, fmt.Errorf("--timeout is %s: it must not be negative", timeout))
			}
			found, client, err := a.named(cmd.Context(), &f, args)
			if err != nil {
				return withCode(exitRefused, err)
			}
			targets := make([]watch.Target, 0, len(found))
			for _, job := range found {
				targets = append(targets, watch.Target{
					Resource: job.Kind.Resource, Namespace: job.Object.GetNamespace(), Name: job.Object.GetName(), Object: job.Object,
				})
			}
			return a.await(cmd.Context(), client, targets, g, timeout)
		},
	}
	f.addTo(cmd, false)
	cmd.Flags().StringVar(&goal, "for", "end", "the `state`: end, succeeded, failed, running, suspended, restarting, stalled, created or deleted")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to wait at most (default no limit)")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(await.Goals(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// await waits, and says how it ended.
func (a *app) await(ctx context.Context, client *cluster.Client, targets []watch.Target, g await.Goal, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it is not so after %s: %w", timeout, await.ErrTimeout))
		defer cancel()
	}
	watching, end := context.WithCancel(ctx)
	defer end()
	watcher, err := watch.Start(watching, client.Dynamic, targets)
	if err != nil {
		return withCode(exitRefused, err)
	}
	defer watcher.Wait()
	defer end()
	err = await.For(ctx, watcher, g, func(text string) { fmt.Fprintln(a.streams.Err, text) })
	if err == nil {
		for _, job := range watcher.Snapshot(time.Now()).Jobs {
			fmt.Fprintf(a.streams.Out, "%s %s/%s: %s\n", job.Kind, job.Namespace, job.Name, job.State())
		}
		return nil
	}
	if errors.Is(err, await.ErrNever) {
		return withCode(exitFailed, err)
	}
	return withCode(exitUnknown, err)
}
