// Package dev starts, finds and stops the control plane on this machine.
//
//   - [Environment] is where control planes run; [ThisMachine] is the usual one.
//   - [Up], [Down], [Running] and [Status] are what the commands of the same names do.
//   - [Acquire] finds or starts a control plane for a demo.
package dev

import (
	"context"
	"errors"
	"fmt"

	"github.com/jobkit/jobkit/internal/cli/cluster"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/install"
	"github.com/jobkit/jobkit/internal/devenv"
)

// Kinds are the job kinds that Up installs.
type Kinds struct {
	// None installs none.
	None bool
	// CRDs are files, or folders of them, whose kinds are installed instead of those of this
	// version.
	CRDs []string
}

// Up starts the control plane, or finds the one that runs, installs job kinds on it, and says
// how to use it.
func Up(ctx context.Context, e Environment, streams console.Streams, o devenv.Options, kinds Kinds) error {
	definitions, err := kinds.definitions()
	if err != nil {
		return err
	}
	o.Progress = streams.Err
	up, started, err := e.Up(ctx, o)
	if err != nil {
		return err
	}
	if len(definitions) > 0 {
		err := installOn(ctx, up, streams, definitions)
		if err != nil {
			return fmt.Errorf("the control plane is up, but: %w", err)
		}
	}
	how := "is up"
	if !started {
		how = "was up already, as it was started then"
	}
	fmt.Fprintf(streams.Out, `The control plane %s, and stays so until "jobkit dev down".

  export KUBECONFIG=%s

Next, each in its own terminal:
%s`, how, up.Kubeconfig(), kinds.next())
	return nil
}

// definitions are the CRDs of the kinds.
func (k Kinds) definitions() ([]install.Definition, error) {
	switch {
	case k.None:
		return nil, nil
	case len(k.CRDs) > 0:
		return install.Files(k.CRDs)
	}
	definitions, err := install.WithExample()
	if err != nil {
		return nil, fmt.Errorf("cannot read the job kinds: %w", err)
	}
	return definitions, nil
}

// next says what to do with the control plane.
func (k Kinds) next() string {
	if len(k.CRDs) > 0 {
		return "  go run ./cmd/operator\n  jobkit run -f job.yaml\n"
	}
	return "  go run ./cmd/operator\n  jobkit run -f examples/jobs/pytorchjob/torch-ddp.yaml\n"
}

// installOn installs job kinds on a control plane.
func installOn(ctx context.Context, c Cluster, streams console.Streams, definitions []install.Definition) error {
	config, err := c.RESTConfig()
	if err != nil {
		return fmt.Errorf("cannot reach the control plane: %w", err)
	}
	client, err := cluster.NewClient(config, streams.Err)
	if err != nil {
		return err
	}
	err = install.CRDs(ctx, client.Dynamic, client.Discovery, definitions)
	if err != nil {
		return fmt.Errorf("cannot install the job kinds: %w", err)
	}
	return nil
}

// Down stops the control plane. It is not an error if none is running.
func Down(ctx context.Context, e Environment, streams console.Streams) error {
	_, found := e.Find()
	// Also if none is found: one that ended uncleanly leaves files behind.
	err := e.Down(ctx)
	if err != nil {
		return err
	}
	if errors.Is(found, ErrNotRunning) {
		fmt.Fprintln(streams.Out, "no control plane is running")
	} else {
		fmt.Fprintln(streams.Out, "the control plane is stopped")
	}
	return nil
}

// Running is the control plane that is running, or an error that says how to start it.
func Running(e Environment) (Cluster, error) {
	found, err := e.Find()
	if errors.Is(err, ErrNotRunning) {
		return nil, fmt.Errorf("%w: start it with: jobkit dev up", ErrNotRunning)
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Status says where the control plane runs, and makes sure that it answers.
func Status(ctx context.Context, e Environment, streams console.Streams) error {
	running, err := Running(e)
	if err != nil {
		return err
	}
	config, err := running.RESTConfig()
	if err != nil {
		return fmt.Errorf("cannot reach the control plane: %w", err)
	}
	client, err := cluster.NewClient(config, streams.Err)
	if err != nil {
		return err
	}
	info, err := client.Discovery.ServerVersionWithContext(ctx)
	if err != nil {
		return fmt.Errorf("the control plane runs but does not answer: %w; its log is %s",
			cluster.WithoutURL(err), running.LogFile())
	}
	fmt.Fprintf(streams.Out, "running      Kubernetes %s\nserver       %s\nkubeconfig   %s\nlog          %s\n",
		info.GitVersion, config.Host, running.Kubeconfig(), running.LogFile())
	return nil
}
