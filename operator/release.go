package operator

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit/internal/kubeversion"
)

// release says at the start which Kubernetes the cluster has, if that is older than what is
// supported. The operator runs all the same: most of it works.
type release struct {
	server discovery.ServerVersionInterfaceWithContext
	log    logr.Logger
}

// checkRelease has the manager do it when it starts, so that the start waits for nothing.
func checkRelease(mgr ctrl.Manager, log logr.Logger) error {
	server, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	if err := mgr.Add(&release{server: server, log: log.WithName("operator")}); err != nil {
		return fmt.Errorf("cannot add the check of the cluster's Kubernetes: %w", err)
	}
	return nil
}

// NeedLeaderElection lets a standby say it, too.
func (r *release) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. It is never an error: a cluster that does not say what it is
// may be a good one.
func (r *release) Start(ctx context.Context) error {
	info, err := r.server.ServerVersionWithContext(ctx)
	if err != nil {
		r.log.V(1).Info("The cluster does not say which Kubernetes it has", "error", err.Error())
		return nil
	}
	if complaint := kubeversion.Complaint(info.GitVersion); complaint != "" {
		r.log.Error(nil, complaint, "kubernetes", info.GitVersion, "oldest", kubeversion.Oldest)
	}
	return nil
}
