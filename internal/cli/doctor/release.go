package doctor

import (
	"context"
	"errors"

	"github.com/jobkit/jobkit/internal/kubeversion"
)

// checkRelease finds out whether the cluster's Kubernetes is too old.
func checkRelease(_ context.Context, c *Cluster) ([]Finding, error) {
	if c.Release == "" {
		return nil, errors.New("the API server does not say which release it is")
	}
	if complaint := kubeversion.Complaint(c.Release); complaint != "" {
		return []Finding{{Level: Warning, Message: complaint, Fix: "upgrade the cluster; see docs/operators/tested-with.md"}}, nil
	}
	return ok("%s is supported", c.Release), nil
}
