package devenv

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLocate(t *testing.T) {
	dir := write(t, map[string]string{
		"checkout/devcluster/go.mod": goMod,
		"checkout/plan/x":            "",
		"author/go.mod":              "module example.com/sim\n",
	})
	const (
		list     = "list -m -json github.com/jobkit/jobkit"
		download = "mod download -json github.com/jobkit/jobkit/devcluster@"
	)
	none := errors.New("exit status 1")
	for _, tt := range []struct {
		reason, from string
		own          string
		// says is what the go command answers, fails is its error, and calls are the calls.
		says      map[string]string
		fails     map[string]error
		calls     []string
		want, err string
	}{
		{reason: "in a checkout nothing is asked", from: "checkout/plan", own: "v1.0.0", want: "checkout/devcluster"},
		{
			reason: "a published program takes what was published with it", from: "author", own: "v1.0.0",
			says: map[string]string{download + "v1.0.0": `{"Dir":"/cache/devcluster@v1.0.0"}`}, calls: []string{"cache: " + download + "v1.0.0"}, want: "/cache/devcluster@v1.0.0",
		},
		{
			reason: "in an author's module: the version that it requires", from: "author",
			says:  map[string]string{list: `{"Version":"v1.1.0","Dir":"/cache/jobkit@v1.1.0"}`, download + "v1.1.0": `{"Dir":"/cache/devcluster@v1.1.0"}`},
			calls: []string{"author: " + list, "cache: " + download + "v1.1.0"}, want: "/cache/devcluster@v1.1.0",
		},
		{
			reason: "or the checkout that takes its place", from: "author",
			says:  map[string]string{list: `{"Version":"v0.0.0","Dir":"CHECKOUT","Replace":{"Path":"../checkout"}}`},
			calls: []string{"author: " + list}, want: "checkout/devcluster",
		},
		{
			reason: "or a published version that takes its place", from: "author",
			says:  map[string]string{list: `{"Version":"v1.0.0","Replace":{"Path":"example.com/fork","Version":"v2.0.0"}}`, download + "v2.0.0": `{"Dir":"/cache/x"}`},
			calls: []string{"author: " + list, "cache: " + download + "v2.0.0"}, want: "/cache/x",
		},
		{
			reason: "outside of a module the error says what to do", from: "author", fails: map[string]error{list: none},
			calls: []string{"author: " + list}, err: "inside a checkout of jobkit or a module that requires it",
		},
		{
			reason: "a version that cannot be had", from: "author", own: "v9.0.0",
			says: map[string]string{download + "v9.0.0": `{"Error":"not found"}`}, fails: map[string]error{download + "v9.0.0": none},
			calls: []string{"cache: " + download + "v9.0.0"}, err: "devcluster at v9.0.0 (the Go module proxy must be reachable the first time): not found",
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			var calls []string
			run := func(_ context.Context, in string, args ...string) ([]byte, error) {
				line := strings.Join(args, " ")
				calls = append(calls, filepath.Base(in)+": "+line)
				return []byte(strings.ReplaceAll(tt.says[line], "CHECKOUT", filepath.Join(dir, "checkout"))), tt.fails[line]
			}
			got, err := locate(t.Context(), filepath.Join(dir, tt.from), "cache", tt.own, run)
			if diff := cmp.Diff(tt.calls, calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			want := tt.want
			if !filepath.IsAbs(want) {
				want = filepath.Join(dir, want)
			}
			if err != nil || got != want {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		})
	}
}
