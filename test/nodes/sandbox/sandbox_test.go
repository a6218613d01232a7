//go:build linux && nodes

package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asEnv makes the test binary a program in a sandbox that changes all it can, and then ends
// as the variable says.
const asEnv = "SANDBOX_TEST_END"

func TestMain(m *testing.M) {
	Main()
	end := os.Getenv(asEnv)
	switch {
	case end == "":
		os.Exit(m.Run())
	case end == "probe":
		if err := Probe(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	case !Inside():
		code, err := Run(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	if err := changeAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	fmt.Println("changed")
	switch end {
	case "exit":
		os.Exit(7)
	case "panic":
		panic("on purpose")
	}
	select {} // until it is killed
}

// changeAll leaves behind everything that a careless program could.
func changeAll() error {
	group, err := Group("node1")
	if err != nil {
		return err
	}
	script := fmt.Sprintf(`set -e
ip link set lo up
ip link add left type bridge
ip addr add 192.0.2.77/32 dev lo
ip netns add left
echo 1 >/proc/sys/net/ipv4/ip_forward
for s in kernel/panic vm/overcommit_memory; do echo 5 >/proc/sys/$s; done
mkdir -p /var/lib/kubelet/left /var/log/pods/left /run/containerd/left /run/sandbox/m
mount -t tmpfs left /run/sandbox/m
mount -t tmpfs left /mnt
for g in $(find /sys/fs/cgroup/ -type d -path '*%[1]s'); do
	mkdir $g/pod
	[ ! -e $g/cpuset.cpus ] || { cat $g/cpuset.cpus >$g/pod/cpuset.cpus; cat $g/cpuset.mems >$g/pod/cpuset.mems; }
	(echo 0 >$g/pod/cgroup.procs && setsid sleep 1000 >/dev/null 2>&1 &)
done
(trap '' INT TERM HUP; setsid sleep 1000 >/dev/null 2>&1 &)
[ "$(ls /proc | grep -c '^[0-9]')" -lt 20 ]
`, group)
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// possible skips a test on a machine that has no sandbox.
func possible(t *testing.T) {
	t.Helper()
	if err := Probe(t.Context()); err != nil {
		if Required() {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// TestProbe takes away what a sandbox needs.
func TestProbe(t *testing.T) {
	possible(t)
	for _, tt := range []struct{ reason, without, want string }{
		{"nothing is missing", "", ""},
		{"no namespaces", "sys_admin", "cannot run in namespaces"},
		{"no networks", "net_admin", "cannot make a network"},
		{"no overlays", "dac_override", "cannot mount an overlay"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			args := []string{os.Args[0]}
			if tt.without != "" {
				args = []string{"setpriv", "--bounding-set=-" + tt.without, "--inh-caps=-" + tt.without, os.Args[0]}
			}
			before := Take()
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			cmd.Env = append(os.Environ(), asEnv+"=probe")
			out, err := cmd.CombinedOutput()
			if (err == nil) != (tt.want == "") || !strings.Contains(string(out), tt.want) {
				t.Errorf("it says %v, %s, want %q", err, out, tt.want)
			}
			if changes := Take().Changes(before); len(changes) > 0 {
				t.Errorf("left behind:\n%s", strings.Join(changes, "\n"))
			}
		})
	}
}

// TestLeavesNothingBehind ends a sandbox in every possible way.
func TestLeavesNothingBehind(t *testing.T) {
	possible(t)
	for _, tt := range []struct {
		reason, end string
		signal      syscall.Signal
		code        int
		// killed: the sandbox cannot remove its control groups, and the next one does.
		killed bool
	}{
		{reason: "the program exits", end: "exit", code: 7},
		{reason: "it fails", end: "panic", code: 2},
		{reason: "it is interrupted", end: "wait", signal: syscall.SIGINT, code: 1},
		{reason: "it is asked to end", end: "wait", signal: syscall.SIGTERM, code: 1},
		{reason: "it is killed", end: "wait", signal: syscall.SIGKILL, code: -1, killed: true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			before := Take()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), asEnv+"="+tt.end)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, _ := bufio.NewReader(out).ReadString('\n'); line != "changed\n" {
				t.Errorf("it says %q", line)
			}
			during := Take().Changes(before)
			if text := strings.Join(during, "\n"); tt.signal != 0 && (!strings.Contains(text, "control group") || !strings.Contains(text, "process")) {
				t.Errorf("the check is blind: while it runs only this is new: %s", text)
			}
			if tt.signal != 0 {
				if err := cmd.Process.Signal(tt.signal); err != nil {
					t.Fatal(err)
				}
			}
			err = cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tt.code {
				t.Errorf("it ends with %v, want code %d", err, tt.code)
			}
			if tt.killed {
				awaitEnd(t, namePrefix+strconv.Itoa(cmd.Process.Pid))
				RemoveStale()
			}
			if changes := Take().Changes(before); len(changes) > 0 {
				t.Errorf("left behind:\n%s", strings.Join(changes, "\n"))
			}
		})
	}
}

// awaitEnd waits until the kernel has killed what was in a sandbox.
func awaitEnd(t *testing.T, name string) {
	t.Helper()
	for range 100 {
		alive := 0
		for _, root := range hierarchies() {
			data, _ := os.ReadFile(filepath.Join(root, name, "node1", "pod", procsFile))
			alive += len(data)
		}
		if alive == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("its processes live on")
}
