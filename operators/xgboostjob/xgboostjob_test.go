package xgboostjob_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/xgboostjob"
)

func TestGolden(t *testing.T) {
	optest.Golden(t, func(string) jobkit.ControllerInterface[*kubeflowv1.XGBoostJob] { return xgboostjob.Controller{} })
}

// manifest is a job of a Master and two Workers, which have a restart policy.
func manifest(restartPolicy string) string {
	return `
metadata: {name: xgb}
spec:
  xgbReplicaSpecs:
    Master:
      template: {spec: {containers: [{name: xgboost, image: train}]}}
    Worker:
      replicas: 2
      restartPolicy: ` + restartPolicy + `
      template: {spec: {containers: [{name: xgboost, image: train}]}}`
}

func TestRuns(t *testing.T) {
	p := optest.Policies{
		Kind: "XGBoostJob", Job: "xgb", Manifest: manifest, Type: "Worker", Pod: "xgb-worker-1",
		Running: "XGBoostJob xgb is running.", Failed: "XGBoostJob xgb is failed",
	}
	runs := map[string]optest.Run{
		"Running": {
			Reason: "Workers that have succeeded do not end the job", Job: manifest("Never"),
			Fates:      map[string]optest.Fate{"xgb-worker-0": optest.Succeeds(), "xgb-worker-1": optest.Succeeds()},
			Conditions: p.Conditions("Running"),
		},
		"Succeeded": {
			Reason: "the Master has succeeded, whatever the Workers do", Job: manifest("Never"),
			Fates:      map[string]optest.Fate{"xgb-master-0": optest.Succeeds()},
			Conditions: p.Conditions("XGBoostJob xgb is successfully completed."),
		},
		"Both": {
			Reason: "known-bugs row 36: the Master succeeds and a Worker fails at the same time: the job has succeeded", Job: manifest("Never"),
			Fates:      map[string]optest.Fate{"xgb-master-0": optest.Succeeds(), "xgb-worker-1": optest.Fails(1)},
			Conditions: p.Conditions("XGBoostJob xgb is successfully completed."),
		},
	}
	maps.Copy(runs, p.Runs())
	optest.Play(t, xgboostjob.Controller{}, runs)
}

func TestWarn(t *testing.T) {
	job := optest.Job[kubeflowv1.XGBoostJob](t, `
metadata: {name: xgb}
spec:
  xgbReplicaSpecs:
    Master:
      template: {spec: {containers: [{name: xgboost, image: train, env: [{name: RANK}]}]}}
    Worker:
      template: {spec: {containers: [{name: xgboost, image: train, env: [{name: WORKER_ADDRS}]}]}}`)
	got := xgboostjob.Controller{}.Warn(job)
	if len(got) != 1 {
		t.Fatalf("variables that replace those of the templates are reported in one event, got %v", got)
	}
	want := "The pod template of Master, Worker sets variables that the operator sets too: the values of RANK, WORKER_ADDRS are not used, because the operator sets them: remove them from the template."
	if diff := cmp.Diff(want, got[0].Message); diff != "" {
		t.Errorf("the warning names the replica types and the variables (-want +got):\n%s", diff)
	}
}

func TestNothingPanics(t *testing.T) {
	optest.Robust(t, xgboostjob.Controller{},
		`{metadata: {name: xgb}, spec: {xgbReplicaSpecs: {Master: null, Other: {}}}}`,
		`{metadata: {name: xgb}, spec: {xgbReplicaSpecs: {Worker: {template: {spec: {containers: [{name: xgboost, image: train}]}}}}}}`,
		`{metadata: {name: xgb}, spec: {xgbReplicaSpecs: {Master: {replicas: 0, template: {spec: {containers: [{name: xgboost, image: train}]}}}}}}`,
	)
}

func TestConformance(t *testing.T) {
	optest.Conformance(t, xgboostjob.Controller{}, manifest("Never"))
}

func TestFaults(t *testing.T) {
	optest.Faults(t, xgboostjob.Controller{}, manifest("Never"))
}
