package cli

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/dev"
	"github.com/jobkit/jobkit/internal/devenv"
)

// fakeDev is a dev.Environment whose control planes are at the given address.
type fakeDev struct {
	host string
	// running means that one is up.
	running bool
	// err is the answer to all.
	err error
	// done is what was done, in order.
	done []string
}

func (d *fakeDev) Start(context.Context, devenv.Options) (dev.Cluster, error) {
	d.done = append(d.done, "start")
	return d, d.err
}

func (d *fakeDev) Up(context.Context, devenv.Options) (dev.Cluster, bool, error) {
	d.done = append(d.done, "up")
	return d, !d.running, d.err
}

func (d *fakeDev) Find() (dev.Cluster, error) {
	if d.err == nil && !d.running {
		return nil, dev.ErrNotRunning
	}
	return d, d.err
}

func (d *fakeDev) Down(context.Context) error {
	d.done = append(d.done, "down")
	return d.err
}

func (d *fakeDev) Kubeconfig() string { return "/state/kubeconfig" }

func (d *fakeDev) RESTConfig() (*rest.Config, error) { return &rest.Config{Host: d.host}, nil }

func (d *fakeDev) LogFile() string { return "/state/log" }

func (d *fakeDev) Stop() error {
	d.done = append(d.done, "stop")
	return nil
}

// answer is what a command does that a user can see.
type answer struct {
	Code     int
	Out, Err string
}

// call runs a command line.
func call(ctx context.Context, dev *fakeDev, in string, args ...string) answer {
	var out, errs bytes.Buffer
	code := execute(ctx, args, console.Streams{In: strings.NewReader(in), Out: &out, Err: &errs}, dev)
	return answer{code, out.String(), errs.String()}
}

// server is an API server that refuses everything.
func server(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "it is on fire", http.StatusInternalServerError)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestRefused has commands that cannot work, with their whole output.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("KUBECONFIG", filepath.Join(dir, "nosuch"))
	t.Setenv("HOME", dir)
	for name, text := range map[string]string{
		"good.yaml":  "apiVersion: kubeflow.org/v1\nkind: TestJob\nmetadata: {name: a}\n",
		"empty.yaml": "# nothing\n",
		"bad.yaml":   "kind: TestJob\n---\na: [\n",
		"config": "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n" +
			"clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n",
		"broken": "hello",
	} {
		err := os.WriteFile(name, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		reason, args, in, want string
		code                   int
	}{
		{
			reason: "an unknown command", args: "demos", code: 2,
			want: "jobkit: unknown command \"demos\" for \"jobkit\"\n  Did you mean this?\n  \tdemo\n",
		},
		{reason: "an unknown flag", args: "run --fiel x", code: 2, want: "jobkit: unknown flag: --fiel\n  see: jobkit run --help\n"},
		{
			reason: "a value that does not fit", args: "demo --timeout soon", code: 2,
			want: "jobkit: --timeout is \"soon\": write a time, for example 90s or 1h30m\n  see: jobkit demo --help\n",
		},
		{
			reason: "a number that is none", args: "simulate -f a --nodes x", code: 2,
			want: "jobkit: --nodes is \"x\": write a whole number\n  see: jobkit simulate --help\n",
		},
		{
			reason: "run needs a manifest", args: "run", code: 2,
			want: "jobkit: no manifest is given: name one with -f FILE, or write -f - for standard input\n",
		},
		{reason: "a file without -f", args: "run a.yaml", code: 2, want: "jobkit: unexpected argument \"a.yaml\": write -f a.yaml\n"},
		{
			reason: "a file that does not exist", args: "run -f nosuch.yaml", code: 2,
			want: "jobkit: cannot read the manifest: open nosuch.yaml: no such file or directory\n",
		},
		{
			reason: "an empty file", args: "run -f empty.yaml", code: 2,
			want: "jobkit: empty.yaml: it holds no object: write a job manifest in it\n",
		},
		{
			reason: "all mistakes in all files are reported at once", args: "run -f bad.yaml -f empty.yaml", code: 2,
			want: "jobkit: bad.yaml:1: apiVersion is missing: write for example \"apiVersion: kubeflow.org/v1\"\n" +
				"  bad.yaml:3: not valid YAML: line 3: did not find expected node content\n" +
				"  empty.yaml: it holds no object: write a job manifest in it\n",
		},
		{
			reason: "nothing on standard input", args: "run -f -", code: 2,
			want: "jobkit: standard input: it holds no object: write a job manifest in it\n",
		},
		{reason: "a negative time", args: "run -f good.yaml --timeout -1s", code: 2, want: "jobkit: --timeout is -1s: it must not be negative\n"},
		{
			reason: "what is not waited for cannot be deleted at its end", args: "run -f good.yaml --detach --delete", code: 2,
			want: "jobkit: --detach does not wait, so it cannot go with --delete or --timeout: leave one out\n",
		},
		{
			reason: "no cluster", args: "run -f good.yaml", code: 2,
			want: "jobkit: no cluster is configured in " + filepath.Join(dir, "nosuch") + ": name a kubeconfig with --kubeconfig or $KUBECONFIG, " +
				"or start a control plane on this machine:\n  jobkit dev up && export KUBECONFIG=$(jobkit dev kubeconfig)\n",
		},
		{
			reason: "a kubeconfig that does not exist", args: "run -f good.yaml --kubeconfig nosuch", code: 2,
			want: "jobkit: cannot read the kubeconfig: stat nosuch: no such file or directory\n",
		},
		{
			reason: "a context that does not exist", args: "run -f good.yaml --kubeconfig config --context d", code: 2,
			want: "jobkit: cannot read the kubeconfig: context \"d\" does not exist\n",
		},
		{
			reason: "a cluster that is not there", args: "run -f good.yaml --kubeconfig config", code: 2,
			want: "jobkit: the cluster at http://127.0.0.1:1 does not answer: dial tcp 127.0.0.1:1: connect: connection refused: " +
				"check that it runs, and that the kubeconfig is the right one\n",
		},
		{
			reason: "the same for the CRDs", args: "install-crds --kubeconfig config", code: 2,
			want: "jobkit: the cluster at http://127.0.0.1:1 does not answer: dial tcp 127.0.0.1:1: connect: connection refused: " +
				"check that it runs, and that the kubeconfig is the right one\n",
		},
		{
			reason: "an unknown example", args: "demo nosuch", code: 2,
			want: "jobkit: unknown example \"nosuch\": choose from " +
				"jax-gang, jax-train, mpi-allreduce, mpi-retry, paddle-backoff, paddle-train, torch-ddp, torch-elastic, torch-evicted, torch-volumes, " +
				"all-workers, avoid-nodes, backoff-limit, backoff-window, hang-restarts, host-ports, master-decides, replica-budget, retry-succeeds, role-restarts, start-deadline, start-order, start-restart, " +
				"success-policy, suspended, worker-fails, " +
				"tf-all-types, tf-suspend, tf-workers, xgb-killed, xgb-train\n",
		},
		{reason: "no time at all", args: "demo --timeout 0s", code: 2, want: "jobkit: --timeout is 0s: it must be above 0\n"},
		{reason: "no control plane", args: "dev kubeconfig", code: 1, want: "jobkit: no control plane is running: start it with: jobkit dev up\n"},
		{reason: "no control plane", args: "dev status", code: 1, want: "jobkit: no control plane is running: start it with: jobkit dev up\n"},
		{
			reason: "a gate is on or off", args: "dev up --feature-gates A=maybe", code: 2,
			want: "jobkit: --feature-gates: A is \"maybe\": it must be true or false\n",
		},
		{reason: "a port that is none", args: "ui --port 70000", code: 2, want: "jobkit: --port is 70000: it must be from 0 to 65535\n"},
		{reason: "fewer nodes than none", args: "dev up --nodes -1", code: 2, want: "jobkit: --nodes is -1: it must not be negative\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			dev := &fakeDev{}
			got := call(t.Context(), dev, c.in, strings.Fields(c.args)...)
			if diff := cmp.Diff(answer{c.code, "", c.want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if len(dev.done) > 0 {
				t.Errorf("%s: it did %v", c.reason, dev.done)
			}
		})
	}
}

func TestDev(t *testing.T) {
	host := server(t)
	broken := errors.New("the disk is full")
	for _, c := range []struct {
		name, reason, args string
		dev                fakeDev
		done               []string
		want               answer
	}{
		{
			name: "kubeconfig", reason: "only the path, for a shell to use", args: "dev kubeconfig",
			dev: fakeDev{running: true}, want: answer{0, "/state/kubeconfig\n", ""},
		},
		{
			name: "down", reason: "what runs is stopped", args: "dev down",
			dev: fakeDev{running: true}, done: []string{"down"}, want: answer{0, "the control plane is stopped\n", ""},
		},
		{
			name: "down again", reason: "it is down, as was wanted; what an unclean end left behind is removed", args: "dev down",
			done: []string{"down"}, want: answer{0, "no control plane is running\n", ""},
		},
		{
			name: "broken", reason: "what is in the way is reported", args: "dev down",
			dev: fakeDev{err: broken}, done: []string{"down"}, want: answer{1, "", "jobkit: the disk is full\n"},
		},
		{
			name: "up", reason: "the next steps are reported", args: "dev up --bare", done: []string{"up"},
			want: answer{0, `The control plane is up, and stays so until "jobkit dev down".

  export KUBECONFIG=/state/kubeconfig

Next, each in its own terminal:
  go run ./cmd/operator
  jobkit run -f examples/jobs/pytorchjob/torch-ddp.yaml
`, ""},
		},
		{
			name: "up again", reason: "one that is up is good, and its options are its own", args: "dev up --bare", dev: fakeDev{running: true},
			done: []string{"up"},
			want: answer{0, `The control plane was up already, as it was started then, and stays so until "jobkit dev down".

  export KUBECONFIG=/state/kubeconfig

Next, each in its own terminal:
  go run ./cmd/operator
  jobkit run -f examples/jobs/pytorchjob/torch-ddp.yaml
`, ""},
		},
		{
			name: "up, but", reason: "a control plane without the job kinds is not what was asked for", args: "dev up",
			dev: fakeDev{host: host}, done: []string{"up"},
			want: answer{1, "", "jobkit: the control plane is up, but: cannot install the job kinds: cannot apply CRD jaxjobs.kubeflow.org: " +
				"an error on the server (\"it is on fire\") has prevented the request from succeeding\n"},
		},
		{
			name: "status", reason: "one that does not answer is distinguished from one that does not run", args: "dev status",
			dev: fakeDev{running: true, host: host},
			want: answer{1, "", "jobkit: the control plane runs but does not answer: " +
				"an error on the server (\"it is on fire\") has prevented the request from succeeding; its log is /state/log\n"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := call(t.Context(), &c.dev, "", strings.Fields(c.args)...)
			if diff := cmp.Diff([]any{c.want, c.done}, []any{got, c.dev.done}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// TestDemoCleansUp has demos that fail: a control plane that the demo has started never
// outlives it, and one that it has found is never stopped.
func TestDemoCleansUp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	host := server(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name, reason string
		ctx          context.Context //nolint:containedctx // one for each case
		args         []string
		dev          fakeDev
		done         []string
		code         int
	}{
		{name: "own", reason: "what it starts it stops", ctx: t.Context(), done: []string{"start", "stop"}, code: 1},
		{name: "interrupted", reason: "even when it is interrupted", ctx: cancelled, done: []string{"start", "stop"}, code: 3},
		{name: "shared", reason: "what it finds it leaves", ctx: t.Context(), dev: fakeDev{running: true}, code: 1},
		{name: "keep", reason: "what is to be kept is started to stay", ctx: t.Context(), args: []string{"--keep"}, done: []string{"up"}, code: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.dev.host = host
			got := call(c.ctx, &c.dev, "", append([]string{"demo"}, c.args...)...)
			if got.Code != c.code {
				t.Errorf("%s: exit code %d, want %d: %+v", c.reason, got.Code, c.code, got)
			}
			if diff := cmp.Diff(c.done, c.dev.done); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestDemoDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	got := call(t.Context(), &fakeDev{err: errors.New("the disk is full")}, "", "demo")
	if diff := cmp.Diff(answer{1, "", "jobkit: the disk is full\n"}, got); diff != "" {
		t.Errorf("why it does not start is reported once (-want +got):\n%s", diff)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it left %v behind", left)
	}
}

func TestDemoList(t *testing.T) {
	got := call(t.Context(), &fakeDev{}, "", "demo", "--list", "suspended")
	want := answer{0, "suspended        TestJob    created suspended, it runs once it is resumed\n", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestInstallPrints(t *testing.T) {
	got := call(t.Context(), &fakeDev{}, "", "install-crds", "--print")
	if got.Code != 0 || !strings.HasPrefix(got.Out, "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n") {
		t.Errorf("it should print YAML for kubectl apply: %+v", got)
	}
	installed, err := os.ReadFile("../../config/crd/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(got.Out, "\n") {
		if name, ok := strings.CutPrefix(line, "  name: "); ok {
			plural, group, _ := strings.Cut(name, ".")
			if !strings.Contains(string(installed), group+"_"+plural+".yaml") {
				t.Errorf("it installs %s, which config/ does not: doctor misses it there", name)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range []string{"version", "--version"} {
		got := call(t.Context(), &fakeDev{}, "", args)
		if got.Code != 0 || !strings.HasPrefix(got.Out, "jobkit ") || strings.Count(got.Out, "\n") != 1 || got.Err != "" {
			t.Errorf("%s: got %+v", args, got)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestOutputIsLost says so where a program that reads the output would take half of it for all.
func TestOutputIsLost(t *testing.T) {
	var errs bytes.Buffer
	code := execute(t.Context(), []string{"install-crds", "--print"}, console.Streams{Out: full{}, Err: &errs}, &fakeDev{})
	if want := "jobkit: the output is not complete: no space left on device\n"; code != 1 || errs.String() != want {
		t.Errorf("got %d %q, want 1 %q", code, errs.String(), want)
	}
}
