package optest

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// Conformance puts a kind through the promises of the library, with one job.
func Conformance[T any, J interface {
	*T
	client.Object
}](t *testing.T, author jobkit.ControllerInterface[J], manifest string) {
	t.Helper()
	t.Parallel()
	conformance.Suite[J]{Author: author, Job: Job[T](t, manifest), Scheme: Scheme(t)}.Run(t)
}
