package cli

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/internal/cli/install"
	"github.com/jobkit/jobkit/internal/cli/run"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
)

const runHelp = `Submit the jobs of a manifest to a cluster, show their progress, and exit with their
outcome. It works with every job kind of jobkit operators and of training-operator.

All jobs are checked by the cluster before the first one is created: either all are
submitted or none. With --replace each job of the same name is deleted just before the new
one is created; what was deleted does not come back if a later job is refused after all.
Interrupting the command leaves the jobs running.

Exit codes:
  0  every job succeeded (with --detach: was submitted)
  1  a job failed
  2  no job was submitted: the command line or a manifest is wrong, the cluster
     refused it or does not answer
  3  jobs were submitted, but it is not known how they end: --timeout is up, the
     command was interrupted, or a job was deleted before it finished`

const runExample = `  jobkit run -f job.yaml
  jobkit run -f job.yaml --timeout 10m --delete
  generate-job | jobkit run -n research -f -`

// runFlags are the flags of jobkit run.
type runFlags struct {
	clusterFlags

	files                   []string
	timeout                 time.Duration
	detach, delete, replace bool
}

// runCommand is jobkit run.
func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:     "run -f FILE",
		Short:   "run jobs on a cluster and exit with their outcome",
		Long:    runHelp,
		Example: runExample,
		Args:    noFiles,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd, f) },
	}
	f.addTo(cmd, true)
	flags := cmd.Flags()
	addFiles(flags, &f.files)
	flags.DurationVar(&f.timeout, "timeout", 0, "how long to wait for the jobs to end, and as long before for those that --replace deletes (default no limit)")
	flags.BoolVar(&f.detach, "detach", false, "do not wait for the jobs to end")
	flags.BoolVar(&f.replace, "replace", false, "delete jobs of the same names before")
	flags.BoolVar(&f.delete, "delete", false, "delete the jobs once all have ended")
	return cmd
}

// run executes jobkit run.
func (a *app) run(cmd *cobra.Command, f runFlags) error {
	switch {
	case len(f.files) == 0:
		return withCode(exitRefused, errNoManifest)
	case f.timeout < 0:
		return withCode(exitRefused, fmt.Errorf("--timeout is %s: it must not be negative", f.timeout))
	case f.detach && (f.delete || f.timeout > 0):
		return withCode(exitRefused, errors.New("--detach does not wait, so it cannot go with --delete or --timeout: leave one out"))
	}
	documents, err := manifest.Read(f.files, a.streams.In)
	if err != nil {
		return withCode(exitRefused, err)
	}
	client, err := f.Connect(cmd.Context(), a.streams.Err)
	if err != nil {
		return withCode(exitRefused, err)
	}
	// To read them takes longer than all else, and most clusters serve the kind.
	definitions := sync.OnceValues(install.Definitions)
	err = run.Run(cmd.Context(), a.streams, run.Options{
		Client: client.Dynamic, Discovery: client.Discovery,
		Documents: documents,
		Namespace: client.Namespace, Forced: f.Namespace != "",
		HowToInstall: func(kind schema.GroupVersionKind) string {
			if all, err := definitions(); err == nil && install.Serves(all, kind) {
				return f.Jobkit("install-crds")
			}
			return ""
		},
		Replace: f.replace, Detach: f.detach, Delete: f.delete, Timeout: f.timeout,
		Kubectl: f.Kubectl(),
	})
	return withCode(runCode(err), err)
}

// runCode is the exit code for what run.Run returned.
func runCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, run.ErrFailed):
		return exitFailed
	case errors.Is(err, run.ErrNotSubmitted):
		return exitRefused
	default:
		return exitUnknown
	}
}
