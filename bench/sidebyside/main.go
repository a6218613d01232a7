// Command sidebyside measures this operator, training-operator v1, JobSet and the Job of
// Kubernetes with the bench, in turn, each on a dev control plane of its own, and prints one table:
//
//	make side-by-side                  # a fifth of full size
//	make side-by-side SCALE=1 ROUNDS=3 # full size: an hour
//
// The others are built from their Go modules, whose versions stand in the go.mod files of
// the folders here. docs/maintainers/performance.md says how to read the table.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// options are the flags.
type options struct {
	rounds int
	only   []string
	// bench are flags of the bench, for all contenders alike.
	bench []string
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(1) //nolint:gocritic // what is deferred was done
	}
}

// parse reads the flags.
func parse(args []string, help io.Writer) (options, error) {
	var o options
	fs := pflag.NewFlagSet("sidebyside", pflag.ContinueOnError)
	fs.SetOutput(help)
	fs.Usage = func() {
		fmt.Fprintf(help, "Usage: sidebyside [flags] [-- flags of the bench]\n%s", fs.FlagUsages())
	}
	scale := fs.Float64("scale", 0.2, "size of everything; 1 is full size")
	fs.IntVar(&o.rounds, "rounds", 1, "how often each is measured, all in turn; the median counts")
	fs.StringSliceVar(&o.only, "only", nil, fmt.Sprintf("contenders to measure, of %v (default: all but the last)", names(contenders())))
	if err := fs.Parse(args); err != nil {
		return o, err //nolint:wrapcheck // says what is wrong
	}
	o.bench = append([]string{fmt.Sprintf("--scale=%g", *scale)}, fs.Args()...)
	if o.rounds < 1 {
		return o, fmt.Errorf("--rounds is %d: use 1 or more", o.rounds)
	}
	_, err := choose(o.only)
	return o, err
}

// run builds what is measured, measures it, and prints a table after each round: the last one has all rounds.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sidebyside-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the programs: %w", err)
	}
	defer os.RemoveAll(dir)
	bench := filepath.Join(dir, "bench")
	if err := build(ctx, ".", "./bench", bench); err != nil {
		return err
	}
	for i := range chosen {
		fmt.Fprintln(progress, "building", chosen[i].name)
		if err := chosen[i].prepare(ctx, dir); err != nil {
			return err
		}
	}
	found := results{}
	for round := range o.rounds {
		for _, c := range chosen {
			fmt.Fprintf(progress, "\nround %d of %d: %s\n", round+1, o.rounds, c.name)
			text, err := measure(ctx, bench, append(c.flags(), o.bench...), progress)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			found.add(c.name, text)
		}
		fmt.Fprintf(out, "\nAfter %d of %d rounds:\n\n%s", round+1, o.rounds, found.table(names(chosen)))
	}
	return nil
}

// measure runs the bench, and returns what it printed. What it says meanwhile is passed on.
func measure(ctx context.Context, bench string, flags []string, progress io.Writer) (string, error) {
	var text strings.Builder
	cmd := exec.CommandContext(ctx, bench, flags...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&text, progress), progress
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("bench %s: %w", strings.Join(flags, " "), err)
	}
	return text.String(), nil
}

// build builds a program of a module, from its folder.
func build(ctx context.Context, module, path, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, path)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s in %s: %w\n%s", path, module, err, out)
	}
	return nil
}
