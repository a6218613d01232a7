package operator_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/internal/operator"
)

func TestScopeOf(t *testing.T) {
	t.Parallel()
	all := []string{"jaxjob", "mpijob", "paddlejob", "pytorchjob", "tfjob", "xgboostjob"}
	for _, c := range []struct {
		reason string
		args   []string
		env    map[string]string
		want   operator.Scope
		err    string
	}{
		{reason: "all jobs", want: operator.Scope{Kinds: all}},
		{reason: "a value in a word of its own", args: []string{"--namespace", "a", "-kinds", "tfjob"}, want: operator.Scope{Namespace: "a", Kinds: []string{"tfjob"}}},
		{
			reason: "the flags of training-operator v1", args: []string{"--enable-scheme=TFJob", "--enable-scheme", "jaxjob", "--webhook-server-port=9443"},
			env: map[string]string{"KUBEFLOW_NAMESPACE": "b"}, want: operator.Scope{Namespace: "b", Kinds: []string{"jaxjob", "tfjob"}},
		},
		{
			reason: "the rest, and a file that is only in the container",
			args:   []string{"--gang-scheduler-name=volcano", "--leader-election-namespace=c", "--pytorch-init-container-template-file=/none", "--namespace=a", "--namespace="},
			want:   operator.Scope{Kinds: all, GangScheduler: "volcano", LeaseNamespace: "c"},
		},
		{
			reason: "a flag of another version", args: []string{"--new"},
			err: "it does not run jobs with these arguments: flag provided but not defined: -new; --help lists all flags",
		},
		{reason: "help runs nothing", args: []string{"--help"}, err: "it does not run jobs with these arguments: flag: help requested"},
	} {
		got, err := operator.ScopeOf(c.args, func(name string) string { return c.env[name] })
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff([]any{c.want, c.err}, []any{got, message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}
