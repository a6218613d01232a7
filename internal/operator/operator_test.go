package operator

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit/operator"
	"github.com/jobkit/jobkit/operators"
)

func noEnv(string) string { return "" }

// parse reads a command line.
func parse(args []string, getenv func(string) string, out io.Writer) (*options, *operator.Program, error) {
	o := &options{getenv: getenv}
	p, err := operator.Parse(o.program(args, out, io.Discard), o.controllers()...)
	return o, p, err
}

func names(kinds []operators.Kind) string {
	var s []string
	for _, k := range kinds {
		s = append(s, k.Name)
	}
	return strings.Join(s, ",")
}

// said holds the options that a test compares.
type said struct {
	Kinds, Namespace, Lease, LeaseNamespace  string
	Workers                                  int
	QPS                                      float32
	Burst                                    int
	Metrics, Probes, Pprof                   string
	LeaderElect                              bool
	PyTorchImage, PyTorchTemplate, MPI, Zone string
	Tries                                    int
	Gang                                     string
	Ignored                                  []string
}

func TestFlags(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	const cluster = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: http://127.0.0.1:1}}], users: [{name: u, user: {}}]}"
	if err := os.WriteFile(kubeconfig, []byte(cluster), 0o600); err != nil {
		t.Fatal(err)
	}
	template := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(template, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(kindNames(), ",")
	base := said{
		Kinds: all, Lease: "1ca428e5.training-operator.kubeflow.org", LeaseNamespace: "default", QPS: -1,
		Metrics: ":8080", Probes: ":8081", PyTorchImage: "alpine:3.10", MPI: "ghcr.io/kubeflow/training-v1/kubectl-delivery:latest", Tries: 100,
	}
	with := func(change func(*said)) said {
		s := base
		change(&s)
		return s
	}
	tests := map[string]struct {
		reason string
		args   []string
		env    map[string]string
		want   said
		err    string
	}{
		"Defaults": {reason: "nothing has to be said", want: base},
		"Kinds": {
			reason: "names are separated by commas, in any letter case, and each counts once",
			args:   []string{"--kinds=TFJob, mpijob,tfjob"}, want: with(func(s *said) { s.Kinds = "mpijob,tfjob" }),
		},
		"EnableScheme": {
			reason: "v1's form is repeated; both forms add up",
			args:   []string{"--enable-scheme=tfjob", "-enable-scheme", "PyTorchJob", "--kinds=jaxjob"}, want: with(func(s *said) { s.Kinds = "jaxjob,pytorchjob,tfjob" }),
		},
		"UnknownKind": {
			reason: "the error names the value and those that are known", args: []string{"--kinds=mxjob"},
			err: `invalid value "mxjob" for flag -kinds: no kind is named "mxjob": known are ` + strings.ReplaceAll(all, ",", ", ") + `; --help lists all flags`,
		},
		"NoKind":     {reason: "an empty name is not a kind", args: []string{"--kinds="}, err: `no kind is named ""`},
		"NoFlag":     {reason: "an unknown flag is an error", args: []string{"--wrokers=3"}, err: "flag provided but not defined: -wrokers; --help lists all flags"},
		"NoArgument": {reason: "an argument is one too", args: []string{"tfjob"}, err: `unexpected argument "tfjob"`},
		"Namespace": {
			reason: "v1's environment variable names the namespace; outside of a cluster the lease exists too",
			env:    map[string]string{"KUBEFLOW_NAMESPACE": "team"}, want: with(func(s *said) { s.Namespace, s.LeaseNamespace = "team", "team" }),
		},
		"NamespaceFlag": {
			reason: "the flag goes before the environment", args: []string{"--namespace=a", "--leader-election-namespace=b"},
			env: map[string]string{"KUBEFLOW_NAMESPACE": "team"}, want: with(func(s *said) { s.Namespace, s.LeaseNamespace = "a", "b" }),
		},
		"V1": {
			reason: "the flags of training-operator v1 do what they did, those of its webhook nothing",
			args: []string{
				"--controller-threads=3", "--kube-api-qps=20", "--kube-api-burst=30", "--metrics-bind-address=:1", "--health-probe-bind-address=:2",
				"--leader-elect", "--leader-election-id=x", "--pytorch-init-container-image=i", "--pytorch-init-container-max-tries=7",
				"--pytorch-init-container-template-file=" + template, "--mpi-kubectl-delivery-image=k", "--gang-scheduler-name=none",
				"--webhook-server-port=9443", "--webhook-service-name=s", "--webhook-secret-name=c", "--zap-log-level=debug", "--zap-stacktrace-level=error",
			},
			env: map[string]string{"CUSTOM_CLUSTER_DOMAIN": "example.com"},
			want: with(func(s *said) {
				s.Workers, s.QPS, s.Burst, s.Metrics, s.Probes, s.LeaderElect, s.Lease = 3, 20, 30, ":1", ":2", true, "x"
				s.PyTorchImage, s.Tries, s.PyTorchTemplate, s.MPI, s.Zone = "i", 7, "[]", "k", "example.com"
				s.Ignored = []string{"--webhook-secret-name", "--webhook-server-port", "--webhook-service-name"}
			}),
		},
		"Workers": {reason: "the newer name of --controller-threads", args: []string{"--workers=5"}, want: with(func(s *said) { s.Workers = 5 })},
		"Burst":   {reason: "a rate alone comes with a burst", args: []string{"--kube-api-qps=2.5"}, want: with(func(s *said) { s.QPS, s.Burst = 2.5, 5 })},
		"Pprof":   {reason: "profiles are off unless asked for", args: []string{"--pprof=127.0.0.1:6060"}, want: with(func(s *said) { s.Pprof = "127.0.0.1:6060" })},
		"Gang": {
			reason: "a gang scheduler by its name", args: []string{"--gang-scheduler-name=volcano"},
			want: with(func(s *said) { s.Gang = "volcano PodGroup.scheduling.volcano.sh" }),
		},
		"AnyGang": {
			reason: "any other name is that of a scheduler with the coscheduling plugin, as in v1", args: []string{"--gang-scheduler-name=scheduler-plugins"},
			want: with(func(s *said) { s.Gang = "scheduler-plugins PodGroup.scheduling.x-k8s.io" }),
		},
		"NegativeWorkers": {reason: "a number that makes no sense is refused", args: []string{"--workers=-1"}, err: "--workers is -1: use a positive number, or 0 for the default"},
		"NoTries":         {reason: "so is this", args: []string{"--pytorch-init-container-max-tries=0"}, err: "--pytorch-init-container-max-tries is 0: use 1 or more"},
		"NoTemplate": {
			reason: "a file that was named must be there", args: []string{"--pytorch-init-container-template-file=/nowhere"},
			err: "cannot read the file that --pytorch-init-container-template-file names: open /nowhere",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o, p, err := parse(append(tc.args, "--kubeconfig="+kubeconfig), func(name string) string { return tc.env[name] }, io.Discard)
			if tc.err != "" || err != nil {
				if tc.err == "" || err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%s: the error is %v, want %q", tc.reason, err, tc.err)
				}
				return
			}
			m, err1 := p.ManagerOptions()
			c, err2 := p.RESTConfig()
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			k := o.forKinds(p.Config())
			got := said{
				Kinds: names(o.selected()), Lease: m.LeaderElectionID, LeaseNamespace: m.LeaderElectionNamespace,
				Workers: k.Config.MaxConcurrentReconciles, QPS: c.QPS, Burst: c.Burst,
				Metrics: m.Metrics.BindAddress, Probes: m.HealthProbeBindAddress, Pprof: m.PprofBindAddress, LeaderElect: m.LeaderElection,
				PyTorchImage: k.PyTorchInitContainer.Image, PyTorchTemplate: k.PyTorchInitContainer.Template, Tries: k.PyTorchInitContainer.MaxTries,
				MPI: k.MPIKubectlDeliveryImage, Zone: k.ClusterDomain, Ignored: o.ignored,
			}
			if diff := cmp.Diff(strings.Split(got.Kinds, ","), p.Kinds()); diff != "" {
				t.Errorf("%s: the kinds that are run (-want +got):\n%s", tc.reason, diff)
			}
			if k.Config.GangScheduler != nil {
				got.Gang = fmt.Sprint(k.Config.GangScheduler)
			}
			for o := range m.Cache.ByObject {
				if u, ok := o.(*unstructured.Unstructured); ok {
					got.Gang += " " + u.GroupVersionKind().GroupKind().String()
				}
			}
			for ns := range m.Cache.DefaultNamespaces {
				got.Namespace += ns
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if !m.LeaderElectionReleaseOnCancel {
				t.Error("the lease is given back at the end")
			}
		})
	}
}

// TestCaches checks known-bugs row 58: the caches hold the objects of jobs, not all objects of
// the cluster.
func TestCaches(t *testing.T) {
	_, p, err := parse(nil, noEnv, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.ManagerOptions()
	if err != nil {
		t.Fatal(err)
	}
	kinds := operators.Kinds()
	caches := map[string]bool{}
	for object, by := range m.Cache.ByObject {
		caches[fmt.Sprintf("%T", object)] = by.Label != nil && !by.Label.Empty()
	}
	for _, k := range kinds {
		for _, object := range k.ObjectKinds {
			if kept, there := caches[fmt.Sprintf("%T", object)]; !there || !kept {
				t.Errorf("the cache of %T, which %s keeps, holds all of the cluster", object, k.Name)
			}
		}
	}
	if len(caches) < 7 {
		t.Errorf("there are caches for %v, want pods, services, and what MPIJobs and autoscaled jobs keep", caches)
	}
}

func TestMainWithoutCluster(t *testing.T) {
	tests := map[string]struct {
		reason    string
		args      []string
		code      int
		out, err  string
		noCluster bool
	}{
		"Help":    {reason: "help is not an error", args: []string{"--help"}, out: "--enable-scheme"},
		"Version": {reason: "the version is one line", args: []string{"--version"}, out: "operator devel"},
		"Wrong":   {reason: "a mistake ends it with a code of its own", args: []string{"--kinds=x"}, code: operator.ExitUsage, err: "operator: invalid value"},
		"Encoder": {reason: "so does a wrong format", args: []string{"--zap-encoder=xml"}, code: operator.ExitUsage, err: `--zap-encoder is "xml": use json or console`},
		"NoCluster": {
			reason: "without a cluster it says how to name one", args: []string{"--kubeconfig=/nowhere"}, code: operator.ExitFailed,
			err: "no cluster: run it in a pod, or name a kubeconfig with --kubeconfig or KUBECONFIG",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := Main(t.Context(), tc.args, noEnv, &out, &errOut)
			if code != tc.code || !strings.Contains(out.String(), tc.out) || !strings.Contains(errOut.String(), tc.err) {
				t.Errorf("%s: exit code %d, output %q, errors %q; want %d, %q, %q", tc.reason, code, out.String(), errOut.String(), tc.code, tc.out, tc.err)
			}
		})
	}
}

// TestUsage checks that help explains every flag, and that the documentation does.
func TestUsage(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operators/running.md")
	if err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	o, _, err := parse([]string{"-h"}, noEnv, &help)
	if !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	o.set.VisitAll(func(f *flag.Flag) {
		if f.Usage == "" || !strings.Contains(help.String(), "--"+f.Name) {
			t.Errorf("--help does not explain --%s", f.Name)
		}
		if !strings.Contains(string(doc), "`--"+f.Name+"`") {
			t.Errorf("docs/operators/running.md does not have --%s", f.Name)
		}
	})
}
