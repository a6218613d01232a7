// Package operator is the main function of an operator: flags, logging, health and readiness,
// metrics, leader election, and an end that is quick and clean.
//
//	func main() {
//		os.Exit(operator.Run(context.Background(), operator.Options{
//			AddToScheme: []func(*runtime.Scheme) error{simv1.AddToScheme},
//		}, &controller.JobController[*simv1.SimJob]{Controller: simjob.Controller{}}))
//	}
//
// Several controllers make a program that runs several kinds. Each becomes ready on its own, and
// a kind whose CRD is missing does not stop the others.
//
// [Run] is [Parse] and [Program.Run]. A program that makes its manager itself calls Parse,
// [Program.ManagerOptions] and [Program.SetupWithManager].
package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
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
	"github.com/jobkit/jobkit/internal/tracing"
	"github.com/jobkit/jobkit/internal/version"
)

// The exit codes of [Run].
const (
	// ExitOK: the program ended as it was asked to.
	ExitOK = 0
	// ExitFailed: it cannot run, or cannot continue. The log says why.
	ExitFailed = 1
	// ExitUsage: the command line is wrong.
	ExitUsage = 2
)

// Run runs the controllers until ctx ends or the process is asked to end, by SIGTERM or an
// interrupt, and returns the exit code of the process. A second signal ends the process at once.
// After the first one the program ends within five seconds, and gives its lease back.
func Run(ctx context.Context, o Options, controllers ...Controller) int {
	p, err := Parse(o, controllers...)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		fmt.Fprintln(p.options.ErrOut, p.options.Name+":", err)
		return ExitUsage
	case p.flags.version:
		fmt.Fprintln(p.options.Out, version.LineOf(p.options.Name, p.options.Version))
		return ExitOK
	}
	// The Kubernetes libraries have one logger for the whole process; it is set here and
	// nowhere else.
	klog.SetLogger(p.log)
	ctrl.SetLogger(p.log)
	ctx, stop := untilSignal(ctx)
	defer stop()
	if err := inTime(ctx, p.Run); err != nil {
		p.log.Error(err, "The operator ended")
		return ExitFailed
	}
	p.log.Info("The operator ended as it was asked to")
	return ExitOK
}

// untilSignal returns a context that ends with the first signal to end. The next one then has
// the effect that the system gives it: it ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
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

// Program is an operator whose command line has been read.
type Program struct {
	options Options
	flags   flags
	log     logr.Logger
	// kinds are those that are run.
	kinds []*kind
	// gang is the gang scheduler that a flag names, for the version of its API that the
	// cluster serves; nil for none.
	gang gang.Scheduler
	// tracer makes traces; nil for none.
	tracer *tracing.Tracer
}

// Parse reads the command line. The error is flag.ErrHelp if help was asked for and printed; any
// other is a mistake in the command line, or in the controllers. The program is never nil.
func Parse(o Options, controllers ...Controller) (*Program, error) {
	kinds, err := describe(controllers)
	o.setDefaults(kinds)
	p := &Program{options: o, log: logr.Discard()}
	if err == nil && len(kinds) == 0 {
		err = errors.New("there is nothing to run: give Run a controller")
	}
	if err != nil {
		return p, err
	}
	if p.options.LeaderElectionID == "" {
		p.options.LeaderElectionID = leaseOf(&p.options, kinds)
	}
	if err := p.flags.parse(&p.options, kinds); err != nil {
		return p, err
	}
	p.kinds, p.gang = p.flags.kinds.selected(kinds), p.flags.gang()
	if p.log, err = p.flags.log.logger(o.ErrOut); err != nil {
		return p, err
	}
	p.tracer, err = p.flags.tracer(&p.options, p.log)
	return p, err
}

// leaseOf is the name of the lease: that of the program, and the group of its first kind.
func leaseOf(o *Options, kinds []*kind) string {
	name := dnsName(o.Name)
	known := runtime.NewScheme()
	for _, add := range o.AddToScheme {
		if add(known) != nil {
			return name
		}
	}
	if gvk, err := apiutil.GVKForObject(kinds[0].Job, known); err == nil {
		return name + "." + gvk.Group
	}
	return name
}

// dnsName is a name that Kubernetes takes for an object, made of that of a program: in lower case, with "-" in place of
// characters that are not permitted, and not too long for a group to follow it.
func dnsName(program string) string {
	valid := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(program))
	valid = strings.Trim(valid[:min(len(valid), validation.DNS1123LabelMaxLength)], "-.")
	if len(validation.IsDNS1123Subdomain(valid)) > 0 {
		return "operator"
	}
	return valid
}

// Kinds are the names of the kinds that are run, in lower case.
func (p *Program) Kinds() []string { return namesOf(p.kinds) }

// Config is what the flags say of every controller.
func (p *Program) Config() controller.Config {
	c := controller.Config{MaxConcurrentReconciles: p.flags.workers, GangScheduler: p.gang}
	if p.flags.namespace != "" {
		c.Namespaces = []string{p.flags.namespace}
	}
	if p.tracer != nil {
		c.AroundPass = p.tracer.Pass
	}
	return c
}

// Run runs the program until ctx ends.
func (p *Program) Run(ctx context.Context) error {
	config, err := p.RESTConfig()
	if err != nil {
		return err
	}
	if err := p.detectGang(config); err != nil {
		return err
	}
	options, err := p.ManagerOptions()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return p.noManager(err)
	}
	p.announce()
	if err := checkRelease(mgr, p.log); err != nil {
		return err
	}
	if err := p.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	err = mgr.Start(ctx)
	p.tracer.End(ctx)
	if err != nil {
		return fmt.Errorf("cannot go on: %w", err)
	}
	return nil
}

// RESTConfig is how to reach the cluster that the flags and the environment name.
func (p *Program) RESTConfig() (*rest.Config, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster: run it in a pod, or name a kubeconfig with --kubeconfig or KUBECONFIG: %w", err)
	}
	config.UserAgent = p.options.UserAgent
	p.flags.limit(config)
	if p.tracer != nil {
		config.Wrap(p.tracer.Wrap)
	}
	return config, nil
}

// SetupWithManager adds probes and controllers to a manager. Those whose CRDs are missing are
// added when they appear.
func (p *Program) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := errors.Join(mgr.AddHealthzCheck("healthz", healthz.Ping), mgr.AddReadyzCheck("readyz", healthz.Ping)); err != nil {
		return fmt.Errorf("cannot add the probes: %w", err)
	}
	if p.tracer != nil {
		if err := mgr.Add(p.tracer); err != nil {
			return fmt.Errorf("cannot add the sender of traces: %w", err)
		}
	}
	if p.flags.leaderElect {
		s := &standby{
			reader: mgr.GetAPIReader(), lease: types.NamespacedName{Namespace: p.flags.leaseNamespace(), Name: p.flags.leaderElectionID},
			elected: mgr.Elected(), log: p.log.WithName("operator"),
		}
		if err := mgr.Add(s); err != nil {
			return fmt.Errorf("cannot watch who holds the lease: %w", err)
		}
	}
	if p.options.Setup != nil {
		if err := p.options.Setup(ctx, mgr); err != nil {
			return err
		}
	}
	return p.start(mgr)
}

// detectGang finds out which version of the gang schedulers' APIs the cluster serves: the
// cache has to know before there is a manager.
func (p *Program) detectGang(config *rest.Config) error {
	if p.gang == nil && !slices.ContainsFunc(p.kinds, func(k *kind) bool { return k.GangScheduler != nil }) {
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
	if p.gang != nil {
		if p.gang, err = gang.Detect(mapper, p.gang); err != nil {
			return fmt.Errorf("--gang-scheduler-name is %s: %w", p.flags.gangScheduler, err)
		}
		return nil
	}
	for _, k := range p.kinds {
		if k.GangScheduler == nil {
			continue
		}
		if k.GangScheduler, err = gang.Detect(mapper, k.GangScheduler); err != nil {
			return fmt.Errorf("the gang scheduler of %s: %w", k.typ, err)
		}
	}
	return nil
}

// noManager says why there is no manager. The cache asks for the scope of each kind that
// it watches; the one kind that may be missing is the gang scheduler's.
func (p *Program) noManager(err error) error {
	if p.gang != nil && gang.NotServed(err) {
		return fmt.Errorf("--gang-scheduler-name is %s, but the cluster does not serve its objects: "+
			"install that scheduler, for kubernetes switch its feature gate and API on, or choose another one (see docs/users/gang-scheduling.md): %w",
			p.flags.gangScheduler, err)
	}
	return fmt.Errorf("cannot make the manager: %w", err)
}

// ManagerOptions are the options of a manager for the program. An error means that the types of
// a kind cannot be made known.
func (p *Program) ManagerOptions() (ctrl.Options, error) {
	known := runtime.NewScheme()
	for _, add := range append([]func(*runtime.Scheme) error{scheme.AddToScheme}, p.options.AddToScheme...) {
		if err := add(known); err != nil {
			return ctrl.Options{}, fmt.Errorf("cannot make the types of the kinds known: %w", err)
		}
	}
	f := &p.flags
	caches := controller.CacheOptions(p.objectKinds()...)
	if f.namespace != "" {
		caches.DefaultNamespaces = map[string]cache.Config{f.namespace: {}}
	}
	return ctrl.Options{
		Scheme: known, Cache: caches, Logger: p.log,
		Metrics:                p.metrics(),
		HealthProbeBindAddress: f.probeAddress, PprofBindAddress: f.pprofAddress,
		LeaderElection: f.leaderElect, LeaderElectionID: f.leaderElectionID, LeaderElectionNamespace: f.leaseNamespace(),
		// The process ends when the manager does, so another one may begin at once.
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       new(graceful),
	}, nil
}

// metrics are the options of what serves the metrics.
func (p *Program) metrics() server.Options {
	o := server.Options{BindAddress: p.flags.metricsAddress}
	if p.flags.metricsSecure {
		o.SecureServing, o.CertDir, o.FilterProvider = true, p.flags.metricsCertificates, authenticated
	}
	return o
}

// objectKinds are the kinds of objects that jobs have besides pods and services.
func (p *Program) objectKinds() []jobkit.Object {
	var owned []jobkit.Object
	schedulers := []gang.Scheduler{p.gang}
	for _, k := range p.kinds {
		owned = append(owned, k.ObjectKinds...)
		if p.gang == nil {
			schedulers = append(schedulers, k.GangScheduler)
		}
	}
	for _, s := range schedulers {
		if s != nil {
			owned = append(owned, s.Kinds()...)
		}
	}
	return owned
}

// announce logs what is run, and with which options.
func (p *Program) announce() {
	p.log.WithName("operator").Info("Starting", "version", p.options.Version, "kinds", p.Kinds(), "namespace", p.flags.namespace,
		"gangScheduler", p.flags.gangScheduler, "gangSchedulerAPI", gangAPI(p.gang), "leaderElection", p.flags.leaderElect)
}
