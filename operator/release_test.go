package operator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// TestRelease: the operator says at its start that the cluster's Kubernetes is too old, and
// nothing else keeps it from starting.
func TestRelease(t *testing.T) {
	for _, tt := range []struct{ reason, answer, want string }{
		{"too old", `{"gitVersion": "v1.30.4"}`, "Kubernetes v1.30.4 is older than v1.31"},
		{"the oldest that is supported", `{"gitVersion": "v1.31.0"}`, ""},
		{"no answer that can be read", `none`, ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer api.Close()
			server, err := discovery.NewDiscoveryClientForConfigAndClient(&rest.Config{Host: api.URL}, api.Client())
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			r := &release{server: server, log: funcr.New(func(_, args string) { said.WriteString(args) }, funcr.Options{})}
			if err := r.Start(t.Context()); err != nil {
				t.Errorf("it keeps the operator from starting: %v", err)
			}
			if got := said.String(); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}
