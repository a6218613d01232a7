package podtemplate_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jobkit/jobkit/podtemplate"
)

// How the existing programs called nc refuse -v and -z, if they do.
const (
	knowsOptions = `false`
	glibc        = `case "$*" in *-vvz*) echo "nc: invalid option -- 'v'" >&2; exit 1;; esac`
	musl         = `case "$*" in *-vvz*) echo "nc: unrecognized option: v" >&2; exit 1;; esac`
)

// TestHostWaitScript is row 124 of docs/maintainers/known-bugs.md: what the init container does with
// what it receives, whatever the image.
func TestHostWaitScript(t *testing.T) {
	t.Parallel()
	const (
		open     = `echo "leader (10.0.0.1:23456) open" >&2; exit 0`
		refused  = `echo "nc: leader (10.0.0.1:23456): Connection refused" >&2; exit 1`
		refuses  = `echo "nc: can't connect to remote host (10.0.0.1): Connection refused" >&2; exit 1`
		stopped  = `exit 143`
		noName   = `echo "nc: bad address 'leader'" >&2; exit 1`
		noRoute  = `echo "nc: leader (10.0.0.9:23456): No route to host" >&2; exit 1`
		timedOut = `echo "nc: timed out" >&2; exit 1`
	)
	for name, tc := range map[string]struct {
		reason  string
		options string   // how nc refuses options
		answers []string // what nc does, the last again and again; without nc none
		lookups map[string]string
		tries   int // default: 100
		fails   bool
		naps    int
	}{
		"Open":          {reason: "the leader listens", options: knowsOptions, answers: []string{open}},
		"OpenLater":     {reason: "the leader has an address after a while", options: knowsOptions, answers: []string{noName, noName, open}, naps: 2},
		"Refused":       {reason: "the pod runs, and will listen", options: knowsOptions, answers: []string{refused}},
		"RefusedGlibc":  {reason: "an nc without -v says why without options", options: glibc, answers: []string{refuses}},
		"RefusedMusl":   {reason: "and so does that of another library", options: musl, answers: []string{refuses}},
		"OpenedGlibc":   {reason: "it waits until the other side closes the connection, and is stopped", options: glibc, answers: []string{stopped}},
		"NoName":        {reason: "a leader that never has an address fails the pod", options: knowsOptions, answers: []string{noName}, tries: 4, fails: true, naps: 4},
		"NoNameOpenBSD": {reason: "in other words too", options: knowsOptions, answers: []string{`echo 'nc: getaddrinfo for host "leader" port 23456: Name or service not known' >&2; exit 1`}, tries: 2, fails: true, naps: 2},
		"Stale":         {reason: "a cache of the DNS has the address of a pod that is gone", options: knowsOptions, answers: []string{noRoute, noRoute, noRoute, open}, naps: 3},
		"StaleGlibc":    {reason: "the same with an address to which nothing is let through", options: glibc, answers: []string{timedOut, noName, refuses}, naps: 2},
		"Silent":        {reason: "a name that resolves for longer than a cache is enough, as it was for v1", options: musl, answers: []string{timedOut}, naps: 19},
		"SilentAgain":   {reason: "the time starts again when the name is gone", options: musl, answers: append(times(19, timedOut), noName, timedOut), naps: 39},
		"SilentToEnd":   {reason: "and so it is when the tries are used up", options: musl, answers: []string{noName, timedOut}, tries: 3, naps: 3},
		"NoNC":          {reason: "without nc the name has to do", lookups: map[string]string{"getent": `echo "10.0.0.1 leader"`}},
		"NoNCNoName":    {reason: "and has to be there", lookups: map[string]string{"getent": `exit 2`, "nslookup": `echo "** server can't find leader: NXDOMAIN"; exit 1`}, tries: 2, fails: true, naps: 2},
		"NSLookupOld": {
			reason:  "nslookup of BusyBox up to 1.28, which names the server first",
			lookups: map[string]string{"nslookup": `printf 'Server:    10.96.0.10\nAddress 1: 10.96.0.10\n\nName:      leader\nAddress 1: 10.0.0.1 leader\n'`},
		},
		"NSLookupNew": {
			reason:  "later ones end with 1 when one of the search domains does not have the name",
			lookups: map[string]string{"nslookup": `printf "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n** server can't find leader.svc.cluster.local: NXDOMAIN\n\nName:\tleader.ns.svc.cluster.local\nAddress: 10.0.0.1\n"; exit 1`},
		},
		"NSLookupServer": {
			reason:  "the server's own address is not the leader's",
			lookups: map[string]string{"nslookup": `printf "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n** server can't find leader: NXDOMAIN\n\n"; exit 1`},
			tries:   1, fails: true, naps: 1,
		},
		"Nothing": {reason: "an image that can resolve no name fails the pod", tries: 1, fails: true, naps: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, program := range []string{"seq", "grep"} {
				link(t, program, dir)
			}
			sleep := link(t, "sleep", t.TempDir())
			write(t, dir, "sleep", fmt.Sprintf("if [ $1 = 5 ]; then exec %s 5; fi\necho >>%s/naps", sleep, dir))
			for program, does := range tc.lookups {
				write(t, dir, program, does)
			}
			if tc.answers != nil {
				var answers strings.Builder
				for i, a := range tc.answers {
					_, _ = fmt.Fprintf(&answers, "%d) %s;;\n", i, a)
				}
				write(t, dir, "nc", fmt.Sprintf(`%s
case "$*" in *127.0.0.1*) echo "nc: 127.0.0.1 (127.0.0.1:1): Connection refused" >&2; exit 1;; esac
case "$*" in *"leader 23456") ;; *) echo "wants $*" >%s/wrong;; esac
n=0; if [ -e %[2]s/naps ]; then while read -r x; do n=$((n + 1)); done <%[2]s/naps; fi
if [ $n -ge %d ]; then n=%d; fi
case $n in
%sesac`, tc.options, dir, len(tc.answers), len(tc.answers)-1, answers.String()))
			}
			wait := podtemplate.HostWait{Port: 23456, MaxTries: tc.tries}
			out, err := runWait(t, wait, "leader", []string{link(t, "sh", t.TempDir())}, dir)
			if (err != nil) != tc.fails {
				t.Errorf("%s: got %v\n%s", tc.reason, err, out)
			}
			naps, _ := os.ReadFile(filepath.Join(dir, "naps"))
			if n := strings.Count(string(naps), "\n"); n != tc.naps {
				t.Errorf("%s: it waits %d times, want %d\n%s", tc.reason, n, tc.naps, out)
			}
			if wrong, err := os.ReadFile(filepath.Join(dir, "wrong")); err == nil {
				t.Errorf("nc %s", wrong)
			}
		})
	}
}

// TestHostWaitBusyBox does the same with a real BusyBox, if there is one: a port that is
// open, on which the connection is not closed, and one that is not open.
func TestHostWaitBusyBox(t *testing.T) {
	t.Parallel()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("there is no busybox: install it to run this test")
	}
	dir := t.TempDir()
	for _, applet := range []string{"sh", "nc", "seq", "sleep", "grep", "nslookup"} {
		if err := os.Symlink(busybox, filepath.Join(dir, applet)); err != nil {
			t.Fatal(err)
		}
	}
	var listening net.ListenConfig
	l, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := int32(l.Addr().(*net.TCPAddr).Port)
	for _, what := range []string{"open", "closed"} {
		if out, err := runWait(t, podtemplate.HostWait{Port: port, MaxTries: 1}, "127.0.0.1", []string{busybox, "sh"}, dir); err != nil || strings.Contains(out, "try 1") {
			t.Errorf("the port is %s, and the leader is found: %v\n%s", what, err, out)
		}
		_ = l.Close()
	}
}

// runWait runs the command of the init container with a shell, and with the programs of a
// folder only.
func runWait(t *testing.T, wait podtemplate.HostWait, host string, shell []string, programs string) (string, error) {
	t.Helper()
	containers, err := wait.Containers(host)
	if err != nil {
		t.Fatal(err)
	}
	command := containers[0].Command
	if len(containers) != 1 || command[0] != "sh" {
		t.Fatalf("one container that runs a shell, got %v", containers)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], command[1:]...)...) //nolint:gosec // it is ours
	cmd.Env = []string{"PATH=" + programs}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err
}

// link puts a program of this machine into a folder, and returns its path there.
func link(t *testing.T, program, dir string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("this machine has no %s", program)
	}
	out := filepath.Join(dir, program)
	if err := os.Symlink(path, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// write makes a program.
func write(t *testing.T, dir, program, does string) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("this machine has no shell")
	}
	if err := os.WriteFile(filepath.Join(dir, program), []byte("#!"+sh+"\n"+does+"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
}

func times(n int, s string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}
