package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/dev"
)

// Local says what to run on a control plane on this machine.
type Local struct {
	// Environment is where the control plane runs.
	Environment dev.Environment
	// Examples are the jobs to run.
	Examples []Example
	// Keep leaves the control plane and the jobs there. Default: false.
	Keep bool
	// Timeout is how long it may take once the control plane is up. Default: 0, no limit.
	Timeout time.Duration
	// Log makes the logger of the operators from the file that it writes to.
	Log func(file io.Writer) logr.Logger
}

// Run finds or starts a control plane and runs the examples on it, as the function Run
// does. It removes the operators' log if all went well, and otherwise says where it is.
func (l Local) Run(ctx context.Context, streams console.Streams) (err error) {
	log, err := os.CreateTemp("", "jobkit-demo-*.log")
	if err != nil {
		return fmt.Errorf("cannot make a file for the operators' log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	cluster, err := dev.Acquire(ctx, l.Environment, streams.Err, l.Keep)
	if err != nil {
		return errors.Join(err, os.Remove(log.Name()))
	}
	defer func() { err = errors.Join(err, cluster.Release()) }()
	config, err := cluster.RESTConfig()
	if err != nil {
		return fmt.Errorf("cannot reach the control plane: %w", err)
	}
	page := &livePage{config: config, streams: streams}
	defer page.end()
	namespace, err := Run(ctx, streams, Options{
		Examples: l.Examples, Config: config, Shared: cluster.Shared, Keep: l.Keep, Timeout: l.Timeout, Log: l.Log(log),
		Ready: func(namespace string) { page.begin(ctx, namespace) },
	})
	switch {
	case l.Keep && namespace != "":
		kept(streams.Out, cluster, namespace, l.Examples)
	case namespace != "":
		page.leave(ctx)
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return errors.Join(err, os.Remove(log.Name()))
	}
	fmt.Fprintf(streams.Err, "\nlogs: %s (operators)", log.Name())
	if cluster.Shared {
		fmt.Fprintf(streams.Err, ", %s (control plane)", cluster.LogFile())
	}
	fmt.Fprintln(streams.Err)
	return err
}

// kept says how to inspect what Keep has left.
func kept(out io.Writer, cluster dev.Cluster, namespace string, examples []Example) {
	var kinds []string
	for _, e := range examples {
		kinds = append(kinds, strings.ToLower(e.Object.GetKind()))
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	fmt.Fprintln(out, strings.Join([]string{
		"",
		"The control plane and the jobs are kept; the operators have ended with this command. Inspect them:",
		"  export KUBECONFIG=" + cluster.Kubeconfig(),
		"  kubectl get " + strings.Join(kinds, ",") + ",pods,services,events -n " + namespace,
		"  kubectl describe " + strings.Join(kinds, ",") + " -n " + namespace,
		"See them in a browser:",
		"  jobkit ui -n " + namespace + " (it prints the page's address)",
		picture,
		"Remove them:",
		"  kubectl delete namespace " + namespace,
		"  jobkit dev down",
	}, "\n"))
}
