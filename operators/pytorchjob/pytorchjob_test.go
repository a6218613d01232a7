package pytorchjob_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/podtemplate"
)

func TestGolden(t *testing.T) {
	optest.Golden(t, func(name string) jobkit.ControllerInterface[*kubeflowv1.PyTorchJob] {
		var c pytorchjob.Controller
		switch name {
		case "own-init-container":
			c.InitContainer = podtemplate.HostWait{Image: "registry.local/busybox", MaxTries: 7}
		case "init-template":
			c.InitContainer.Template = "- name: wait\n  image: {{.InitContainerImage}}\n  args: ['{{.MasterAddr}}', '{{.MaxTries}}']\n"
		}
		return c
	})
}

const container = "template: {spec: {containers: [{name: pytorch, image: train}]}}"

// workers is a job of two Workers with a restart policy.
func workers(restartPolicy string) string {
	return `
metadata: {name: torch}
spec:
  pytorchReplicaSpecs:
    Worker:
      replicas: 2
      restartPolicy: ` + restartPolicy + `
      ` + container
}

// elastic is the same job with an elastic policy.
func elastic(restartPolicy string) string {
	return workers(restartPolicy) + `
  elasticPolicy: {minReplicas: 1}`
}

// master is the same job with a Master.
func master(restartPolicy string) string {
	return workers(restartPolicy) + `
    Master:
      ` + container
}

func TestMaster(t *testing.T) {
	p := optest.Policies{
		Kind: "PyTorchJob", Job: "torch", Manifest: master, Type: "Worker", Pod: "torch-worker-1",
		Running: "PyTorchJob torch is running.", Failed: "PyTorchJob torch is failed",
	}
	runs := map[string]optest.Run{
		"Running": {
			Reason: "Workers that have succeeded do not end the job", Job: master("Never"),
			Fates:      map[string]optest.Fate{"torch-worker-0": optest.Succeeds(), "torch-worker-1": optest.Succeeds()},
			Conditions: p.Conditions("Running"),
		},
		"Succeeded": {
			Reason: "the Master has succeeded, whatever the Workers do", Job: master("Never"),
			Fates:      map[string]optest.Fate{"torch-master-0": optest.Succeeds()},
			Conditions: p.Conditions("PyTorchJob torch is successfully completed."),
		},
		"Both": {
			Reason: "known-bugs row 36: the Master succeeds and a Worker fails at the same time: the job has succeeded", Job: master("Never"),
			Fates:      map[string]optest.Fate{"torch-master-0": optest.Succeeds(), "torch-worker-0": optest.Fails(1)},
			Conditions: p.Conditions("PyTorchJob torch is successfully completed."),
		},
	}
	maps.Copy(runs, p.Runs())
	optest.Play(t, pytorchjob.Controller{}, runs)
}

func TestWorkers(t *testing.T) {
	p := optest.Policies{
		Kind: "PyTorchJob", Job: "torch", Manifest: workers, Type: "Worker", Pod: "torch-worker-1",
		Running: "PyTorchJob ns/torch is running.", Failed: "PyTorchJob torch is failed",
	}
	one := map[string]optest.Fate{"torch-worker-1": optest.Succeeds()}
	runs := map[string]optest.Run{
		"Running": {
			Reason: "one of two Workers has succeeded: the job goes on", Job: workers("Never"), Fates: one,
			Conditions: p.Conditions("Running"),
		},
		"Succeeded": {
			Reason: "all Workers have succeeded", Job: workers("Never"),
			Fates:      map[string]optest.Fate{"torch-worker-0": optest.Succeeds(), "torch-worker-1": optest.Succeeds()},
			Conditions: p.Conditions("PyTorchJob ns/torch successfully completed."),
		},
		"Elastic": {
			Reason: "with an elastic policy one Worker that has succeeded is enough", Job: elastic("Never"), Fates: one,
			Conditions: p.Conditions("PyTorchJob ns/torch successfully completed."),
		},
	}
	maps.Copy(runs, p.Runs())
	optest.Play(t, pytorchjob.Controller{}, runs)
}

// autoscaled is a job of one Worker, with an autoscaler.
const autoscaled = `
metadata: {name: torch}
spec:
  elasticPolicy:
    minReplicas: 1
    maxReplicas: 2
    metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
  pytorchReplicaSpecs:
    Worker:
      ` + container

func TestAutoscaler(t *testing.T) {
	optest.Autoscaler(t, pytorchjob.Controller{}, autoscaled)
}

func TestWarn(t *testing.T) {
	job := optest.Job[kubeflowv1.PyTorchJob](t, `
metadata: {name: torch}
spec:
  elasticPolicy: {}
  pytorchReplicaSpecs:
    Worker:
      template: {spec: {containers: [{name: pytorch, image: train, env: [{name: PET_NNODES}, {name: PET_RDZV_BACKEND}]}]}}`)
	got := pytorchjob.Controller{}.Warn(job)
	if len(got) != 1 {
		t.Fatalf("variables that the template sets too are reported in one event, got %v", got)
	}
	want := "The pod template of Worker sets variables that the operator sets too: the values of PET_NNODES are not used, because the operator sets them: remove them from the template; " +
		"the values of PET_RDZV_BACKEND are used in place of the operator's."
	if diff := cmp.Diff(want, got[0].Message); diff != "" {
		t.Errorf("the warning names the variables (-want +got):\n%s", diff)
	}
}

// TestDeprecated: the older place of nprocPerNode counts, and the user is informed, as by
// the webhook of training-operator v1.
func TestDeprecated(t *testing.T) {
	job := optest.Job[kubeflowv1.PyTorchJob](t, "metadata: {name: torch}\nspec: {elasticPolicy: {nProcPerNode: 4}, pytorchReplicaSpecs: {Worker: {"+container+"}}}")
	want := []jobkit.Warning{{
		Reason:  "FieldDeprecated",
		Message: `spec.elasticPolicy.nProcPerNode is deprecated, use spec.nprocPerNode instead: set that to "4", and remove this one.`,
	}}
	if diff := cmp.Diff(want, pytorchjob.Controller{}.Warn(job)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	job.Spec.ElasticPolicy.NProcPerNode = nil
	if got := (pytorchjob.Controller{}).Warn(job); got != nil {
		t.Errorf("there is nothing to warn of, got %v", got)
	}
}

func TestNothingPanics(t *testing.T) {
	optest.Robust(t, pytorchjob.Controller{},
		`{metadata: {name: torch}, spec: {pytorchReplicaSpecs: {Worker: null, Master: null, Other: {}}}}`,
		`{metadata: {name: torch}, spec: {elasticPolicy: {metrics: [], rdzvConf: []}, pytorchReplicaSpecs: {Master: {`+container+`}}}}`,
		`{metadata: {name: torch}, spec: {pytorchReplicaSpecs: {Master: {replicas: 0, `+container+`}, Worker: {`+container+`}}}}`,
	)
}

func TestConformance(t *testing.T) {
	optest.Conformance(t, pytorchjob.Controller{}, master("Never"))
}

func TestFaults(t *testing.T) {
	optest.Faults(t, pytorchjob.Controller{}, master("Never"), workers("Never"), elastic("Never"), autoscaled)
}

// TestWhoWaitsForTheMaster: Workers that wait for a Master which is created after them never run.
func TestWhoWaitsForTheMaster(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, master, worker string
		want                   int
	}{
		"Together":    {reason: "they begin when it can be reached", want: 1},
		"WorkerLast":  {reason: "it may not be reached yet", worker: "startAfter: {replicaType: Master, state: Running}, ", want: 1},
		"MasterLast":  {reason: "it is created when they run", master: "startAfter: {replicaType: Worker, state: Running}, "},
		"MasterReady": {reason: "or are ready", master: "startAfter: {replicaType: Worker, state: Ready}, "},
	} {
		t.Run(name, func(t *testing.T) {
			job := optest.Job[kubeflowv1.PyTorchJob](t, `{metadata: {name: torch}, spec: {pytorchReplicaSpecs: {`+
				`Master: {`+tc.master+container+`}, Worker: {`+tc.worker+container+`}}}}`)
			objects, err := jobtest.Render(pytorchjob.Controller{}, optest.Scheme(t), job)
			if err != nil {
				t.Fatal(err)
			}
			got := -1
			for _, o := range objects {
				if p, ok := o.(*corev1.Pod); ok && p.Name == "torch-worker-0" {
					got = len(p.Spec.InitContainers)
				}
			}
			if got != tc.want {
				t.Errorf("%s: the Worker has %d init containers, want %d", tc.reason, got, tc.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	tests := map[string]struct {
		reason string
		spec   string
		pod    string
		want   []string
	}{
		"WordOfProcesses": {
			reason: "a number of processes that is a word counts as one process in WORLD_SIZE",
			spec:   "nprocPerNode: cpu\n  pytorchReplicaSpecs: {Master: {" + container + "}}",
			pod:    "torch-master-0",
			want: []string{
				"PYTHONUNBUFFERED=1", "MASTER_PORT=23456", "PET_MASTER_PORT=23456", "MASTER_ADDR=torch-master-0", "PET_MASTER_ADDR=torch-master-0",
				"WORLD_SIZE=1", "RANK=0", "PET_NODE_RANK=0", "PET_NPROC_PER_NODE=cpu", "PET_NNODES=1",
			},
		},
		"MinOnly": {
			reason: "the maximum is the minimum where only that is given; standalone false is nothing",
			spec:   "elasticPolicy: {minReplicas: 2, standalone: false}\n  pytorchReplicaSpecs: {Worker: {replicas: 2, " + container + "}}",
			pod:    "torch-worker-1",
			want: []string{
				"PYTHONUNBUFFERED=1", "PET_NPROC_PER_NODE=auto",
				"PET_RDZV_ENDPOINT=torch-worker-0:23456", "PET_RDZV_BACKEND=c10d", "PET_NNODES=2:2",
			},
		},
		"Standalone": {
			reason: "torchrun reads PET_STANDALONE as a number; each replica is alone at its own meeting point, and must wait for no other",
			spec:   "elasticPolicy: {minReplicas: 2, maxReplicas: 3, standalone: true}\n  pytorchReplicaSpecs: {Worker: {replicas: 2, " + container + "}}",
			pod:    "torch-worker-1",
			want: []string{
				"PYTHONUNBUFFERED=1", "PET_NPROC_PER_NODE=auto",
				"PET_RDZV_ENDPOINT=torch-worker-0:23456", "PET_RDZV_BACKEND=c10d", "PET_NNODES=1:1", "PET_STANDALONE=1",
			},
		},
		"ElasticWithMaster": {
			reason: "known-bugs row 75: empty rdzvConf; a Master does not count as a Worker of an elastic job",
			spec:   "elasticPolicy: {rdzvPort: 1, rdzvConf: []}\n  pytorchReplicaSpecs: {Master: {" + container + "}, Worker: {replicas: 3, " + container + "}}",
			pod:    "torch-worker-2",
			want: []string{
				"PYTHONUNBUFFERED=1", "MASTER_PORT=23456", "PET_MASTER_PORT=23456", "MASTER_ADDR=torch-master-0", "PET_MASTER_ADDR=torch-master-0",
				"WORLD_SIZE=4", "RANK=3", "PET_NODE_RANK=3", "PET_NPROC_PER_NODE=auto",
				"PET_RDZV_ENDPOINT=torch-worker-0:1", "PET_RDZV_BACKEND=c10d", "PET_NNODES=3:3",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := optest.Env(t, pytorchjob.Controller{}, "metadata: {name: torch}\nspec:\n  "+tc.spec, tc.pod)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
