package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/doctor"
	"github.com/jobkit/jobkit/internal/cli/install"
)

const doctorHelp = `Find what in the cluster would make jobs hang, and say how to fix it: CRDs that are missing or
old, webhooks that no one answers, no operator or two of them, rights that it lacks, quotas that
are used up, schedulers that do not run, DNS. It only reads.

Exit codes:
  0  there is no problem; there may be warnings
  1  there is a problem
  2  the command line is wrong, or the cluster does not answer`

// doctorCommand is jobkit doctor.
func (a *app) doctorCommand() *cobra.Command {
	var (
		f      clusterFlags
		output string
	)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "find what in the cluster would make jobs hang",
		Long:  doctorHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, formJSON, formYAML); err != nil {
				return withCode(exitRefused, err)
			}
			client, err := f.Connect(cmd.Context(), a.streams.Err)
			if err != nil {
				return withCode(exitRefused, err)
			}
			definitions, err := install.Definitions()
			if err != nil {
				return withCode(exitFailed, err)
			}
			return withCode(exitFailed, a.showFindings(doctor.Run(cmd.Context(), &doctor.Cluster{
				Client: client.Dynamic, Release: client.Release, Definitions: definitions, Namespace: f.Namespace, Now: time.Now(),
			}), output))
		},
	}
	f.addTo(cmd, true)
	cmd.Flags().Lookup("namespace").Usage = "`namespace` whose quotas and pods are checked (default all)"
	addOutput(cmd, &output, formJSON, formYAML)
	return cmd
}

// showFindings prints what was found. A problem is an error.
func (a *app) showFindings(findings []doctor.Finding, output string) error {
	if output == "" {
		for _, line := range doctor.Show(findings, a.streams.Color) {
			fmt.Fprintln(a.streams.Painted(), line)
		}
	} else if err := writeAs(a.streams.Out, output, findings); err != nil {
		return err
	}
	if doctor.Worst(findings) == doctor.Problem {
		return errors.New("the cluster has problems that make jobs hang")
	}
	return nil
}
