package tracing_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit/internal/tracing"
)

func newTracer(t *testing.T, endpoint string, ratio float64) *tracing.Tracer {
	t.Helper()
	tracer, err := tracing.New(tracing.Options{
		Endpoint: endpoint, Ratio: ratio, Service: "operator", Version: "v1", Log: logr.Discard(), Interval: time.Hour, EndTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// end has a tracer send what it holds.
func end(t *testing.T, tracer *tracing.Tracer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tracer.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestPass: a pass is a span, and each of its requests a child; requests outside have none.
func TestPass(t *testing.T) {
	t.Parallel()
	var parents []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parents = append(parents, r.Header.Get("Traceparent"))
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusConflict)
		}
	}))
	defer api.Close()
	c := newCollector(t)
	tracer := newTracer(t, c.URL, 1)
	client := &http.Client{Transport: tracer.Wrap(http.DefaultTransport)}
	ask := func(ctx context.Context, method, path string) {
		r, err := http.NewRequestWithContext(ctx, method, api.URL+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	}
	ask(t.Context(), http.MethodGet, "/api/v1/pods?watch=true")
	result, err := tracer.Pass(t.Context(), "TFJob", types.NamespacedName{Namespace: "ns", Name: "a"}, func(ctx context.Context) (reconcile.Result, error) {
		ask(ctx, http.MethodPost, "/api/v1/namespaces/ns/pods")
		ask(ctx, http.MethodPatch, "/apis/kubeflow.org/v1/namespaces/ns/tfjobs/a/status")
		ask(ctx, http.MethodDelete, "/api/v1/namespaces/ns/pods/a-worker-0")
		return reconcile.Result{RequeueAfter: time.Second}, errors.New("conflict " + strings.Repeat("x", 1000))
	})
	if err == nil || result.RequeueAfter != time.Second {
		t.Errorf("the result of the pass is changed: %v, %v", result, err)
	}
	end(t, tracer)
	spans := c.received()
	if len(spans) != 4 || c.service != "operator" || len(c.errs) > 0 {
		t.Fatalf("%d spans of %q, want 4 of operator; refused: %v", len(spans), c.service, c.errs)
	}
	pass := spans[3]
	for key, want := range map[string]string{
		"jobkit.kind": "TFJob", "k8s.namespace.name": "ns", "jobkit.job.name": "a", "jobkit.result": "error", "jobkit.requeue_after_ms": "1000",
	} {
		if got := pass.has(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if pass.Name != "reconcile TFJob" || pass.Kind != 1 || pass.ParentSpanID != "" || pass.Status.Code != 2 || len(pass.Status.Message) > 300 {
		t.Errorf("the span of the pass is %+v", pass)
	}
	hex := regexp.MustCompile(`^[0-9a-f]{32} [0-9a-f]{16}$`)
	for i, want := range []struct{ name, status string }{{"POST pods", "200"}, {"PATCH tfjobs/status", "200"}, {"DELETE pods", "409"}} {
		s := spans[i]
		if s.Name != want.name || s.Kind != 3 || s.has("http.response.status_code") != want.status || s.TraceID != pass.TraceID || s.ParentSpanID != pass.SpanID {
			t.Errorf("child %d is %+v, want %v", i, s, want)
		}
		if !hex.MatchString(s.TraceID+" "+s.SpanID) || s.StartTimeUnixNano > s.EndTimeUnixNano || s.StartTimeUnixNano < pass.StartTimeUnixNano {
			t.Errorf("child %d has the identifiers and times %+v", i, s)
		}
		if s.Status.Code != map[bool]int{true: 2}[want.status == "409"] {
			t.Errorf("child %d has the status %v", i, s.Status)
		}
		if want := "00-" + s.TraceID + "-" + s.SpanID + "-01"; parents[i+1] != want {
			t.Errorf("the API server gets traceparent %q, want %q", parents[i+1], want)
		}
	}
	if parents[0] != "" {
		t.Error("a request outside of a pass is traced")
	}
}

// TestLimits: a collector that does not answer costs neither memory nor time.
func TestLimits(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	done := func(context.Context) (reconcile.Result, error) { return reconcile.Result{}, nil }
	all := newTracer(t, c.URL, 1)
	for range 10_000 {
		_, _ = all.Pass(t.Context(), "TFJob", types.NamespacedName{}, done)
	}
	end(t, all)
	if n := len(c.received()); n != 4096 || c.requests != 8 {
		t.Errorf("%d spans in %d requests, want the first 4096 in 8", n, c.requests)
	}
	some := newTracer(t, c.URL, 0.1)
	for range 1000 {
		_, _ = some.Pass(t.Context(), "TFJob", types.NamespacedName{}, done)
	}
	end(t, some)
	if n := len(c.received()) - 4096; n < 40 || n > 200 {
		t.Errorf("%d of 1000 passes are traced, want about 100", n)
	}
	away := newTracer(t, "http://127.0.0.1:1", 1)
	_, _ = away.Pass(t.Context(), "TFJob", types.NamespacedName{}, done)
	end(t, away)
	var none *tracing.Tracer
	if _, err := none.Pass(t.Context(), "TFJob", types.NamespacedName{}, done); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []tracing.Options{{Endpoint: "collector:4317"}, {Endpoint: "ftp://x"}, {Endpoint: "http://"}, {Endpoint: "http://x", Ratio: 2}, {Endpoint: "http://x", Ratio: -1}} {
		if _, err := tracing.New(o); err == nil {
			t.Errorf("%+v should be refused", o)
		}
	}
}
