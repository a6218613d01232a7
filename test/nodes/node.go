//go:build linux

package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/jobkit/jobkit/test/nodes/sandbox"
)

// Node is a machine with a kubelet.
type Node struct {
	// Name of the node, and its address, which only the sandbox knows.
	Name, Address string

	world               *World
	number              int
	dir, group          string
	containerd, kubelet *process
}

func newNode(w *World, number int) *Node {
	name := fmt.Sprintf("node%d", number)
	return &Node{Name: name, Address: fmt.Sprintf("10.1.0.1%d", number), world: w, number: number, dir: filepath.Join(sandbox.Dir, name)}
}

func (n *Node) link() string      { return "to-" + n.Name }
func (n *Node) namespace() string { return "/run/netns/" + n.Name }
func (n *Node) pods() string      { return fmt.Sprintf("10.244.%d.0/24", n.number) }
func (n *Node) socket() string    { return filepath.Join(n.dir, "containerd.sock") }

// prepare writes the settings, starts containerd, and gives it the images.
func (n *Node) prepare(ctx context.Context) error {
	var err error
	if n.group, err = sandbox.Group(n.Name); err != nil {
		return err
	}
	values := map[string]string{
		"DIR": n.dir, "GROUP": n.group, "ADDRESS": n.Address, "PODS": n.pods(), "PAUSE": PauseImage, "DNS": DNS, "PLUGINS": cniPlugins,
	}
	for file, text := range map[string]string{
		"containerd.toml": containerdConfig, "cni/10-pods.conflist": cniConfig,
		"kubelet.yaml": kubeletConfig, "resolv.conf": "nameserver " + DNS + "\n",
	} {
		text = os.Expand(text, func(name string) string { return values[name] })
		path := filepath.Join(n.dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("cannot create a folder of %s: %w", n.Name, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("cannot write settings of %s: %w", n.Name, err)
		}
	}
	if err := n.startContainerd(ctx); err != nil {
		return err
	}
	all, err := images(n.world.bins)
	if err != nil {
		return err
	}
	for _, image := range all {
		var archive bytes.Buffer
		if err := image.write(&archive); err != nil {
			return err
		}
		load := n.ctr(ctx, "image", "import", "-")
		load.Stdin = &archive
		if err := output(load); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) ctr(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ctr", append([]string{"--address=" + n.socket(), "--namespace=k8s.io"}, args...)...)
}

// start starts a program in the node's network.
func (n *Node) start(name, program string, args ...string) (*process, error) {
	return n.world.start(n.Name+"-"+name, "nsenter", append([]string{"--net=" + n.namespace(), program}, args...)...)
}

func (n *Node) startContainerd(ctx context.Context) (err error) {
	if n.containerd, err = n.start("containerd", "containerd", "--config="+filepath.Join(n.dir, "containerd.toml")); err != nil {
		return err
	}
	return await(ctx, "containerd of "+n.Name, func(ctx context.Context) error { return output(n.ctr(ctx, "version")) })
}

// StartKubelet starts the kubelet.
func (n *Node) StartKubelet() (err error) {
	n.kubelet, err = n.start("kubelet", n.world.bins.Kubelet, "--config="+filepath.Join(n.dir, "kubelet.yaml"),
		"--kubeconfig="+filepath.Join(n.world.dataDir(), "kubelet-"+n.Name+".kubeconfig"), "--hostname-override="+n.Name, "--node-ip="+n.Address,
		"--root-dir="+filepath.Join(n.dir, "kubelet"), "--cert-dir="+filepath.Join(n.dir, "pki"), "--v=2")
	return err
}

// KillKubelet kills the kubelet. The containers keep running.
func (n *Node) KillKubelet() { n.kubelet.kill() }

// AwaitReady waits until pods can be bound to the node.
func (n *Node) AwaitReady(ctx context.Context) error {
	return await(ctx, n.Name, func(ctx context.Context) error {
		node, err := n.get(ctx)
		if err != nil {
			return err
		}
		if !ready(node) || len(node.Spec.Taints) > 0 {
			return errors.New("it is not ready")
		}
		return nil
	})
}

func (n *Node) get(ctx context.Context) (*corev1.Node, error) {
	config, err := n.world.RESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot read the node: %w", err)
	}
	return node, nil
}

func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// PowerOff simulates a power failure: the node's network and all its processes end.
func (n *Node) PowerOff(ctx context.Context) error {
	if err := output(exec.CommandContext(ctx, "ip", "link", "set", n.link(), "down")); err != nil {
		return err
	}
	n.kubelet.kill()
	n.containerd.kill()
	for _, p := range processes() {
		// Shims are known by the socket of their containerd.
		if strings.HasPrefix(p.group, n.group+"/") || strings.Contains(p.command, n.socket()) {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	return nil
}

// PowerOn ends the power failure.
func (n *Node) PowerOn(ctx context.Context) error {
	if err := output(exec.CommandContext(ctx, "ip", "link", "set", n.link(), "up")); err != nil {
		return err
	}
	if err := n.startContainerd(ctx); err != nil {
		return err
	}
	if err := n.StartKubelet(); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// Kill sends SIGKILL to the processes in a pod whose command begins as named, and returns how
// many they were.
func Kill(pod *corev1.Pod, command string) int {
	killed := 0
	for _, p := range processes() {
		if strings.Contains(p.group, "/pod"+string(pod.UID)) && strings.HasPrefix(p.command, command) && syscall.Kill(p.pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// running is a process of the sandbox.
type running struct {
	pid            int
	command, group string
}

func processes() []running {
	entries, _ := os.ReadDir("/proc")
	var all []running
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		groups, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		p := running{pid: pid, command: strings.ReplaceAll(string(command), "\x00", " ")}
		for line := range strings.Lines(string(groups)) {
			// "<number>:<controllers>:<path>"; the deepest says most.
			if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 && len(parts[2]) > len(p.group) {
				p.group = parts[2]
			}
		}
		all = append(all, p)
	}
	return all
}
