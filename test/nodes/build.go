//go:build linux

package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jobkit/jobkit/internal/devenv"
)

// Binaries are the programs that a run needs.
type Binaries struct {
	// Devcluster is the dev control plane; the next are what their names say.
	Devcluster string `json:"devcluster"`
	Kubelet    string `json:"kubelet"`
	Kubectl    string `json:"kubectl"`
	CoreDNS    string `json:"coreDNS"`
	Operator   string `json:"operator"`
	// Program and Pause run in containers, so they are linked statically.
	Program string `json:"program"`
	Pause   string `json:"pause"`
	// Busybox is Debian's, linked statically.
	Busybox string `json:"busybox"`
}

// stripped leaves out what only debuggers need.
const stripped = "-s -w"

// packages are the Debian packages that must be installed, each with a program of it.
func packages() map[string]string {
	return map[string]string{
		"containerd":                  "containerd",
		"runc":                        "runc",
		"containernetworking-plugins": cniPlugins + "/bridge",
		"iproute2":                    "ip",
		"util-linux":                  "nsenter",
	}
}

// cniPlugins is where Debian's package puts the network plugins.
const cniPlugins = "/usr/lib/cni"

// MissingPackagesError names packages that must be installed.
type MissingPackagesError struct{ Packages []string }

func (e *MissingPackagesError) Error() string {
	return "test/nodes needs packages that are not installed (they stay installed afterwards); install them with\n" +
		"  apt-get update && apt-get install --no-install-recommends " + strings.Join(e.Packages, " ") +
		"\nor let \"make test-nodes INSTALL=1\" do it"
}

// Check reports what this machine lacks.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("test/nodes needs root, for namespaces, mounts and control groups: run it with sudo")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("test/nodes needs Debian or Ubuntu, whose containerd, runc and network plugins it uses")
	}
	var missing []string
	for name, program := range packages() {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return &MissingPackagesError{Packages: missing}
	}
	return nil
}

// builder builds the binaries of one checkout.
type builder struct {
	root, cache string
	progress    io.Writer
}

// Build builds what is not in the cache yet. root is the checkout.
func Build(ctx context.Context, root string, progress io.Writer) (*Binaries, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("cannot find the user's cache folder: %w", err)
	}
	b := &builder{root: root, cache: filepath.Join(cache, "jobkit", "nodes"), progress: progress}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create the cache folder: %w", err)
	}
	devcluster, err := devenv.Build(ctx, devenv.BuildOptions{SourceDir: filepath.Join(root, "devcluster"), Progress: progress})
	if err != nil {
		return nil, err
	}
	// The same flags as for the dev control plane: most of it is compiled already.
	flags, err := kubernetesFlags(root)
	if err != nil {
		return nil, err
	}
	bins := &Binaries{Devcluster: devcluster}
	for _, p := range []struct {
		path         *string
		module, what string
		flags        string
	}{
		{&bins.Kubelet, "test/nodes/kubernetes", "k8s.io/kubernetes/cmd/kubelet", flags},
		{&bins.Kubectl, "test/nodes/kubernetes", "k8s.io/kubernetes/cmd/kubectl", flags},
		{&bins.CoreDNS, "test/nodes/coredns", ".", stripped},
		{&bins.Operator, ".", "./cmd/operator", stripped},
		{&bins.Program, ".", "./test/nodes/program", stripped},
		{&bins.Pause, ".", "./test/nodes/pause", stripped},
	} {
		if *p.path, err = b.build(ctx, p.module, p.what, p.flags); err != nil {
			return nil, err
		}
	}
	bins.Busybox, err = b.busybox(ctx)
	return bins, err
}

// build builds a program. The go command does nothing if the existing one is up to
// date.
func (b *builder) build(ctx context.Context, module, what, flags string) (string, error) {
	dir := filepath.Join(b.root, module)
	name := filepath.Base(what)
	if what == "." {
		name = filepath.Base(dir)
	}
	out := filepath.Join(b.cache, name)
	if _, err := os.Stat(out); err != nil {
		fmt.Fprintf(b.progress, "nodes: building %s\n", name)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", flags, "-o", out, what)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	return out, output(cmd)
}

// busybox unpacks Debian's package into the cache. Installed, it would replace another one.
func (b *builder) busybox(ctx context.Context) (string, error) {
	const name = "busybox-static"
	path := filepath.Join(b.cache, name, "bin", "busybox")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintf(b.progress, "nodes: downloading the package %s, which is unpacked into the cache only\n", name)
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		return "", fmt.Errorf("cannot create a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	download := exec.CommandContext(ctx, "apt-get", "-o", "APT::Sandbox::User=root", "download", name)
	download.Dir = dir
	if err := output(download); err != nil {
		return "", fmt.Errorf("%w (has \"apt-get update\" ever run?)", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("cannot find the package %s: %v, %w", name, files, err)
	}
	return path, output(exec.CommandContext(ctx, "dpkg-deb", "-x", files[0], filepath.Join(b.cache, name)))
}

// kubernetesFlags stamp the version, which must be the dev control plane's.
func kubernetesFlags(root string) (string, error) {
	own, err := devenv.KubernetesVersion(filepath.Join(root, "test/nodes/kubernetes"))
	if err != nil {
		return "", err
	}
	version, err := devenv.KubernetesVersion(filepath.Join(root, "devcluster"))
	if err != nil {
		return "", err
	}
	if own != version {
		return "", fmt.Errorf("test/nodes/kubernetes is %s, devcluster is %s: run devcluster/hack/set-kubernetes.sh", own, version)
	}
	return devenv.LinkFlags(version), nil
}

// output runs a command and shows what it says if it fails.
func output(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot run %q: %w\n%s", cmd.Args, err, said.String())
	}
	return nil
}
