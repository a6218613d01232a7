package devenv

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Options of a cluster. The zero value is ready for use.
type Options struct {
	// Dir holds the cluster's data. A cluster that is started on the folder of an
	// earlier one finds the same objects. Default: a temporary folder that is
	// removed with the cluster.
	Dir string
	// Nodes is the number of fake nodes. Default 20; negative for none.
	Nodes int
	// NodeCPU, NodeMemory and NodePods are what each node holds, as quantities.
	// Defaults: "64", "256Gi", "1000".
	NodeCPU, NodeMemory, NodePods string
	// NodeResources are more resources of each node, for example
	// {"nvidia.com/gpu": "8"}. Default: "ephemeral-storage" 1Ti.
	NodeResources map[string]string
	// FeatureGates of all components, for example {"GenericWorkload": true}.
	FeatureGates map[string]bool
	// RuntimeConfig switches API versions, for example
	// {"scheduling.k8s.io/v1beta1": true}.
	RuntimeConfig map[string]bool
	// CRDs are YAML files, or folders of them, with CustomResourceDefinitions that
	// are served when the cluster is ready. Definitions that are created later
	// work too, but the garbage collector takes up to 30 seconds to see the kind.
	CRDs []string
	// Stages are YAML files of kwok Stages that add to, or by name replace, the
	// built-in life of pods and nodes.
	Stages []string
	// Verbosity of the log. Default 0.
	Verbosity int
	// Args are more flags of "devcluster up", for example "--port=6443".
	Args []string

	// Build says how to get the binary.
	Build BuildOptions
	// Progress is where the start, and the build if there is one, shows progress.
	// Default: os.Stderr. Use io.Discard for none.
	Progress io.Writer
}

// args returns the flags that stand for the options.
func (o Options) args() []string {
	a := []string{"up", "--progress=json"}
	add := func(flag, value string) {
		if value != "" {
			a = append(a, "--"+flag+"="+value)
		}
	}
	add("data-dir", o.Dir)
	if o.Nodes != 0 {
		add("nodes", strconv.Itoa(max(o.Nodes, 0)))
	}
	add("node-cpu", o.NodeCPU)
	add("node-memory", o.NodeMemory)
	add("node-pods", o.NodePods)
	add("node-resources", join(o.NodeResources))
	add("feature-gates", join(o.FeatureGates))
	add("runtime-config", join(o.RuntimeConfig))
	for _, c := range o.CRDs {
		add("crds", c)
	}
	for _, s := range o.Stages {
		add("stages", s)
	}
	if o.Verbosity != 0 {
		add("verbosity", strconv.Itoa(o.Verbosity))
	}
	return append(a, o.Args...)
}

// progress returns where progress goes.
func (o Options) progress() io.Writer { return orStderr(o.Progress) }

func orStderr(w io.Writer) io.Writer {
	if w == nil {
		return os.Stderr
	}
	return w
}

// join renders a map as "a=1,b=2", sorted by key.
func join[V any](m map[string]V) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, fmt.Sprintf("%s=%v", k, m[k]))
	}
	return strings.Join(pairs, ",")
}
