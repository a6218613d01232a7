package operator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jobkit/jobkit/internal/fakeapi"
)

// asOperator has the test binary be the operator.
const asOperator = "JOBKIT_TEST_IS_OPERATOR"

func TestMain(m *testing.M) {
	if os.Getenv(asOperator) != "" {
		os.Exit(Main(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// everything is an API server with all kinds.
func everything() *fakeapi.Server {
	api := fakeapi.New(fakeapi.Core()...)
	for _, kind := range []string{"TFJob", "PyTorchJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob"} {
		api.Add(fakeapi.Resource{Group: "kubeflow.org", Version: "v1", Resource: strings.ToLower(kind) + "s", Kind: kind})
	}
	return api
}

// started is the operator in a process of its own, with an API server.
type started struct {
	*fakeapi.Server

	t       *testing.T
	cmd     *exec.Cmd
	out     bytes.Buffer
	probes  string
	metrics string
}

func startOperator(t *testing.T, api *fakeapi.Server, args ...string) *started {
	t.Helper()
	served := httptest.NewServer(api)
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Close()
	})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
		clusters: [{name: c, cluster: {server: %q}}], users: [{name: u, user: {}}]}`, served.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	free := freeAddresses(t, 2)
	o := &started{Server: api, t: t, probes: free[0], metrics: free[1]}
	o.cmd = exec.CommandContext(t.Context(), os.Args[0], append([]string{
		"--kubeconfig=" + kubeconfig, "--leader-elect", "--health-probe-bind-address=" + o.probes, "--metrics-bind-address=" + o.metrics,
	}, args...)...)
	o.cmd.Env = append(os.Environ(), asOperator+"=1")
	o.cmd.Stdout, o.cmd.Stderr = &o.out, &o.out
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return o
}

// freeAddresses are some on which no one listens, all different: one that is given back may be the next.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	out := make([]string, n)
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out[i] = l.Addr().String()
	}
	return out
}

// end sends SIGTERM and returns how long the end takes.
func (o *started) end() time.Duration {
	o.t.Helper()
	began := time.Now()
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		o.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- o.cmd.Wait() }()
	select {
	case err := <-done:
		o.t.Logf("the operator ended: %v", err)
	case <-time.After(20 * time.Second):
		_ = o.cmd.Process.Kill()
		o.t.Logf("the operator was killed: %v", <-done)
	}
	return time.Since(began)
}

// hangs is after how long a test takes what it waits for to hang, on however slow a machine.
const hangs = 2 * time.Minute

func (o *started) eventually(what string, holds func() bool) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), hangs)
	defer cancel()
	if !o.Wait(ctx, holds) {
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
		o.t.Fatalf("after %s it is not true that %s; requests:\n%s\nlog:\n%s", hangs, what, strings.Join(o.Asked(), "\n"), o.out.String())
	}
}

// get reads from the operator.
func get(url string) (int, string) {
	resp, err := http.Get(url) //nolint:gosec // the test's own address
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

const leasePath = "/apis/coordination.k8s.io/v1/namespaces/default/leases/1ca428e5.training-operator.kubeflow.org"

// holder is who holds the lease.
func (o *started) holder() string {
	spec, _ := o.Get(leasePath)["spec"].(map[string]any)
	holder, _ := spec["holderIdentity"].(string)
	return holder
}

// leads reports whether the operator knows that it holds the lease. Before that a reply may
// still be under way.
func (o *started) leads() bool {
	_, body := get("http://" + o.metrics + "/metrics")
	return strings.Contains(body, `leader_election_master_status{name="1ca428e5.training-operator.kubeflow.org"} 1`)
}

func (o *started) asked(what string) func() bool {
	return func() bool {
		for _, a := range o.Asked() {
			if strings.HasPrefix(a, what) {
				return true
			}
		}
		return false
	}
}

func isList(r *http.Request, resources ...string) bool {
	for _, resource := range resources {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/"+resource) {
			return true
		}
	}
	return false
}

// TestEnd checks known-bugs row 134: SIGTERM ends the process within 5 seconds in every
// phase of its life, and the lease is given back if there is an API server to give it to.
func TestEnd(t *testing.T) {
	const manyWorkers = `{"apiVersion":"kubeflow.org/v1","kind":"TFJob","spec":{"runPolicy":{"serviceMode":"None"},"tfReplicaSpecs":{"Worker":{"replicas":5000,"template":{"spec":{"containers":[{"name":"tensorflow","image":"x"}]}}}}}}`
	undecodable := strings.Replace(strings.Replace(manyWorkers, "5000", "1", 1), `"image":"x"`, `"image":"x","resources":{"limits":{"cpu":"1e2147483648"}}`, 1)
	other := fmt.Sprintf(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"holderIdentity":"another","leaseDurationSeconds":15,"acquireTime":%[1]q,"renewTime":%[1]q}}`,
		time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
	all := func(code int) func(*http.Request) int { return func(*http.Request) int { return code } }
	lists := func(code int, resources ...string) func(*http.Request) int {
		return func(r *http.Request) int {
			if isList(r, resources...) {
				return code
			}
			return fakeapi.Serve
		}
	}
	tests := map[string]struct {
		reason string
		rule   func(*http.Request) int
		put    map[string]string
		until  func(*started) func() bool
		// then is the rule from the signal on.
		then func(*http.Request) int
		// holder is who holds the lease in the end.
		holder string
		kept   bool
	}{
		"BeforeAnything": {
			reason: "the API server does not answer the first question", rule: all(fakeapi.Hang),
			until: func(o *started) func() bool { return o.asked("GET /api") },
		},
		"BeforeTheFirstList": {
			reason: "lists are forbidden, all of them", rule: lists(http.StatusForbidden, "pods", "services", "tfjobs", "mpijobs", "jaxjobs", "paddlejobs", "pytorchjobs", "xgboostjobs"),
			until: func(o *started) func() bool {
				return func() bool { return o.leads() && o.asked("GET /apis/kubeflow.org/v1/tfjobs")() }
			},
		},
		"SyncThatNeverEnds": {
			reason: "one kind is never read in full, nor are the pods", rule: lists(fakeapi.Hang, "tfjobs", "pods"),
			until: func(o *started) func() bool {
				return func() bool {
					return o.leads() && o.asked("GET /apis/kubeflow.org/v1/tfjobs")() && o.asked("GET /api/v1/pods")()
				}
			},
		},
		"ForbiddenPods": {
			reason: "pods may not be listed", rule: lists(http.StatusForbidden, "pods"),
			until: func(o *started) func() bool {
				return func() bool { return o.leads() && o.asked("GET /api/v1/pods")() }
			},
		},
		"Undecodable": {
			reason: "there is a job that cannot be decoded", put: map[string]string{"/apis/kubeflow.org/v1/namespaces/default/tfjobs/bad": undecodable},
			until: func(o *started) func() bool {
				return o.asked("PATCH /apis/kubeflow.org/v1/namespaces/default/tfjobs/bad/status")
			},
		},
		"Standby": {
			reason: "another one holds the lease", put: map[string]string{leasePath: other}, holder: "another",
			until: func(o *started) func() bool {
				return func() bool { code, _ := get("http://" + o.probes + "/readyz"); return code == http.StatusOK }
			},
		},
		"LargeCreate": {
			reason: "5,000 pods are being created", put: map[string]string{"/apis/kubeflow.org/v1/namespaces/default/tfjobs/large": manyWorkers},
			until: func(o *started) func() bool { return o.asked("POST /api/v1/namespaces/default/pods") },
		},
		"CreateThatHangs": {
			reason: "they are being created, and the API server does not answer", put: map[string]string{"/apis/kubeflow.org/v1/namespaces/default/tfjobs/large": manyWorkers},
			rule: func(r *http.Request) int {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pods") {
					return fakeapi.Hang
				}
				return fakeapi.Serve
			},
			until: func(o *started) func() bool { return o.asked("POST /api/v1/namespaces/default/pods") },
		},
		"AwayHanging": {
			reason: "the API server no longer answers: the lease cannot be given back", then: all(fakeapi.Hang), kept: true,
			until: func(o *started) func() bool { return o.leads },
		},
		"AwayFailing": {
			reason: "the API server fails: the same", then: all(http.StatusServiceUnavailable), kept: true,
			until: func(o *started) func() bool { return o.leads },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A machine that is busy with something else makes all late, so one of three rounds must be in time.
			for round := 1; ; round++ {
				api := everything()
				api.Rule(tc.rule)
				for path, o := range tc.put {
					api.Put(path, o)
				}
				o := startOperator(t, api)
				o.eventually("it is as far as "+name, tc.until(o))
				if tc.then != nil {
					api.Rule(tc.then)
				}
				took := o.end()
				if !tc.kept && o.holder() != tc.holder {
					t.Errorf("%s: the lease is held by %q in the end, want %q", tc.reason, o.holder(), tc.holder)
				}
				if strings.Contains(o.out.String(), "DATA RACE") {
					t.Errorf("%s: a data race:\n%s", tc.reason, o.out.String())
				}
				if cpu := o.cmd.ProcessState.UserTime() + o.cmd.ProcessState.SystemTime(); cpu > 30*time.Second {
					t.Errorf("%s: it took %s of a processor", tc.reason, cpu)
				}
				if took <= 5*time.Second {
					return
				}
				if round == 3 {
					t.Fatalf("%s: it ends after %s, want 5 s; log:\n%s", tc.reason, took, o.out.String())
				}
			}
		})
	}
}

// TestReady checks known-bugs row 93: a job that one kind cannot read does not stop the other
// kinds, and the probe and the metrics say which kind it is and why.
func TestReady(t *testing.T) {
	api := fakeapi.New(fakeapi.Core()...)
	for _, kind := range []string{"TFJob", "PyTorchJob", "XGBoostJob"} {
		api.Add(fakeapi.Resource{Group: "kubeflow.org", Version: "v1", Resource: strings.ToLower(kind) + "s", Kind: kind})
	}
	forbidden := true
	api.Rule(func(r *http.Request) int {
		if forbidden && isList(r, "tfjobs") {
			return http.StatusForbidden
		}
		return fakeapi.Serve
	})
	api.Put("/apis/kubeflow.org/v1/namespaces/default/pytorchjobs/a", `{"apiVersion":"kubeflow.org/v1","kind":"PyTorchJob","spec":{"pytorchReplicaSpecs":{"Worker":{"template":{"spec":{"containers":[{"name":"pytorch","image":"x"}]}}}}}}`)
	o := startOperator(t, api, "--kinds=tfjob,pytorchjob,jaxjob")
	o.eventually("other kinds run", func() bool { return o.Get("/api/v1/namespaces/default/pods/a-worker-0") != nil })
	for path, want := range map[string]string{
		"/readyz":            "[+]pytorchjob ok\n",
		"/readyz?verbose":    "[-]jaxjob failed",
		"/readyz?verbose=1":  "[-]tfjob failed",
		"/readyz/pytorchjob": "ok",
		"/readyz/tfjob":      "the test refuses GET /apis/kubeflow.org/v1/tfjobs: grant it to the operator",
		"/readyz/jaxjob":     `crd: jaxjobs.kubeflow.org is missing: run "jobkit install-crds"`,
		"/healthz":           "ok",
	} {
		o.eventually(path+" says "+want, func() bool { _, body := get("http://" + o.probes + path); return strings.Contains(body, want) })
	}
	if code, _ := get("http://" + o.probes + "/readyz"); code != http.StatusInternalServerError {
		t.Errorf("/readyz answers %d", code)
	}
	for _, want := range []string{
		`jobkit_kind_ready{framework="pytorch"} 1`, `jobkit_kind_ready{framework="tensorflow"} 0`, `jobkit_kind_ready{framework="jax"} 0`,
		`jobkit_kind_waits{framework="tensorflow",reason="Forbidden",resource="tfjobs"} 1`, `jobkit_kind_waits{framework="jax",reason="NoCRD",resource="crd"} 1`,
	} {
		o.eventually("the metrics say "+want, func() bool { _, body := get("http://" + o.metrics + "/metrics"); return strings.Contains(body, want) })
	}
	api.Rule(nil)
	o.eventually("the kind becomes ready", func() bool { code, _ := get("http://" + o.probes + "/readyz/tfjob"); return code == http.StatusOK })
	if took := o.end(); took > 5*time.Second {
		t.Errorf("it ends after %s", took)
	}
}
