package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/internal/cli/cluster"
	jobkinds "github.com/jobkit/jobkit/internal/kinds"
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

// kindsVariable names kinds of other operators for all commands, so that they need not be named in each.
const kindsVariable = "JOBKIT_KINDS"

// kindFlag names job kinds of other operators.
type kindFlag struct{ text string }

// addTo adds the flag to a command.
func (k *kindFlag) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.text, "kinds", "",
		"`kinds` of other operators, such as SimJob.v1.sim.example.com, separated by commas (default $"+kindsVariable+")")
}

// read are the kinds. The cluster must have those of the flag (needed); the variable is for all clusters.
func (k *kindFlag) read() (kinds []schema.GroupVersionKind, needed bool, err error) {
	if k.text != "" {
		if kinds, err = jobkinds.Parse(k.text); err != nil {
			return nil, false, fmt.Errorf("--kinds: %w", err)
		}
		return kinds, true, nil
	}
	if kinds, err = jobkinds.Parse(os.Getenv(kindsVariable)); err != nil {
		return nil, false, fmt.Errorf("$%s: %w", kindsVariable, err)
	}
	return kinds, false, nil
}

// errNoManifest is the error of a command that needs a manifest and got none.
var errNoManifest = errors.New("no manifest is given: name one with -f FILE, or write -f - for standard input")

// addFiles adds the flag that names manifests.
func addFiles(flags *pflag.FlagSet, files *[]string) {
	flags.StringArrayVarP(files, "filename", "f", nil, "`file` of jobs, YAML or JSON; - is standard input; can be repeated")
}

// hideDefault leaves the default of a flag out of the help, where its usage says it in words.
func hideDefault(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		flags.Lookup(name).DefValue = "0" // no default, to package pflag
	}
}

// flagMistake says what is wrong with a flag. Values that are no number or no time are reported in the
// words of this program, not in those of the library that reads them.
func flagMistake(cmd *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		fix := map[string]string{
			"int": "write a whole number", "int64": "write a whole number",
			"duration": "write a time, for example 90s or 1h30m",
		}[invalid.GetFlag().Value.Type()]
		if fix != "" {
			err = fmt.Errorf("--%s is %q: %s", invalid.GetFlag().Name, invalid.GetValue(), fix)
		}
	}
	return fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath())
}

// noFiles refuses arguments: files are named by a flag.
func noFiles(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: write -f %s", args[0], args[0])
	}
	return nil
}

// The formats of output that all commands have which can write for programs.
const (
	formJSON  = "json"
	formYAML  = "yaml"
	formTable = "table"
)

// addOutput adds the flag that chooses the format of the output. A table among them is the default.
func addOutput(cmd *cobra.Command, output *string, forms ...string) {
	unset := "a text for people"
	if slices.Contains(forms, formTable) {
		unset = formTable
	}
	cmd.Flags().StringVarP(output, "output", "o", "", "`format` of the output: "+strings.Join(forms, ", ")+" (default "+unset+")")
	complete := cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("output", complete) // it fails only for a flag that does not exist
}

// checkOutput refuses a format that does not exist.
func checkOutput(output string, forms ...string) error {
	if output == "" || slices.Contains(forms, output) {
		return nil
	}
	return fmt.Errorf("--output is %q: it must be one of %s", output, strings.Join(forms, ", "))
}
