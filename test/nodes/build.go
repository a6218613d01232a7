//go:build linux

package nodes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

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
	// Training is Debian's torch, MPI and XGBoost, a root file system; "" if a run has no
	// training. Programs is a folder with what they run.
	Training string `json:"training,omitempty"`
	Programs string `json:"programs,omitempty"`
}

// stripped leaves out what only debuggers need.
const stripped = "-s -w"

// builder builds the binaries of one checkout.
type builder struct {
	root, cache string
	progress    io.Writer
}

// cacheDir is where it keeps them.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the user's cache folder: %w", err)
	}
	return filepath.Join(dir, "jobkit", "nodes"), nil
}

// Build builds what is not in the cache yet. root is the checkout; training is whether there
// is training.
func Build(ctx context.Context, root string, training bool, progress io.Writer) (*Binaries, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	b := &builder{root: root, cache: cache, progress: progress}
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
	if bins.Busybox, err = busybox(cache).path(ctx, "bin/busybox", progress); err != nil || !training {
		return bins, err
	}
	bins.Programs = filepath.Join(root, "test/nodes/training")
	bins.Training, err = trainers(cache).path(ctx, ".", progress)
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
