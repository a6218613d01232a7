package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lockerEnv makes the test binary lock the folder that it names, say so, and wait
// for the end of its standard input.
const lockerEnv = "CLUSTER_TEST_LOCK"

func TestMain(m *testing.M) {
	dir := os.Getenv(lockerEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	_, err := lockDir(dir)
	fmt.Println(err)
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// TestLock needs two processes, because a process does not lock itself out.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), lockerEnv+"="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	var answer string
	if _, err := fmt.Fscanln(out, &answer); err != nil || answer != "<nil>" {
		t.Fatalf("the other process: %q, %v", answer, err)
	}
	want := fmt.Sprintf("in use by process %d", other.Process.Pid)
	if _, err := lockDir(dir); !errors.Is(err, errLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := openDataDir(dir, false); !errors.Is(err, errLocked) {
		t.Errorf("error %v", err)
	}
	_ = in.Close()
	_ = other.Wait()
	lock, err := lockDir(dir)
	if err != nil {
		t.Fatalf("after the other process: %v", err)
	}
	_ = lock.Close()
}

func TestDataDir(t *testing.T) {
	for _, tt := range []struct {
		reason string
		given  bool
		keep   bool
		left   bool
	}{
		{"a temporary folder goes", false, false, false},
		{"unless it is to be kept", false, true, true},
		{"a folder of the user stays", true, false, true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			path := ""
			if tt.given {
				path = filepath.Join(t.TempDir(), "a", "b")
			}
			d, err := openDataDir(path, tt.keep)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(d.path); (err == nil) != tt.left {
				t.Errorf("after close: %v", err)
			}
		})
	}
}

func TestRemoveOrphans(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{"jobkit-devcluster-old", "jobkit-devcluster-new", "something-else"} {
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	if err := os.Chtimes(filepath.Join(parent, "jobkit-devcluster-old"), now, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	removeOrphans(parent, now)
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{"jobkit-devcluster-new", "something-else"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestReport(t *testing.T) {
	info := &Info{PID: 7, Server: "https://127.0.0.1:1", Kubeconfig: "/k", LogFile: "/l", Nodes: 20, Version: "v1.37.1"}
	for _, tt := range []struct {
		reason string
		json   bool
		event  Event
		want   string
	}{
		{"ready says what to do next", false, Event{Event: Ready, Info: info}, "   1.5s  ready: 20 nodes at https://127.0.0.1:1\n         export KUBECONFIG=/k\n"},
		{"a failure shows the log", false, Event{Event: Failed, Message: "etcd died", Log: []string{"a", "b"}}, "   1.5s  failed: etcd died\n         the log ends with:\n         | a\n         | b\n"},
		{"for machines, one object a line", true, Event{Event: Failed, Message: "m", Log: []string{"a"}}, `{"event":"failed","seconds":1.5,"message":"m","log":["a"]}` + "\n"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			var out bytes.Buffer
			start := time.Unix(0, 0)
			r := NewReporter(&out, tt.json, start)
			r.now = func() time.Time { return start.Add(1500 * time.Millisecond) }
			r.Report(tt.event)
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSupervisor(t *testing.T) {
	for _, tt := range []struct {
		reason    string
		component func(context.Context) error
		cause     string
	}{
		{"an error is reported with the component's name", func(context.Context) error { return errors.New("no disk") }, "etcd died: no disk"},
		{"an end without an error is one", func(context.Context) error { return nil }, "etcd died: it ended unexpectedly"},
		{"a panic is an error", func(context.Context) error { panic("oops") }, "etcd died: panic: oops"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			ctx, fail := context.WithCancelCause(t.Context())
			s := &supervisor{fail: fail}
			s.start(ctx, "etcd", tt.component)
			<-ctx.Done()
			if got := context.Cause(ctx).Error(); !strings.HasPrefix(got, tt.cause) {
				t.Errorf("cause %q, want %q", got, tt.cause)
			}
			if err := s.stop(time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSupervisorStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, fail := context.WithCancelCause(t.Context())
		s := &supervisor{fail: fail}
		var order []string
		for _, name := range []string{"etcd", "api", "stubborn", "nodes"} {
			s.start(ctx, name, func(ctx context.Context) error {
				<-ctx.Done()
				if name == "stubborn" {
					time.Sleep(time.Hour) // of the bubble's time
					return nil
				}
				order = append(order, name)
				return errors.New("errors while stopping do not count")
			})
		}
		err := s.stop(10 * time.Second)
		if err == nil || !strings.Contains(err.Error(), "cannot stop stubborn within 10s") {
			t.Errorf("error %v", err)
		}
		if !slices.Equal(order, []string{"nodes", "api", "etcd"}) {
			t.Errorf("order %v", order)
		}
		if cause := context.Cause(ctx); cause != nil {
			t.Errorf("the stop counted as a failure: %v", cause)
		}
		time.Sleep(time.Hour)
	})
}

func TestSupervisorLeavesWhatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, fail := context.WithCancelCause(t.Context())
		s := &supervisor{fail: fail}
		s.startPatient(ctx, "api", 4*time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Hour)
			return nil
		})
		begun := time.Now()
		if err := s.stop(10 * time.Second); err != nil {
			t.Errorf("what was left to the end of the process is a failure: %v", err)
		}
		if took := time.Since(begun); took != 4*time.Second {
			t.Errorf("the stop took %s, want the component's patience", took)
		}
		time.Sleep(time.Hour)
	})
}

func TestReadCRDs(t *testing.T) {
	const one = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n"
	for _, tt := range []struct {
		reason string
		files  map[string]string
		want   int
		err    string
	}{
		{"all documents of all files", map[string]string{"x.yaml": one + "---\n" + one, "y.yml": one, "z.txt": "?"}, 3, ""},
		{"documents of other kinds are passed over", map[string]string{"x.yaml": "apiVersion: v1\nkind: Namespace\n---\n" + one}, 1, ""},
		{"a folder without any is a mistake", map[string]string{"kustomization.yaml": "kind: Kustomization\n"}, 0, "holds none"},
		{"typing errors are found", map[string]string{"x.yaml": one + "spek: {}\n"}, 0, "spek"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := readCRDs([]string{dir})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || len(got) != tt.want {
				t.Errorf("%d definitions, error %v", len(got), err)
			}
		})
	}
}
