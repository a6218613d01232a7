package devenv

import (
	"fmt"
	"os"
	"testing"
)

// helperEnv makes the test binary be another process: the one that the variable
// names, out of Helpers.
const helperEnv = "DEVENV_TEST_HELPER"

// Helpers are those processes; they return an exit code.
var Helpers = map[string]func() int{}

func TestMain(m *testing.M) {
	name := os.Getenv(helperEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	helper := Helpers[name]
	if helper == nil {
		fmt.Fprintln(os.Stderr, "no helper", name)
		os.Exit(2)
	}
	os.Exit(helper())
}
