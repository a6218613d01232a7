package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// operator is what is measured: a process of the bench, one that runs already, or, for
// batch/v1 Job, a part of the control plane.
type operator struct {
	// command starts it; nil if the bench does not start it.
	command []string
	// metricsURL and pprofURL are where it serves these; "" if nowhere.
	metricsURL, pprofURL string
	// log is the file that its output goes to.
	log string

	pid     int
	process *exec.Cmd
	// ended is closed when the process has ended.
	ended chan struct{}
}

// newOperator prepares the operator that the flags ask for.
func (b *bench) newOperator(ctx context.Context) (*operator, error) {
	o := &operator{log: filepath.Join(b.dir, "operator.log")}
	switch {
	case b.options.operator == operatorBatchJob:
		return o, nil
	case b.options.operatorCommand != "":
		o.command = strings.Fields(b.options.operatorCommand)
		o.metricsURL, o.pprofURL = b.options.operatorMetrics, b.options.operatorPprof
		return o, nil
	case b.options.operator == operatorExternal:
		o.pid, o.metricsURL, o.pprofURL = b.options.operatorPID, b.options.operatorMetrics, b.options.operatorPprof
		return o, nil
	}
	binary := filepath.Join(b.dir, "operator")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/jobkit/jobkit/bench/operator")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the operator: %w\n%s", err, out)
	}
	metrics, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	pprof := b.options.pprof
	if pprof == "" {
		if pprof, err = freeAddress(ctx); err != nil {
			return nil, err
		}
	}
	o.command = []string{binary, "--metrics-bind-address=" + metrics, "--pprof-bind-address=" + pprof}
	o.metricsURL, o.pprofURL = "http://"+metrics+"/metrics", "http://"+pprof+"/debug/pprof/"
	return o, nil
}

// freeAddress finds an address of the loopback interface that is not in use.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start starts the operator with a kubeconfig, if the bench is to start it.
func (o *operator) start(kubeconfig string, extra ...string) error {
	if o.command == nil {
		return nil
	}
	log, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot start the operator: %w", err)
	}
	defer log.Close()
	//nolint:noctx // stop ends it
	o.process = exec.Command(o.command[0], append(append([]string(nil), o.command[1:]...), extra...)...)
	o.process.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	o.process.Stdout, o.process.Stderr = log, log
	o.process.SysProcAttr = diesWithParent()
	if err := o.process.Start(); err != nil {
		o.process = nil
		return fmt.Errorf("cannot start the operator: %w", err)
	}
	o.pid = o.process.Process.Pid
	o.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = process.Wait()
	}(o.process, o.ended)
	return nil
}

// whileItRuns is a context that ends with the operator, which the error then says.
func (o *operator) whileItRuns(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if ended := o.ended; o.process != nil {
		go func() {
			select {
			case <-ended:
				cancel(o.hasEnded())
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// hasEnded is the error of an operator that ended by itself.
func (o *operator) hasEnded() error {
	text, _ := os.ReadFile(o.log)
	return fmt.Errorf("the operator had ended before it was stopped; its log ends with:\n%s", text[max(0, len(text)-2000):])
}

// stopGrace is how long an operator may take to end before it is killed.
const stopGrace = 10 * time.Second

// stop ends the operator, if the bench started it. It can be started again.
func (o *operator) stop() error {
	if o.process == nil {
		return nil
	}
	process, ended := o.process, o.ended
	o.process, o.pid = nil, 0
	err := process.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopGrace, func() { _ = process.Process.Kill() })
	defer timer.Stop()
	<-ended
	if errors.Is(err, os.ErrProcessDone) {
		return o.hasEnded()
	}
	return err //nolint:wrapcheck // cannot happen
}

// reconciles returns the histogram of the durations of reconciles.
func (o *operator) reconciles(ctx context.Context) (histogram, error) {
	if o.metricsURL == "" {
		return histogram{}, nil
	}
	const ours, everybodys = "jobkit_reconcile_duration_seconds", "controller_runtime_reconcile_time_seconds"
	var names []string
	for _, n := range []string{ours, everybodys} {
		names = append(names, n+"_bucket", n+"_count", n+"_sum")
	}
	samples, err := scrapeURL(ctx, o.metricsURL, names...)
	if err != nil {
		return histogram{}, err
	}
	if h := histogramOf(samples, ours); h.count > 0 {
		return h, nil
	}
	return histogramOf(samples, everybodys), nil
}

// heap returns what is live on the heap, in MiB; 0 if the operator serves no profiles. It takes two
// collections, because what is in pools outlives one. Bytes count, not the spans that hold them: those
// are partly empty after a busy time.
func (o *operator) heap(ctx context.Context) (float64, error) {
	if o.pprofURL == "" {
		return 0, nil
	}
	for range 2 {
		if _, err := scrapeURL(ctx, o.pprofURL+"heap?gc=1&debug=1"); err != nil {
			return 0, err
		}
	}
	samples, err := scrapeURL(ctx, o.metricsURL, "go_memstats_heap_alloc_bytes")
	if err != nil || len(samples) == 0 {
		return 0, err
	}
	return samples[0].value / (1 << 20), nil
}

// describe names the operator for the table.
func (o *options) describe() string {
	switch {
	case o.operatorCommand != "":
		return filepath.Base(strings.Fields(o.operatorCommand)[0])
	case o.operatorPID != 0:
		return o.operator + " " + strconv.Itoa(o.operatorPID)
	default:
		return o.operator
	}
}
