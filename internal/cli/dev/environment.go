package dev

import (
	"context"
	"errors"

	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/devenv"
)

// Cluster is a control plane on this machine.
type Cluster interface {
	// Kubeconfig is the path of its kubeconfig.
	Kubeconfig() string
	// RESTConfig reaches it.
	RESTConfig() (*rest.Config, error)
	// LogFile is the path of its log.
	LogFile() string
	// Stop stops it and waits until it is gone.
	Stop() error
}

// Environment starts, finds and stops control planes.
type Environment interface {
	// Start starts one that ends with this process.
	Start(ctx context.Context, o devenv.Options) (Cluster, error)
	// Up starts one that keeps running, or finds the one that does, and says which.
	Up(ctx context.Context, o devenv.Options) (cluster Cluster, started bool, err error)
	// Find finds the one that Up has started; ErrNotRunning if none runs.
	Find() (Cluster, error)
	// Down stops the one that Up has started, if one runs.
	Down(ctx context.Context) error
}

// ErrNotRunning means that no control plane runs.
var ErrNotRunning = errors.New("no control plane is running")

// ThisMachine is the Environment of package devenv.
type ThisMachine struct{}

// Start implements Environment.
func (ThisMachine) Start(ctx context.Context, o devenv.Options) (Cluster, error) {
	started, err := devenv.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return started, nil
}

// Up implements Environment.
func (m ThisMachine) Up(ctx context.Context, o devenv.Options) (Cluster, bool, error) {
	started, err := devenv.Up(ctx, o)
	if errors.Is(err, devenv.ErrRunning) {
		running, err := m.Find()
		return running, false, err
	}
	if err != nil {
		return nil, false, err
	}
	return started, true, nil
}

// Find implements Environment.
func (ThisMachine) Find() (Cluster, error) {
	running, err := devenv.Find()
	if err != nil {
		return nil, err
	}
	if running == nil {
		return nil, ErrNotRunning
	}
	return running, nil
}

// Down implements Environment.
func (ThisMachine) Down(ctx context.Context) error { return devenv.Down(ctx) }
