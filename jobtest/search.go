package jobtest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// TB is what a search needs of a *testing.T.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Scenario makes a World with the given Chance, lets it run, and returns what that
// returned. It must take from Chance all that it leaves to chance itself.
type Scenario func(*Chance) error

// Environment variables that a Search obeys.
const (
	// EnvRuns is how many seeds to try.
	EnvRuns = "JOBKIT_SIM_RUNS"
	// EnvSeed is the one seed to try, or the first if EnvRuns is set too.
	EnvSeed = "JOBKIT_SIM_SEED"
)

// reportRuns is after how many runs a search says how far it is.
const reportRuns = 10_000

// Search runs a scenario with the seeds 1 to runs, unless the environment says otherwise.
// The first that fails ends the test, with its seed and the transcript of the shortest run
// that breaks the same promise.
func Search(t TB, runs int, scenario Scenario) {
	t.Helper()
	first := uint64(1)
	if s, err := strconv.ParseUint(os.Getenv(EnvSeed), 10, 64); err == nil {
		first, runs = s, 1
	}
	if s, err := strconv.Atoi(os.Getenv(EnvRuns)); err == nil {
		runs = s
	}
	begin := time.Now()
	for done := 0; done < runs; {
		n := min(runs-done, reportRuns)
		if seed, found := searchSeeds(first+uint64(done), n, scenario); found != nil {
			err := Shrink(NewChance(seed), scenario)
			if err == nil {
				err = notTheSame(found)
			}
			t.Fatalf("seed %d (repeat it with %s=%d): %v", seed, EnvSeed, seed, err)
		}
		done += n
		took := time.Since(begin)
		t.Logf("%d runs in %v, %.0f seeds a second", done, took.Round(time.Millisecond), float64(done)/took.Seconds())
	}
}

// searchSeeds tries seeds on all processors, and returns the lowest that fails, with its error.
func searchSeeds(first uint64, runs int, scenario Scenario) (uint64, error) {
	var next atomic.Uint64
	next.Store(first)
	var lowest failure
	lowest.seed.Store(first + uint64(max(runs, 0)))
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < lowest.seed.Load(); seed = next.Add(1) - 1 {
				c := NewChance(seed)
				c.quiet = true
				lowest.take(seed, attempt(scenario, c))
			}
		})
	}
	wg.Wait()
	return lowest.seed.Load(), lowest.err
}

// failure is the lowest seed that failed, or the first that is not to be tried.
type failure struct {
	seed atomic.Uint64
	mu   sync.Mutex
	err  error
}

// take keeps the error of a seed, if it has one, and no lower one failed.
func (f *failure) take(seed uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && seed < f.seed.Load() {
		f.seed.Store(seed)
		f.err = err
	}
}

// notTheSame is the error of a run that failed, and did not fail when it was repeated.
func notTheSame(err error) error {
	return fmt.Errorf("a run with the same choices ended in another way: something in it depends on the order of a map, "+
		"on the time of day or on another goroutine. It failed with: %w", err)
}

// attempt runs a scenario and turns a panic into an error.
func attempt(scenario Scenario, c *Chance) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return scenario(c)
}

// maxShrink is how many runs are spent on making a failing run shorter.
const maxShrink = 3000

// Shrink reduces a failing run while it still breaks the same promise, and
// returns the error of the minimal one.
func Shrink(c *Chance, scenario Scenario) error {
	c.quiet = true
	err := attempt(scenario, c)
	if err == nil {
		return nil
	}
	promise := promiseOf(err)
	left := maxShrink
	fails := func(tape []uint32) bool {
		left--
		c := replay(tape)
		c.quiet = true
		again := attempt(scenario, c)
		if again == nil || promiseOf(again) != promise {
			return false
		}
		err = again
		return true
	}
	tape := shrinkTape(c.tape[:c.pos], fails, &left)
	if minimal := attempt(scenario, replay(tape)); minimal != nil {
		return minimal
	}
	return notTheSame(err)
}

// shrinkTape removes choices, and makes them smaller, while the run still fails.
func shrinkTape(tape []uint32, fails func([]uint32) bool, left *int) []uint32 { //nolint:gocognit // the two passes share their state
	for changed := true; changed && *left > 0; {
		changed = false
		for size := max(len(tape)/2, 1); size > 0 && *left > 0; size /= 2 {
			for at := len(tape) - size; at >= 0 && *left > 0; at -= size {
				if cut := without(tape, at, size); fails(cut) {
					tape, changed = cut, true
				} else if flat, changes := zeroed(tape, at, size); changes && fails(flat) {
					tape, changed = flat, true
				}
				at = min(at, len(tape))
			}
		}
		for at := range tape {
			for tape[at] > 1 && *left > 0 {
				lower := append([]uint32(nil), tape...)
				lower[at]--
				if !fails(lower) {
					break
				}
				tape, changed = lower, true
			}
		}
	}
	return tape
}

func without(tape []uint32, at, size int) []uint32 {
	out := append([]uint32(nil), tape[:at]...)
	return append(out, tape[min(at+size, len(tape)):]...)
}

func zeroed(tape []uint32, at, size int) ([]uint32, bool) {
	out, changed := append([]uint32(nil), tape...), false
	for i := at; i < min(at+size, len(out)); i++ {
		changed = changed || out[i] != 0
		out[i] = 0
	}
	return out, changed
}

// promiseOf names the promise that an error says is broken.
func promiseOf(err error) string {
	if v, ok := errors.AsType[*ViolationError](err); ok {
		return v.Promise
	}
	return "error"
}

// Exhaust runs a scenario with every fault at every call of the operator, and with
// two faults also with every pair of them.
func Exhaust(t TB, faults int, scenario Scenario) {
	t.Helper()
	exhaust(t, scenario, exhaustion{faults: faults, every: 1})
}

// exhaustion says which faults to try.
type exhaustion struct {
	// faults is how many in one run.
	faults int
	// every makes one of so many runs with one fault, and of these one of so many
	// with a second: 1 makes all. first is the one of them.
	every, first int
	// but are faults to leave out.
	but []Fault
}

// of are those of the faults which a call can meet that are to be tried.
func (e exhaustion) of(faults []Fault) []Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return slices.Contains(e.but, f) })
}

// exhaust runs a scenario with the faults wanted.
func exhaust(t TB, scenario Scenario, e exhaustion) {
	t.Helper()
	begin, runs := time.Now(), 0
	reached := make([]int, e.faults+1)
	var visit func(script map[int]Fault, from, depth int)
	visit = func(script map[int]Fault, from, depth int) {
		if reached[depth]++; depth < e.faults && reached[depth]%e.every != e.first {
			return
		}
		c := &Chance{script: script, quiet: true}
		runs++
		if attempt(scenario, c) != nil {
			t.Fatalf("with the faults %v: %v", script, attempt(scenario, &Chance{script: script}))
		}
		if depth == 0 {
			return
		}
		for i := from; i <= len(c.calls); i++ {
			for _, f := range e.of(c.calls[i-1]) {
				next := map[int]Fault{i: f}
				maps.Copy(next, script)
				visit(next, i+1, depth-1)
			}
		}
	}
	visit(map[int]Fault{}, 1, e.faults)
	took := time.Since(begin)
	t.Logf("%d runs in %v, %.0f runs a second", runs, took.Round(time.Millisecond), float64(runs)/took.Seconds())
}
