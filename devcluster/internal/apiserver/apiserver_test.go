package apiserver

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobkit/jobkit/devcluster/internal/pki"
)

func TestArgs(t *testing.T) {
	certs, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), net.IPv4(127, 0, 0, 1), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	base := Options{Etcd: "http://127.0.0.1:1", Listener: l, PKI: certs}
	for _, tt := range []struct {
		reason       string
		change       func(*Options)
		want, absent []string
	}{
		{
			reason: "only the loopback interface, on the port that is open",
			change: func(*Options) {},
			want:   []string{"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", l.Addr().(*net.TCPAddr).Port), "--endpoint-reconciler-type=none"},
			absent: []string{"--feature-gates", "--runtime-config"},
		},
		{
			reason: "gates and API versions",
			change: func(o *Options) { o.FeatureGates, o.RuntimeConfig = "A=true", "g/v1=true" },
			want:   []string{"--feature-gates=A=true", "--runtime-config=g/v1=true"},
		},
		{
			reason: "the user's flags come last and so win",
			change: func(o *Options) { o.Args = []string{"--allow-privileged=false"} },
			want:   []string{"--allow-privileged=false"},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			o := base
			tt.change(&o)
			got := args(o)
			for _, w := range tt.want {
				if !slices.Contains(got, w) {
					t.Errorf("no %s in %q", w, got)
				}
			}
			for _, a := range tt.absent {
				if slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, a) }) {
					t.Errorf("%s in %q", a, got)
				}
			}
			if len(o.Args) > 0 && got[len(got)-1] != o.Args[0] {
				t.Errorf("last flag %s", got[len(got)-1])
			}
		})
	}
	if _, err := New(Options{Listener: l, PKI: certs, Args: []string{"--no-such-flag"}}); err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error of an unknown flag: %v", err)
	}
}
