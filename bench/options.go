package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// The operators that can be measured.
const (
	operatorTestJob  = "testjob"
	operatorExternal = "external"
	operatorBatchJob = "batch-job"
)

// options are the flags.
type options struct {
	operator, operatorCommand, operatorMetrics string
	operatorPprof                              string
	operatorPID                                int
	kind                                       string
	crds                                       []string
	kubeconfig                                 string
	controlPlanePID                            int
	pprof                                      string

	scale     float64
	rounds    int
	scenarios []string
	distances []time.Duration
	services  []string
	writers   []int
	idle      time.Duration
	forget    time.Duration
	churnRate float64
	save      string
}

// errHelp is returned when help was asked for and given.
var errHelp = pflag.ErrHelp

// parse reads the flags.
func parse(args []string, help io.Writer) (options, error) {
	var o options
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(help)
	names := scenarioNames()
	short := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == nameSoak })
	fs.StringSliceVar(&o.scenarios, "scenarios", short, "scenarios to run; soak takes half an hour and runs only if it is named here")
	fs.Float64Var(&o.scale, "scale", 1, "size of everything; 0.1 is a quick run")
	fs.IntVar(&o.rounds, "rounds", 1, "how often all but held and decide are measured, operator and floor in turn; the median of the ratios counts")
	fs.DurationSliceVar(&o.distances, "distances", []time.Duration{0, 10 * time.Millisecond}, "round trips to the API server; held and churn use the first")
	fs.StringSliceVar(&o.services, "services", []string{perJob, perReplica}, "service modes; all but one-large-job use the first")
	fs.IntSliceVar(&o.writers, "writers", []int{16, 32, 64}, "how many requests at a time the floor tries")
	fs.DurationVar(&o.idle, "idle", time.Minute, "how long the idle minute of held lasts")
	fs.DurationVar(&o.forget, "forget", recorderMemory, "how long soak waits before it looks at the memory")
	fs.Float64Var(&o.churnRate, "churn-rate", 5, "jobs a second in churn")
	fs.StringVar(&o.save, "save", "", "`folder` in which the results are appended to <date>.txt")
	fs.StringVar(&o.operator, "operator", operatorTestJob, "who is measured: testjob (the example operator), external, or batch-job (Jobs of Kubernetes itself)")
	fs.StringVar(&o.operatorCommand, "operator-command", "", "with external: starts the operator, which finds the API server by $KUBECONFIG. Without, it runs already on --kubeconfig")
	fs.StringVar(&o.operatorMetrics, "operator-metrics", "", "with external: the `URL` of its metrics")
	fs.StringVar(&o.operatorPprof, "operator-pprof", "", "with external: the `URL` of its profiles, such as http://127.0.0.1:6060/debug/pprof/, for what is live on its heap")
	fs.IntVar(&o.operatorPID, "operator-pid", 0, "with external and without a command: its process, for CPU and memory")
	fs.StringVar(&o.kind, "kind", "TestJob", "kind of the jobs: TestJob, TFJob, PyTorchJob or JobSet")
	fs.StringSliceVar(&o.crds, "crds", nil, "`files` or folders with more CRDs, such as those of an external operator")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "a control plane with kwok nodes and the CRDs (default: a dev control plane is started)")
	fs.IntVar(&o.controlPlanePID, "control-plane-pid", 0, "with --kubeconfig: the process of the control plane, for its CPU")
	fs.StringVar(&o.pprof, "pprof", "", "with testjob: `address` at which the operator serves profiles (default: a free port)")
	if err := fs.Parse(args); err != nil {
		return o, err //nolint:wrapcheck // says what is wrong
	}
	return o, o.check(names)
}

// check refuses what makes no sense.
func (o *options) check(names []string) error {
	for _, s := range o.scenarios {
		if !slices.Contains(names, s) {
			return fmt.Errorf("--scenarios names %q: use %v", s, names)
		}
	}
	for _, s := range o.services {
		if s != perJob && s != perReplica {
			return fmt.Errorf("--services names %q: use %s and %s", s, perJob, perReplica)
		}
	}
	switch {
	case !slices.Contains([]string{operatorTestJob, operatorExternal, operatorBatchJob}, o.operator):
		return fmt.Errorf("--operator is %q: use testjob, external or batch-job", o.operator)
	case o.operator == operatorTestJob && o.kind != "TestJob":
		return fmt.Errorf("--operator testjob runs no %s: use --operator external", o.kind)
	case o.operatorCommand != "" && o.operator != operatorExternal:
		return errors.New("--operator-command is for --operator external")
	case o.operator == operatorExternal && o.operatorCommand == "" && o.kubeconfig == "":
		return errors.New("--operator external needs --operator-command, or --kubeconfig of the cluster on which it runs")
	case len(o.crds) > 0 && o.kubeconfig != "":
		return errors.New("--crds is for the dev control plane that the bench starts: apply them to the cluster of --kubeconfig yourself")
	case o.scale <= 0 || o.rounds <= 0 || o.churnRate <= 0 || len(o.writers) == 0 || slices.Min(o.writers) < 1 || len(o.distances) == 0:
		return errors.New("--scale, --rounds, --churn-rate and --writers must be positive, --distances not empty")
	}
	return nil
}
