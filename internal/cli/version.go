package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/version"
)

// versionCommand is jobkit version.
func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(a.streams.Out, version.Line("jobkit")) },
	}
}
