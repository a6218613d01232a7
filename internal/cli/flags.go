package cli

import (
	"github.com/spf13/cobra"

	"github.com/jobkit/jobkit/internal/cli/cluster"
)

// clusterFlags say which cluster a command speaks to, as kubectl's flags do.
type clusterFlags struct{ cluster.Choice }

// addTo adds the flags to a command.
func (f *clusterFlags) addTo(cmd *cobra.Command, namespaced bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.Kubeconfig, "kubeconfig", "", "kubeconfig `file` (default $KUBECONFIG, then ~/.kube/config)")
	flags.StringVar(&f.Context, "context", "", "`context` of the kubeconfig (default its current one)")
	if namespaced {
		flags.StringVarP(&f.Namespace, "namespace", "n", "", "`namespace` of the jobs (default their own, then the context's)")
	}
}
