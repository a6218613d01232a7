package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/install"
)

// installCommand is jobkit install-crds.
func (a *app) installCommand() *cobra.Command {
	var (
		f          clusterFlags
		printsOnly bool
	)
	cmd := &cobra.Command{
		Use:   "install-crds",
		Short: "install the job kinds of this version on a cluster",
		Long: "Apply the CustomResourceDefinitions of the job kinds that this version has, on the server's\n" +
			"side, and wait until the cluster serves them. It can be repeated, and updates older ones;\n" +
			"it refuses to replace newer ones, because jobs would lose the fields that it does not know.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			definitions, err := install.Definitions()
			if err != nil {
				return withCode(exitFailed, err)
			}
			if printsOnly {
				for _, d := range definitions {
					fmt.Fprintf(a.streams.Out, "---\n%s", strings.TrimPrefix(string(d.YAML), "---\n"))
				}
				return nil
			}
			client, err := f.Connect(cmd.Context(), a.streams.Err)
			if err != nil {
				return withCode(exitRefused, err)
			}
			if err := install.CheckNewer(cmd.Context(), client.Dynamic, definitions); err != nil {
				return withCode(exitFailed, err)
			}
			err = install.CRDs(cmd.Context(), client.Dynamic, client.Discovery, definitions)
			if err != nil {
				return withCode(exitFailed, err)
			}
			for _, d := range definitions {
				fmt.Fprintf(a.streams.Out, "%s installed\n", d.Object.GetName())
			}
			return nil
		},
	}
	f.addTo(cmd, false)
	cmd.Flags().BoolVar(&printsOnly, "print", false, "print the definitions and install nothing")
	return cmd
}
