package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jobkit/jobkit/internal/cli/dev"
	"github.com/jobkit/jobkit/internal/devenv"
)

// devCommand is jobkit dev.
func (a *app) devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "run a control plane on this machine",
		Long: "A real Kubernetes control plane in one process, without root or containers: API server,\n" +
			"scheduler and controllers, and nodes whose pods live as their annotations say.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.devUpCommand(), a.devDownCommand(), a.devKubeconfigCommand(), a.devStatusCommand())
	return cmd
}

// devUpCommand is jobkit dev up.
func (a *app) devUpCommand() *cobra.Command {
	var (
		f     devFlags
		kinds dev.Kinds
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "start the control plane, which runs until jobkit dev down",
		Long: "Start the control plane and install the job kinds of this version on it. If it is running\n" +
			"already, that is fine. The first time it is built, which takes minutes; then it is cached.\n" +
			"It works in a checkout of jobkit and everywhere else: its source is a module of the same version.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.read()
			if err != nil {
				return withCode(exitRefused, err)
			}
			return withCode(exitFailed, dev.Up(cmd.Context(), a.dev, a.streams, o, kinds))
		},
	}
	f.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&kinds.None, "bare", false, "do not install the job kinds")
	cmd.Flags().StringSliceVar(&kinds.CRDs, "crds", nil,
		"`file` of a CRD, or folder of them, to install instead of the job kinds of this version; can be repeated")
	cmd.MarkFlagsMutuallyExclusive("bare", "crds")
	return cmd
}

// devDownCommand is jobkit dev down.
func (a *app) devDownCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "stop the control plane; if none is running, that is fine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withCode(exitFailed, dev.Down(cmd.Context(), a.dev, a.streams))
		},
	}
}

// devKubeconfigCommand is jobkit dev kubeconfig.
func (a *app) devKubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "kubeconfig",
		Short:   "print the path of the control plane's kubeconfig",
		Example: "  export KUBECONFIG=$(jobkit dev kubeconfig)",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			running, err := dev.Running(a.dev)
			if err != nil {
				return withCode(exitFailed, err)
			}
			fmt.Fprintln(a.streams.Out, running.Kubeconfig())
			return nil
		},
	}
}

// devStatusCommand is jobkit dev status.
func (a *app) devStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "say whether the control plane is running, and where",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withCode(exitFailed, dev.Status(cmd.Context(), a.dev, a.streams))
		},
	}
}

// devFlags are the flags of a control plane.
type devFlags struct {
	options                     devenv.Options
	featureGates, runtimeConfig map[string]string
}

// addTo adds the flags to a command's.
func (f *devFlags) addTo(flags *pflag.FlagSet) {
	const nodes = 20
	flags.IntVar(&f.options.Nodes, "nodes", nodes, "how many nodes")
	flags.StringVar(&f.options.NodeCPU, "node-cpu", "", "CPU of each node (default 64)")
	flags.StringVar(&f.options.NodeMemory, "node-memory", "", "memory of each node (default 256Gi)")
	flags.StringVar(&f.options.NodePods, "node-pods", "", "how many pods each node takes (default 1000)")
	flags.StringToStringVar(&f.options.NodeResources, "node-resources", nil,
		"more resources of each node, as `NAME=QUANTITY,...`, for example nvidia.com/gpu=8 (default ephemeral-storage=1Ti)")
	flags.StringToStringVar(&f.featureGates, "feature-gates", nil, "feature gates, as `NAME=true|false,...`")
	flags.StringToStringVar(&f.runtimeConfig, "runtime-config", nil, "API versions to serve, as `GROUP/VERSION=true|false,...`")
	hideDefault(flags, "node-resources", "feature-gates", "runtime-config")
	flags.StringVar(&f.options.Dir, "data-dir", "",
		"`folder` that keeps the data when the control plane stops (default: they go with it)")
}

// read returns the options that the flags ask for.
func (f *devFlags) read() (devenv.Options, error) {
	if f.options.Nodes < 0 {
		return f.options, fmt.Errorf("--nodes is %d: it must not be negative", f.options.Nodes)
	}
	if f.options.Nodes == 0 {
		f.options.Nodes = -1 // what package devenv calls none
	}
	var err error
	f.options.FeatureGates, err = switches("--feature-gates", f.featureGates)
	if err != nil {
		return f.options, err
	}
	f.options.RuntimeConfig, err = switches("--runtime-config", f.runtimeConfig)
	return f.options, err
}

// switches reads names that are set to true or false.
func switches(flag string, values map[string]string) (map[string]bool, error) {
	read := make(map[string]bool, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, err := strconv.ParseBool(values[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %s is %q: it must be true or false", flag, name, values[name])
		}
		read[name] = value
	}
	return read, nil
}
