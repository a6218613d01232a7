package operator

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/incluster"
)

// standbyEvery is how often an operator that is not active checks who is.
const standbyEvery = 30 * time.Second

// standby says in the log which operator is active while this one is not. Two that were not meant to share a lease
// would otherwise be ready, and silent, and the jobs of one would not run.
type standby struct {
	reader  client.Reader
	elected <-chan struct{}
	lease   types.NamespacedName
	log     logr.Logger
}

// addStandby adds a standby to a manager, if it elects a leader.
func addStandby(mgr ctrl.Manager, o *ctrl.Options, log logr.Logger) error {
	namespace := o.LeaderElectionNamespace
	if namespace == "" {
		namespace, _ = incluster.Namespace()
	}
	if !o.LeaderElection || namespace == "" {
		return nil
	}
	return mgr.Add(&standby{ //nolint:wrapcheck // it says what is wrong
		reader: mgr.GetAPIReader(), elected: mgr.Elected(), log: log,
		lease: types.NamespacedName{Namespace: namespace, Name: o.LeaderElectionID},
	})
}

// NeedLeaderElection has it run in an operator that is not active.
func (s *standby) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (s *standby) Start(ctx context.Context) error {
	ticker := time.NewTicker(standbyEvery)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.elected:
			return nil
		case <-ticker.C:
		}
		lease := &coordinationv1.Lease{}
		if err := s.reader.Get(ctx, s.lease, lease); err != nil {
			continue // The election says what is wrong with it.
		}
		if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" && *holder != said {
			said = *holder
			s.log.Info("Standing by, because another operator is active. If that one runs other jobs, give each a lease of its own with --leader-election-id",
				"lease", s.lease.String(), "holder", said)
		}
	}
}
