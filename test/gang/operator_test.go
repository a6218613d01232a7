//go:build integration

package gang

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestNotServed: without its API the operator ends, and says why. No test before this one
// has the cluster serve it.
func TestNotServed(t *testing.T) {
	o := operatorFor(t, "volcano", "tfjob")
	if code := o.run(t.Context()); code != 1 ||
		!strings.Contains(o.said.String(), "--gang-scheduler-name is volcano, but the cluster does not serve its objects") {
		t.Errorf("got code %d and\n%s", code, o.said.String())
	}
}

// operator is a process of its own: the loggers of the Kubernetes libraries are global.
type operator struct {
	binary string
	flags  []string
	said   log
}

// operatorFor builds the operator of all kinds, to run with a gang scheduler.
func operatorFor(t *testing.T, scheduler, kind string) *operator {
	t.Helper()
	o := &operator{binary: filepath.Join(t.TempDir(), "operator"), flags: []string{
		"--kubeconfig=" + kubeconfig, "--kinds=" + kind, "--gang-scheduler-name=" + scheduler,
		"--metrics-bind-address=0", "--health-probe-bind-address=0",
	}}
	build := exec.CommandContext(t.Context(), "go", "build", "-race", "-ldflags=-w", "-o", o.binary, "../../cmd/operator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the operator: %v\n%s", err, out)
	}
	return o
}

// run runs it until ctx ends, and returns its exit code.
func (o *operator) run(ctx context.Context) int {
	process := exec.CommandContext(ctx, o.binary, o.flags...)
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.Stdout, process.Stderr = &o.said, &o.said
	_ = process.Run() // The exit code says it.
	return process.ProcessState.ExitCode()
}

// start runs it until the test is over.
func (o *operator) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- o.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("the operator ended with %d:\n%s", code, o.said.String())
		}
	})
}

// log is what the operator writes, from several goroutines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
