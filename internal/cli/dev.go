package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/cli/crds"
	"github.com/jobkit/jobkit/internal/devenv"
)

// devCluster is a control plane on this machine.
type devCluster interface {
	// Kubeconfig is the path of its kubeconfig.
	Kubeconfig() string
	// RESTConfig reaches it.
	RESTConfig() (*rest.Config, error)
	// LogFile is the path of its log.
	LogFile() string
	// Stop stops it and waits until it is gone.
	Stop() error
}

// devEnvironment starts, finds and stops control planes.
type devEnvironment interface {
	// start starts one that ends with this process.
	start(ctx context.Context, o devenv.Options) (devCluster, error)
	// up starts one that goes on running, or finds the one that does, and says which.
	up(ctx context.Context, o devenv.Options) (cluster devCluster, started bool, err error)
	// find finds the one that up has started; errNotRunning if there is none.
	find() (devCluster, error)
	// down stops the one that up has started, if there is one.
	down(ctx context.Context) error
}

// errNotRunning means that no control plane runs.
var errNotRunning = errors.New("no control plane is running")

// devCommand is jobkit dev.
func (a *app) devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "run a control plane on this machine",
		Long: "A real Kubernetes control plane in one process, without root or containers: API server,\n" +
			"scheduler and controllers, and nodes whose pods live as their annotations say.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.devUpCommand(), a.devDownCommand(), a.devKubeconfigCommand(), a.devStatusCommand())
	return cmd
}

// devUpCommand is jobkit dev up.
func (a *app) devUpCommand() *cobra.Command {
	var (
		f    devFlags
		bare bool
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "start the control plane, which runs until jobkit dev down",
		Long: "Start the control plane and install the job kinds of this version on it. If it is running\n" +
			"already, that is fine. The first time it is built, which takes minutes; then it is cached.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.read()
			if err != nil {
				return withCode(exitRefused, err)
			}
			o.Progress = a.streams.Err
			return withCode(exitFailed, a.devUp(cmd.Context(), o, bare))
		},
	}
	f.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&bare, "bare", false, "do not install the job kinds")
	return cmd
}

// devUp executes jobkit dev up.
func (a *app) devUp(ctx context.Context, o devenv.Options, bare bool) error {
	cluster, started, err := a.dev.up(ctx, o)
	if err != nil {
		return err
	}
	if !bare {
		err := a.installOn(ctx, cluster)
		if err != nil {
			return fmt.Errorf("the control plane is up, but: %w", err)
		}
	}
	how := "is up"
	if !started {
		how = "was up already, as it was started then"
	}
	fmt.Fprintf(a.streams.Out, `The control plane %s, and stays so until "jobkit dev down".

  export KUBECONFIG=%s

Next, each in its own terminal:
  go run ./cmd/operator
  jobkit run -f examples/jobs/pytorchjob/torch-ddp.yaml
`, how, cluster.Kubeconfig())
	return nil
}

// installOn installs the job kinds on a control plane.
func (a *app) installOn(ctx context.Context, cluster devCluster) error {
	config, err := cluster.RESTConfig()
	if err != nil {
		return fmt.Errorf("cannot reach the control plane: %w", err)
	}
	client, err := a.clientFor(config)
	if err != nil {
		return err
	}
	definitions, err := crds.All()
	if err != nil {
		return fmt.Errorf("cannot read the job kinds: %w", err)
	}
	err = crds.Install(ctx, client.dynamic, client.discovery, definitions)
	if err != nil {
		return fmt.Errorf("cannot install the job kinds: %w", err)
	}
	return nil
}

// devDownCommand is jobkit dev down.
func (a *app) devDownCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "stop the control plane; if none is running, that is fine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, found := a.dev.find()
			// Also if none is found: one that ended uncleanly leaves files behind.
			err := a.dev.down(cmd.Context())
			if err != nil {
				return withCode(exitFailed, err)
			}
			if errors.Is(found, errNotRunning) {
				fmt.Fprintln(a.streams.Out, "no control plane is running")
			} else {
				fmt.Fprintln(a.streams.Out, "the control plane is stopped")
			}
			return nil
		},
	}
}

// devKubeconfigCommand is jobkit dev kubeconfig.
func (a *app) devKubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "kubeconfig",
		Short:   "print the path of the control plane's kubeconfig",
		Example: "  export KUBECONFIG=$(jobkit dev kubeconfig)",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cluster, err := a.running()
			if err != nil {
				return withCode(exitFailed, err)
			}
			fmt.Fprintln(a.streams.Out, cluster.Kubeconfig())
			return nil
		},
	}
}

// devStatusCommand is jobkit dev status.
func (a *app) devStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "say whether the control plane is running, and where",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := a.running()
			if err != nil {
				return withCode(exitFailed, err)
			}
			config, err := cluster.RESTConfig()
			if err != nil {
				return withCode(exitFailed, fmt.Errorf("cannot reach the control plane: %w", err))
			}
			client, err := a.clientFor(config)
			if err != nil {
				return withCode(exitFailed, err)
			}
			info, err := client.discovery.ServerVersionWithContext(cmd.Context())
			if err != nil {
				return withCode(exitFailed, fmt.Errorf("the control plane runs but does not answer: %w; its log is %s",
					withoutURL(err), cluster.LogFile()))
			}
			fmt.Fprintf(a.streams.Out, "running      Kubernetes %s\nserver       %s\nkubeconfig   %s\nlog          %s\n",
				info.GitVersion, config.Host, cluster.Kubeconfig(), cluster.LogFile())
			return nil
		},
	}
}

// running is the control plane that is running, or an error that says how to start it.
func (a *app) running() (devCluster, error) {
	cluster, err := a.dev.find()
	if errors.Is(err, errNotRunning) {
		return nil, fmt.Errorf("%w: start it with: jobkit dev up", errNotRunning)
	}
	if err != nil {
		return nil, err
	}
	return cluster, nil
}
