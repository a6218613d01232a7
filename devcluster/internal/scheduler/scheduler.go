// Package scheduler runs kube-scheduler inside this process.
package scheduler

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// Options of Run.
type Options struct {
	// Kubeconfig is the path of the scheduler's own kubeconfig.
	Kubeconfig string
	// Args are more kube-scheduler flags, which win over the ones chosen
	// here. Feature gates are not among them: see apiserver.Options.
	Args []string
}

// Run schedules until ctx is done.
func Run(ctx context.Context, o Options) error {
	opts := options.NewOptions()
	flags := pflag.NewFlagSet("kube-scheduler", pflag.ContinueOnError)
	for _, set := range opts.Flags.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args(o)); err != nil {
		return fmt.Errorf("cannot parse kube-scheduler flags: %w", err)
	}
	config, sched, err := app.Setup(ctx, opts)
	if err != nil {
		return fmt.Errorf("cannot set up kube-scheduler: %w", err)
	}
	return app.Run(ctx, config, sched)
}

func args(o Options) []string {
	return append([]string{
		"--kubeconfig=" + o.Kubeconfig,
		// The only instance needs no election, and none means no wait for one.
		"--leader-elect=false",
		// 0 serves nothing: no port to collide with, nothing to secure.
		"--secure-port=0",
		// The default of 50 requests a second caps scheduling at 50 pods a second.
		"--kube-api-qps=5000",
		"--kube-api-burst=5000",
	}, o.Args...)
}
