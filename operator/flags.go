package operator

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/kubernetes"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/internal/incluster"
	"github.com/jobkit/jobkit/internal/tracing"
)

// flags are what the command line says.
type flags struct {
	kinds         kindList
	namespace     string
	workers       int
	gangScheduler string

	metricsAddress, probeAddress, pprofAddress string
	// metricsSecure has metrics served to authenticated clients only, with the certificate in metricsCertificates.
	metricsSecure       bool
	metricsCertificates string

	leaderElect                               bool
	leaderElectionID, leaderElectionNamespace string

	qps   float64
	burst int

	tracingEndpoint string
	tracingRatio    float64

	log     logOptions
	version bool
}

// define defines the flags. They are of package flag, so that one dash works as well as two.
func (f *flags) define(s *flag.FlagSet, o *Options, kinds []*kind) {
	f.kinds.known = namesOf(kinds)
	if len(kinds) > 1 {
		s.Var(&f.kinds, "kinds", "the job `kinds` to run, separated by commas; others are left alone (default all: "+strings.Join(f.kinds.known, ",")+")")
	}
	s.StringVar(&f.namespace, "namespace", "", "the `namespace` whose jobs are run; empty for all")
	s.IntVar(&f.workers, "workers", 0, "how many jobs of each kind are worked on at the same time; 0 for the default of the library, 64")
	s.StringVar(&f.gangScheduler, "gang-scheduler-name", "", "the `scheduler` that places the pods of a job together or not at all: kubernetes, volcano, coscheduling, or the name of a scheduler with the coscheduling plugin (default none)")
	s.StringVar(&f.metricsAddress, "metrics-bind-address", ":8080", "the `address` that serves /metrics; 0 for none")
	s.BoolVar(&f.metricsSecure, "metrics-secure", false, "serve /metrics with TLS, and only to clients that the API server knows and that may get the path /metrics there")
	s.StringVar(&f.metricsCertificates, "metrics-cert-dir", "", "the `folder` of tls.crt and tls.key for --metrics-secure, which are read again when they change (default: a certificate that the program signs itself)")
	s.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "the `address` that serves /healthz and /readyz; 0 for none")
	s.StringVar(&f.pprofAddress, "pprof", "",
		"the `address` that serves /debug/pprof, which shows the inside of the process: use one that others cannot reach, such as 127.0.0.1:6060 (default none)")
	s.BoolVar(&f.leaderElect, "leader-elect", false, "run with others, of which one is active; it gives its lease back when it ends")
	s.StringVar(&f.leaderElectionID, "leader-election-id", o.LeaderElectionID, "the `name` of the lease")
	s.StringVar(&f.leaderElectionNamespace, "leader-election-namespace", "", "the `namespace` of the lease (default: the operator's own; outside of a cluster --namespace, or \"default\")")
	s.Float64Var(&f.qps, "kube-api-qps", 0, "how many requests a second go to the API server; 0 leaves it to the server, which treats its clients fairly")
	s.IntVar(&f.burst, "kube-api-burst", 0, "how many requests may exceed --kube-api-qps for a moment (default twice as many)")
	s.StringVar(&f.tracingEndpoint, "tracing-endpoint", "", "the `URL` of a collector that gets traces of each pass and its API calls, by OTLP over HTTP, such as http://collector:4318 (default none)")
	s.Float64Var(&f.tracingRatio, "tracing-ratio", 1, "the `share` of passes that are traced, from 0 to 1")
	f.log.flags(s)
	s.BoolVar(&f.version, "version", false, "print the version and end")
	config.RegisterFlags(s)
	s.Lookup(config.KubeconfigFlagName).Usage = "the kubeconfig `file` (default: the environment variable KUBECONFIG, the pod's service account, ~/.kube/config)"
	if o.Flags != nil {
		o.Flags(s)
	}
}

// parse reads the command line. The error is flag.ErrHelp if help was asked for, and then
// written to the output.
func (f *flags) parse(o *Options, kinds []*kind) error {
	s := flag.NewFlagSet(o.Name, flag.ContinueOnError)
	s.SetOutput(io.Discard) // the caller reports the error
	s.Usage = func() {}
	f.define(s, o, kinds)
	err := s.Parse(o.Args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(o.Out, usage(o.Help, s))
		return err //nolint:wrapcheck // a sentinel
	}
	if err != nil {
		return fmt.Errorf("%w; --help lists all flags", err)
	}
	if s.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: the operator takes flags only; --help lists them", s.Arg(0))
	}
	for name, value := range map[string]float64{"workers": float64(f.workers), "kube-api-qps": f.qps, "kube-api-burst": float64(f.burst)} {
		if value < 0 {
			return fmt.Errorf("--%s is %v: use a positive number, or 0 for the default", name, value)
		}
	}
	if f.metricsCertificates != "" && !f.metricsSecure {
		return errors.New("--metrics-cert-dir has no effect without --metrics-secure: set both, or neither")
	}
	if o.Complete != nil {
		return o.Complete()
	}
	return nil
}

// usage is the text of --help.
func usage(help string, f *flag.FlagSet) string {
	var s strings.Builder
	_, _ = s.WriteString(help + "\nFlags:\n")
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

// limit sets how many requests a second the operator makes.
func (f *flags) limit(config *rest.Config) {
	config.QPS = -1 // no limit
	if f.qps > 0 {
		config.QPS, config.Burst = float32(f.qps), f.burst
		if f.burst == 0 {
			config.Burst = max(1, int(2*f.qps))
		}
	}
}

// leaseNamespace is the namespace of the lease.
func (f *flags) leaseNamespace() string {
	own, _ := incluster.Namespace()
	return cmp.Or(f.leaderElectionNamespace, own, f.namespace, "default")
}

// tracer makes traces, if there is an endpoint for them; nil otherwise.
func (f *flags) tracer(o *Options, log logr.Logger) (*tracing.Tracer, error) {
	if f.tracingEndpoint == "" {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	t, err := tracing.New(tracing.Options{
		Endpoint: f.tracingEndpoint, Ratio: f.tracingRatio, Service: o.Name, Version: o.Version, Log: log.WithName("tracing"),
	})
	if err != nil {
		return nil, fmt.Errorf("--tracing-endpoint, --tracing-ratio: %w", err)
	}
	return t, nil
}

// gang is the gang scheduler that the flag names, or nil.
func (f *flags) gang() gang.Scheduler { //nolint:ireturn // which one it is, the name decides
	return schedulers.ByName(f.gangScheduler, schedulers.Options{})
}

// gangAPI is the version of a gang scheduler's API, if there are several.
func gangAPI(s gang.Scheduler) string {
	k, _ := s.(kubernetes.Scheduler)
	return k.Version
}

// kindList is a flag that names job kinds.
type kindList struct{ known, chosen []string }

// String implements flag.Value.
func (l *kindList) String() string { return strings.Join(l.chosen, ",") }

// Set implements flag.Value.
func (l *kindList) Set(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(l.known, name) {
			return fmt.Errorf("no kind is named %q: known are %s", name, strings.Join(l.known, ", "))
		}
		if !slices.Contains(l.chosen, name) {
			l.chosen = append(l.chosen, name)
		}
	}
	return nil
}

// selected are the kinds to run, in the order of the program.
func (l *kindList) selected(kinds []*kind) []*kind {
	var out []*kind
	for _, k := range kinds {
		if len(l.chosen) == 0 || slices.Contains(l.chosen, k.name) {
			out = append(out, k)
		}
	}
	return out
}
