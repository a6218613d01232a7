package cluster_test

import (
	"testing"

	"github.com/jobkit/jobkit/internal/cli/cluster"
)

// TestCommands has the commands for the same cluster that users are advised to run.
func TestCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason          string
		choice          cluster.Choice
		kubectl, jobkit string
	}{
		{"what was not chosen is not repeated", cluster.Choice{}, "kubectl", "jobkit install-crds"},
		{
			"the cluster is that of the command; the namespace is not part of it",
			cluster.Choice{Kubeconfig: "/k", Context: "c", Namespace: "n"},
			"kubectl --kubeconfig=/k --context=c", "jobkit install-crds --kubeconfig=/k --context=c",
		},
	} {
		if got := c.choice.Kubectl(); got != c.kubectl {
			t.Errorf("%s: want %q, got %q", c.reason, c.kubectl, got)
		}
		if got := c.choice.Jobkit("install-crds"); got != c.jobkit {
			t.Errorf("%s: want %q, got %q", c.reason, c.jobkit, got)
		}
	}
}
