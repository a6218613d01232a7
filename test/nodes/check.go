//go:build linux

package nodes

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/jobkit/jobkit/test/nodes/sandbox"
)

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

// MissingPackagesError names packages that must be installed, and packages that apt-get does
// not know.
type MissingPackagesError struct{ Packages, Unknown []string }

func (e *MissingPackagesError) Error() string {
	if len(e.Packages) == 0 {
		return "apt-get cannot download " + strings.Join(e.Unknown, ", ") + ", as Debian 12 has them: \"apt-get update\" or INSTALL=1 may help"
	}
	return "the packages " + strings.Join(e.Packages, ", ") + " are not installed: INSTALL=1 installs them, and they stay installed"
}

// Check reports what this machine lacks: it tries. training is whether there is training.
func Check(ctx context.Context, training bool) error {
	if os.Geteuid() != 0 {
		return errors.New("namespaces, mounts and control groups need root: run it with sudo")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("this is neither Debian nor Ubuntu, whose containerd, runc and network plugins are used")
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	var missing MissingPackagesError
	for name, program := range packages() {
		if _, err := exec.LookPath(program); err != nil {
			missing.Packages = append(missing.Packages, name)
		}
	}
	if d := busybox(cache); !d.available(ctx) {
		missing.Unknown = append(missing.Unknown, d.packages...)
	}
	if d := trainers(cache); training && !d.available(ctx) {
		missing.Unknown = append(missing.Unknown, d.packages...)
	}
	if len(missing.Packages)+len(missing.Unknown) > 0 {
		slices.Sort(missing.Packages)
		return &missing
	}
	return sandbox.Probe(ctx)
}
