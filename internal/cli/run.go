package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/internal/cli/crds"
	"github.com/jobkit/jobkit/internal/cli/jobrun"
	"github.com/jobkit/jobkit/internal/cli/manifest"
)

const runHelp = `Submit the jobs of a manifest to a cluster, show how they get on, and exit with their
outcome. It works with every job kind of jobkit operators and of training-operator.

All jobs are checked by the cluster before the first one is created: either all are
submitted or none. Interrupting the command leaves the jobs running.

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
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unexpected argument %q: write -f %s", args[0], args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd, f) },
	}
	f.addTo(cmd, true)
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.files, "filename", "f", nil, "`file` of jobs, YAML or JSON; - is standard input; can be repeated")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long to wait for the jobs to end (default no limit)")
	flags.BoolVar(&f.detach, "detach", false, "do not wait for the jobs to end")
	flags.BoolVar(&f.replace, "replace", false, "delete jobs of the same names before")
	flags.BoolVar(&f.delete, "delete", false, "delete the jobs once all have ended")
	return cmd
}

// run executes jobkit run.
func (a *app) run(cmd *cobra.Command, f runFlags) error {
	switch {
	case len(f.files) == 0:
		return withCode(exitRefused, errors.New("no manifest is given: name one with -f FILE, or write -f - for standard input"))
	case f.timeout < 0:
		return withCode(exitRefused, fmt.Errorf("--timeout is %s: it must not be negative", f.timeout))
	case f.detach && (f.delete || f.timeout > 0):
		return withCode(exitRefused, errors.New("--detach does not wait, so it cannot go with --delete or --timeout: leave one out"))
	}
	documents, err := a.read(f.files)
	if err != nil {
		return withCode(exitRefused, err)
	}
	client, err := a.connect(cmd.Context(), f.clusterFlags)
	if err != nil {
		return withCode(exitRefused, err)
	}
	definitions, err := crds.All()
	if err != nil {
		return withCode(exitRefused, err)
	}
	err = jobrun.Run(cmd.Context(), a.streams, jobrun.Options{
		Client: client.dynamic, Discovery: client.discovery,
		Documents: documents,
		Namespace: client.namespace, Forced: f.namespace != "",
		HowToInstall: func(kind schema.GroupVersionKind) string {
			if crds.Serves(definitions, kind) {
				return f.command("install-crds")
			}
			return ""
		},
		Replace: f.replace, Detach: f.detach, Delete: f.delete, Timeout: f.timeout,
		Kubectl: f.kubectl(),
	})
	return withCode(runCode(err), err)
}

// runCode is the exit code for what jobrun.Run returned.
func runCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, jobrun.ErrFailed):
		return exitFailed
	case errors.Is(err, jobrun.ErrNotSubmitted):
		return exitRefused
	default:
		return exitUnknown
	}
}

// read reads the manifests, and reports all that is wrong with them at once.
func (a *app) read(files []string) ([]manifest.Document, error) {
	var (
		documents []manifest.Document
		errs      []error
	)
	for _, file := range files {
		found, err := a.readOne(file)
		errs = append(errs, err)
		documents = append(documents, found...)
	}
	return documents, errors.Join(errs...)
}

// readOne reads one manifest; - is standard input.
func (a *app) readOne(file string) ([]manifest.Document, error) {
	if file == "-" {
		text, err := io.ReadAll(a.streams.In)
		if err != nil {
			return nil, fmt.Errorf("cannot read the manifest on standard input: %w", err)
		}
		return manifest.Parse("standard input", text)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest: %w", err)
	}
	return manifest.Parse(file, text)
}
