package devenv

import (
	"fmt"
	"os"
	"testing"
)

// helperEnv makes the test binary be another process: the one that the variable
// names, out of helpers.
const helperEnv = "DEVENV_TEST_HELPER"

// helpers are those processes; they return an exit code.
var helpers = map[string]func() int{
	"devcluster": fakeDevcluster,
	"parent":     parent,
}

// AtEnd is what the tests have done when all of them have ended: the end of the control plane
// that many of them share.
var AtEnd = func() error { return nil }

func TestMain(m *testing.M) {
	name := os.Getenv(helperEnv)
	if name == "" {
		code := m.Run()
		if err := AtEnd(); err != nil {
			fmt.Fprintln(os.Stderr, "at the end of the tests:", err)
			code = max(code, 1)
		}
		os.Exit(code)
	}
	helper := helpers[name]
	if helper == nil {
		fmt.Fprintln(os.Stderr, "no helper", name)
		os.Exit(2)
	}
	os.Exit(helper())
}
