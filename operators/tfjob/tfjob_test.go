package tfjob_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/tfjob"
)

func TestGolden(t *testing.T) {
	optest.Golden(t, func(name string) jobkit.ControllerInterface[*kubeflowv1.TFJob] {
		if name == "cluster-domain" {
			return tfjob.Controller{ClusterDomain: "cluster.local"}
		}
		return tfjob.Controller{}
	})
}

const container = "template: {spec: {containers: [{name: tensorflow, image: train}]}}"

// workers is a job of a parameter server and two Workers, which have a restart policy.
func workers(restartPolicy string) string {
	return `
metadata: {name: tf}
spec:
  tfReplicaSpecs:
    PS:
      ` + container + `
    Worker:
      replicas: 2
      restartPolicy: ` + restartPolicy + `
      ` + container
}

// chief and the others add a replica, or a field of spec, to it.
func chief(restartPolicy string) string {
	return workers(restartPolicy) + "\n    Chief:\n      " + container
}

func master(restartPolicy string) string {
	return workers(restartPolicy) + "\n    Master:\n      " + container
}

func allWorkers(restartPolicy string) string {
	return workers(restartPolicy) + "\n  successPolicy: AllWorkers"
}

func dynamic(restartPolicy string) string {
	return workers(restartPolicy) + "\n  enableDynamicWorker: true"
}

// policies are the runs of a job without its Worker 1.
func policies(manifest func(string) string) optest.Policies {
	return optest.Policies{
		Kind: "TFJob", Job: "tf", Manifest: manifest, Type: "Worker", Pod: "tf-worker-1",
		Running: "TFJob ns/tf is running.", Failed: "TFJob ns/tf has failed",
	}
}

const completed = "TFJob ns/tf successfully completed."

func TestWorkers(t *testing.T) {
	p := policies(workers)
	worker0 := map[string]optest.Fate{"tf-worker-0": optest.Succeeds()}
	both := map[string]optest.Fate{"tf-worker-0": optest.Succeeds(), "tf-worker-1": optest.Succeeds()}
	runs := map[string]optest.Run{
		"Worker0": {
			Reason: "Worker 0 has succeeded, which is enough by default; the parameter server runs on",
			Job:    workers("Never"), Fates: worker0, Conditions: p.Conditions(completed),
		},
		"Worker1": {
			Reason: "another Worker that has succeeded is not enough", Job: workers("Never"),
			Fates:      map[string]optest.Fate{"tf-worker-1": optest.Succeeds()},
			Conditions: p.Conditions("Running"),
		},
		"PS": {
			Reason: "a parameter server that has succeeded does not end the job", Job: workers("Never"),
			Fates:      map[string]optest.Fate{"tf-ps-0": optest.Succeeds()},
			Conditions: p.Conditions("Running"),
		},
		"PSFails": {
			Reason: "known-bugs row 35: a parameter server that is not to be restarted fails the job, also while a Worker is being restarted",
			Job:    workers("ExitCode"),
			Fates:  map[string]optest.Fate{"tf-worker-1": optest.Fails(137), "tf-ps-0": optest.Fails(1)},
			Conditions: append(p.Conditions("Running ended"),
				"Failed True TFJobFailed: TFJob ns/tf has failed because 1 PS replica(s) failed. First failure: pod tf-ps-0, exit code 1, restart policy Never."),
		},
		"SomeOfAllWorkers": {
			Reason: "by the policy AllWorkers, Worker 0 is not enough", Job: allWorkers("Never"), Fates: worker0,
			Conditions: p.Conditions("Running"),
		},
		"AllWorkers": {
			Reason: "by the policy AllWorkers, all Workers are needed", Job: allWorkers("Never"), Fates: both,
			Conditions: p.Conditions(completed),
		},
	}
	maps.Copy(runs, p.Runs())
	optest.Play(t, tfjob.Controller{}, runs)
}

func TestChief(t *testing.T) {
	workersSucceed := map[string]optest.Fate{"tf-worker-0": optest.Succeeds(), "tf-worker-1": optest.Succeeds()}
	for pod, manifest := range map[string]func(string) string{"tf-chief-0": chief, "tf-master-0": master} {
		t.Run(pod, func(t *testing.T) {
			p := policies(manifest)
			runs := map[string]optest.Run{
				"Workers": {
					Reason: "Workers that have succeeded do not end the job", Job: manifest("Never"), Fates: workersSucceed,
					Conditions: p.Conditions("Running"),
				},
				"Succeeded": {
					Reason: "the Chief or Master has succeeded, whatever the others do", Job: manifest("Never"),
					Fates:      map[string]optest.Fate{pod: optest.Succeeds()},
					Conditions: p.Conditions(completed),
				},
				"Both": {
					Reason: "known-bugs row 36: it succeeds and a Worker fails at the same time: the job has succeeded", Job: manifest("Never"),
					Fates:      map[string]optest.Fate{pod: optest.Succeeds(), "tf-worker-0": optest.Fails(1)},
					Conditions: p.Conditions(completed),
				},
				"NotRunning": {
					Reason: "while it waits for a node, the job does not run", Job: manifest("Never"),
					Fates: map[string]optest.Fate{pod: {{Unschedulable: true}}},
					Conditions: append(p.Conditions("Running")[:1],
						"Stalled True TFJobPodsNotStarting: TFJob ns/tf waits for 1 of 4 pods to start, the first of them "+pod+": no scheduler takes it up"),
				},
			}
			maps.Copy(runs, p.Runs())
			optest.Play(t, tfjob.Controller{}, runs)
		})
	}
}

func TestDynamicWorkers(t *testing.T) {
	p := policies(dynamic)
	optest.Play(t, tfjob.Controller{}, map[string]optest.Run{
		"Lost": {
			Reason: "a Worker that failed does not fail the job, which succeeds with Worker 0", Job: dynamic("Never"),
			Fates:      map[string]optest.Fate{"tf-worker-1": optest.Fails(1), "tf-worker-0": optest.Succeeds()},
			Conditions: p.Conditions(completed),
		},
		"GoesOn": {
			Reason: "the others go on without it", Job: dynamic("Never"),
			Fates:      map[string]optest.Fate{"tf-worker-1": optest.Fails(1)},
			Conditions: p.Conditions("Running"),
		},
		"Restarted": {
			Reason: "a Worker that is to be restarted is restarted", Job: dynamic("ExitCode"),
			Fates:      map[string]optest.Fate{"tf-worker-1": optest.Fails(137)},
			Conditions: p.Conditions("Running"), Restarts: 1,
		},
		"ExitCode/1": {
			Reason: "known-bugs row 281: ExitCode says which failures are permanent; such a one fails the job, as in v1", Job: dynamic("ExitCode"),
			Fates: map[string]optest.Fate{"tf-worker-1": optest.Fails(1)},
			Conditions: append(p.Conditions("Running ended"),
				"Failed True TFJobFailed: TFJob ns/tf has failed because 1 Worker replica(s) failed. First failure: pod tf-worker-1, exit code 1, restart policy ExitCode."),
		},
		"PSFails": {
			Reason: "the failure of a parameter server is that of the job", Job: dynamic("Never"),
			Fates: map[string]optest.Fate{"tf-ps-0": optest.Fails(1)},
			Conditions: append(p.Conditions("Running ended"),
				"Failed True TFJobFailed: TFJob ns/tf has failed because 1 PS replica(s) failed. First failure: pod tf-ps-0, exit code 1, restart policy Never."),
		},
	})
}

func TestOthersAlone(t *testing.T) {
	p := policies(nil)
	optest.Play(t, tfjob.Controller{}, map[string]optest.Run{"Evaluator": {
		Reason: "a job without Workers, Chief and Master succeeds when all its replicas have",
		Job:    "{metadata: {name: tf}, spec: {tfReplicaSpecs: {Evaluator: {" + container + "}}}}",
		Fates:  map[string]optest.Fate{"tf-evaluator-0": optest.Succeeds()}, Conditions: p.Conditions(completed),
	}})
}

func TestWarn(t *testing.T) {
	const env = "env: [{name: TF_CONFIG, value: mine}]"
	job := optest.Job[kubeflowv1.TFJob](t, `
metadata: {name: tf}
spec:
  tfReplicaSpecs:
    Worker:
      replicas: 2
      template: {spec: {containers: [{name: tensorflow, image: train, `+env+`}]}}
    PS:
      template: {spec: {containers: [{name: tensorflow, image: train}, {name: other, image: other, `+env+`}]}}`)
	got := tfjob.Controller{}.Warn(job)
	if len(got) != 1 {
		t.Fatalf("a variable that replaces the template's is reported in one event, got %v", got)
	}
	want := "The pod template of Worker sets variables that the operator sets too: the values of TF_CONFIG are not used, because the operator sets them: remove them from the template."
	if diff := cmp.Diff(want, got[0].Message); diff != "" {
		t.Errorf("the warning names the replica type whose main container it is (-want +got):\n%s", diff)
	}
}

func TestNothingPanics(t *testing.T) {
	optest.Robust(t, tfjob.Controller{},
		`{metadata: {name: tf}, spec: {tfReplicaSpecs: {Worker: null, PS: null, Other: {}}}}`,
		`{metadata: {name: tf}, spec: {tfReplicaSpecs: {Chief: {`+container+`}, Master: {`+container+`}}}}`,
	)
}

func TestConformance(t *testing.T) {
	optest.Conformance(t, tfjob.Controller{}, chief("Never"))
}

func TestFaults(t *testing.T) {
	optest.Faults(t, tfjob.Controller{}, workers("Never"), chief("Never"), allWorkers("Never"), dynamic("Never"))
}

func TestEnvironment(t *testing.T) {
	tests := map[string]struct {
		reason string
		spec   string
		want   []string
	}{
		"NoServers": {
			reason: "dynamic Workers without parameter servers get an empty list of them",
			spec:   "enableDynamicWorker: true\n  tfReplicaSpecs: {Worker: {replicas: 2, " + container + "}}",
			want:   []string{`TF_CONFIG={"cluster":{"worker":{"0":"tf-worker-0.default.svc:2222"},"ps":[]},"task":{"type":"worker","index":0}}`},
		},
		"DynamicAlone": {
			reason: "a dynamic Worker that is alone has no TF_CONFIG either",
			spec:   "enableDynamicWorker: true\n  tfReplicaSpecs: {Worker: {" + container + "}}",
		},
		"HostPorts": {
			reason: "each replica on the network of its node has another port, which all know",
			spec: "runPolicy: {hostPorts: Allocate}\n  tfReplicaSpecs: {PS: {" + container + "}, Worker: {replicas: 2, " +
				strings.Replace(container, "spec: {", "spec: {hostNetwork: true, ", 1) + "}}",
			want: []string{
				"HOST_PORT_TFJOB_PORT=26261",
				`TF_CONFIG={"cluster":{"ps":["tf-ps-0.default.svc:2222"],"worker":["tf-worker-0.default.svc:26261","tf-worker-1.default.svc:26262"]},` +
					`"task":{"type":"worker","index":0},"environment":"cloud"}`,
			},
		},
		"ScaledToZero": {
			reason: "a type that has no replicas now is in the cluster, with no address",
			spec:   "tfReplicaSpecs: {PS: {replicas: 0, " + container + "}, Worker: {" + container + "}, Evaluator: {" + container + "}}",
			want: []string{`TF_CONFIG={"cluster":{"evaluator":["tf-evaluator-0.default.svc:2222"],"ps":[],"worker":["tf-worker-0.default.svc:2222"]},` +
				`"task":{"type":"worker","index":0},"environment":"cloud"}`},
		},
		"NoChief": {
			reason: "TensorFlow would wait for a chief that is in the cluster, though it has no address; without one Worker 0 leads",
			spec:   "tfReplicaSpecs: {Chief: {replicas: 0, " + container + "}, Worker: {replicas: 2, " + container + "}}",
			want: []string{`TF_CONFIG={"cluster":{"worker":["tf-worker-0.default.svc:2222","tf-worker-1.default.svc:2222"]},` +
				`"task":{"type":"worker","index":0},"environment":"cloud"}`},
		},
		"NoMaster": {
			reason: "nor is there a master",
			spec:   "tfReplicaSpecs: {Master: {replicas: 0, " + container + "}, Worker: {replicas: 2, " + container + "}}",
			want: []string{`TF_CONFIG={"cluster":{"worker":["tf-worker-0.default.svc:2222","tf-worker-1.default.svc:2222"]},` +
				`"task":{"type":"worker","index":0},"environment":"cloud"}`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := optest.Env(t, tfjob.Controller{}, "metadata: {name: tf}\nspec:\n  "+tc.spec, "tf-worker-0")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
