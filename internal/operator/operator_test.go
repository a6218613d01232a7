package operator

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/operators"
)

func noEnv(string) string { return "" }

func names(kinds []operators.Kind) string {
	var s []string
	for _, k := range kinds {
		s = append(s, k.Name)
	}
	return strings.Join(s, ",")
}

// note holds the options that a test compares.
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
			o, err := parse(tc.args, func(name string) string { return tc.env[name] }, io.Discard)
			if tc.err != "" || err != nil {
				if tc.err == "" || err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%s: the error is %v, want %q", tc.reason, err, tc.err)
				}
				return
			}
			m, c, k := o.manager(runtime.NewScheme(), nil), &rest.Config{}, o.forKinds()
			o.limit(c)
			got := said{
				Kinds: names(o.selected()), Lease: m.LeaderElectionID, LeaseNamespace: m.LeaderElectionNamespace,
				Workers: k.Config.MaxConcurrentReconciles, QPS: c.QPS, Burst: c.Burst,
				Metrics: m.Metrics.BindAddress, Probes: m.HealthProbeBindAddress, Pprof: m.PprofBindAddress, LeaderElect: m.LeaderElection,
				PyTorchImage: k.PyTorchInitContainer.Image, PyTorchTemplate: k.PyTorchInitContainer.Template, Tries: k.PyTorchInitContainer.MaxTries,
				MPI: k.MPIKubectlDeliveryImage, Zone: k.ClusterDomain, Ignored: o.ignored,
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
	o := &options{}
	kinds := operators.Kinds()
	caches := map[string]bool{}
	for object, by := range o.manager(runtime.NewScheme(), kinds).Cache.ByObject {
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
		"Wrong":   {reason: "a mistake ends it with a code of its own", args: []string{"--kinds=x"}, code: exitUsage, err: "operator: invalid value"},
		"Encoder": {reason: "so does a wrong format", args: []string{"--zap-encoder=xml"}, code: exitUsage, err: `--zap-encoder is "xml": use json or console`},
		"NoCluster": {
			reason: "without a cluster it says how to name one", args: []string{"--kubeconfig=/nowhere"}, code: exitFailed,
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
	if _, err := parse([]string{"-h"}, noEnv, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	(&options{}).flags(noEnv).VisitAll(func(f *flag.Flag) {
		if f.Usage == "" || !strings.Contains(help.String(), "--"+f.Name) {
			t.Errorf("--help does not explain --%s", f.Name)
		}
		if !strings.Contains(string(doc), "`--"+f.Name+"`") {
			t.Errorf("docs/operators/running.md does not have --%s", f.Name)
		}
	})
}

func TestLogger(t *testing.T) {
	tests := map[string]struct {
		reason string
		args   []string
		want   []string // of the messages error, info, debug, trace
		format string
	}{
		"Default": {reason: "JSON, errors and information", want: []string{"error", "info"}, format: "{"},
		"Debug":   {reason: "debug says more", args: []string{"--zap-log-level=debug"}, want: []string{"error", "info", "debug"}, format: "{"},
		"Number":  {reason: "a number says how much more", args: []string{"--zap-log-level=4"}, want: []string{"error", "info", "debug", "trace"}, format: "{"},
		"Error":   {reason: "errors only", args: []string{"--zap-log-level=error"}, want: []string{"error"}, format: "{"},
		"Devel":   {reason: "for developers: debug, and a line that can be read", args: []string{"--zap-devel"}, want: []string{"error", "info", "debug"}, format: "time="},
		"Console": {reason: "the format can be chosen", args: []string{"--zap-encoder=console"}, want: []string{"error", "info"}, format: "time="},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o, err := parse(tc.args, noEnv, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			log, err := o.log.logger(&out)
			if err != nil {
				t.Fatal(err)
			}
			log.Error(nil, "<error>")
			log.Info("<info>")
			log.V(1).Info("<debug>")
			log.V(4).Info("<trace>")
			var got []string
			for _, m := range []string{"error", "info", "debug", "trace"} {
				if strings.Contains(out.String(), "<"+m+">") {
					got = append(got, m)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || !strings.HasPrefix(out.String(), tc.format) {
				t.Errorf("%s (-want +got):\n%s%s", tc.reason, diff, out.String())
			}
		})
	}
	var l logLevel
	if err := l.Set("loud"); err == nil || !strings.Contains(err.Error(), "use error, info, debug, or a number") {
		t.Errorf("an unknown level is refused with the fix, got %v", err)
	}
	if got := l.slog(false); got != slog.LevelInfo {
		t.Errorf("the default level is %v", got)
	}
}

// TestMissingCRD checks that kinds without a CRD are reported once, with the fix, and
// set up when it appears, and that errors meanwhile end nothing.
func TestMissingCRD(t *testing.T) {
	known := runtime.NewScheme()
	if err := kubeflowv1.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	log := funcr.New(func(_, args string) { _, _ = logged.WriteString(args + "\n") }, funcr.Options{})
	polls, setUp := 0, []string(nil)
	s := &starter{
		log: log, wait: time.Millisecond,
		served: func(gvk schema.GroupVersionKind) (bool, error) {
			polls++
			switch {
			case polls > 12 && polls < 15:
				return false, errors.New("the server is busy")
			default:
				return gvk.Kind == "TFJob" || polls > 20, nil
			}
		},
		setUp: func(m missing) error {
			setUp = append(setUp, m.kind.Name)
			return nil
		},
	}
	for _, k := range operators.Kinds() {
		gvk, err := apiutil.GVKForObject(k.Job, known)
		if err != nil {
			t.Fatal(err)
		}
		ready, err := controller.NewReadiness(prometheus.NewRegistry(), k.Framework)
		if err != nil {
			t.Fatal(err)
		}
		s.missing = append(s.missing, missing{kind: k, gvk: gvk, ready: ready})
	}
	if err := s.setUpServed(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"tfjob"}, setUp); diff != "" {
		t.Errorf("only what is served is set up (-want +got):\n%s", diff)
	}
	s.report()
	for _, m := range s.missing {
		if err := m.ready.Check(nil); err == nil || !strings.Contains(err.Error(), m.crd()+" is missing: run \"jobkit install-crds\"") {
			t.Errorf("the probe of %s says %v", m.kind.Name, err)
		}
	}
	for _, want := range []string{
		`"crd"="mpijobs.kubeflow.org"`, `"version"="kubeflow.org/v1"`, `jobkit install-crds`, `config/crd/kubeflow.org_mpijobs.yaml`, `leave mpijob out of --kinds`,
	} {
		if !strings.Contains(strings.ReplaceAll(logged.String(), `\"`, ""), want) {
			t.Errorf("the log does not say %s:\n%s", want, logged.String())
		}
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(setUp) != len(operators.Kinds()) || len(s.missing) > 0 {
		t.Errorf("each kind is set up once, got %v", setUp)
	}
	if s.NeedLeaderElection() {
		t.Error("every process waits for the CRDs")
	}
}

func TestServed(t *testing.T) {
	gvk := kubeflowv1.GroupVersion.WithKind("MPIJob")
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(gvk.GroupVersion().WithKind("TFJob"), meta.RESTScopeNamespace)
	if there, err := served(mapper, gvk); there || err != nil {
		t.Errorf("a kind that is not mapped is not served: %t, %v", there, err)
	}
	if there, err := served(mapper, kubeflowv1.GroupVersion.WithKind("TFJob")); !there || err != nil {
		t.Errorf("one that is mapped is: %t, %v", there, err)
	}
}

// TestServedOnServer checks what the manager's own mapper says of an API server that
// serves none of the group, a part of it, or only errors.
func TestServedOnServer(t *testing.T) {
	group := `{"kind":"APIGroup","apiVersion":"v1","name":"kubeflow.org","versions":[{"groupVersion":"kubeflow.org/v1","version":"v1"}],"preferredVersion":{"groupVersion":"kubeflow.org/v1","version":"v1"}}`
	resources := `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"kubeflow.org/v1","resources":[{"name":"tfjobs","singularName":"tfjob","namespaced":true,"kind":"TFJob","verbs":["list"]}]}`
	all := map[string]string{
		"/apis":                 `{"kind":"APIGroupList","apiVersion":"v1","groups":[` + group + `]}`,
		"/apis/kubeflow.org":    group,
		"/apis/kubeflow.org/v1": resources,
	}
	none := map[string]string{"/apis": `{"kind":"APIGroupList","apiVersion":"v1","groups":[` + strings.ReplaceAll(group, "kubeflow.org", "apps") + `]}`}
	tests := map[string]struct {
		reason  string
		answers map[string]string
		status  int
		kind    string
		want    bool
		fails   bool
	}{
		"Kind":    {reason: "the kind is served", answers: all, status: http.StatusNotFound, kind: "TFJob", want: true},
		"Other":   {reason: "another kind of the group is", answers: all, status: http.StatusNotFound, kind: "MPIJob"},
		"Nothing": {reason: "nothing of the group is: no CRD of ours is installed", answers: none, status: http.StatusNotFound, kind: "MPIJob"},
		"Errors":  {reason: "it is not known", status: http.StatusServiceUnavailable, kind: "MPIJob", fails: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer, ok := tc.answers[r.URL.Path]
				if !ok {
					http.Error(w, "", tc.status)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, answer)
			}))
			defer api.Close()
			mapper, err := apiutil.NewDynamicRESTMapper(&rest.Config{Host: api.URL}, api.Client())
			if err != nil {
				t.Fatal(err)
			}
			there, err := served(mapper, kubeflowv1.GroupVersion.WithKind(tc.kind))
			if there != tc.want || (err != nil) != tc.fails {
				t.Errorf("%s: served is %t, the error is %v", tc.reason, there, err)
			}
		})
	}
}
