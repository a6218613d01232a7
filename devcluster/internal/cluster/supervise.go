package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// errEnded is the error of a component that returned nil although it should run.
var errEnded = errors.New("it ended unexpectedly")

// supervisor runs components and stops them in the reverse of the order in which
// they were started. A component that ends before that fails all.
type supervisor struct {
	fail context.CancelCauseFunc
	runs []run
}

// run is one running component.
type run struct {
	name string
	stop context.CancelFunc
	done <-chan struct{}
	// patience, unless 0, is how long the end is waited for before the component
	// is left to the end of the process, which is not a failure.
	patience time.Duration
}

// start runs f in a goroutine. Its context outlives ctx, because the components
// have to stop one after the other.
func (s *supervisor) start(ctx context.Context, name string, f func(context.Context) error) {
	s.startPatient(ctx, name, 0, f)
}

// startPatient is start for a component that may end later than patience, or never.
func (s *supervisor) startPatient(ctx context.Context, name string, patience time.Duration, f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	s.runs = append(s.runs, run{name: name, stop: stop, done: done, patience: patience})
	go func() {
		defer close(done)
		err := protect(ctx, f)
		if ctx.Err() != nil {
			return // it was asked to stop; its error does not matter
		}
		if err == nil {
			err = errEnded
		}
		s.fail(fmt.Errorf("%s died: %w", name, err))
	}()
}

// stop ends the components from last to first, each within timeout. The error
// names those that did not end although they should.
func (s *supervisor) stop(timeout time.Duration) error {
	var late []string
	for i := len(s.runs) - 1; i >= 0; i-- {
		r := s.runs[i]
		r.stop()
		timer := time.NewTimer(min(timeout, cmp.Or(r.patience, timeout)))
		select {
		case <-r.done:
		case <-timer.C:
			if r.patience == 0 {
				late = append(late, r.name)
			}
		}
		timer.Stop()
	}
	s.runs = nil
	if len(late) > 0 {
		return fmt.Errorf("cannot stop %s within %s", strings.Join(late, ", "), timeout)
	}
	return nil
}

// protect turns a panic of f into an error, so that it is reported by name.
// Components start goroutines of their own; those still crash the process.
func protect(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(ctx)
}
