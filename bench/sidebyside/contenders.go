package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// contender is one that is measured. The paths begin where the bench is run: at the root of the repository.
type contender struct {
	// name is what --only and the table call it.
	name string
	// onlyNamed says that it is measured only if --only names it.
	onlyNamed bool
	// module and path are what its program is built from; both are empty for a part of the control
	// plane, and for the operator that the bench builds itself.
	module, path string
	// arguments are those of its program, without the address of its metrics.
	arguments []string
	// kind is that of the jobs.
	kind string
	// bench are the flags of the bench for one that has no program here.
	bench []string
	// crds are the module and the folder in it that have its CRDs, if this repository has none.
	crds [2]string

	program, crdFolder, metrics string
}

// contenders are all. Those with limits of their own run without, or the table would show the limits.
func contenders() []contender {
	const folder = "bench/sidebyside/"
	unlimited := []string{"--kube-api-qps=5000", "--kube-api-burst=10000"}
	return []contender{
		{name: "jobkit", module: ".", path: "./cmd/operator", kind: "PyTorchJob"},
		{
			name: "training-operator", module: folder + "trainingoperator", path: ".", kind: "PyTorchJob",
			arguments: append([]string{"--controller-threads=32"}, unlimited...),
		},
		{
			name: "jobset", module: folder + "jobset", path: ".", kind: "JobSet", arguments: unlimited,
			crds: [2]string{"sigs.k8s.io/jobset", "config/components/crd/bases"},
		},
		{name: "job", bench: []string{"--operator=batch-job"}},
		// The example operator: its kind restarts as a whole, which gang-restart measures.
		{name: "testjob", onlyNamed: true},
	}
}

// names are the names of contenders.
func names(of []contender) []string {
	var names []string
	for _, c := range of {
		names = append(names, c.name)
	}
	return names
}

// choose returns the contenders of these names; without names, all but those that must be named.
func choose(only []string) ([]contender, error) {
	all := contenders()
	for _, name := range only {
		if !slices.Contains(names(all), name) {
			return nil, fmt.Errorf("--only names %q: use %v", name, names(all))
		}
	}
	return slices.DeleteFunc(all, func(c contender) bool {
		return len(only) == 0 && c.onlyNamed || len(only) > 0 && !slices.Contains(only, c.name)
	}), nil
}

// prepare builds the program of a contender, and finds its CRDs and a free port.
func (c *contender) prepare(ctx context.Context, dir string) error {
	if c.module == "" {
		return nil
	}
	c.program = filepath.Join(dir, c.name)
	if err := build(ctx, c.module, c.path, c.program); err != nil {
		return err
	}
	if c.crds[0] != "" {
		list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", c.crds[0])
		list.Dir = c.module
		list.Env = append(os.Environ(), "GOWORK=off")
		out, err := list.Output()
		if err != nil {
			return fmt.Errorf("cannot find the CRDs of %s: %w", c.name, explain(err))
		}
		c.crdFolder = filepath.Join(strings.TrimSpace(string(out)), c.crds[1])
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cannot find a free port: %w", err)
	}
	defer l.Close()
	c.metrics = l.Addr().String()
	return nil
}

// explain adds what a command said to its error.
func explain(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	return err
}

// flags are those of the bench that measure this contender.
func (c *contender) flags() []string {
	if c.program == "" {
		return c.bench
	}
	command := append([]string{c.program, "--metrics-bind-address=" + c.metrics}, c.arguments...)
	flags := []string{
		"--operator=external", "--kind=" + c.kind, "--operator-command=" + strings.Join(command, " "),
		"--operator-metrics=http://" + c.metrics + "/metrics",
	}
	if c.crdFolder != "" {
		flags = append(flags, "--crds="+c.crdFolder)
	}
	return flags
}
