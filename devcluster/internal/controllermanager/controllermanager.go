// Package controllermanager runs kube-controller-manager inside this process.
package controllermanager

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"

	"github.com/jobkit/jobkit/devcluster/internal/pki"
)

// Options of Run.
type Options struct {
	// Kubeconfig is the path of the controller manager's own kubeconfig.
	Kubeconfig string
	PKI        pki.Store
	// VolumePlugins is a folder, which is created, for plugins that nothing here uses. By
	// default root would get one in /usr.
	VolumePlugins string
	// NodeGrace is how long a node may be silent before it counts as lost.
	NodeGrace time.Duration
	// Args are more kube-controller-manager flags, which win over the ones
	// chosen here. Feature gates are not among them: see apiserver.Options.
	Args []string
}

// Run runs the default controllers until ctx is done.
func Run(ctx context.Context, o Options) error {
	s, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("cannot prepare kube-controller-manager options: %w", err)
	}
	known, disabled, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	sets := s.Flags(known, disabled, aliases)
	s.ParsedFlags = &sets
	flags := pflag.NewFlagSet("kube-controller-manager", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args(o)); err != nil {
		return fmt.Errorf("cannot parse kube-controller-manager flags: %w", err)
	}
	config, err := s.Config(ctx, known, disabled, aliases)
	if err != nil {
		return fmt.Errorf("cannot configure kube-controller-manager: %w", err)
	}
	return app.Run(ctx, config.Complete())
}

func args(o Options) []string {
	return append([]string{
		"--kubeconfig=" + o.Kubeconfig,
		// The only instance needs no election, and none means no wait for one.
		"--leader-elect=false",
		// 0 serves nothing: no port to collide with, nothing to secure.
		"--secure-port=0",
		"--service-account-private-key-file=" + o.PKI.Key(pki.ServiceAccount),
		"--root-ca-file=" + o.PKI.Cert(pki.CA),
		"--cluster-signing-cert-file=" + o.PKI.Cert(pki.CA),
		"--cluster-signing-key-file=" + o.PKI.Key(pki.CA),
		// RBAC's default roles are bound to one account per controller. Without
		// this every controller acts as the manager itself and is denied; the
		// nodes then keep their not-ready taint forever.
		"--use-service-account-credentials=true",
		// The default of 20 requests a second is for production; here it would
		// make garbage collection the slowest part of a test.
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		// Volume claims of the default storage class get volumes. No container ever uses one.
		"--enable-hostpath-provisioner=true",
		"--flex-volume-plugin-dir=" + o.VolumePlugins,
		"--node-monitor-grace-period=" + o.NodeGrace.String(),
	}, o.Args...)
}
