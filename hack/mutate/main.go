// Command mutate shows whether the tests of a package notice when its code is wrong.
// It changes the code in one small way at a time (a condition negated, a boundary moved,
// a number off by one, a statement or a case left out), runs the tests, and lists the
// changes that no test noticed.
//
// All changes within functions are built into one test binary; a variable of the
// environment selects one of them. Only the tests that reach a change are run on it. Changes
// that do not compile do not count. A test run that does not end in time, or allocates memory
// without end, has noticed.
//
// Not changed are: texts (string literals), String methods, declarations with :=, cases
// that do what the default does anyway, and generated files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// options are the flags of the command.
type options struct {
	dir, files, ignore string
	sample             int
	seed               uint64
	least              float64
	// patience is how much processor time a test run may take, at the least.
	patience time.Duration
	// args go to the test binary.
	args []string
}

func main() {
	var o options
	flag.StringVar(&o.files, "files", "", "mutate only files whose name matches this regular expression")
	flag.StringVar(&o.ignore, "ignore", "", "file with the mutations that change nothing, each below its reason; one that a test notices is an error")
	flag.IntVar(&o.sample, "sample", 0, "try only this many mutations, picked by -seed")
	flag.Uint64Var(&o.seed, "seed", 1, "what to pick the sample by")
	flag.Float64Var(&o.least, "min", 90, "fail below this score, in percent")
	flag.DurationVar(&o.patience, "patience", 5*time.Second, "how much processor time a run of the tests may take, or else ten times as much as without mutations")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: mutate [flags] folder-of-the-package [flags of its test binary]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.dir, o.args = flag.Arg(0), flag.Args()[1:]
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, &o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// run tries the mutants of a package, and reports.
func run(ctx context.Context, out io.Writer, o *options) error {
	folder, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the mutants: %w", err)
	}
	defer os.RemoveAll(folder)
	t, err := load(ctx, o.dir)
	if err != nil {
		return err
	}
	mutants, ignored, err := o.mutants(t)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d mutations, %d of them ignored\n", len(mutants)+len(ignored), len(ignored))
	survived, err := t.try(ctx, out, folder, slices.Concat(mutants, ignored), o)
	if err != nil {
		return err
	}
	return report(out, mutants, ignored, survived, o.least)
}

// report lists the mutations that no test noticed, and those to be ignored that a test
// did notice: the reason to ignore them does not hold.
func report(out io.Writer, mutants, ignored, survived []*mutant, least float64) error {
	alive := map[*mutant]bool{}
	for _, m := range survived {
		alive[m] = true
	}
	caught := 0
	for _, m := range mutants {
		if alive[m] {
			fmt.Fprintln(out, m)
		} else {
			caught++
		}
	}
	var noticed []error
	for _, m := range ignored {
		if !alive[m] {
			noticed = append(noticed, fmt.Errorf("a test notices this mutation, take it off the list of ignored ones: %s", m.name))
		}
	}
	score := 100 * float64(caught) / float64(max(len(mutants), 1))
	fmt.Fprintf(out, "mutation score: %.1f %% (%d of %d caught)\n", score, caught, len(mutants))
	if score < least {
		noticed = append(noticed, fmt.Errorf("the score is to be at least %.0f %%", least))
	}
	return errors.Join(noticed...)
}

// mutants lists what can be changed in the package, and compiles, as far as the flags do not leave
// it out, and apart those to be ignored.
func (o *options) mutants(t *target) (mutants, ignored []*mutant, err error) {
	var all []*mutant
	for _, file := range t.files {
		all = append(all, find(file)...)
	}
	for i, m := range all {
		m.id = i + 1
	}
	mutants, others, err := o.inFiles(all)
	if err != nil {
		return nil, nil, err
	}
	if mutants, err = t.compiling(mutants); err != nil {
		return nil, nil, err
	}
	return o.pick(mutants, others)
}

// inFiles are the mutants in the files that the flags name, and the others.
func (o *options) inFiles(all []*mutant) (in, others []*mutant, err error) {
	files, err := regexp.Compile(o.files)
	if err != nil {
		return nil, nil, fmt.Errorf("-files: %w", err)
	}
	for _, m := range all {
		if files.MatchString(m.file.name) {
			in = append(in, m)
		} else {
			others = append(others, m)
		}
	}
	return in, others, nil
}

// pick leaves out what the flags leave out, and returns those to be ignored apart. Those
// are tried as well, to find out whether the reason to ignore them still holds. The list
// may name others, too.
func (o *options) pick(all, others []*mutant) (mutants, ignored []*mutant, err error) {
	ignore := map[string]bool{}
	if o.ignore != "" {
		text, err := os.ReadFile(o.ignore)
		if err != nil {
			return nil, nil, fmt.Errorf("-ignore: %w", err)
		}
		if ignore, err = parseIgnored(string(text), slices.Concat(all, others)); err != nil {
			return nil, nil, fmt.Errorf("%s:%w", o.ignore, err)
		}
	}
	for _, m := range all {
		if ignore[m.name] {
			ignored = append(ignored, m)
		} else {
			mutants = append(mutants, m)
		}
	}
	if o.sample > 0 && o.sample < len(mutants) {
		random := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // a sample that can be drawn again
		random.Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
		mutants = mutants[:o.sample]
	}
	return mutants, ignored, nil
}

// parseIgnored reads a list of mutations to ignore: a name a line, below a comment with
// the reason. One that no longer exists must be removed.
func parseIgnored(text string, all []*mutant) (map[string]bool, error) {
	ignored, reason, number := map[string]bool{}, false, 0
	var wrong []error // all of them, because each run takes a while
	for line := range strings.Lines(text) {
		number++
		switch line = strings.TrimSpace(line); {
		case line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case !reason:
			wrong = append(wrong, fmt.Errorf("%d: give the reason in a comment above: %s", number, line))
		case !slices.ContainsFunc(all, func(m *mutant) bool { return m.name == line }):
			wrong = append(wrong, fmt.Errorf("%d: no such mutation exists any longer: %s", number, line))
		default:
			ignored[line] = true
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return ignored, nil
}

// try runs on each mutant the tests that reach it, as many at a time as there are processors,
// and returns the mutants that survive.
func (t *target) try(ctx context.Context, out io.Writer, folder string, mutants []*mutant, o *options) ([]*mutant, error) {
	tests, err := t.tests(ctx, folder, o.args)
	if err != nil {
		return nil, err
	}
	texts, _ := t.together(mutants)
	binary, err := t.build(ctx, folder, texts)
	if err != nil {
		return nil, err
	}
	tests, took, err := t.unchanged(ctx, out, binary, tests, o.args)
	if err != nil {
		return nil, err
	}
	limit := max(10*took, o.patience, 100*time.Millisecond)
	survived, tried := make([]bool, len(mutants)), progress(out, len(mutants))
	err = parallel(ctx, len(mutants), func(i int) (err error) {
		survived[i], err = t.survives(ctx, limit, folder, binary, mutants[i], runsFor(mutants[i], tests, o.args))
		tried()
		return err
	})
	var list []*mutant
	for i, m := range mutants {
		if survived[i] {
			list = append(list, m)
		}
	}
	return list, err
}

// progress returns a function to be called for each of n mutants that was tried. It says once a minute
// how many that are.
func progress(out io.Writer, n int) func() {
	var mu sync.Mutex
	tried, next := 0, time.Now().Add(time.Minute)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		tried++
		if now := time.Now(); now.After(next) {
			next = now.Add(time.Minute)
			fmt.Fprintf(out, "%d of %d tried\n", tried, n)
		}
	}
}

// survives reports whether the tests pass on a mutant, in all runs.
func (t *target) survives(ctx context.Context, limit time.Duration, folder, binary string, m *mutant, runs [][]string) (bool, error) {
	if m.function == nil {
		own := filepath.Join(folder, strconv.Itoa(m.id))
		if err := os.Mkdir(own, 0o700); err != nil {
			return false, fmt.Errorf("cannot make a folder for a mutant: %w", err)
		}
		var err error
		if binary, err = t.build(ctx, own, m.alone()); err != nil {
			return false, err
		}
	}
	for _, args := range runs {
		if pass, _, err := t.passes(ctx, limit, binary, m.id, args); !pass || err != nil {
			return false, err
		}
	}
	return true, nil
}

// passes runs a test binary as a mutant, and reports whether it passes and how much processor
// time it took. limit is how much it may take, 0 if there is no limit.
func (t *target) passes(ctx context.Context, limit time.Duration, binary string, id int, args []string) (bool, time.Duration, error) {
	cmd := exec.CommandContext(ctx, binary, append([]string{"-test.failfast", "-test.timeout=10m"}, args...)...)
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", chosen, id), fmt.Sprintf("%s=%d", patience, limit.Milliseconds()))
	err := cmd.Run()
	var failed *exec.ExitError
	if err == nil || errors.As(err, &failed) {
		return err == nil, cmd.ProcessState.UserTime(), ctx.Err()
	}
	return false, 0, fmt.Errorf("cannot run the tests: %w", err)
}
