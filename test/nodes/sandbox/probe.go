//go:build linux

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// requireEnv makes what a machine lacks a failure.
const requireEnv = "JOBKIT_NODES_REQUIRE"

// Required reports whether tests must run, rather than be skipped on a machine that lacks
// something.
func Required() bool { return os.Getenv(requireEnv) != "" }

// probeScript makes what the network of nodes is made of.
const probeScript = `ip link add probe0 type bridge
ip netns add probe
ip link add probe1 type veth peer name eth0 netns probe
ip link set probe1 master probe0 up
`

// Probe reports what this machine lacks for a sandbox with nodes in it: it makes one, and tries
// what containers need.
func Probe(ctx context.Context) error {
	var said bytes.Buffer
	code, err := run(ctx, roleProbe, &said)
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(said.String()))
	}
	return err
}

// probe is the program of such a sandbox.
func probe() error {
	group, err := Group("probe")
	if err != nil {
		return err
	}
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !hasController(controller) {
			return fmt.Errorf("%s has no control groups for %s", cgroupRoot, controller)
		}
	}
	for _, root := range hierarchies() {
		if err := os.WriteFile(filepath.Join(root, group, procsFile), []byte("0"), 0); err != nil {
			return fmt.Errorf("cannot join a control group: %w", err)
		}
	}
	probe := exec.CommandContext(context.Background(), "sh", "-ec", probeScript) //nolint:forbidigo // a main of its own
	if out, err := probe.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a network of bridges and namespaces: %w: %s", err, out)
	}
	return nil
}

// hasController reports whether groups can limit something.
func hasController(name string) bool {
	if available, err := os.ReadFile(filepath.Join(cgroupRoot, v2Controllers)); err == nil {
		return strings.Contains(" "+strings.TrimSpace(string(available))+" ", " "+name+" ")
	}
	return isGroup(filepath.Join(cgroupRoot, name))
}
