package dev

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jobkit/jobkit/internal/devenv"
)

// Acquired is a control plane that was found or started.
type Acquired struct {
	Cluster

	// Shared means that the control plane outlives the process.
	Shared bool
}

// Release stops the control plane unless it is shared.
func (a Acquired) Release() error {
	if a.Shared {
		return nil
	}
	return a.Stop()
}

// Acquire uses the control plane that runs, or starts one, which outlives the process if
// it is to be kept.
func Acquire(ctx context.Context, e Environment, progress io.Writer, keep bool) (Acquired, error) {
	running, err := e.Find()
	switch {
	case err == nil:
		fmt.Fprintln(progress, `using the control plane that is running ("jobkit dev up")`)
		return Acquired{running, true}, nil
	case !errors.Is(err, ErrNotRunning):
		return Acquired{}, err
	}
	fmt.Fprintln(progress, "starting a control plane on this machine")
	options := devenv.Options{Progress: progress}
	if keep {
		up, _, err := e.Up(ctx, options)
		if err != nil {
			return Acquired{}, err
		}
		return Acquired{up, true}, nil
	}
	started, err := e.Start(ctx, options)
	if err != nil {
		return Acquired{}, err
	}
	return Acquired{started, false}, nil
}
