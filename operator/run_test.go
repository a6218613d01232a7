package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/operators"
)

// anyKind is a controller of a kind that only describes itself.
type anyKind struct{ operators.Kind }

func (k anyKind) About() (controller.About, error) {
	return controller.About{Job: k.Job, Framework: k.Framework, ObjectKinds: k.ObjectKinds}, nil
}

func (anyKind) SetupWithConfig(ctrl.Manager, controller.Config) error {
	return errors.New("it is not set up in tests")
}

func someKinds() []Controller {
	var out []Controller
	for _, k := range operators.Kinds() {
		out = append(out, anyKind{k})
	}
	return out
}

// TestParse checks the command line of a program that says nothing else.
func TestParse(t *testing.T) {
	tests := map[string]struct {
		reason string
		kinds  []Controller
		change func(*Options)
		args   []string
		// lease, kinds and help are what follows, err is a part of the error.
		lease, run, help, err string
	}{
		"One": {
			reason: "one kind needs no flag that chooses it", kinds: []Controller{&controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}}},
			run: "testjob", lease: "simulator.kubeflow.org", help: "simulator runs the jobs of TestJob on a cluster.",
		},
		"NoFlag": {
			reason: "so there is none", kinds: []Controller{&controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}}},
			args: []string{"--kinds=testjob"}, err: "flag provided but not defined: -kinds",
		},
		"Several": {reason: "of several some can be chosen", kinds: someKinds(), args: []string{"--kinds=tfjob,jaxjob"}, run: "jaxjob,tfjob", help: "--kinds kinds"},
		"None":    {reason: "a program without a controller says so", err: "there is nothing to run: give Run a controller"},
		"NotSet": {
			reason: "as one whose controller is not complete", kinds: []Controller{&controller.JobController[*testv1.TestJob]{}},
			err: "JobController.Controller is not set",
		},
		"Certificates": {
			reason: "a flag without effect is a mistake", kinds: someKinds(), args: []string{"--metrics-cert-dir=/tls"}, err: "set both, or neither",
		},
		"OwnFlag": {
			reason: "a program has flags of its own, and may change defaults", kinds: someKinds(), args: []string{"--own=3"},
			change: func(o *Options) { o.Flags = func(f *flag.FlagSet) { f.Int("own", 1, "is the program's own") } }, help: "--own int\n        is the program's own (default 1)",
		},
		"Complete": {
			reason: "its mistakes are those of the command line", kinds: someKinds(),
			change: func(o *Options) { o.Complete = func() error { return errors.New("--own is 3: use 4") } }, err: "--own is 3: use 4",
		},
		"Lease": {
			reason: "the lease can be named", kinds: someKinds(), change: func(o *Options) { o.LeaderElectionID = "mine" }, lease: "mine",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			o := Options{Name: "simulator", AddToScheme: []func(*runtime.Scheme) error{testv1.AddToScheme, kubeflowv1.AddToScheme}, Args: append([]string{}, tc.args...), Out: &out}
			if tc.change != nil {
				tc.change(&o)
			}
			p, err := Parse(o, tc.kinds...)
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("%s: the error is %v, want %q", tc.reason, err, tc.err)
			}
			if err != nil {
				return
			}
			m, err := p.ManagerOptions()
			if err != nil {
				t.Fatal(err)
			}
			if tc.lease != "" && m.LeaderElectionID != tc.lease {
				t.Errorf("%s: the lease is %q, want %q", tc.reason, m.LeaderElectionID, tc.lease)
			}
			if run := strings.Join(p.Kinds(), ","); tc.run != "" && run != tc.run {
				t.Errorf("%s: it runs %q, want %q", tc.reason, run, tc.run)
			}
			o.Args = []string{"--help"}
			if _, err := Parse(o, tc.kinds...); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), tc.help) {
				t.Errorf("%s: the help is\n%s", tc.reason, out.String())
			}
		})
	}
}

func TestInTime(t *testing.T) {
	fails := errors.New("it fails")
	tests := map[string]struct {
		reason string
		run    func(context.Context) error
		want   error
		took   time.Duration
	}{
		"Ends":  {reason: "it ends when it is asked to", run: func(ctx context.Context) error { <-ctx.Done(); return nil }, took: time.Minute},
		"Fails": {reason: "it ends with an error", run: func(context.Context) error { return fails }, want: fails},
		"Takes": {
			reason: "it takes some time", run: func(ctx context.Context) error { <-ctx.Done(); time.Sleep(4 * time.Second); return fails }, want: fails,
			took: time.Minute + 4*time.Second,
		},
		"Hangs": {
			reason: "it does not end", run: func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Hour); return nil }, want: errLate,
			took: time.Minute + longest,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				if err := inTime(ctx, tc.run); !errors.Is(err, tc.want) || time.Since(began) != tc.took {
					t.Errorf("%s: it returns %v after %s, want %v after %s", tc.reason, err, time.Since(began), tc.want, tc.took)
				}
				time.Sleep(2 * time.Hour) // until all goroutines have ended
			})
		})
	}
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
			var out strings.Builder
			p, err := Parse(Options{Args: append([]string{}, tc.args...), ErrOut: &out}, someKinds()[0])
			if err != nil {
				t.Fatal(err)
			}
			log := p.log
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
		log: log, wait: time.Millisecond, several: true,
		install: func(gvk schema.GroupVersionKind) string {
			return fmt.Sprintf("run \"jobkit install-crds\" (or kubectl apply --server-side -f config/crd/%s_%ss.yaml)", gvk.Group, strings.ToLower(gvk.Kind))
		},
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
			setUp = append(setUp, m.kind.name)
			return nil
		},
	}
	kinds, err := describe(someKinds())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
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
			t.Errorf("the probe of %s says %v", m.kind.name, err)
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
	if len(setUp) != len(kinds) || len(s.missing) > 0 {
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

// TestOneKindThatCannotBeSetUpDoesNotStopTheOthers: a CRD may be wrong, or its group may not be discovered.
func TestOneKindThatCannotBeSetUpDoesNotStopTheOthers(t *testing.T) {
	known := runtime.NewScheme()
	if err := kubeflowv1.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	kinds, err := describe(someKinds())
	if err != nil {
		t.Fatal(err)
	}
	bad := kinds[0].name
	for name, s := range map[string]*starter{
		"SetUp": {
			served: func(schema.GroupVersionKind) (bool, error) { return true, nil },
		},
		"Served": {
			served: func(gvk schema.GroupVersionKind) (bool, error) {
				if k, _ := apiutil.GVKForObject(kinds[0].Job, known); k == gvk {
					return false, errors.New("its group cannot be discovered")
				}
				return true, nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var setUp []string
			s.log, s.wait, s.install = logr.Discard(), time.Millisecond, func(schema.GroupVersionKind) string { return "" }
			s.setUp = func(m missing) error {
				if m.kind.name == bad {
					return errors.New("the kind is not namespaced")
				}
				setUp = append(setUp, m.kind.name)
				return nil
			}
			for _, k := range kinds {
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
			if err := s.setUpServed(); err == nil {
				t.Error("what cannot be set up is not reported")
			}
			if len(setUp) != len(kinds)-1 {
				t.Errorf("%s cannot be set up, and of the other %d kinds, whose CRDs exist, only %v are run", bad, len(kinds)-1, setUp)
			}
		})
	}
}

// TestLeaseName: the name of a program is one of a file, which permits more than that of a lease.
func TestLeaseName(t *testing.T) {
	for program, want := range map[string]string{
		"jobs-operator":           "jobs-operator",
		"my_operator":             "my-operator",
		"Operator.v2.EXE":         "operator.v2.exe",
		"_operator_":              "operator",
		"a..b":                    "operator",
		"":                        "operator",
		"___":                     "operator",
		"opérateur":               "op-rateur",
		strings.Repeat("a", 100):  strings.Repeat("a", 63),
		strings.Repeat("_a", 100): strings.Repeat("a-", 30) + "a",
	} {
		got := dnsName(program)
		if wrong := validation.IsDNS1123Subdomain(got); got != want || len(wrong) > 0 {
			t.Errorf("the lease of %q begins with %q, want %q: %v", program, got, want, wrong)
		}
	}
}
