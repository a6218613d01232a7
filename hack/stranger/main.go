// Command stranger does what someone does who has only Go and an empty folder: it writes an
// operator with "jobkit new", edits it, tests it, starts a control plane, runs the operator and
// an example job, until that has succeeded. It prints how long each step took.
//
// The modules of this checkout are published in a folder, as a module proxy has them, under a
// version of their own. So nothing of the checkout is used but what a release has.
//
//	go run ./hack/stranger
//
// The dev control plane is built once more from the published module, in an empty cache; what
// Go has compiled before is reused. All that is written is removed at the end, unless -keep is
// set.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	keep := flag.Bool("keep", false, "keep the folder")
	integration := flag.Bool("integration", false, "run the module's integration tests too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *keep, *integration)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stranger:", err)
		os.Exit(1)
	}
}

// run does all steps and cleans up.
func run(ctx context.Context, keep, integration bool) error {
	dir, err := os.MkdirTemp("", "jobkit-stranger-")
	if err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	s := &stranger{dir: dir, version: fmt.Sprintf("v0.0.1-stranger.%d", time.Now().Unix())}
	err = s.steps(ctx, integration)
	s.report()
	if keep {
		fmt.Println("kept:", dir)
		return err
	}
	return errors.Join(err, s.cleanUp(ctx))
}

// stranger is someone at work in a folder.
type stranger struct {
	dir, version string
	env          []string
	took         []step
}

// step is one that was done.
type step struct {
	name string
	time time.Duration
}

// steps are what a stranger does.
func (s *stranger) steps(ctx context.Context, integration bool) error {
	if err := s.publish(ctx); err != nil {
		return err
	}
	module := filepath.Join(s.dir, "simjob")
	in := func(dir string, command ...string) func() error {
		return func() error { return s.command(ctx, dir, command...).Run() }
	}
	all := []struct {
		name string
		do   func() error
	}{
		{"jobkit new", in(s.dir, "go", "run", "github.com/jobkit/jobkit/cmd/jobkit@"+s.version,
			"new", "sim.example.com/v1", "SimJob", "--roles", "Coordinator:1,Solver")},
		{"one edit", func() error { return edit(module) }},
		{"make generate", in(module, "make", "generate")},
		{"golden file", in(module, "go", "test", "./internal/simjob", "-update")},
		{"make test", in(module, "make", "test")},
		{"make dev", in(module, "make", "dev")},
		{"make run, and the example", func() error { return s.runExample(ctx, module) }},
		{"make dev-down", in(module, "make", "dev-down")},
	}
	if integration {
		all = append(all, struct {
			name string
			do   func() error
		}{"make test-integration", in(module, "make", "test-integration")})
	}
	for _, step := range all {
		if err := s.step(step.name, step.do); err != nil {
			return err
		}
	}
	return nil
}

// step does one step and takes its time.
func (s *stranger) step(name string, do func() error) error {
	fmt.Println("==", name)
	begun := time.Now()
	err := do()
	s.took = append(s.took, step{name, time.Since(begun)})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// report prints the times.
func (s *stranger) report() {
	var total time.Duration
	for _, step := range s.took {
		fmt.Printf("%-28s %6.1f s\n", step.name, step.time.Seconds())
		total += step.time
	}
	fmt.Printf("%-28s %6.1f s\n", "in total", total.Seconds())
}

// command is a command of the stranger's.
func (s *stranger) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir, c.Env = dir, s.env
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c
}

// edit is the one edit: each replica gets one more variable.
func edit(module string) error {
	path := filepath.Join(module, "internal", "simjob", "clusterspec.go")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot edit the module: %w", err)
	}
	const after = "podtemplate.Fixed(\"REPLICA_TYPE\", r.Type()),\n"
	edited := strings.Replace(string(text), after, after+"\t\tpodtemplate.Fixed(\"SOLVERS\", r.Count(simv1.Solver)),\n", 1)
	if edited == string(text) {
		return errors.New("cannot edit the module: SetClusterSpec is not as it was")
	}
	if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
		return fmt.Errorf("cannot edit the module: %w", err)
	}
	return nil
}

// runExample runs the operator and, when it is at it, the example to its end.
func (s *stranger) runExample(ctx context.Context, module string) error {
	operator := s.command(ctx, module, "make", "run")
	// A group of its own gets the signal to end as a whole: make, go and the operator.
	operator.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := operator.Start(); err != nil {
		return fmt.Errorf("cannot start the operator: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- operator.Wait() }()
	defer func() {
		_ = syscall.Kill(-operator.Process.Pid, syscall.SIGINT)
		if err := <-ended; err != nil {
			fmt.Println("the operator ended:", err)
		}
	}()
	where := s.command(ctx, module, "go", "tool", "jobkit", "dev", "kubeconfig")
	where.Stdout = nil
	kubeconfig, err := where.Output()
	if err != nil {
		return fmt.Errorf("cannot find the control plane: %w", err)
	}
	submit := s.command(ctx, module, "go", "tool", "jobkit", "run", "-f", "examples/simjob.yaml", "--timeout", "5m")
	submit.Env = append(submit.Env, "KUBECONFIG="+string(bytes.TrimSpace(kubeconfig)))
	if err := submit.Run(); err != nil {
		return fmt.Errorf("the example did not succeed: %w", err)
	}
	return nil
}

// cleanUp stops the control plane, if it runs, and removes all that was written.
func (s *stranger) cleanUp(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if len(s.took) > 0 {
		_ = s.command(ctx, filepath.Join(s.dir, "simjob"), "go", "tool", "jobkit", "dev", "down").Run()
	}
	errs := []error{os.RemoveAll(s.dir)}
	cache, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE").Output()
	errs = append(errs, err)
	root := strings.TrimSpace(string(cache))
	for _, pattern := range []string{"github.com/jobkit/jobkit@", "github.com/jobkit/jobkit/devcluster@"} {
		errs = append(errs, removeReadOnly(filepath.Join(root, pattern+s.version)))
	}
	for _, pattern := range []string{"jobkit", "jobkit/devcluster"} {
		files, err := filepath.Glob(filepath.Join(root, "cache/download/github.com/jobkit", pattern, "@v", s.version+".*"))
		errs = append(errs, err)
		for _, f := range files {
			errs = append(errs, os.Remove(f))
		}
	}
	return errors.Join(errs...)
}

// removeReadOnly removes a folder of the module cache, which is read-only.
func removeReadOnly(dir string) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // it is about to be removed
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, os.RemoveAll(dir))
}
