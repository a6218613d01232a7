package operators_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/operators"
	"github.com/jobkit/jobkit/operators/jaxjob"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
	"github.com/jobkit/jobkit/operators/xgboostjob"
	"github.com/jobkit/jobkit/plan"
)

func TestKinds(t *testing.T) {
	var got []string
	for _, k := range operators.Kinds() {
		got = append(got, k.Name)
	}
	want := []string{"jaxjob", "mpijob", "paddlejob", "pytorchjob", "tfjob", "xgboostjob"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestFrameworks: dashboards select the metrics by the names that
// training-operator v1 gave the frameworks.
func TestFrameworks(t *testing.T) {
	var got []string
	for name, kind := range map[string]plan.Kind{
		"TFJob": tfjob.Controller{}.Kind(), "PyTorchJob": pytorchjob.Controller{}.Kind(), "MPIJob": mpijob.Controller{}.Kind(),
		"XGBoostJob": xgboostjob.Controller{}.Kind(), "PaddleJob": paddlejob.Controller{}.Kind(), "JAXJob": jaxjob.Controller{}.Kind(),
	} {
		kind.Name = name
		kind.SetDefaults()
		got = append(got, name+" "+kind.Framework+" "+kind.OperatorName)
	}
	want := []string{
		"JAXJob jax jaxjob-controller", "MPIJob mpi mpijob-controller", "PaddleJob paddle paddlejob-controller",
		"PyTorchJob pytorch pytorchjob-controller", "TFJob tensorflow tfjob-controller", "XGBoostJob xgboost xgboostjob-controller",
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
