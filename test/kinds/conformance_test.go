//go:build integration

package kinds

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/jobtest/conformance"
	"github.com/jobkit/jobkit/operators/jaxjob"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
	"github.com/jobkit/jobkit/operators/xgboostjob"
)

// TestConformance has all kinds play the cases of package conformance, at the same time.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, *kind){
		"TFJob":      conform[*kubeflowv1.TFJob](tfjob.Controller{}),
		"PyTorchJob": conform[*kubeflowv1.PyTorchJob](pytorchjob.Controller{}),
		"MPIJob":     conform[*kubeflowv1.MPIJob](mpijob.Controller{}),
		"XGBoostJob": conform[*kubeflowv1.XGBoostJob](xgboostjob.Controller{}),
		"PaddleJob":  conform[*kubeflowv1.PaddleJob](paddlejob.Controller{}),
		"JAXJob":     conform[*kubeflowv1.JAXJob](jaxjob.Controller{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, kindOf(name))
		})
	}
}

// conform runs a kind with the job of the other tests.
func conform[J client.Object](author jobkit.ControllerInterface[J]) func(*testing.T, *kind) {
	return func(t *testing.T, k *kind) {
		object, err := cluster.client.Scheme().New(k.object().GroupVersionKind())
		if err == nil {
			err = yaml.UnmarshalStrict([]byte(k.manifest(manifest{})), object)
		}
		job, ok := object.(J)
		if err != nil || !ok {
			t.Fatalf("%T: %v", object, err)
		}
		conformance.RunOnCluster(t, cluster.client, author, job)
	}
}
