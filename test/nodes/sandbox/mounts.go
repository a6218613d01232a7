//go:build linux

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is where the program keeps what it needs, in memory: nothing of it is on a disk.
const Dir = "/run/sandbox"

// sysctls are the settings of the kernel that a kubelet needs; the kernel is shared by the
// whole machine. In the sandbox they only seem to be set, which is enough for a test.
func sysctls() map[string]string {
	return map[string]string{
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
	}
}

// prepare makes the mounts of the sandbox. None of them is seen outside.
func prepare() error {
	const none = ""
	if err := syscall.Mount(none, "/", none, syscall.MS_REC|syscall.MS_PRIVATE, none); err != nil {
		return fmt.Errorf("cannot make the mounts private: %w", err)
	}
	// The processes of this namespace.
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, none); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	// The size is a limit: a node that has less would not take some pods.
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID, "mode=755,size=16g"); err != nil {
		return fmt.Errorf("cannot mount /run: %w", err)
	}
	// Programs write to fixed paths there.
	for _, dir := range []string{"/var/lib", "/var/log"} {
		if err := overlay(dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{Dir, filepath.Join(Dir, "tmp"), filepath.Join(Dir, "sysctl")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cannot create %s: %w", dir, err)
		}
	}
	for name, value := range sysctls() {
		if err := pretend(name, value); err != nil {
			return err
		}
	}
	if err := os.Setenv("TMPDIR", filepath.Join(Dir, "tmp")); err != nil {
		return fmt.Errorf("cannot set the environment: %w", err)
	}
	return nil
}

// overlay keeps what is written below a folder in memory.
func overlay(dir string) error {
	base := filepath.Join(Dir, "overlay", dir)
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("cannot create %s: %w", d, err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)
	if err := syscall.Mount("overlay", dir, "overlay", 0, options); err != nil {
		return fmt.Errorf("cannot mount an overlay on %s: %w", dir, err)
	}
	return nil
}

// pretend puts a file in the place of a sysctl.
func pretend(name, value string) error {
	target := filepath.Join("/proc/sys", name)
	if _, err := os.Stat(target); err != nil {
		return nil //nolint:nilerr // this kernel has none
	}
	file := filepath.Join(Dir, "sysctl", filepath.Base(name))
	if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot write %s: %w", file, err)
	}
	if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot mount over %s: %w", target, err)
	}
	return nil
}
