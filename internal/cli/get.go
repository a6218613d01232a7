package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/cluster"
	"github.com/jobkit/jobkit/internal/cli/describe"
	"github.com/jobkit/jobkit/internal/cli/get"
	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/logs"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	"github.com/jobkit/jobkit/internal/cli/simulate"
	"github.com/jobkit/jobkit/internal/cli/top"
	"github.com/jobkit/jobkit/internal/cli/watch"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// readCommands are those that show jobs of a cluster.
func (a *app) readCommands() []*cobra.Command {
	return []*cobra.Command{a.getCommand(), a.describeCommand(), a.logsCommand(), a.topCommand()}
}

// getCommand is jobkit get.
func (a *app) getCommand() *cobra.Command {
	var (
		f      jobFlags
		output string
		live   bool
	)
	forms := []string{"wide", formJSON, formYAML}
	cmd := &cobra.Command{
		Use:     "get [KIND|JOB]...",
		Short:   "list jobs of all kinds, with their states",
		Example: "  jobkit get\n  jobkit get -A -w\n  jobkit get pytorchjobs -l team=vision -o yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, forms...); err != nil {
				return withCode(exitRefused, err)
			}
			if live && (output == formJSON || output == formYAML) {
				return withCode(exitRefused, fmt.Errorf("--watch shows a table, so it cannot go with -o %s: leave one out", output))
			}
			finder, _, err := a.finder(cmd.Context(), &f)
			if err != nil {
				return withCode(exitRefused, err)
			}
			found, err := finder.List(cmd.Context(), args)
			if err != nil {
				return withCode(exitFailed, err)
			}
			switch {
			case live:
				return a.follow(cmd.Context(), finder, args, found)
			case output == formJSON || output == formYAML:
				return withCode(exitFailed, writeAs(a.streams.Out, output, get.List(found)))
			case len(found) == 0:
				fmt.Fprintln(a.streams.Err, nothingFound(finder))
				return nil
			}
			a.table(found, output == "wide")
			return nil
		},
	}
	f.addTo(cmd, true)
	cmd.Flags().BoolVarP(&live, "watch", "w", false, "go on, and show what changes")
	addOutput(cmd, &output, forms...)
	return cmd
}

// nothingFound says that there are no jobs, and where.
func nothingFound(f *jobs.Finder) string {
	if f.Namespace == "" {
		return "there are no jobs"
	}
	return fmt.Sprintf("there are no jobs in namespace %s; -A shows those of all namespaces", f.Namespace)
}

// table prints jobs: on a terminal in its width, unless all is asked for.
func (a *app) table(found []jobs.Found, wide bool) {
	o := jobview.TableOptions{Color: a.streams.Color}
	if a.streams.Size != nil && !wide {
		o.Width, _ = a.streams.Size()
	}
	for _, line := range jobview.Table(get.Snapshot(found, time.Now()), o) {
		fmt.Fprintln(a.streams.Painted(), line)
	}
}

// follow shows jobs until it is interrupted, which is how it ends.
func (a *app) follow(ctx context.Context, finder *jobs.Finder, args []string, first []jobs.Found) error {
	reporter := watch.NewReporter(a.streams)
	defer reporter.Close()
	again := *finder
	again.Again = true
	source := get.NewLive(ctx, first, get.Period, func(ctx context.Context) ([]jobs.Found, error) { return again.List(ctx, args) })
	_, err := watch.Follow(ctx, source, reporter, func(*jobview.Snapshot) (bool, error) { return false, nil })
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return withCode(exitFailed, err)
}

const describeHelp = `Say what state a job is in, why, and what happens next and when, with its last failures,
conditions, pods and events.

"Next" is what follows if nothing else happens: restarts that are due, pods that have to start,
deadlines, and what the job does if it hangs. The page of "jobkit ui" says the same.`

// describeCommand is jobkit describe.
func (a *app) describeCommand() *cobra.Command {
	var (
		f      jobFlags
		output string
	)
	cmd := &cobra.Command{
		Use:     "describe JOB...",
		Short:   "say what a job does, why, and what happens next",
		Long:    describeHelp,
		Example: "  jobkit describe torch-ddp",
		Args:    needJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, formJSON, formYAML); err != nil {
				return withCode(exitRefused, err)
			}
			found, client, err := a.named(cmd.Context(), &f, args)
			if err != nil {
				return withCode(exitRefused, err)
			}
			return withCode(exitFailed, a.describe(cmd.Context(), client, found, output))
		},
	}
	f.addTo(cmd, false)
	addOutput(cmd, &output, formJSON, formYAML)
	return cmd
}

// describe prints what is known of jobs.
func (a *app) describe(ctx context.Context, client *cluster.Client, found []jobs.Found, output string) error {
	if output != "" {
		facts := make([]describe.Facts, 0, len(found))
		for i := range found {
			facts = append(facts, describe.FactsOf(&found[i], time.Now()))
		}
		return writeAs(a.streams.Out, output, facts)
	}
	for i := range found {
		if i > 0 {
			fmt.Fprintln(a.streams.Out)
		}
		for _, line := range describe.Job(ctx, client.Dynamic, &found[i], time.Now()) {
			fmt.Fprintln(a.streams.Out, line)
		}
	}
	return nil
}

const logsHelp = `Print the logs of a job's pods: of the master, of the replicas or types that are named, or of
all. If there are several, each line begins with its replica. The logs of a pod that was
deleted for a restart are gone; --previous has those of a container that was restarted in place.`

// logsCommand is jobkit logs.
func (a *app) logsCommand() *cobra.Command {
	var (
		f jobFlags
		o logs.Options
	)
	cmd := &cobra.Command{
		Use:     "logs JOB [REPLICA|TYPE]...",
		Short:   "print the logs of a job's pods",
		Long:    logsHelp,
		Example: "  jobkit logs torch-ddp -f\n  jobkit logs torch-ddp worker-1 --previous\n  jobkit logs torch-ddp worker --tail 20\n  jobkit logs torch-ddp --all",
		Args:    needJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Since < 0 {
				return withCode(exitRefused, fmt.Errorf("--since is %s: it must not be negative", o.Since))
			}
			if o.All && len(args) > 1 {
				return withCode(exitRefused, errors.New("--all is of all replicas, so none can be named: leave one out"))
			}
			finder, client, err := a.finder(cmd.Context(), &f)
			if err != nil {
				return withCode(exitRefused, err)
			}
			job, err := finder.One(cmd.Context(), args[0])
			if err != nil {
				return withCode(exitRefused, err)
			}
			o.Replicas = args[1:]
			return withCode(exitFailed, logs.Print(cmd.Context(), client, &job, o, a.streams.Out))
		},
	}
	f.addTo(cmd, false)
	flags := cmd.Flags()
	flags.BoolVar(&o.All, "all", false, "of all replicas")
	flags.BoolVarP(&o.Follow, "follow", "f", false, "go on until the pods end")
	flags.BoolVarP(&o.Previous, "previous", "p", false, "of the run before the last restart in place")
	flags.StringVarP(&o.Container, "container", "c", "", "`name` of a container (default the main one, or the first)")
	flags.Int64Var(&o.Tail, "tail", -1, "how many of the last `lines` (default all)")
	hideDefault(flags, "tail")
	flags.DurationVar(&o.Since, "since", 0, "how far back (default all)")
	return cmd
}

// topCommand is jobkit top.
func (a *app) topCommand() *cobra.Command {
	var (
		f      jobFlags
		output string
	)
	cmd := &cobra.Command{
		Use:     "top [KIND|JOB]...",
		Short:   "show the replicas of jobs by state, and what their pods request",
		Example: "  jobkit top -A",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, formJSON, formYAML); err != nil {
				return withCode(exitRefused, err)
			}
			finder, _, err := a.finder(cmd.Context(), &f)
			if err != nil {
				return withCode(exitRefused, err)
			}
			found, err := finder.List(cmd.Context(), args)
			if err != nil {
				return withCode(exitFailed, err)
			}
			if usage := top.Of(found); output != "" {
				return withCode(exitFailed, writeAs(a.streams.Out, output, usage))
			} else if len(usage) > 0 {
				for _, line := range top.Table(usage) {
					fmt.Fprintln(a.streams.Out, line)
				}
				if err := found[0].NoPods; err != nil { // one list has the pods of all
					fmt.Fprintln(a.streams.Err, "what the pods request is not known: "+err.Error())
				}
				return nil
			}
			fmt.Fprintln(a.streams.Err, nothingFound(finder))
			return nil
		},
	}
	f.addTo(cmd, true)
	addOutput(cmd, &output, formJSON, formYAML)
	return cmd
}

// explainCommand is jobkit explain.
func (a *app) explainCommand() *cobra.Command {
	var (
		files  []string
		output string
	)
	forms := []string{formTable, "tree", formYAML}
	cmd := &cobra.Command{
		Use:     "explain -f FILE",
		Short:   "show the pods, services and objects that a job would have, without a cluster",
		Example: "  jobkit explain -f job.yaml\n  jobkit explain -f job.yaml -o tree",
		Args:    noFiles,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output, forms...); err != nil {
				return withCode(exitRefused, err)
			}
			if len(files) == 0 {
				return withCode(exitRefused, errNoManifest)
			}
			documents, err := manifest.Read(files, a.streams.In)
			if err != nil {
				return withCode(exitRefused, err)
			}
			decoded, err := jobsOf(documents, a.streams.Err)
			if err != nil {
				return withCode(exitRefused, err)
			}
			for i, d := range decoded {
				if err := a.explain(d, output, i); err != nil {
					return withCode(exitRefused, err)
				}
			}
			return nil
		},
	}
	addFiles(cmd.Flags(), &files)
	addOutput(cmd, &output, forms...)
	return cmd
}

// explain prints the objects of one job, the i-th.
func (a *app) explain(d *simulate.Decoded, output string, i int) error {
	objects, err := d.Objects()
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Kind(), d.Name(), err)
	}
	lines := simulate.ObjectTable(objects)
	switch output {
	case formYAML:
		text, err := simulate.ObjectYAML(objects)
		if err != nil {
			return err
		}
		if i > 0 {
			text = "---\n" + text
		}
		fmt.Fprint(a.streams.Out, text)
		return nil
	case "tree":
		lines = simulate.ObjectTree(d, objects)
	}
	if i > 0 {
		fmt.Fprintln(a.streams.Out)
	}
	for _, line := range lines {
		fmt.Fprintln(a.streams.Out, line)
	}
	return nil
}
