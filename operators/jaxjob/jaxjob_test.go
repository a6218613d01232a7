package jaxjob_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/jaxjob"
)

func TestGolden(t *testing.T) {
	optest.Golden(t, func(string) jobkit.ControllerInterface[*kubeflowv1.JAXJob] { return jaxjob.Controller{} })
}

// manifest is a job of two Workers with a restart policy.
func manifest(restartPolicy string) string {
	return `
metadata: {name: jax}
spec:
  jaxReplicaSpecs:
    Worker:
      replicas: 2
      restartPolicy: ` + restartPolicy + `
      template: {spec: {containers: [{name: jax, image: train}]}}`
}

func TestRuns(t *testing.T) {
	p := optest.Policies{
		Kind: "JAXJob", Job: "jax", Manifest: manifest, Type: "Worker", Pod: "jax-worker-1",
		Running: "JAXJob ns/jax is running.", Failed: "JAXJob jax is failed",
	}
	runs := map[string]optest.Run{
		"Running": {
			Reason: "one of two Workers has succeeded: the job goes on", Job: manifest("Never"),
			Fates:      map[string]optest.Fate{"jax-worker-0": optest.Succeeds()},
			Conditions: p.Conditions("Running"),
		},
		"Succeeded": {
			Reason: "all Workers have succeeded", Job: manifest("Never"),
			Fates:      map[string]optest.Fate{"jax-worker-0": optest.Succeeds(), "jax-worker-1": optest.Succeeds()},
			Conditions: p.Conditions("JAXJob ns/jax successfully completed."),
		},
	}
	maps.Copy(runs, p.Runs())
	optest.Play(t, jaxjob.Controller{}, runs)
}

func TestWarn(t *testing.T) {
	job := optest.Job[kubeflowv1.JAXJob](t, `
metadata: {name: jax}
spec:
  jaxReplicaSpecs:
    Worker:
      template: {spec: {containers: [{name: jax, image: train, env: [{name: RANK}, {name: NUM_PROCESSES}]}]}}`)
	got := jaxjob.Controller{}.Warn(job)
	if len(got) != 1 {
		t.Fatalf("a variable that replaces the template's is reported in one event, got %v", got)
	}
	want := "The pod template of Worker sets variables that the operator sets too: the values of NUM_PROCESSES are not used, because the operator sets them: remove them from the template."
	if diff := cmp.Diff(want, got[0].Message); diff != "" {
		t.Errorf("the warning names the replica type and the variable (-want +got):\n%s", diff)
	}
}

func TestNothingPanics(t *testing.T) {
	optest.Robust(t, jaxjob.Controller{}, `{metadata: {name: jax}, spec: {jaxReplicaSpecs: {Worker: null, Other: {}}}}`)
}

func TestConformance(t *testing.T) {
	optest.Conformance(t, jaxjob.Controller{}, manifest("Never"))
}

func TestFaults(t *testing.T) {
	optest.Faults(t, jaxjob.Controller{}, manifest("Never"))
}
