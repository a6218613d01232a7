package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/jobkit/jobkit/internal/devenv"
)

// onThisMachine is the devEnvironment of package devenv.
type onThisMachine struct{}

func newDevEnvironment() devEnvironment { return onThisMachine{} }

func (onThisMachine) start(ctx context.Context, o devenv.Options) (devCluster, error) {
	cluster, err := devenv.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return cluster, nil
}

func (e onThisMachine) up(ctx context.Context, o devenv.Options) (devCluster, bool, error) {
	cluster, err := devenv.Up(ctx, o)
	if errors.Is(err, devenv.ErrRunning) {
		running, err := e.find()
		return running, false, err
	}
	if err != nil {
		return nil, false, err
	}
	return cluster, true, nil
}

func (onThisMachine) find() (devCluster, error) {
	cluster, err := devenv.Find()
	if err != nil {
		return nil, err
	}
	if cluster == nil {
		return nil, errNotRunning
	}
	return cluster, nil
}

func (onThisMachine) down(ctx context.Context) error {
	return devenv.Down(ctx)
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
	flags.StringVar(&f.options.Dir, "data-dir", "",
		"`folder` that keeps the data when the control plane stops (default: they go with it)")
}

// read returns what control plane the flags ask for.
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
