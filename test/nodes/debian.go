//go:build linux

package nodes

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// debian is a root file system made of Debian packages and all that they depend on. They are
// unpacked into the cache, not installed, so nothing on the machine is replaced, and none of
// their scripts runs.
type debian struct {
	dir      string
	packages []string
}

func busybox(cache string) debian {
	return debian{dir: filepath.Join(cache, "busybox"), packages: []string{"busybox-static"}}
}

// trainers are, besides what trains, a shell for MPI's agent, and a library for linear algebra
// that needs no choice between alternatives.
func trainers(cache string) debian {
	return debian{dir: filepath.Join(cache, "training"), packages: []string{
		"python3-torch", "python3-xgboost", "python3-mpi4py", "openmpi-bin", "libopenblas0-pthread", "dash", "coreutils",
		"libc-bin", "base-passwd",
	}}
}

// leftOut is what no program reads.
func leftOut() []string {
	return []string{"./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/include", "./usr/lib/gcc", "*.a"}
}

// list is a file that names the packages. It is written last of all.
func (d debian) list() string { return filepath.Join(d.dir, "packages") }

func (d debian) cached() bool {
	list, err := os.ReadFile(d.list())
	return err == nil && slices.Equal(strings.Fields(string(list)), d.packages)
}

// available reports whether the packages are in the cache, or apt-get can download them.
func (d debian) available(ctx context.Context) bool {
	if d.cached() {
		return true
	}
	dir, err := os.MkdirTemp("", "jobkit-debian-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	return d.install(ctx, dir, "--simulate") == nil
}

// install lets apt-get do as if nothing were installed, and keep its files in a folder.
func (d debian) install(ctx context.Context, dir, how string) error {
	status := filepath.Join(dir, "status")
	if err := os.WriteFile(status, nil, 0o600); err != nil {
		return fmt.Errorf("cannot write %s: %w", status, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "archives", "partial"), 0o755); err != nil {
		return fmt.Errorf("cannot create a folder: %w", err)
	}
	args := []string{
		"-o", "Dir::State::status=" + status, "-o", "Dir::Cache=" + dir, "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1",
		"--yes", "--no-install-recommends", how, "install",
	}
	return output(exec.CommandContext(ctx, "apt-get", append(args, d.packages...)...))
}

// path is that of a file in the root file system, which is made unless the cache has it.
func (d debian) path(ctx context.Context, name string, progress io.Writer) (string, error) {
	path := filepath.Join(d.dir, name)
	if d.cached() {
		return path, nil
	}
	fmt.Fprintf(progress, "nodes: downloading %s and what they depend on, which are unpacked into the cache only\n", strings.Join(d.packages, ", "))
	dir, err := os.MkdirTemp(filepath.Dir(d.dir), "debian-")
	if err != nil {
		return "", fmt.Errorf("cannot create a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := d.install(ctx, dir, "--download-only"); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "archives", "*.deb"))
	if err != nil {
		return "", fmt.Errorf("cannot list the packages: %w", err)
	}
	return path, d.unpack(ctx, files)
}

// unpack makes the root file system of the files of its packages. Some still have files in
// folders that are links to those below /usr.
func (d debian) unpack(ctx context.Context, files []string) error {
	const script = `rm -rf "$ROOT"
for dir in bin sbin lib lib64; do mkdir -p "$ROOT/usr/$dir"; ln -s usr/$dir "$ROOT/$dir"; done
for file; do dpkg-deb --fsys-tarfile "$file" | tar -x -C "$ROOT" --keep-directory-symlink --no-same-owner $LEFT_OUT; done
`
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-feuo", "pipefail", "-c", script, "unpack"}, files...)...)
	cmd.Env = append(os.Environ(), "ROOT="+d.dir, "LEFT_OUT=--exclude="+strings.Join(leftOut(), " --exclude="))
	if err := output(cmd); err != nil {
		return err
	}
	if err := os.WriteFile(d.list(), []byte(strings.Join(d.packages, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot write %s: %w", d.list(), err)
	}
	return nil
}
