package paddlejob_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/paddlejob"
)

func TestGolden(t *testing.T) {
	optest.Golden(t, func(string) jobkit.ControllerInterface[*kubeflowv1.PaddleJob] { return paddlejob.Controller{} })
}

// collective is a job of two Workers with a restart policy.
func collective(restartPolicy string) string {
	return `
metadata: {name: paddle}
spec:
  paddleReplicaSpecs:
    Worker:
      replicas: 2
      restartPolicy: ` + restartPolicy + `
      template: {spec: {containers: [{name: paddle, image: train}]}}`
}

// servers is the same job with two Masters.
func servers(restartPolicy string) string {
	return collective(restartPolicy) + `
    Master:
      replicas: 2
      template: {spec: {containers: [{name: paddle, image: train}]}}`
}

func TestCollective(t *testing.T) {
	p := optest.Policies{
		Kind: "PaddleJob", Job: "paddle", Manifest: collective, Type: "Worker", Pod: "paddle-worker-1",
		Running: "PaddleJob ns/paddle is running.", Failed: "PaddleJob paddle is failed",
	}
	runs := map[string]optest.Run{
		"Running": {
			Reason: "one of two Workers has succeeded: the job goes on", Job: collective("Never"),
			Fates:      map[string]optest.Fate{"paddle-worker-0": optest.Succeeds()},
			Conditions: p.Conditions("Running"),
		},
		"Succeeded": {
			Reason: "all Workers have succeeded", Job: collective("Never"),
			Fates:      map[string]optest.Fate{"paddle-worker-0": optest.Succeeds(), "paddle-worker-1": optest.Succeeds()},
			Conditions: p.Conditions("PaddleJob ns/paddle successfully completed."),
		},
	}
	maps.Copy(runs, p.Runs())
	optest.Play(t, paddlejob.Controller{}, runs)
}

func TestParameterServers(t *testing.T) {
	p := optest.Policies{
		Kind: "PaddleJob", Job: "paddle", Manifest: servers, Type: "Worker", Pod: "paddle-worker-1",
		Running: "PaddleJob paddle is running.", Failed: "PaddleJob paddle is failed",
	}
	runs := map[string]optest.Run{
		"Running": {
			Reason: "Workers that have succeeded do not end the job, nor does one of two Masters", Job: servers("Never"),
			Fates: map[string]optest.Fate{
				"paddle-worker-0": optest.Succeeds(), "paddle-worker-1": optest.Succeeds(), "paddle-master-0": optest.Succeeds(),
			},
			Conditions: p.Conditions("Running"),
		},
		"Succeeded": {
			Reason: "all Masters have succeeded", Job: servers("Never"),
			Fates:      map[string]optest.Fate{"paddle-master-0": optest.Succeeds(), "paddle-master-1": optest.Succeeds()},
			Conditions: p.Conditions("PaddleJob paddle is successfully completed."),
		},
		"Both": {
			Reason: "known-bugs row 36: the Masters succeed and a Worker fails at the same time: the job has succeeded", Job: servers("Never"),
			Fates: map[string]optest.Fate{
				"paddle-master-0": optest.Succeeds(), "paddle-master-1": optest.Succeeds(), "paddle-worker-0": optest.Fails(1),
			},
			Conditions: p.Conditions("PaddleJob paddle is successfully completed."),
		},
	}
	maps.Copy(runs, p.Runs())
	optest.Play(t, paddlejob.Controller{}, runs)
}

// autoscaled is a job of one Worker, with an autoscaler.
const autoscaled = `
metadata: {name: paddle}
spec:
  elasticPolicy:
    minReplicas: 1
    maxReplicas: 2
    metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
  paddleReplicaSpecs:
    Worker:
      template: {spec: {containers: [{name: paddle, image: train}]}}`

func TestAutoscaler(t *testing.T) {
	optest.Autoscaler(t, paddlejob.Controller{}, autoscaled)
}

func TestWarn(t *testing.T) {
	job := optest.Job[kubeflowv1.PaddleJob](t, `
metadata: {name: paddle}
spec:
  paddleReplicaSpecs:
    Worker:
      template: {spec: {containers: [{name: paddle, image: train, env: [{name: PADDLE_MASTER}, {name: PYTHONUNBUFFERED}]}]}}`)
	got := paddlejob.Controller{}.Warn(job)
	if len(got) != 1 {
		t.Fatalf("variables that the template sets too are reported in one event, got %v", got)
	}
	want := "The pod template of Worker sets variables that the operator sets too: the values of PADDLE_MASTER are not used, because the operator sets them: remove them from the template; " +
		"the values of PYTHONUNBUFFERED are used in place of the operator's."
	if diff := cmp.Diff(want, got[0].Message); diff != "" {
		t.Errorf("the warning names the variables (-want +got):\n%s", diff)
	}
}

func TestNothingPanics(t *testing.T) {
	optest.Robust(t, paddlejob.Controller{},
		`{metadata: {name: paddle}, spec: {paddleReplicaSpecs: {Worker: null, Master: null, Other: {}}}}`,
		`{metadata: {name: paddle}, spec: {elasticPolicy: {metrics: []}, paddleReplicaSpecs: {Master: {template: {spec: {containers: [{name: paddle, image: train}]}}}}}}`,
	)
}

func TestConformance(t *testing.T) {
	optest.Conformance(t, paddlejob.Controller{}, servers("Never"))
}

func TestFaults(t *testing.T) {
	optest.Faults(t, paddlejob.Controller{}, collective("Never"), servers("Never"), autoscaled)
}
