package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/jobkit/jobkit/devcluster/internal/cluster"
	"github.com/jobkit/jobkit/devcluster/internal/fakenodes"
)

// upOptions are the flags of "devcluster up".
type upOptions struct {
	cluster  cluster.Config
	lifeline bool
	json     bool
}

// defaultNodeGrace is longer than the time between two renewals of a fake node's lease,
// which are rare to keep the API server quiet (see fakenodes).
const defaultNodeGrace = 5 * time.Minute

// parseUp parses and checks the flags. It prints help itself.
func parseUp(args []string) (upOptions, error) {
	var o upOptions
	c := &o.cluster
	var listen, cpu, memory, pods, progress string
	extra := map[string]string{}
	fs := pflag.NewFlagSet("devcluster up", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.StringVar(&c.DataDir, "data-dir", "", "folder that holds all state; a later start on it finds the same objects (default: a temporary folder, removed at the end)")
	fs.BoolVar(&c.KeepData, "keep-data", false, "keep the temporary folder")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "write the administrator's kubeconfig here (default: kubeconfig in the data folder)")
	fs.StringVar(&c.LogFile, "log-file", "", "append the log of all components here (default: log in the data folder)")
	fs.IntVarP(&c.Verbosity, "verbosity", "v", 0, "verbosity of the log; 2 logs what happens, 4 is for debugging")
	fs.StringVar(&listen, "listen", "127.0.0.1", "IP address of this machine on which kube-apiserver listens; a client still needs a certificate or a token")
	fs.IntVar(&c.Port, "port", 0, "port of kube-apiserver; 0 takes a free one")
	fs.IntVar(&c.Nodes.Count, "nodes", 20, "number of fake nodes; those that exist already are left as they are")
	fs.StringVar(&cpu, "node-cpu", "64", "CPU of each node")
	fs.StringVar(&memory, "node-memory", "256Gi", "memory of each node")
	fs.StringVar(&pods, "node-pods", "1000", "number of pods that each node holds")
	fs.StringToStringVar(&extra, "node-resources", nil, "more resources of each node, such as nvidia.com/gpu=8")
	fs.StringArrayVar(&c.Kubelets, "kubelet", nil, "name of a node with a real kubelet, which runs elsewhere: write its kubeconfig, kubelet-<name>.kubeconfig, into the data folder; repeatable")
	fs.DurationVar(&c.NodeGrace, "node-grace", defaultNodeGrace, "how long a node may be silent before it counts as lost; fake nodes speak every 50 s, real ones every 10 s")
	fs.StringVar(&c.FeatureGates, "feature-gates", "", "feature gates of all components, such as GenericWorkload=true")
	fs.StringVar(&c.RuntimeConfig, "runtime-config", "", "API versions to switch on or off, such as scheduling.k8s.io/v1beta1=true")
	fs.StringArrayVar(&c.CRDs, "crds", nil, "YAML file, or folder of them, with CustomResourceDefinitions to install before the controllers start; the garbage collector sees kinds that come later only after up to 30 seconds; repeatable")
	fs.StringArrayVar(&c.StageFiles, "stages", nil, "YAML file of kwok Stages, added to the built-in ones or replacing those of the same name; repeatable")
	fs.BoolVar(&c.Sync, "sync", false, "let etcd flush every write to disk: data survives a crash of the machine, writes are several times slower")
	fs.BoolVar(&o.lifeline, "lifeline", false, "stop when standard input ends, so that no cluster outlives the process that started it")
	fs.StringVar(&progress, "progress", "text", "progress on standard output: text for people, or json with one event a line")
	fs.StringArrayVar(&c.APIServerArgs, "apiserver-arg", nil, "another kube-apiserver flag, such as --apiserver-arg=--max-requests-inflight=800; repeatable")
	fs.StringArrayVar(&c.ControllerManagerArgs, "controller-manager-arg", nil, "another kube-controller-manager flag; repeatable")
	fs.StringArrayVar(&c.SchedulerArgs, "scheduler-arg", nil, "another kube-scheduler flag; repeatable")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case net.ParseIP(listen) == nil || net.ParseIP(listen).IsUnspecified():
		return o, fmt.Errorf("--listen must be one IP address of this machine, not %q", listen)
	case c.NodeGrace <= 0:
		return o, errors.New("--node-grace must be positive")
	case c.Nodes.Count < 0:
		return o, errors.New("--nodes must not be negative")
	case c.Port < 0 || c.Port > 65535:
		return o, errors.New("--port must be from 0 to 65535")
	case progress != "text" && progress != "json":
		return o, fmt.Errorf("--progress must be text or json, not %q", progress)
	}
	for _, name := range c.Kubelets {
		if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 {
			return o, fmt.Errorf("--kubelet %q names no node: %s", name, strings.Join(errs, "; "))
		}
	}
	c.Listen = net.ParseIP(listen)
	o.json = progress == "json"
	// Every real node has storage for its pods, and some pods ask for it.
	quantities := map[string]string{"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": "1Ti"}
	maps.Copy(quantities, extra)
	var err error
	c.Nodes.Resources, err = fakenodes.ParseResources(quantities)
	return o, err
}
