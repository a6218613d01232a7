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

func TestMain(m *testing.M) {
	name := os.Getenv(helperEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	helper := helpers[name]
	if helper == nil {
		fmt.Fprintln(os.Stderr, "no helper", name)
		os.Exit(2)
	}
	os.Exit(helper())
}
