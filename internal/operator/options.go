package operator

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/kubernetes"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/operators"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/podtemplate"
)

// The environment variables that are read.
const (
	envNamespace     = "KUBEFLOW_NAMESPACE"
	envClusterDomain = "CUSTOM_CLUSTER_DOMAIN"
)

// defaultTemplateFile is where training-operator v1 reads the template of
// PyTorchJob's init container. It may be missing.
const defaultTemplateFile = "/etc/config/initContainer.yaml"

// options are what the command line and the environment say.
type options struct {
	kinds         kindList
	namespace     string
	workers       int
	gangScheduler string
	// detectedGang is the gang scheduler for the version of its API that the cluster
	// serves, which is found at the start.
	detectedGang gang.Scheduler

	metricsAddress, probeAddress, pprofAddress string

	leaderElect                               bool
	leaderElectionID, leaderElectionNamespace string

	qps   float64
	burst int

	pytorchImage        string
	pytorchTemplateFile string
	pytorchTemplate     string
	pytorchMaxTries     int
	mpiImage            string
	clusterDomain       string

	log     logOptions
	version bool
	// ignored are flags of training-operator v1 that were given and have no effect.
	ignored []string
}

// parse reads the command line. The error is flag.ErrHelp if help was asked for, and
// then written to out.
func parse(args []string, getenv func(string) string, out io.Writer) (*options, error) {
	o := &options{}
	flags := o.flags(getenv)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage(flags))
		return nil, err //nolint:wrapcheck // a sentinel
	}
	if err != nil {
		return nil, fmt.Errorf("%w; --help lists all flags", err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: the operator takes flags only; --help lists them", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) {
		given[f.Name] = true
		if strings.HasPrefix(f.Name, "webhook-") {
			o.ignored = append(o.ignored, "--"+f.Name)
		}
	})
	o.clusterDomain = getenv(envClusterDomain)
	return o, o.complete(given)
}

// complete checks the flags together and reads the file that they name.
func (o *options) complete(given map[string]bool) error {
	for name, value := range map[string]float64{"workers": float64(o.workers), "kube-api-qps": o.qps, "kube-api-burst": float64(o.burst)} {
		if value < 0 {
			return fmt.Errorf("--%s is %v: use a positive number, or 0 for the default", name, value)
		}
	}
	if o.pytorchMaxTries < 1 {
		return fmt.Errorf("--pytorch-init-container-max-tries is %d: use 1 or more", o.pytorchMaxTries)
	}
	text, err := os.ReadFile(o.pytorchTemplateFile)
	switch {
	case err == nil:
		o.pytorchTemplate = string(text)
	case errors.Is(err, fs.ErrNotExist) && !given["pytorch-init-container-template-file"]:
	default:
		return fmt.Errorf("cannot read the file that --pytorch-init-container-template-file names: %w", err)
	}
	return nil
}

// flags defines the flags. They are of package flag, like those of training-operator v1, so
// that one dash works as well as two.
func (o *options) flags(getenv func(string) string) *flag.FlagSet {
	f := flag.NewFlagSet("operator", flag.ContinueOnError)
	f.SetOutput(io.Discard) // the caller reports the error
	f.Usage = func() {}
	f.Var(&o.kinds, "kinds", "the job `kinds` to run, separated by commas; others are left alone (default all: "+strings.Join(kindNames(), ",")+")")
	f.Var(&o.kinds, "enable-scheme", "a job `kind` to run; can be repeated; the older form of --kinds")
	f.StringVar(&o.namespace, "namespace", getenv(envNamespace),
		"the `namespace` whose jobs are run; empty for all (default: the environment variable "+envNamespace+")")
	f.IntVar(&o.workers, "workers", 0, "how many jobs of each kind are worked on at the same time; 0 for the default of the library, 64")
	f.IntVar(&o.workers, "controller-threads", 0, "the older form of --workers")
	f.StringVar(&o.gangScheduler, "gang-scheduler-name", "", "the `scheduler` that places the pods of a job together or not at all: kubernetes, volcano, coscheduling, or the name of a scheduler with the coscheduling plugin (default none)")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "the `address` that serves /metrics; 0 for none")
	f.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "the `address` that serves /healthz and /readyz; 0 for none")
	f.StringVar(&o.pprofAddress, "pprof", "",
		"the `address` that serves /debug/pprof, which shows the inside of the process: use one that others cannot reach, such as 127.0.0.1:6060 (default none)")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "run with others, of which one is active; it gives its lease back when it ends")
	f.StringVar(&o.leaderElectionID, "leader-election-id", "1ca428e5.training-operator.kubeflow.org", "the `name` of the lease; the default is that of training-operator v1, so that only one of the two is active")
	f.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "the `namespace` of the lease (default: the operator's own; outside of a cluster --namespace, or \"default\")")
	f.Float64Var(&o.qps, "kube-api-qps", 0, "how many requests a second go to the API server; 0 leaves it to the server, which treats its clients fairly")
	f.IntVar(&o.burst, "kube-api-burst", 0, "how many requests may exceed --kube-api-qps for a moment (default twice as many)")
	f.StringVar(&o.pytorchImage, "pytorch-init-container-image", "alpine:3.10", "the `image` of the init container in which Workers of PyTorchJobs wait for their Master; it needs sh and nc")
	f.StringVar(&o.pytorchTemplateFile, "pytorch-init-container-template-file", defaultTemplateFile,
		"a `file` with a Go template that makes a YAML list of containers in place of that init container, with .MasterAddr, .MasterPort, .InitContainerImage and .MaxTries; the default may be missing")
	f.IntVar(&o.pytorchMaxTries, "pytorch-init-container-max-tries", 100, "how often that init container tries to reach the Master, every two seconds")
	f.StringVar(&o.mpiImage, "mpi-kubectl-delivery-image", mpijob.DefaultKubectlDeliveryImage, "the `image` of the init container that brings kubectl to the launchers of MPIJobs")
	o.log.flags(f)
	f.BoolVar(&o.version, "version", false, "print the version and end")
	const noWebhook = "has no effect: the operator has no webhook server, because the CRDs hold the rules; accepted for manifests of training-operator v1"
	f.Int("webhook-server-port", 9443, noWebhook)
	f.String("webhook-service-name", "training-operator", noWebhook)
	f.String("webhook-secret-name", "training-operator-webhook-cert", noWebhook)
	config.RegisterFlags(f)
	f.Lookup(config.KubeconfigFlagName).Usage = "the kubeconfig `file` (default: the environment variable KUBECONFIG, the pod's service account, ~/.kube/config)"
	return f
}

// usage is the text of --help.
func usage(f *flag.FlagSet) string {
	var s strings.Builder
	_, _ = s.WriteString(`operator runs the job kinds of kubeflow.org/v1 on a cluster.

It takes the place of training-operator v1, understands its flags, and shares its
lease. The CRDs must be installed ("jobkit install-crds"); it reports the kinds whose CRD
is missing and runs the others.

Environment:
  ` + envNamespace + `    the default of --namespace
  ` + envClusterDomain + `  the domain that ends the addresses which TFJobs get

Flags:
`)
	f.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		if value != "" {
			value = " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && !strings.Contains(text, "no effect") {
			text += " (default " + f.DefValue + ")"
		}
		_, _ = fmt.Fprintf(&s, "  --%s%s\n        %s\n", f.Name, value, text)
	})
	return s.String()
}

// kinds are the options of the job kinds.
func (o *options) forKinds() operators.Options {
	k := operators.Options{
		ClusterDomain:           o.clusterDomain,
		PyTorchInitContainer:    podtemplate.HostWait{Image: o.pytorchImage, MaxTries: o.pytorchMaxTries, Template: o.pytorchTemplate},
		MPIKubectlDeliveryImage: o.mpiImage,
	}
	if o.namespace != "" {
		k.Namespaces = []string{o.namespace}
	}
	k.Config.MaxConcurrentReconciles = o.workers
	k.Config.GangScheduler = o.gang()
	return k
}

// kindList is a flag that names job kinds.
type kindList []string

// String implements flag.Value.
func (l *kindList) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *kindList) Set(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(kindNames(), name) {
			return fmt.Errorf("no kind is named %q: known are %s", name, strings.Join(kindNames(), ", "))
		}
		if !slices.Contains(*l, name) {
			*l = append(*l, name)
		}
	}
	return nil
}

// kindNames are the names of all kinds.
func kindNames() []string {
	var names []string
	for _, k := range operators.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// selected are the kinds to run, in the order of the list.
func (o *options) selected() []operators.Kind {
	return slices.DeleteFunc(operators.Kinds(), func(k operators.Kind) bool {
		return len(o.kinds) > 0 && !slices.Contains(o.kinds, k.Name)
	})
}

// gang is the gang scheduler, or nil.
func (o *options) gang() gang.Scheduler { //nolint:ireturn // which one it is, the name decides
	if o.detectedGang != nil {
		return o.detectedGang
	}
	return schedulers.ByName(o.gangScheduler, schedulers.Options{})
}

// gangAPI is the version of the gang scheduler's API, if there are several.
func (o *options) gangAPI() string {
	s, _ := o.gang().(kubernetes.Scheduler)
	return s.Version
}
