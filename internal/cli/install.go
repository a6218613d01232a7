package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/crds"
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
			"side, and wait until the cluster serves them. It can be repeated, and updates older ones.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			definitions, err := crds.All()
			if err != nil {
				return withCode(exitFailed, err)
			}
			if printsOnly {
				for _, d := range definitions {
					fmt.Fprintf(a.streams.Out, "---\n%s", strings.TrimPrefix(string(d.YAML), "---\n"))
				}
				return nil
			}
			client, err := a.connect(cmd.Context(), f)
			if err != nil {
				return withCode(exitFailed, err)
			}
			err = crds.Install(cmd.Context(), client.dynamic, client.discovery, definitions)
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

// command is how the user calls another jobkit command for the same cluster.
func (f *clusterFlags) command(name string) string {
	return "jobkit " + strings.Replace(f.kubectl(), "kubectl", name, 1)
}
