package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

// errNoManifest is the error of a command that needs a manifest and got none.
var errNoManifest = errors.New("no manifest is given: name one with -f FILE, or write -f - for standard input")

// addFiles adds the flag that names manifests.
func addFiles(flags *pflag.FlagSet, files *[]string) {
	flags.StringArrayVarP(files, "filename", "f", nil, "`file` of jobs, YAML or JSON; - is standard input; can be repeated")
}

// noFiles refuses arguments: files are named by a flag.
func noFiles(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: write -f %s", args[0], args[0])
	}
	return nil
}

// The forms of output that all commands have which can write for programs.
const (
	formJSON = "json"
	formYAML = "yaml"
)

// addOutput adds the flag that chooses the form of the output.
func addOutput(cmd *cobra.Command, output *string, forms ...string) {
	cmd.Flags().StringVarP(output, "output", "o", "", "`form` of the output: "+strings.Join(forms, ", ")+" (default a text for people)")
	complete := cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("output", complete) // it fails only for a flag that does not exist
}

// checkOutput refuses a form that there is not.
func checkOutput(output string, forms ...string) error {
	if output == "" || slices.Contains(forms, output) {
		return nil
	}
	return fmt.Errorf("--output is %q: it must be one of %s", output, strings.Join(forms, ", "))
}
