package mpijob_test

import (
	"testing"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/jobtest/conformance"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/mpijob"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Suite[*kubeflowv1.MPIJob]{Author: mpijob.Controller{}, Job: newJob(2), Scheme: optest.Scheme(t)}.Run(t)
}
