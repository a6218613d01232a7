package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jobkit/jobkit/internal/cli/console"
)

// TestVerbs has commands for jobs of a cluster that are wrong before they reach one, and what
// needs none.
func TestVerbs(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", "")
	for _, c := range []struct {
		reason, args string
		code         int
		out, errs    string
	}{
		{reason: "no job", args: "describe", code: 2, errs: "jobkit: no job is named: write jobkit describe NAME, or KIND/NAME\n  see: jobkit describe --help\n"},
		{reason: "no job", args: "restart", code: 2, errs: "jobkit: no job is named: write jobkit restart NAME, or KIND/NAME\n  see: jobkit restart --help\n"},
		{reason: "no cluster", args: "get", code: 2, errs: "jobkit: no cluster is configured"},
		{reason: "no such form", args: "get -o xml", code: 2, errs: "jobkit: --output is \"xml\": it must be one of wide, json, yaml\n"},
		{reason: "a list that lives", args: "get -w -o yaml", code: 2, errs: "jobkit: --watch shows a table, so it cannot go with -o yaml: leave one out\n"},
		{reason: "no such state", args: "wait a --for done", code: 2, errs: "jobkit: --for is \"done\": it must be one of end, succeeded,"},
		{reason: "no time", args: "wait a --timeout -1s", code: 2, errs: "jobkit: --timeout is -1s: it must not be negative\n"},
		{reason: "all, and one", args: "logs a worker-1 --all", code: 2, errs: "jobkit: --all is of all replicas, so none can be named: leave one out\n"},
		{reason: "a form of explain", args: "explain -f a -o json", code: 2, errs: "jobkit: --output is \"json\": it must be one of table, tree, yaml\n"},
		{reason: "a default that the usage says", args: "logs --help", out: "the last lines (default all)\n"},
		{reason: "the same of several", args: "dev up --help", out: "for example nvidia.com/gpu=8 (default ephemeral-storage=1Ti)\n"},
		{reason: "what a job would have", args: "explain -f ../../examples/jobs/jaxjob/jax-train.yaml -o yaml", out: "\n  name: jax-train-worker-0\n"},
		{reason: "states are completed", args: "__complete wait a --for r", out: "running\nsuspended\n"},
		{reason: "forms are completed", args: "__complete get -o j", out: "json\n"},
		{reason: "jobs are not, without a cluster", args: "__complete describe a", out: ":4\n"},
	} {
		got := call(t.Context(), &fakeDev{}, "", strings.Fields(c.args)...)
		if got.Code != c.code || !strings.Contains(got.Out, c.out) || c.errs != "" && !strings.HasPrefix(got.Err, c.errs) {
			t.Errorf("%s: want code %d, output with %q, errors %q; got %+v", c.reason, c.code, c.out, c.errs, got)
		}
	}
}

// TestPlugin has the usage say how kubectl is called, if it called the program.
func TestPlugin(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"jobkit": "\n  jobkit get [", plugin: "\n  kubectl jobkit get ["} {
		var out bytes.Buffer
		a := &app{name: name, streams: console.Streams{Out: &out, Err: &out}, dev: &fakeDev{}}
		if code := a.execute(t.Context(), []string{"get", "--help"}); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("as %s the usage should have %q, is:\n%s", name, want, &out)
		}
	}
}
