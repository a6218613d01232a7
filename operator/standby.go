package operator

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// standbyAfter is when an operator that does not lead yet says who does. One that can take the lease has it by then.
	standbyAfter = 5 * time.Second
	// standbyPeriod is how often it checks whether that has changed.
	standbyPeriod = time.Minute
)

// standby reports in the log who holds the lease for which the operator waits. The library says only that it waits. Another
// operator with the same lease may run other jobs, and then nothing else reports why those of this one stand still.
type standby struct {
	reader client.Reader
	lease  types.NamespacedName
	// elected is closed when this operator leads.
	elected <-chan struct{}
	log     logr.Logger
}

// NeedLeaderElection has it run while the operator waits.
func (s *standby) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. It ends when the operator leads, and is never an error.
func (s *standby) Start(ctx context.Context) error {
	said := ""
	for next := standbyAfter; ; next = standbyPeriod {
		select {
		case <-ctx.Done():
			return nil
		case <-s.elected:
			return nil
		case <-time.After(next):
		}
		var lease coordinationv1.Lease
		if err := s.reader.Get(ctx, s.lease, &lease); err != nil {
			// The election makes the same request, and logs its errors.
			s.log.V(1).Info("Cannot read who holds the lease", "lease", s.lease.String(), "error", err.Error())
			continue
		}
		holder := lease.Spec.HolderIdentity
		if holder == nil || *holder == "" || *holder == said {
			continue
		}
		said = *holder
		since := ""
		if at := lease.Spec.AcquireTime; at != nil {
			since = at.UTC().Format(time.RFC3339)
		}
		s.log.Info("Standing by: another operator holds the lease; if it does not run the same jobs, "+
			"give one of the two another --leader-election-id",
			"lease", s.lease.String(), "holder", said, "since", since)
	}
}
