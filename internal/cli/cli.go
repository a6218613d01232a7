package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/dev"
	"github.com/jobkit/jobkit/internal/version"
)

// The exit codes.
const (
	// exitOK: what was asked for was done; every job succeeded or, in the demo, ended
	// as expected.
	exitOK = 0
	// exitFailed: a job failed or, in the demo, did not end as expected; or another
	// command could not do what was asked for.
	exitFailed = 1
	// exitRefused: the command line or the input is wrong, or the cluster refused it;
	// no job was submitted.
	exitRefused = 2
	// exitUnknown: jobs were submitted, and how they end is not known: the time was
	// up, the command was interrupted, or a job was deleted.
	exitUnknown = 3
)

// codedError is an error with the exit code that it leads to.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }

func (e *codedError) Unwrap() error { return e.err }

// withCode attaches an exit code to an error; nil stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code: code, err: err}
}

// Main runs the command line and returns the exit code of the process. args begin with the
// program's name. It ends early, and cleans up, when ctx does.
func Main(ctx context.Context, args []string, streams console.Streams) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	return (&app{name: name, streams: streams, dev: dev.ThisMachine{}}).execute(ctx, args[1:])
}

// execute is Main with the environment of dev control planes given, for tests.
func execute(ctx context.Context, args []string, streams console.Streams, environment dev.Environment) int {
	return (&app{streams: streams, dev: environment}).execute(ctx, args)
}

// execute runs the command line.
func (a *app) execute(ctx context.Context, args []string) int {
	out := &recorded{to: a.streams.Out}
	a.streams.Out = out
	streams := a.streams
	root := a.rootCommand() //nolint:contextcheck // its commands get the context from cobra, by ExecuteContext
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	if err == nil && out.err != nil { // The disk is full, for example.
		err = withCode(exitFailed, fmt.Errorf("the output is not complete: %w", out.err))
	}
	if err == nil {
		return exitOK
	}
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
	fmt.Fprintf(streams.Err, "jobkit: %s\n", strings.Join(lines, "\n  "))
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	// An error without a code comes from cobra: an unknown command or flag.
	return exitRefused
}

// recorded is a writer that keeps its first error, for the many places that print and cannot do
// anything about it.
type recorded struct {
	to io.Writer

	mu  sync.Mutex
	err error
}

func (w *recorded) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.to.Write(p)
	w.err = cmp.Or(w.err, err)
	return n, err //nolint:wrapcheck // as a writer does
}

// app is what all commands share.
type app struct {
	// name is that of the program, as it was called.
	name    string
	streams console.Streams
	dev     dev.Environment
	verbose bool
}

const rootHelp = `jobkit runs jobs on Kubernetes: operators for job kinds, and the tools to try them.

  jobkit simulate -f job.yaml  see what would happen to a job, without a cluster
  jobkit demo                  see the examples run, from nothing, with only Go installed
  jobkit dev up                start a control plane on this machine, to develop against
  jobkit run -f job.yaml       run a job on a cluster, and exit with its outcome
  jobkit get                   see the jobs of a cluster; describe, logs, top say more
  jobkit restart JOB           steer a job; suspend, resume, delete do, too
  jobkit new                   write the module of an operator for a job kind of your own

Results go to standard output, errors to standard error. On a terminal, progress is
a table that is redrawn in place; in a pipe it is one line for each change. There are
no colours if NO_COLOR is set.`

// rootCommand is the command line as a whole.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "jobkit",
		Annotations:   a.displayName(),
		Short:         "run jobs on Kubernetes",
		Long:          rootHelp,
		Version:       version.Line("jobkit"),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			if a.verbose {
				a.streams.Size = nil // a log would run through a table that is redrawn
			}
			setLogger(a.logger(io.Discard))
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetVersionTemplate("{{.Version}}\n") // --version prints what "jobkit version" does
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false,
		"write the logs of what runs inside this command to standard error")
	root.SetFlagErrorFunc(flagMistake)
	addGroup(root, "Without a cluster:", a.simulateCommand(), a.explainCommand(), a.demoCommand(), a.devCommand(), a.newCommand())
	addGroup(root, "Run a job and see it:", append([]*cobra.Command{a.runCommand(), a.waitCommand(), a.uiCommand()}, a.readCommands()...)...)
	addGroup(root, "Steer jobs:", a.steerCommands()...)
	addGroup(root, "Operators and CRDs of a cluster:", a.installCommand(), a.doctorCommand(), a.migrateCommand())
	root.AddCommand(a.versionCommand())
	return root
}

// addGroup adds commands that the help shows together, under a title.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// displayName has the usage say how the program was called: as a plugin of kubectl it has the
// name kubectl-jobkit.
func (a *app) displayName() map[string]string {
	if a.name != plugin {
		return nil
	}
	return map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl jobkit"}
}

// plugin is the name under which kubectl runs the program.
const plugin = "kubectl-jobkit"

// logger writes to the given file, and to standard error if the user wants that.
func (a *app) logger(file io.Writer) logr.Logger {
	out := file
	if a.verbose {
		out = io.MultiWriter(file, a.streams.Err)
	}
	return funcr.New(func(prefix, args string) {
		fmt.Fprintln(out, strings.TrimSpace(prefix+" "+args))
	}, funcr.Options{LogTimestamp: true})
}

// setLogger sends the logs of the Kubernetes libraries to a logger. They have one
// logger for the whole process; it is set here and nowhere else.
func setLogger(log logr.Logger) {
	klog.SetLogger(log)
	ctrllog.SetLogger(log)
}
