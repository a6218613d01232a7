package devenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// stopGrace is how long a cluster may take to stop, usually 1 to 2 s, before it
// is killed.
const stopGrace = 30 * time.Second

// Cluster is a running control plane.
type Cluster struct {
	info info
	stop func() error
}

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.info.Kubeconfig }

// LogFile returns the path of the log of all components.
func (c *Cluster) LogFile() string { return c.info.LogFile }

// PID returns the id of the cluster's process.
func (c *Cluster) PID() int { return c.info.PID }

// Server returns the URL of the API server.
func (c *Cluster) Server() string { return c.info.Server }

// RESTConfig returns an administrator's client configuration without a
// client-side rate limit.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.info.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig of the dev cluster: %w", err)
	}
	config.QPS = -1
	return config, nil
}

// Stop ends the cluster and removes its data if it is temporary. The error also
// reports whether it had died before. Further calls return what the first one
// did.
func (c *Cluster) Stop() error { return c.stop() }

// Start runs a cluster, built first if need be, and returns when it is ready: a
// pod created now gets a node and runs. It ends with Stop, or with the calling
// process, however it ends. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	binary, err := build(ctx, o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, append(o.args(), "--lifeline")...) //nolint:noctx // the cluster outlives ctx; launch respects it
	cmd.SysProcAttr = ownGroup()
	// Nothing is ever written to it. When this process ends the kernel closes it,
	// and the child sees the end of its standard input.
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the dev cluster: %w", err)
	}
	c, err := launch(ctx, cmd, o.progress())
	if err != nil {
		_ = lifeline.Close()
		return nil, err
	}
	child := c.child
	return &Cluster{info: c.info, stop: sync.OnceValue(func() error {
		defer lifeline.Close()
		err := child.terminate(stopGrace)
		if o.Dir == "" {
			// The child does this itself, unless it was killed.
			err = errors.Join(err, os.RemoveAll(c.info.DataDir))
		}
		return err
	})}, nil
}

// build returns the binary, with the start's progress writer as default.
func build(ctx context.Context, o Options) (string, error) {
	if o.Build.Progress == nil {
		o.Build.Progress = o.Progress
	}
	return Build(ctx, o.Build)
}

// launched is a cluster that has become ready.
type launched struct {
	info  info
	child *child
}

// launch starts the command and returns when it reports that it is ready. If it
// is not ready when ctx is done, it is stopped.
func launch(ctx context.Context, cmd *exec.Cmd, progress io.Writer) (*launched, error) {
	p := newProgress(progress)
	begun := time.Now()
	child, err := startChild(cmd)
	if err != nil {
		return nil, err
	}
	var last event
	var seen info
	for {
		select {
		case e, ok := <-child.events:
			if !ok {
				return nil, fmt.Errorf("cannot start the dev cluster: %w", child.failure(seen.LogFile))
			}
			last = e
			if e.Info != nil {
				seen = *e.Info
			}
			if e.Event == eventReady {
				p.linef("Kubernetes %s ready in %s, %d nodes, log in %s", seen.Version, time.Since(begun).Round(100*time.Millisecond), seen.Nodes, seen.LogFile)
				return &launched{info: seen, child: child}, nil
			}
		case <-ctx.Done():
			err := fmt.Errorf("cannot start the dev cluster: %w (the last thing it did: %s)", context.Cause(ctx), orDefault(last.Event, "nothing"))
			return nil, errors.Join(err, child.terminate(stopGrace))
		}
	}
}

// child is a devcluster process.
type child struct {
	cmd    *exec.Cmd
	events chan event // closed when the output ends
	output *os.File

	mu   sync.Mutex
	last event    // the latest event, taken from events or not
	text []string // last lines of output that are not events

	read chan struct{} // closed when all output has been sorted

	exited  chan struct{} // closed when the process is gone
	exitErr error         // valid then
}

// eventBuffer holds more events than are sent, so that reading continues when
// they are no longer received.
const eventBuffer = 64

func startChild(cmd *exec.Cmd) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the dev cluster: %w", err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	_ = w.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start the dev cluster: %w", err), r.Close())
	}
	c := &child{cmd: cmd, events: make(chan event, eventBuffer), output: r, read: make(chan struct{}), exited: make(chan struct{})}
	go c.sort()
	go func() {
		c.exitErr = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// sort sorts the output into events and text until it ends.
func (c *child) sort() {
	defer close(c.read)
	defer close(c.events)
	lines := bufio.NewScanner(c.output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if e, ok := parseEvent(lines.Text()); ok {
			c.mu.Lock()
			c.last = e
			c.mu.Unlock()
			select {
			case c.events <- e:
			default:
			}
			continue
		}
		c.mu.Lock()
		c.text = append(c.text, lines.Text())
		c.text = c.text[max(0, len(c.text)-shownLines):]
		c.mu.Unlock()
	}
}

// failure explains why a cluster ended that should run. logFile may be empty.
func (c *child) failure(logFile string) error {
	<-c.exited
	<-c.read
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.Event == eventFailed {
		err := errors.New(c.last.Message)
		if len(c.last.Log) > 0 {
			err = fmt.Errorf("%w\nits log ended with:\n%s", err, indent(c.last.Log))
		}
		return err
	}
	err := c.exitErr
	if err == nil {
		err = errors.New("it ended without an error")
	}
	if len(c.text) > 0 {
		err = fmt.Errorf("%w\nits output ended with:\n%s", err, indent(c.text))
	}
	if logFile != "" {
		err = fmt.Errorf("%w\nits log is %s", err, logFile)
	}
	return err
}

// terminate asks the process to stop, and kills it if it takes longer than grace.
func (c *child) terminate(grace time.Duration) error {
	defer c.output.Close()
	select {
	case <-c.exited:
		return fmt.Errorf("cannot stop the dev cluster: it had died: %w", c.failure(""))
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot stop the dev cluster: %w", err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.exited:
		if c.exitErr == nil {
			return nil
		}
		return fmt.Errorf("cannot stop the dev cluster: %w", c.failure(""))
	case <-timer.C:
	}
	err := fmt.Errorf("cannot stop the dev cluster: it did not end within %s and was killed", grace)
	if killErr := c.cmd.Process.Kill(); killErr != nil && !errors.Is(killErr, os.ErrProcessDone) {
		return errors.Join(err, killErr)
	}
	<-c.exited
	return err
}

func orDefault(value, def string) string {
	if strings.TrimSpace(value) != "" {
		return value
	}
	return def
}
