package cli

import (
	"strings"
	"testing"
)

func TestSimulate(t *testing.T) {
	t.Parallel()
	const jax = "../../examples/jobs/jaxjob/jax-gang.yaml"
	for _, c := range []struct {
		reason, args, in string
		code             int
		out, errs        string
	}{
		{reason: "a job that succeeds", args: "simulate -f " + jax, out: "\nSucceeded after 1m02s, 0 restarts (backoffLimit 3)\n"},
		{
			reason: "a job that fails", args: "simulate -f - --fail worker-0@10s=3", in: "apiVersion: kubeflow.org/v1\nkind: JAXJob\nmetadata: {name: a}\n" +
				"spec: {jaxReplicaSpecs: {Worker: {restartPolicy: Never, template: {spec: {containers: [{name: jax, image: a}]}}}}}\n",
			code: 1, out: "\nFailed after 10s, 0 restarts\n", errs: "jobkit: not every job succeeded in the simulation\n",
		},
		{
			reason: "a job that does not end", args: "simulate -f " + jax + " --duration 10s", code: 3,
			out: "\nRunning at the end of the simulation, after 10s, 0 restarts (backoffLimit 3)\n", errs: "jobkit: not every job ended within 10s of the simulation\n",
		},
		{reason: "for programs", args: "simulate -f " + jax + " -o yaml", out: "\nstate: Succeeded\n"},
		{reason: "for programs", args: "simulate -f " + jax + " -o json", out: "\"state\": \"Succeeded\""},
		{
			reason: "what is no job is left out", args: "simulate -f " + jax + " -f -", in: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
			out: "Succeeded after", errs: "standard input:1: ConfigMap a is no job: it is left out\n",
		},
		{reason: "several jobs", args: "simulate -f " + jax + " -f ../../examples/jobs/jaxjob/jax-train.yaml", out: "JAXJob jax-train: "},
		{reason: "a form that there is not", args: "simulate -f " + jax + " -o wide", code: 2, errs: "jobkit: --output is \"wide\": it must be one of json, yaml\n"},
		{reason: "no manifest", args: "simulate", code: 2, errs: "jobkit: no manifest is given: name one with -f FILE, or write -f - for standard input\n"},
		{reason: "no nodes", args: "simulate -f a --nodes 0", code: 2, errs: "jobkit: --nodes is 0: it must be 1 or more\n"},
		{reason: "no time", args: "simulate -f a --duration 0s", code: 2, errs: "jobkit: --duration is 0s: it must be above 0\n"},
		{reason: "a bad fault", args: "simulate -f a --fail worker-1", code: 2, errs: "jobkit: --fail is \"worker-1\": it has no @ with a time: " +
			"write REPLICA@TIME=CODE, for example worker-1@30s=137\n"},
	} {
		got := call(t.Context(), &fakeDev{}, c.in, strings.Fields(c.args)...)
		if got.Code != c.code || !strings.Contains(got.Out, c.out) || got.Err != c.errs {
			t.Errorf("%s: want code %d, output with %q, errors %q; got code %d, errors %q, output\n%s",
				c.reason, c.code, c.out, c.errs, got.Code, got.Err, got.Out)
		}
	}
}
