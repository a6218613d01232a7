package operator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestTracing: the operator sends a span of each pass, with its API calls, if it is asked to.
func TestTracing(t *testing.T) {
	var (
		mu   sync.Mutex
		text strings.Builder
	)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		_, _ = text.Write(body)
	}))
	defer collector.Close()
	api := everything()
	api.Put("/apis/kubeflow.org/v1/namespaces/default/tfjobs/a", `{"apiVersion":"kubeflow.org/v1","kind":"TFJob","spec":{"tfReplicaSpecs":{"Worker":{"template":{"spec":{"containers":[{"name":"tensorflow","image":"x"}]}}}}}}`)
	o := startOperator(t, api, "--tracing-endpoint="+collector.URL)
	o.eventually("its pod is created", func() bool { return api.Get("/api/v1/namespaces/default/pods/a-worker-0") != nil })
	o.eventually("its status is written", o.asked("PATCH /apis/kubeflow.org/v1/namespaces/default/tfjobs/a/status"))
	o.end() // sends what is left
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{
		`"name":"reconcile TFJob"`, `"name":"POST pods"`, `"name":"PATCH tfjobs/status"`, `"parentSpanId":"`, `{"key":"jobkit.job.name","value":{"stringValue":"a"}}`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the collector does not get %s; log:\n%s", want, o.out.String())
		}
	}
	if strings.Contains(text.String(), "watch") || strings.Contains(text.String(), "leases") {
		t.Error("requests outside of passes are traced")
	}
}
