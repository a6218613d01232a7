package operator

import (
	"flag"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgressFlags checks what follows from the flags and the namespace of the operator.
func TestProgressFlags(t *testing.T) {
	tests := map[string]struct {
		reason string
		args   []string
		own    string
		want   progressOptions
		fails  string
	}{
		"Off": {reason: "it is off by default", own: "ops", want: progressOptions{address: "0", secretName: progressName}},
		"InPod": {
			reason: "in a pod the address is enough", args: []string{"--progress-bind-address=:8443"}, own: "ops",
			want: progressOptions{
				address: ":8443", url: "https://jobkit-operator-progress.ops.svc", secretName: progressName, secretNamespace: "ops",
			},
		},
		"OnMachine": {
			reason: "elsewhere the operator cannot know how it is reached", args: []string{"--progress-bind-address=:8443"},
			fails: "--progress-url and --progress-secret-namespace",
		},
		"OnMachineAll": {
			reason: "unless it is said",
			args:   []string{"--progress-bind-address=:8443", "--progress-url=https://me:8443", "--progress-secret-namespace=x", "--progress-secret-name=y"},
			want:   progressOptions{address: ":8443", url: "https://me:8443", secretName: "y", secretNamespace: "x"},
		},
		"URLAlone": {
			reason: "it would have no effect", args: []string{"--progress-url=https://me"}, own: "ops",
			fails: "--progress-url has no effect without --progress-bind-address",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got progressOptions
			f := flag.NewFlagSet("operator", flag.ContinueOnError)
			got.flags(f)
			if err := f.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			given := map[string]bool{}
			f.Visit(func(f *flag.Flag) { given[f.Name] = true })
			err := got.complete(given, tc.own)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("%s: the error is %v, want one with %q", tc.reason, err, tc.fails)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(progressOptions{})); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", tc.reason, err, diff)
			}
		})
	}
}
