package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/install"
	"github.com/jobkit/jobkit/internal/cli/migrate"
)

const migrateHelp = `Move a cluster from training-operator v1 to this operator: stop v1, put its webhooks aside, and
apply the CRDs of this version. Jobs and their pods stay. It checks first, asks before each step,
skips what was done before, and says at its end what is left and how to go back.`

// migrateCommand is jobkit migrate.
func (a *app) migrateCommand() *cobra.Command {
	var (
		f   clusterFlags
		o   migrate.Options
		yes bool
	)
	const usual = 2 * time.Minute
	cmd := &cobra.Command{
		Use:     "migrate",
		Short:   "move a cluster from training-operator v1 to this operator",
		Long:    migrateHelp,
		Example: "  jobkit migrate --dry-run\n  jobkit migrate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Timeout <= 0 {
				return withCode(exitRefused, fmt.Errorf("--timeout is %s: it must be above 0", o.Timeout))
			}
			client, err := f.Connect(cmd.Context(), a.streams.Err)
			if err != nil {
				return withCode(exitRefused, err)
			}
			o.Definitions, err = install.Definitions()
			if err != nil {
				return withCode(exitFailed, err)
			}
			o.Client, o.Discovery, o.Out = client.Dynamic, client.Discovery, a.streams.Out
			if !yes {
				o.Confirm = a.asks()
			}
			err = migrate.Run(cmd.Context(), &o)
			if errors.Is(err, migrate.ErrStopped) {
				return withCode(exitUnknown, err)
			}
			return withCode(exitFailed, err)
		},
	}
	f.addTo(cmd, false)
	flags := cmd.Flags()
	flags.BoolVar(&o.DryRun, "dry-run", false, "say what would be done, and do nothing")
	flags.BoolVarP(&yes, "yes", "y", false, "do not ask")
	flags.StringVar(&o.Backup, "backup", "v1-webhooks.yaml", "`file` that keeps v1's webhooks, for the way back")
	flags.DurationVar(&o.Timeout, "timeout", usual, "how long v1 may take to end")
	return cmd
}

// asks puts questions on standard output, and reads the answers from standard input. The end of the input is a no.
func (a *app) asks() func(string) bool {
	lines := bufio.NewScanner(a.streams.In)
	return func(question string) bool {
		fmt.Fprintf(a.streams.Out, "%s [y/N] ", question)
		if !lines.Scan() {
			fmt.Fprintln(a.streams.Out)
			return false
		}
		answer := strings.ToLower(strings.TrimSpace(lines.Text()))
		return answer == "y" || answer == "yes"
	}
}
