// Package operator is the program that runs all job kinds: its flags, its manager, and
// what it does about a kind whose CRD is missing.
package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/internal/version"
	"github.com/jobkit/jobkit/operators"
)

// The exit codes.
const (
	exitOK = 0
	// exitFailed: the operator cannot run, or cannot continue.
	exitFailed = 1
	// exitUsage: the command line is wrong.
	exitUsage = 2
)

// Main runs the operator until ctx ends, and returns the exit code of the process. args
// do not include the program's name.
func Main(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) int {
	o, err := parse(args, getenv, out)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(errOut, "operator:", err)
		return exitUsage
	}
	if o.version {
		fmt.Fprintln(out, version.Line("operator"))
		return exitOK
	}
	log, err := o.log.logger(errOut)
	if err != nil {
		fmt.Fprintln(errOut, "operator:", err)
		return exitUsage
	}
	// The Kubernetes libraries have one logger for the whole process; it is set here and
	// nowhere else.
	klog.SetLogger(log)
	ctrl.SetLogger(log)
	if err := inTime(ctx, o.run); err != nil {
		log.Error(err, "The operator ended")
		return exitFailed
	}
	log.Info("The operator ended as it was asked to")
	return exitOK
}

// How long the end takes at most, after the signal: the operator waits for calls in progress,
// then releases the lease. Calls that take longer end with the process, for example those to
// an API server that does not answer.
const (
	graceful = 3 * time.Second
	longest  = 4500 * time.Millisecond
)

// errLate is reported when something hangs.
var errLate = fmt.Errorf("it was asked to end and could not within %s, so something was left behind; "+
	"if the API server does not answer, the lease is not given back, and another operator waits until it has run out", longest)

// inTime calls run, and returns soon after ctx has ended even if run does not.
func inTime(ctx context.Context, run func(context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(longest):
		return errLate
	}
}

// run runs the operator until ctx ends.
func (o *options) run(ctx context.Context) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no cluster: run it in a pod, or name a kubeconfig with --kubeconfig or KUBECONFIG: %w", err)
	}
	o.limit(config)
	kinds := o.selected()
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		return fmt.Errorf("cannot make the core types known: %w", err)
	}
	for _, k := range kinds {
		if err := k.AddToScheme(known); err != nil {
			return fmt.Errorf("cannot make the types of %s known: %w", k.Name, err)
		}
	}
	if err := o.detectGang(config); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, o.manager(known, kinds))
	if err != nil {
		return o.noManager(err)
	}
	o.announce(kinds)
	if err := errors.Join(mgr.AddHealthzCheck("healthz", healthz.Ping), mgr.AddReadyzCheck("readyz", healthz.Ping)); err != nil {
		return fmt.Errorf("cannot add the probes: %w", err)
	}
	if err := watchLeftovers(mgr, kinds); err != nil { //nolint:contextcheck // events outlive ctx; the recorder ends with the manager
		return err
	}
	if err := start(mgr, kinds, o.forKinds()); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("cannot go on: %w", err)
	}
	return nil
}

// detectGang finds out which version of the gang scheduler's API the cluster serves: the
// cache has to know before there is a manager.
func (o *options) detectGang(config *rest.Config) error {
	if o.gang() == nil {
		return nil
	}
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, c)
	if err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	if o.detectedGang, err = gang.Detect(mapper, o.gang()); err != nil {
		return fmt.Errorf("--gang-scheduler-name is %s: %w", o.gangScheduler, err)
	}
	return nil
}

// noManager says why there is no manager. The cache asks for the scope of each kind that
// it watches; the one kind that may be missing is the gang scheduler's.
func (o *options) noManager(err error) error {
	if o.gang() != nil && gang.NotServed(err) {
		return fmt.Errorf("--gang-scheduler-name is %s, but the cluster does not serve its objects: "+
			"install that scheduler, for kubernetes switch its feature gate and API on, or choose another one (see docs/users/gang-scheduling.md): %w",
			o.gangScheduler, err)
	}
	return fmt.Errorf("cannot make the manager: %w", err)
}

// limit sets how many requests a second the operator makes.
func (o *options) limit(config *rest.Config) {
	config.UserAgent = "jobkit-operator/" + version.String()
	config.QPS = -1 // no limit
	if o.qps > 0 {
		config.QPS, config.Burst = float32(o.qps), o.burst
		if o.burst == 0 {
			config.Burst = max(1, int(2*o.qps))
		}
	}
}

// manager are the options of the manager.
func (o *options) manager(known *runtime.Scheme, kinds []operators.Kind) ctrl.Options {
	var owned []jobkit.Object
	for _, k := range kinds {
		owned = append(owned, k.ObjectKinds...)
	}
	if g := o.gang(); g != nil {
		owned = append(owned, g.Kinds()...)
	}
	caches := controller.CacheOptions(owned...)
	if o.namespace != "" {
		caches.DefaultNamespaces = map[string]cache.Config{o.namespace: {}}
	}
	lease := o.leaderElectionNamespace
	if lease == "" && !inCluster() {
		lease = "default"
		if o.namespace != "" {
			lease = o.namespace
		}
	}
	return ctrl.Options{
		Scheme: known, Cache: caches,
		Metrics:                server.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress: o.probeAddress, PprofBindAddress: o.pprofAddress,
		LeaderElection: o.leaderElect, LeaderElectionID: o.leaderElectionID, LeaderElectionNamespace: lease,
		// The process ends when the manager does, so another one may begin at once.
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       new(graceful),
	}
}

// inCluster reports whether the process is in a pod with a service account.
func inCluster() bool {
	_, err := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	return err == nil
}

// announce logs what is run, and with which options.
func (o *options) announce(kinds []operators.Kind) {
	log := ctrl.Log.WithName("operator")
	names := make([]string, 0, len(kinds))
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	log.Info("Starting", "version", version.String(), "kinds", names, "namespace", o.namespace,
		"gangScheduler", o.gangScheduler, "gangSchedulerAPI", o.gangAPI(), "leaderElection", o.leaderElect)
	if len(o.ignored) > 0 {
		log.Info("The operator has no webhook server, so these flags have no effect: remove them", "flags", o.ignored)
	}
}
