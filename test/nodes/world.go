//go:build linux

package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/devenv"
	"github.com/jobkit/jobkit/test/nodes/sandbox"
)

// Addresses, which exist in the sandbox only. The first three are those of services.
const (
	apiAddress = "10.0.0.1"
	// DNS answers from what it knows of the cluster at the moment.
	DNS = "10.0.0.10"
	// CachedDNS has the cache that CoreDNS has by default: 30 s, also for names that do
	// not exist yet.
	CachedDNS = "10.0.0.11"
	// hostAddress is that of the sandbox on the bridge to the nodes.
	hostAddress = "10.1.0.1"
)

const (
	// nodeGrace is how long a node may be silent; kubelets renew their leases every second.
	nodeGrace = 10 * time.Second
	// toleration is how long pods stay on a node that is lost.
	toleration = time.Second

	startTimeout = 3 * time.Minute
	pollInterval = 50 * time.Millisecond
)

// World is a cluster with real nodes and the operator.
type World struct {
	Nodes []*Node
	// Shared is a folder that pods can mount, the same on all nodes.
	Shared string

	bins    *Binaries
	logs    string
	control *devenv.Cluster
}

// Start starts everything, in a sandbox. Nothing has to be stopped: it ends with the
// sandbox. logs is a folder for the logs of all programs.
func Start(ctx context.Context, bins *Binaries, root, logs string, progress io.Writer) (*World, error) {
	if !sandbox.Inside() {
		return nil, errors.New("cannot start nodes outside of a sandbox")
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	w := &World{bins: bins, logs: logs, Shared: filepath.Join(sandbox.Dir, "shared")}
	if err := os.MkdirAll(w.Shared, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create %s: %w", w.Shared, err)
	}
	for i := 1; i <= 2; i++ {
		w.Nodes = append(w.Nodes, newNode(w, i))
	}
	began := time.Now()
	if err := w.network(ctx); err != nil {
		return nil, err
	}
	// The nodes take in the images while the control plane starts.
	prepared := make(chan error, 1)
	go func() { prepared <- w.each(func(n *Node) error { return n.prepare(ctx) }) }()
	err := errors.Join(w.controlPlane(ctx, root, progress), <-prepared)
	if err != nil {
		return nil, err
	}
	if err := w.each((*Node).StartKubelet); err != nil {
		return nil, err
	}
	if err := w.services(ctx); err != nil {
		return nil, err
	}
	if err := w.each(func(n *Node) error { return n.AwaitReady(ctx) }); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "nodes: %d nodes are ready after %.1f s\n", len(w.Nodes), time.Since(began).Seconds())
	return w, nil
}

// each does something for each node, at the same time.
func (w *World) each(do func(*Node) error) error {
	errs := make([]error, len(w.Nodes))
	var group sync.WaitGroup
	for i, n := range w.Nodes {
		group.Go(func() { errs[i] = do(n) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// RESTConfig is the administrator's.
func (w *World) RESTConfig() (*rest.Config, error) { return w.control.RESTConfig() }

// network joins the nodes, each in a network namespace of its own, by a bridge to the
// sandbox's own network, where the control plane and the DNS run.
func (w *World) network(ctx context.Context) error {
	var script strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&script, format+"\n", args...) }
	add("ip link set lo up")
	for _, a := range []string{apiAddress, DNS, CachedDNS} {
		add("ip addr add %s/32 dev lo", a)
	}
	add("ip link add jobkit0 type bridge")
	add("ip addr add %s/24 dev jobkit0", hostAddress)
	add("ip link set jobkit0 up")
	add("echo 1 >/proc/sys/net/ipv4/ip_forward")
	for _, n := range w.Nodes {
		add("ip netns add %s", n.Name)
		add("ip link add %s type veth peer name eth0 netns %s", n.link(), n.Name)
		add("ip link set %s master jobkit0 up", n.link())
		add("ip -n %s link set lo up", n.Name)
		add("ip -n %s addr add %s/24 dev eth0", n.Name, n.Address)
		add("ip -n %s link set eth0 up", n.Name)
		add("ip -n %s route add default via %s", n.Name, hostAddress)
		add("nsenter --net=%s sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'", n.namespace())
		add("ip route add %s via %s", n.pods(), n.Address)
		for _, other := range w.Nodes {
			if other != n {
				add("ip -n %s route add %s via %s", n.Name, other.pods(), other.Address)
			}
		}
	}
	return output(exec.CommandContext(ctx, "sh", "-ec", script.String()))
}

// controlPlane starts the dev control plane where pods and nodes reach it.
func (w *World) controlPlane(ctx context.Context, root string, progress io.Writer) error {
	if err := os.Setenv("JOBKIT_DEVCLUSTER", w.bins.Devcluster); err != nil {
		return fmt.Errorf("cannot set the environment: %w", err)
	}
	args := []string{
		"--listen=" + apiAddress, "--port=443", "--log-file=" + w.log("control-plane"),
		"--node-grace=" + nodeGrace.String(), "--controller-manager-arg=--node-monitor-period=1s",
	}
	for _, taint := range []string{"not-ready", "unreachable"} {
		args = append(args, fmt.Sprintf("--apiserver-arg=--default-%s-toleration-seconds=%d", taint, int(toleration.Seconds())))
	}
	for _, n := range w.Nodes {
		args = append(args, "--kubelet="+n.Name)
	}
	var err error
	w.control, err = devenv.Start(ctx, devenv.Options{
		Dir: w.dataDir(), Nodes: -1, CRDs: []string{filepath.Join(root, "config", "crd")}, Args: args, Progress: progress,
	})
	return err
}

func (w *World) dataDir() string { return filepath.Join(sandbox.Dir, "control-plane") }

func (w *World) log(name string) string { return filepath.Join(w.logs, name+".log") }

// services starts what runs beside the nodes: the DNS, with and without a cache, and the
// operator.
func (w *World) services(ctx context.Context) error {
	for address, disable := range map[string]string{DNS: "disable success cluster.local\n\t\tdisable denial cluster.local", CachedDNS: ""} {
		file := filepath.Join(sandbox.Dir, "Corefile-"+address)
		text := fmt.Sprintf(dnsConfig, address, disable, w.control.Kubeconfig())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return fmt.Errorf("cannot write the settings of the DNS: %w", err)
		}
		if _, err := w.start("dns-"+address, w.bins.CoreDNS, "-conf", file); err != nil {
			return err
		}
	}
	_, err := w.start("operator", w.bins.Operator, "--kubeconfig="+w.control.Kubeconfig(),
		"--metrics-bind-address=0", "--health-probe-bind-address=0",
		"--pytorch-init-container-image="+ProgramImage, "--mpi-kubectl-delivery-image="+KubectlImage)
	if err != nil {
		return err
	}
	for _, address := range []string{DNS, CachedDNS} {
		err := await(ctx, "the DNS", func(ctx context.Context) error {
			return resolves(ctx, address, "kubernetes.default.svc.cluster.local.")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// resolves asks a name server.
func resolves(ctx context.Context, server, name string) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(server, "53"))
	}}
	if _, err := resolver.LookupHost(ctx, name); err != nil {
		return fmt.Errorf("cannot resolve %s: %w", name, err)
	}
	return nil
}

// start starts a program that runs until the sandbox ends, or it is killed.
func (w *World) start(name, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(w.log(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open a log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...) //nolint:noctx // it lives as long as the sandbox
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the log says why
		close(p.ended)
	}()
	return p, nil
}

// process is a program that was started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// kill ends it as a power failure would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // unless it has ended already
	<-p.ended
}

// await waits until a check returns nil.
func await(ctx context.Context, what string, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait longer for %s: %w", what, err)
		case <-time.After(pollInterval):
		}
	}
}
