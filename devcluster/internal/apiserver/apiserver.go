// Package apiserver runs kube-apiserver inside this process.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/jobkit/jobkit/devcluster/internal/pki"
)

// Options of New.
type Options struct {
	// Etcd is the URL of the store.
	Etcd string
	// Listener is where the server listens. Handing it over, rather than a
	// port number, leaves no moment in which another process can take the port.
	Listener net.Listener
	PKI      pki.Store
	// FeatureGates ("A=true,B=false") hold for every component of the process.
	FeatureGates string
	// RuntimeConfig ("group/version=true") switches API versions on and off.
	RuntimeConfig string
	// Verbosity of the logs of every component; 0 is quiet.
	Verbosity int
	// Args are more kube-apiserver flags, which win over the ones chosen here.
	Args []string
}

// Server is a configured kube-apiserver.
type Server struct{ options *options.ServerRunOptions }

// New parses the flags and applies what is global to the process: feature
// gates and logging. It must come before any other Kubernetes component and be
// called once; neither can be applied twice.
func New(o Options) (*Server, error) {
	s := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range s.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args(o)); err != nil {
		return nil, fmt.Errorf("cannot parse kube-apiserver flags: %w", err)
	}
	s.SecureServing.Listener = o.Listener
	registry := s.GenericServerRunOptions.ComponentGlobalsRegistry
	if err := registry.Set(); err != nil {
		return nil, fmt.Errorf("cannot apply feature gates %q: %w", o.FeatureGates, err)
	}
	s.Logs = logs.NewOptions()
	s.Logs.Verbosity = logsapi.VerbosityLevel(o.Verbosity)
	if err := logsapi.ValidateAndApply(s.Logs, registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)); err != nil {
		return nil, fmt.Errorf("cannot set up logging: %w", err)
	}
	// Deprecation warnings about the components' own requests help no one here.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return &Server{s}, nil
}

// Run serves until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	completed, err := s.options.Complete(ctx)
	if err != nil {
		return fmt.Errorf("cannot complete kube-apiserver options: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return fmt.Errorf("cannot validate kube-apiserver options: %w", errors.Join(errs...))
	}
	return app.Run(ctx, completed)
}

func args(o Options) []string {
	address := o.Listener.Addr().(*net.TCPAddr)
	a := []string{
		"--etcd-servers=" + o.Etcd,
		// Address and port are the listener's; the flags must agree with it
		// because self-references are derived from the flags.
		"--bind-address=" + address.IP.String(),
		"--advertise-address=" + address.IP.String(),
		fmt.Sprintf("--secure-port=%d", address.Port),
		// Logs and exec of a real kubelet are asked for at its address: the names of
		// nodes are in no one's DNS.
		"--kubelet-preferred-address-types=InternalIP,Hostname",
		// The reconciler would publish the loopback address as endpoint of the
		// kubernetes service, which validation rejects every few seconds.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/16",
		// Stop within seconds although clients watch: end the watches within one
		// second, and wait for what is left for two more instead of 60.
		"--shutdown-watch-termination-grace-period=1s",
		"--shutdown-send-retry-after=true",
		// Tests end by deleting namespaces; the default, one object at a time, would
		// make that the slowest part of them.
		"--delete-collection-workers=16",
		// As on real clusters, so that missing RBAC rules show up here.
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--client-ca-file=" + o.PKI.Cert(pki.CA),
		"--tls-cert-file=" + o.PKI.Cert(pki.Server),
		"--tls-private-key-file=" + o.PKI.Key(pki.Server),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + o.PKI.PublicKey(pki.ServiceAccount),
		"--service-account-signing-key-file=" + o.PKI.Key(pki.ServiceAccount),
		// What aggregated API servers need; the header names are the customary ones.
		"--requestheader-client-ca-file=" + o.PKI.Cert(pki.FrontProxyCA),
		"--requestheader-allowed-names=" + pki.FrontProxyCommonName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + o.PKI.Cert(pki.FrontProxyClient),
		"--proxy-client-key-file=" + o.PKI.Key(pki.FrontProxyClient),
	}
	if o.FeatureGates != "" {
		a = append(a, "--feature-gates="+o.FeatureGates)
	}
	if o.RuntimeConfig != "" {
		a = append(a, "--runtime-config="+o.RuntimeConfig)
	}
	return append(a, o.Args...)
}
