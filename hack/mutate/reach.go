package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// test is one test of the package.
type test struct {
	name string
	took time.Duration // of processor time
	// blocks are those of the code of the package, by file.
	blocks map[string][]block
}

// block is a part of a file without branches, and whether a test reached it.
type block struct {
	from, to place
	reached  bool
}

// place is a place in a file; both numbers are from 1.
type place struct{ line, column int }

func (b block) contains(p place) bool { return b.from.compare(p) <= 0 && p.compare(b.to) < 0 }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column))
}

// tests runs each test of the package by itself, without mutations, and records what it
// reaches, so that a mutant has to be tried on few of them.
func (t *target) tests(ctx context.Context, folder string, args []string) ([]*test, error) {
	binary := filepath.Join(folder, "reach")
	if _, err := goCommand(ctx, t.dir, "test", "-c", "-vet=off", "-cover", "-covermode=set", "-o", binary, "."); err != nil {
		return nil, err
	}
	names, err := exec.CommandContext(ctx, binary, "-test.list", ".").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the tests: %w", err)
	}
	var tests []*test
	for name := range strings.FieldsSeq(string(names)) {
		if !strings.HasPrefix(name, "Benchmark") {
			tests = append(tests, &test{name: name})
		}
	}
	return tests, parallel(ctx, len(tests), func(i int) error {
		x := tests[i]
		profile := filepath.Join(folder, x.name)
		run := []string{"-test.coverprofile", profile, "-test.run", "^" + x.name + "$"}
		pass, took, err := t.passes(ctx, 0, binary, 0, append(run, args...))
		if err != nil {
			return err
		}
		if !pass {
			return fmt.Errorf("%s fails without any mutation: run it with go test first", x.name)
		}
		x.took = took
		text, err := os.ReadFile(profile)
		if err != nil {
			return fmt.Errorf("cannot read what a test reaches: %w", err)
		}
		x.blocks, err = parseProfile(string(text))
		return errors.Join(err, os.Remove(profile))
	})
}

// failure is the line with which a test ends that is not part of another, and failed.
var failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+) `)

// unchanged runs the tests on a binary with mutants of which none is active, and returns those that
// pass and how much processor time they took. The choice between mutants costs a little: what a test
// of allocations measures is then not the code.
func (t *target) unchanged(
	ctx context.Context, out io.Writer, binary string, tests []*test, args []string,
) ([]*test, time.Duration, error) {
	cmd := exec.CommandContext(ctx, binary, append([]string{"-test.v"}, args...)...)
	cmd.Dir = t.dir
	printed, err := cmd.Output()
	failed := failure.FindAllSubmatch(printed, -1)
	if err != nil && len(failed) == 0 {
		return nil, 0, fmt.Errorf("cannot run the tests without any mutation: %w", err)
	}
	for _, f := range failed {
		name := string(f[1])
		fmt.Fprintf(out, "left out: %s, which fails if the code can be changed, although it is not\n", name)
		tests = slices.DeleteFunc(tests, func(x *test) bool { return x.name == name })
	}
	return tests, cmd.ProcessState.UserTime(), nil
}

// parseProfile reads a profile of what a test reaches.
func parseProfile(text string) (map[string][]block, error) {
	blocks := map[string][]block{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "mode:") {
			continue
		}
		file, rest, _ := strings.Cut(line, ":")
		var (
			b                 block
			statements, times int
		)
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.from.line, &b.from.column, &b.to.line, &b.to.column, &statements, &times); err != nil {
			return nil, fmt.Errorf("cannot read what a test reaches: %q: %w", line, err)
		}
		b.reached = times > 0
		blocks[path.Base(file)] = append(blocks[path.Base(file)], b)
	}
	return blocks, nil
}

// reaches reports whether a test runs the code that a mutant changes. What is in no block, such
// as the value of a case, is taken to run whenever a part of its function does.
func (x *test) reaches(m *mutant) bool {
	if m.function == nil {
		return true
	}
	at, within, part := m.file.place(m.from), false, false
	body := block{from: m.file.place(m.file.offset(m.function.Body.Lbrace)), to: m.file.place(m.file.offset(m.function.Body.Rbrace) + 1)}
	for _, b := range x.blocks[m.file.name] {
		if b.contains(at) {
			if within = true; b.reached {
				return true
			}
		}
		part = part || b.reached && body.contains(b.from)
	}
	return part && !within
}

// runsFor are the arguments of the runs of the tests that try a mutant: none if no test reaches
// it. Tests that take long come last, because most mutants are noticed by others.
func runsFor(m *mutant, tests []*test, args []string) [][]string {
	const long = 100 * time.Millisecond
	var fast, slow []string
	for _, x := range tests {
		switch {
		case !x.reaches(m):
		case x.took < long:
			fast = append(fast, x.name)
		default:
			slow = append(slow, x.name)
		}
	}
	var runs [][]string
	for _, names := range [][]string{fast, slow} {
		if len(names) > 0 {
			runs = append(runs, append([]string{"-test.run", "^(" + strings.Join(names, "|") + ")$"}, args...))
		}
	}
	return runs
}

// parallel calls a function for the numbers below n, as many at a time as there are processors.
func parallel(ctx context.Context, n int, f func(int) error) error {
	problems := make([]error, n+1)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				problems[i] = f(i)
			}
		})
	}
	workers.Wait()
	problems[n] = ctx.Err()
	return errors.Join(problems...)
}
