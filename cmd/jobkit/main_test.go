package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// asMain makes the test binary run as jobkit, so that real processes, signals and exit
// codes are tested.
const asMain = "JOBKIT_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// runJobkit is a command that runs jobkit, with more environment.
func runJobkit(ctx context.Context, t *testing.T, environment []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(append(os.Environ(), asMain+"=1"), environment...)
	return cmd
}

// exitCode is the exit code from the error of a command's Run or Wait.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("the command did not run: %v", err)
	}
	return exit.ExitCode()
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason, errs string
		args         []string
		code         int
	}{
		{"what works exits with 0", "", []string{"version"}, 0},
		{
			"what cannot work says why on standard error alone, and exits with 2",
			"jobkit: cannot read the manifest: open nosuch.yaml: no such file or directory\n",
			[]string{"run", "-f", "nosuch.yaml"},
			2,
		},
	} {
		var out, errs bytes.Buffer
		cmd := runJobkit(t.Context(), t, nil, c.args...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		code := exitCode(t, cmd.Run())
		if code != c.code || errs.String() != c.errs || (out.Len() > 0) != (c.code == 0) {
			t.Errorf("%s: exit code %d, output %q, errors %q", c.reason, code, &out, &errs)
		}
	}
}
