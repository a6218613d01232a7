package operator

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/internal/incluster"
	"github.com/jobkit/jobkit/operators"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/podtemplate"
	"github.com/jobkit/jobkit/progress"
)

// The environment variables that are read.
const (
	envNamespace     = "KUBEFLOW_NAMESPACE"
	envClusterDomain = "CUSTOM_CLUSTER_DOMAIN"
)

// defaultTemplateFile is where training-operator v1 reads the template of
// PyTorchJob's init container. It may be missing.
const defaultTemplateFile = "/etc/config/initContainer.yaml"

// help begins the text of --help.
const help = `operator runs the job kinds of kubeflow.org/v1 on a cluster.

It takes the place of training-operator v1, understands its flags, and shares its
lease. The CRDs must be installed ("jobkit install-crds"); it reports the kinds whose CRD
is missing and runs the others. "operator page" is another program: it serves the page of
the cluster, with flags of its own ("operator page --help").

Environment:
  ` + envNamespace + `      the default of --namespace
  ` + envClusterDomain + `  the domain that ends the addresses which TFJobs get
`

// options are what the command line and the environment say of the kinds of kubeflow.org, and
// of training-operator v1.
type options struct {
	getenv func(string) string
	set    *flag.FlagSet

	pytorchImage        string
	pytorchTemplateFile string
	pytorchTemplate     string
	pytorchMaxTries     int
	mpiImage            string
	clusterDomain       string

	progress progressOptions
	// progressServer receives reports of progress, once there is a manager; nil for none.
	progressServer *progress.Server

	// ignored are flags of training-operator v1 that were given and have no effect.
	ignored []string
}

// define adds the flags of this program to those that every operator has.
func (o *options) define(f *flag.FlagSet) {
	o.set = f
	f.Var(f.Lookup("kinds").Value, "enable-scheme", "a job `kind` to run; can be repeated; the older form of --kinds")
	f.Var(f.Lookup("workers").Value, "controller-threads", "the older form of --workers")
	namespace := f.Lookup("namespace")
	namespace.DefValue = o.getenv(envNamespace)
	namespace.Usage = "the `namespace` whose jobs are run; empty for all (default: the environment variable " + envNamespace + ")"
	_ = namespace.Value.Set(namespace.DefValue) // A string takes any value.
	f.Lookup("leader-election-id").Usage = "the `name` of the lease; the default is that of training-operator v1, so that only one of the two is active"
	f.StringVar(&o.pytorchImage, "pytorch-init-container-image", "alpine:3.10", "the `image` of the init container in which Workers of PyTorchJobs wait for their Master; it needs sh and nc")
	f.StringVar(&o.pytorchTemplateFile, "pytorch-init-container-template-file", defaultTemplateFile,
		"a `file` with a Go template that makes a YAML list of containers in place of that init container, with .MasterAddr, .MasterPort, .InitContainerImage and .MaxTries; the default may be missing")
	f.IntVar(&o.pytorchMaxTries, "pytorch-init-container-max-tries", 100, "how often that init container tries to reach the Master, every two seconds")
	f.StringVar(&o.mpiImage, "mpi-kubectl-delivery-image", mpijob.DefaultKubectlDeliveryImage, "the `image` of the init container that brings kubectl to the launchers of MPIJobs")
	o.progress.flags(f)
	const noEffect = "has no effect: accepted for manifests of training-operator v1"
	f.String("zap-stacktrace-level", "", noEffect)
	f.String("zap-time-encoding", "", noEffect)
	const noWebhook = "has no effect: the operator has no webhook server, because the CRDs hold the rules; accepted for manifests of training-operator v1"
	f.Int("webhook-server-port", 9443, noWebhook)
	f.String("webhook-service-name", "training-operator", noWebhook)
	f.String("webhook-secret-name", "training-operator-webhook-cert", noWebhook)
}

// complete checks the flags together and reads the file that they name.
func (o *options) complete() error {
	given := map[string]bool{}
	o.set.Visit(func(f *flag.Flag) {
		given[f.Name] = true
		if strings.HasPrefix(f.Name, "webhook-") {
			o.ignored = append(o.ignored, "--"+f.Name)
		}
	})
	o.clusterDomain = o.getenv(envClusterDomain)
	if o.pytorchMaxTries < 1 {
		return fmt.Errorf("--pytorch-init-container-max-tries is %d: use 1 or more", o.pytorchMaxTries)
	}
	own, _ := incluster.Namespace()
	if err := o.progress.complete(given, own); err != nil {
		return err
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

// forKinds are the options of the job kinds.
func (o *options) forKinds(config controller.Config) operators.Options {
	return operators.Options{
		Config: config, Progress: o.progressServer,
		ClusterDomain:           o.clusterDomain,
		PyTorchInitContainer:    podtemplate.HostWait{Image: o.pytorchImage, MaxTries: o.pytorchMaxTries, Template: o.pytorchTemplate},
		MPIKubectlDeliveryImage: o.mpiImage,
	}
}

// selected are the kinds to run, in the order of the list.
func (o *options) selected() []operators.Kind {
	chosen := o.set.Lookup("kinds").Value.String()
	return slices.DeleteFunc(operators.Kinds(), func(k operators.Kind) bool {
		return chosen != "" && !slices.Contains(strings.Split(chosen, ","), k.Name)
	})
}

// kindNames are the names of all kinds.
func kindNames() []string {
	var names []string
	for _, k := range operators.Kinds() {
		names = append(names, k.Name)
	}
	return names
}
