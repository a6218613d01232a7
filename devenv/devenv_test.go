package devenv_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jobkit/jobkit/devenv"
)

// recorder is a test that records how it fails.
type recorder struct {
	*testing.T

	said []string
}

func (r *recorder) Context() context.Context { return r.T.Context() }
func (r *recorder) Fatalf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// TestRefused: the tests never run on a cluster that no one named.
func TestRefused(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nosuch")
	for _, tt := range []struct {
		reason, existing, assets, kubeconfig string
		want                                 string
	}{
		{"an answer that is none", "yes please", "", "", `USE_EXISTING_CLUSTER is "yes please": set it to true or false`},
		{"no cluster is named: that of kubectl is not taken", "true", "", "", "KUBECONFIG is not set: name the kubeconfig of the cluster there"},
		{"a cluster that is not there", "true", "", nowhere, "cannot use the cluster of KUBECONFIG"},
		{"programs that are not there", "false", nowhere, "", "cannot start the API server of KUBEBUILDER_ASSETS, " + nowhere},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Setenv("USE_EXISTING_CLUSTER", tt.existing)
			t.Setenv("KUBEBUILDER_ASSETS", tt.assets)
			t.Setenv("KUBECONFIG", tt.kubeconfig)
			t.Setenv("HOME", t.TempDir())
			r := &recorder{T: t}
			if config := devenv.Start(r, devenv.Options{}); config != nil || len(r.said) != 1 || !strings.Contains(r.said[0], tt.want) {
				t.Errorf("it says %q, want %q", r.said, tt.want)
			}
		})
	}
}

func TestRunsPods(t *testing.T) {
	for _, tt := range []struct {
		reason, existing, assets string
		want                     bool
	}{
		{"the dev control plane has nodes", "", "", true},
		{"the programs of setup-envtest have none", "", "/assets", false},
		{"a cluster has some", "true", "/assets", true},
	} {
		t.Setenv("USE_EXISTING_CLUSTER", tt.existing)
		t.Setenv("KUBEBUILDER_ASSETS", tt.assets)
		if got := devenv.RunsPods(); got != tt.want {
			t.Errorf("%s: got %t", tt.reason, got)
		}
	}
}
