//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/config/crd"
)

// The rules of the kubeflow kinds that the API server checks, on the API server.
// "Row" is a row of the list of bugs of training-operator v1 that a rule fixes.

// mainContainers are the containers that the kinds ask for.
func mainContainers() map[string]string {
	return map[string]string{
		"TFJob": "tensorflow", "PyTorchJob": "pytorch", "MPIJob": "mpi", "XGBoostJob": "xgboost", "PaddleJob": "paddle", "JAXJob": "jax",
	}
}

// manifest is a job of a kind. "TEMPLATE" in its spec stands for a valid pod template.
func manifest(t *testing.T, kind, ns, name, spec string) *unstructured.Unstructured {
	t.Helper()
	spec = strings.ReplaceAll(spec, "TEMPLATE", fmt.Sprintf(`{spec: {containers: [{name: %s, image: busybox}]}}`, mainContainers()[kind]))
	object := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &object); err != nil {
		t.Fatalf("the test's manifest: %v\n%s", err, spec)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": object}}
	u.SetAPIVersion(kubeflowv1.GroupVersion.String())
	u.SetKind(kind)
	u.SetNamespace(ns)
	u.SetName(name)
	return u
}

// checkRefused checks the API server's answer to a job. Without wanted errors the job must be
// accepted.
func checkRefused(t *testing.T, err error, want ...string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("refused, though all is well: %v", err)
		}
		return
	}
	if !apierrors.IsInvalid(err) {
		t.Fatalf("want an Invalid error with %q, got %v", want, err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the refusal says %q\nwant in it %q", err, w)
		}
	}
}

func TestKubeflowAdmission(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	const (
		noName   = `must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods`
		label    = "the controller sets the labels operator-name, job-name, replica-type, replica-index, job-role, attempt and pod-group under training.kubeflow.org/: remove these from template.metadata.labels"
		none     = "the job has no replicas: add at least one replica type with a template"
		zero     = "0 replicas in total: set replicas of at least one replica type to 1 or more; to hold a job back use runPolicy.suspend"
		minMax   = "spec.elasticPolicy.minReplicas: Invalid value: 3 is more than maxReplicas, 2: lower it, or raise maxReplicas"
		noWorker = "spec.elasticPolicy: Invalid value: it scales Workers, and the job has none: add Worker to "
	)
	for _, tc := range []struct {
		reason, kind string
		name         string // default: made up
		spec         string
		want         []string // default: accepted
	}{
		// What old manifests look like.
		{reason: "PS and workers", kind: "TFJob", spec: `{tfReplicaSpecs: {PS: {replicas: 2, restartPolicy: Never, template: TEMPLATE}, Worker: {replicas: 4, template: TEMPLATE}}}`},
		{reason: "every type", kind: "TFJob", spec: `{successPolicy: AllWorkers, enableDynamicWorker: true, tfReplicaSpecs: {Chief: {replicas: 1, template: TEMPLATE}, Evaluator: {template: TEMPLATE}, PS: {template: TEMPLATE}, Worker: {template: TEMPLATE}}}`},
		{reason: "policies of before v1.2 at the top level are dropped, as ever", kind: "TFJob", spec: `{cleanPodPolicy: All, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "an elastic job with an autoscaler", kind: "PyTorchJob", spec: `{elasticPolicy: {rdzvBackend: c10d, rdzvPort: 29400, rdzvHost: host, rdzvId: id, rdzvConf: [{key: a, value: b}], standalone: false, minReplicas: 1, maxReplicas: 3, maxRestarts: 10, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}, nprocPerNode: "2", pytorchReplicaSpecs: {Worker: {replicas: 2, restartPolicy: OnFailure, template: TEMPLATE}}}`},
		{reason: "every policy", kind: "PyTorchJob", spec: `{runPolicy: {cleanPodPolicy: Running, ttlSecondsAfterFinished: 0, activeDeadlineSeconds: 60, backoffLimit: 3, suspend: true, managedBy: kubeflow.org/training-operator, schedulingPolicy: {queue: q, minAvailable: 2, priorityClass: p, scheduleTimeoutSeconds: 3, minResources: {cpu: 1}}}, pytorchReplicaSpecs: {Master: {replicas: 1, restartPolicy: ExitCode, template: TEMPLATE}}}`},
		{reason: "a launcher and workers", kind: "MPIJob", spec: `{slotsPerWorker: 2, cleanPodPolicy: Running, mainContainer: mpi, mpiReplicaSpecs: {Launcher: {replicas: 1, template: TEMPLATE}, Worker: {replicas: 2, template: TEMPLATE}}}`},
		{reason: "containers of any name", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Launcher: {replicas: 1, template: {spec: {containers: [{name: mpi-launcher, image: busybox}]}}}, Worker: {replicas: 2, template: {spec: {containers: [{name: mpi-worker, image: busybox}]}}}}}`},
		{reason: "a launcher alone", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Worker: {replicas: 0, template: TEMPLATE}}}`},
		{reason: "a master and workers", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Master: {replicas: 1, template: TEMPLATE}, Worker: {replicas: 2, template: TEMPLATE}}}`},
		{reason: "parameter servers", kind: "PaddleJob", spec: `{paddleReplicaSpecs: {Master: {replicas: 2, template: TEMPLATE}, Worker: {replicas: 2, template: TEMPLATE}}}`},
		{reason: "elastic workers", kind: "PaddleJob", spec: `{elasticPolicy: {minReplicas: 1, maxReplicas: 2, maxRestarts: 3}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "workers", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Worker: {replicas: 3, template: TEMPLATE}}}`},

		// No replicas.
		{reason: "row 71: no types", kind: "TFJob", spec: `{tfReplicaSpecs: {}}`, want: []string{"spec.tfReplicaSpecs: Invalid value: " + none}},
		{reason: "row 71: no types", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {}}`, want: []string{none}},
		{reason: "row 71: no types", kind: "MPIJob", spec: `{mpiReplicaSpecs: {}}`, want: []string{none}},
		{reason: "row 71: no types", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {}}`, want: []string{none}},
		{reason: "row 71: no types", kind: "PaddleJob", spec: `{paddleReplicaSpecs: {}}`, want: []string{none}},
		{reason: "row 71: no types", kind: "JAXJob", spec: `{jaxReplicaSpecs: {}}`, want: []string{none}},
		{reason: "row 71: a type that is null is not a type", kind: "TFJob", spec: `{tfReplicaSpecs: {Worker: null}}`, want: []string{none}},
		{reason: "row 71: no map", kind: "TFJob", spec: `{runPolicy: {}}`, want: []string{"spec.tfReplicaSpecs: Required value"}},
		{reason: "0 in total", kind: "TFJob", spec: `{tfReplicaSpecs: {PS: {replicas: 0, template: TEMPLATE}, Worker: {replicas: 0, template: TEMPLATE}}}`, want: []string{"spec.tfReplicaSpecs: Invalid value: " + zero}},
		{reason: "0 in total", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Worker: {replicas: 0, template: TEMPLATE}}}`, want: []string{zero}},
		{reason: "0 of one type", kind: "TFJob", spec: `{tfReplicaSpecs: {PS: {replicas: 0, template: TEMPLATE}, Worker: {template: TEMPLATE}}}`},

		// The order in which types start.
		{reason: "a chain", kind: "TFJob", spec: `{tfReplicaSpecs: {PS: {template: TEMPLATE}, Chief: {startAfter: {replicaType: PS, state: Ready}, template: TEMPLATE}, Worker: {startAfter: {replicaType: Chief, state: Running}, template: TEMPLATE}, Evaluator: {startAfter: {replicaType: Worker, state: Succeeded}, template: TEMPLATE}}}`},
		{reason: "after itself", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Worker: {startAfter: {replicaType: Worker, state: Ready}, template: TEMPLATE}}}`, want: []string{`spec.jaxReplicaSpecs: Invalid value: startAfter.replicaType of Worker is "Worker", which is not another replica type of the job: name one that is, or remove startAfter`}},
		{reason: "after a type that the job does not have", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Worker: {startAfter: {replicaType: Master, state: Ready}, template: TEMPLATE}}}`, want: []string{`startAfter.replicaType of Worker is "Master", which is not another replica type of the job: name one that is, or remove startAfter`}},
		{reason: "two after each other", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Master: {startAfter: {replicaType: Worker, state: Ready}, template: TEMPLATE}, Worker: {startAfter: {replicaType: Master, state: Ready}, template: TEMPLATE}}}`, want: []string{"replica types start after each other, so none of them ever starts: remove startAfter of one of them"}},
		{reason: "three after each other", kind: "TFJob", spec: `{tfReplicaSpecs: {PS: {startAfter: {replicaType: Worker, state: Ready}, template: TEMPLATE}, Chief: {startAfter: {replicaType: PS, state: Ready}, template: TEMPLATE}, Worker: {startAfter: {replicaType: Chief, state: Running}, template: TEMPLATE}, Evaluator: {template: TEMPLATE}}}`, want: []string{"replica types start after each other, so none of them ever starts: remove startAfter of one of them"}},
		{reason: "no such state", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Master: {template: TEMPLATE}, Worker: {startAfter: {replicaType: Master, state: Up}, template: TEMPLATE}}}`, want: []string{`spec.xgbReplicaSpecs.Worker.startAfter.state: Unsupported value: "Up": supported values: "Running", "Ready", "Succeeded"`}},
		{reason: "the launcher goes last", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Worker: {startAfter: {replicaType: Launcher, state: Ready}, template: TEMPLATE}}}`, want: []string{"the Launcher of an MPIJob starts after the Workers, so Workers cannot start after it: remove Worker.startAfter"}},

		// Types and how many of each.
		{reason: "row 129: letter case", kind: "TFJob", spec: `{tfReplicaSpecs: {ps: {template: TEMPLATE}, WORKER: {template: TEMPLATE}, Chief: {template: TEMPLATE}}}`, want: []string{"spec.tfReplicaSpecs: Invalid value: unknown replica type ", `ps: the letter case counts, write PS`, `; `, `WORKER: the letter case counts, write Worker`}},
		{reason: "row 129: letter case", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Master: {template: TEMPLATE}, worker: {template: TEMPLATE}}}`, want: []string{`spec.pytorchReplicaSpecs: Invalid value: unknown replica type worker: the letter case counts, write Worker`}},
		{reason: "row 129: letter case", kind: "MPIJob", spec: `{mpiReplicaSpecs: {launcher: {template: TEMPLATE}}}`, want: []string{`unknown replica type launcher: the letter case counts, write Launcher`}},
		{reason: "row 129: letter case", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {MASTER: {template: TEMPLATE}}}`, want: []string{`unknown replica type MASTER: the letter case counts, write Master`}},
		{reason: "row 129: letter case", kind: "PaddleJob", spec: `{paddleReplicaSpecs: {worker: {template: TEMPLATE}}}`, want: []string{`unknown replica type worker: the letter case counts, write Worker`}},
		{reason: "row 129: letter case", kind: "JAXJob", spec: `{jaxReplicaSpecs: {worker: {template: TEMPLATE}}}`, want: []string{`unknown replica type worker: the letter case counts, write Worker`}},
		{reason: "row 73: a Master without replicas", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Master: {template: TEMPLATE}}}`},
		{reason: "row 73: a Master without replicas", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Master: {template: TEMPLATE}}}`},
		{reason: "a type twice", kind: "PaddleJob", spec: `{paddleReplicaSpecs: {Worker: {template: TEMPLATE}, worker: {template: TEMPLATE}}}`, want: []string{"spec.paddleReplicaSpecs: Invalid value: the replica types ", "orker and ", "orker differ by letter case only: keep one of them"}},
		{reason: "unknown type", kind: "TFJob", spec: `{tfReplicaSpecs: {Boss: {template: TEMPLATE}}}`, want: []string{`unknown replica type Boss: a TFJob has the replica types Chief, Evaluator, Master, PS and Worker only: remove or rename it`}},
		{reason: "unknown type", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Master: {template: TEMPLATE}, PS: {template: TEMPLATE}, Worker: {template: TEMPLATE}}}`, want: []string{`unknown replica type PS: a PyTorchJob has the replica types Master and Worker only`}},
		{reason: "row 77: unknown type", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Master: {template: TEMPLATE}}}`, want: []string{`unknown replica type Master: an MPIJob has the replica types Launcher and Worker only`}},
		{reason: "unknown type", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Master: {template: TEMPLATE}, PS: {template: TEMPLATE}}}`, want: []string{`unknown replica type PS: an XGBoostJob has the replica types Master and Worker only`}},
		{reason: "unknown type", kind: "PaddleJob", spec: `{paddleReplicaSpecs: {PS: {template: TEMPLATE}}}`, want: []string{`unknown replica type PS: a PaddleJob has the replica types Master and Worker only`}},
		{reason: "row 76: no Worker", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{`unknown replica type Master: a JAXJob has the replica type Worker only: remove or rename it`}},
		{reason: "Chief and Master", kind: "TFJob", spec: `{tfReplicaSpecs: {Chief: {template: TEMPLATE}, Master: {template: TEMPLATE}}}`, want: []string{"Chief and Master are two names of one role, of which a TFJob has one replica: remove one of them"}},
		{reason: "two Chiefs", kind: "TFJob", spec: `{tfReplicaSpecs: {Chief: {replicas: 2, template: TEMPLATE}}}`, want: []string{"Chief.replicas is 2, and a TFJob has at most one Chief: set Chief.replicas to 1"}},
		{reason: "two Masters", kind: "TFJob", spec: `{tfReplicaSpecs: {Master: {replicas: 2, template: TEMPLATE}}}`, want: []string{"Master.replicas is 2, and a TFJob has at most one Master: set Master.replicas to 1"}},
		{reason: "two Masters", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Master: {replicas: 2, template: TEMPLATE}}}`, want: []string{"Master.replicas is 2, and a PyTorchJob has one Master or none: set Master.replicas to 1, or remove Master"}},
		{reason: "no Worker", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Master: {template: TEMPLATE}, Worker: {replicas: 0, template: TEMPLATE}}}`, want: []string{"Worker.replicas is 0, and a PyTorchJob that names Worker has at least one: set Worker.replicas to 1 or more, or remove Worker"}},
		{reason: "row 77: no Launcher", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"an MPIJob needs a Launcher: add one"}},
		{reason: "row 77: two Launchers", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Launcher: {replicas: 2, template: TEMPLATE}}}`, want: []string{"Launcher.replicas is 2, and an MPIJob has exactly one Launcher: set Launcher.replicas to 1, or leave it out"}},
		{reason: "row 76: no Master", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"an XGBoostJob needs a Master: add one"}},
		{reason: "no Master", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Master: {replicas: 0, template: TEMPLATE}, Worker: {template: TEMPLATE}}}`, want: []string{"Master.replicas is 0, and an XGBoostJob has exactly one Master: set Master.replicas to 1, or leave it out"}},
		{reason: "negative", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Worker: {replicas: -1, template: TEMPLATE}}}`, want: []string{"spec.jaxReplicaSpecs.Worker.replicas: Invalid value: -1"}},

		// Names.
		{reason: "row 74: the longest name", kind: "TFJob", name: strings.Repeat("a", 63-len("-worker-0")), spec: `{tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "row 74: the longest type and index count", kind: "TFJob", name: strings.Repeat("b", 53), spec: `{tfReplicaSpecs: {Worker: {replicas: 11, template: TEMPLATE}, Evaluator: {template: TEMPLATE}}}`, want: []string{
			`metadata.name "` + strings.Repeat("b", 53) + `" has 53 characters, which is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use a name of at most 51 characters`,
		}},
		{reason: "row 74: 61 characters", kind: "PyTorchJob", name: strings.Repeat("c", 61), spec: `{pytorchReplicaSpecs: {Worker: {replicas: 11, template: TEMPLATE}}}`, want: []string{"has 61 characters, which is too long", "at most 53 characters"}},
		{reason: "row 74: the longest name of all index digits", kind: "PyTorchJob", name: strings.Repeat("d", 54), spec: `{pytorchReplicaSpecs: {Worker: {replicas: 10, template: TEMPLATE}}}`},
		{reason: "row 280: without services the name is bound by a label", kind: "MPIJob", name: strings.Repeat("e", 63), spec: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Worker: {replicas: 10, template: TEMPLATE}}}`},
		{reason: "row 280: one more is too many", kind: "MPIJob", name: strings.Repeat("e", 64), spec: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{"has 64 characters, which is too long: it is the value of a label and can have 63 characters: use a shorter name"}},
		{reason: "row 74: a Launcher has no index", kind: "MPIJob", name: strings.Repeat("e", 54), spec: `{runPolicy: {serviceMode: PerReplica}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Worker: {replicas: 10, template: TEMPLATE}}}`},
		{reason: "row 74: too long for a Launcher", kind: "MPIJob", name: strings.Repeat("f", 55), spec: `{runPolicy: {serviceMode: PerJob}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{"<name>-launcher or <name>-worker-<index> is the name of a pod and a service and can have 63 characters: use a name of at most 54 characters"}},
		{reason: "row 74: too long", kind: "XGBoostJob", name: strings.Repeat("g", 55), spec: `{xgbReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{"use a name of at most 54 characters"}},
		{reason: "row 74: too long", kind: "PaddleJob", name: strings.Repeat("h", 55), spec: `{paddleReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{"use a name of at most 54 characters"}},
		{reason: "row 74: too long", kind: "JAXJob", name: strings.Repeat("i", 63), spec: `{jaxReplicaSpecs: {Worker: {replicas: 1001, template: TEMPLATE}}}`, want: []string{"use a name of at most 51 characters"}},
		{reason: "a digit first", kind: "TFJob", name: "1job", spec: `{tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`metadata.name "1job" ` + noName + ` and services are named after it: choose another name`}},
		{reason: "a dot", kind: "PyTorchJob", name: "a.job", spec: `{pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`metadata.name "a.job" ` + noName}},
		{reason: "row 280: a dot, and a digit first", kind: "MPIJob", name: "1.job", spec: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`},
		{reason: "a dot", kind: "MPIJob", name: "a.job", spec: `{runPolicy: {serviceMode: PerReplica}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{`metadata.name "a.job" ` + noName}},
		{reason: "a dot", kind: "XGBoostJob", name: "a.job", spec: `{xgbReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{`metadata.name "a.job" ` + noName}},
		{reason: "a dot", kind: "PaddleJob", name: "a.job", spec: `{paddleReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{`metadata.name "a.job" ` + noName}},
		{reason: "a dot", kind: "JAXJob", name: "a.job", spec: `{jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`metadata.name "a.job" ` + noName}},

		// Templates.
		{reason: "no main container", kind: "TFJob", spec: `{tfReplicaSpecs: {PS: {template: TEMPLATE}, Worker: {template: {spec: {containers: [{name: x, image: busybox}]}}}}}`, want: []string{`Invalid value: the replica type Worker has no container named "tensorflow" in template.spec.containers, only x: give the main container this name`}},
		{reason: "no main container", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Worker: {template: {spec: {containers: [{name: tensorflow, image: busybox}]}}}}}`, want: []string{`the replica type Worker has no container named "pytorch" in template.spec.containers, only tensorflow: give the main container this name`}},
		{reason: "no container at all", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Worker: {template: {spec: {containers: []}}}}}`, want: []string{`spec.mpiReplicaSpecs: Invalid value: the replica type Worker has no container in template.spec.containers: add one`}},
		{reason: "no pod", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Master: {template: {}}}}`, want: []string{`the replica type Master has no container in template.spec.containers: add one named "xgboost"`}},
		{reason: "no template", kind: "PaddleJob", spec: `{paddleReplicaSpecs: {Worker: {}}}`, want: []string{`the replica type Worker has no template: add one, with a container named "paddle"`}},
		{reason: "no main container", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Worker: {template: {spec: {containers: [{name: a, image: busybox}, {name: b, image: busybox}, {name: c, image: busybox}]}}}}}`, want: []string{`the replica type Worker has no container named "jax" in template.spec.containers, only a, b and others: give the main container this name`}},
		{reason: "a sidecar", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Worker: {template: {metadata: {labels: {app: x}}, spec: {containers: [{name: x, image: busybox}, {name: jax, image: busybox}]}}}}}`},
		{reason: "no image", kind: "TFJob", spec: `{tfReplicaSpecs: {PS: {template: TEMPLATE}, Worker: {template: {spec: {containers: [{name: tensorflow, image: busybox}, {name: x}]}}}}}`, want: []string{`the replica type Worker has a container without an image: give every container in template.spec.containers one`}},
		{reason: "row 77: an empty image", kind: "MPIJob", spec: `{mpiReplicaSpecs: {Launcher: {template: {spec: {containers: [{name: mpi, image: ""}]}}}}}`, want: []string{`the replica type Launcher has a container without an image`}},
		{reason: "the controller's labels", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Worker: {template: {metadata: {labels: {training.kubeflow.org/job-role: master}}, spec: {containers: [{name: pytorch, image: busybox}]}}}}}`, want: []string{label}},
		{reason: "the controller's labels", kind: "TFJob", spec: `{tfReplicaSpecs: {Worker: {template: {metadata: {labels: {training.kubeflow.org/replica-index: "7"}}, spec: {containers: [{name: tensorflow, image: busybox}]}}}}}`, want: []string{label}},
		{reason: "the label of a gang", kind: "JAXJob", spec: `{jaxReplicaSpecs: {Worker: {template: {metadata: {labels: {training.kubeflow.org/pod-group: g}}, spec: {containers: [{name: jax, image: busybox}]}}}}}`, want: []string{label}},
		{reason: "another label of the domain", kind: "PyTorchJob", spec: `{pytorchReplicaSpecs: {Worker: {template: {metadata: {labels: {training.kubeflow.org/team: red}}, spec: {containers: [{name: pytorch, image: busybox}]}}}}}`},

		// Policies.
		{reason: "row 72: an empty managedBy", kind: "PyTorchJob", spec: `{runPolicy: {managedBy: ""}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "Kueue's managedBy", kind: "MPIJob", spec: `{runPolicy: {managedBy: kueue.x-k8s.io/multikueue}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`},
		{reason: "unknown restart policy", kind: "XGBoostJob", spec: `{xgbReplicaSpecs: {Master: {restartPolicy: Sometimes, template: TEMPLATE}}}`, want: []string{`restartPolicy: Unsupported value: "Sometimes"`}},
		{reason: "unknown clean-up policy", kind: "MPIJob", spec: `{cleanPodPolicy: Some, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{`spec.cleanPodPolicy: Unsupported value: "Some"`}},
		{reason: "unknown success policy", kind: "TFJob", spec: `{successPolicy: allworkers, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`spec.successPolicy: Unsupported value: "allworkers"`}},
		{reason: "the default success policy by name", kind: "TFJob", spec: `{successPolicy: "", tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "a success policy", kind: "TFJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 1}, {replicaType: Worker, indexes: "0"}]}}, tfReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`},
		{reason: "a success policy of a type that is not there", kind: "TFJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Boss, count: 1}]}}, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: the job has no replica type "Boss", so the rule never holds: use a type of tfReplicaSpecs, or add it`}},
		{reason: "a success policy of too many", kind: "TFJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 2}]}}, tfReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: count is 2, and the job has 1 replicas of Worker, so the rule never holds: lower count, or raise replicas`}},
		{reason: "a success policy", kind: "PyTorchJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 1}, {replicaType: Worker, indexes: "0"}]}}, pytorchReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`},
		{reason: "a success policy of a type that is not there", kind: "PyTorchJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Boss, count: 1}]}}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: the job has no replica type "Boss", so the rule never holds: use a type of pytorchReplicaSpecs, or add it`}},
		{reason: "a success policy of too many", kind: "PyTorchJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 2}]}}, pytorchReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: count is 2, and the job has 1 replicas of Worker, so the rule never holds: lower count, or raise replicas`}},
		{reason: "a success policy", kind: "MPIJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Launcher, count: 1}, {replicaType: Launcher, indexes: "0"}]}}, mpiReplicaSpecs: {Launcher: {replicas: 1, template: TEMPLATE}}}`},
		{reason: "a success policy of a type that is not there", kind: "MPIJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Boss, count: 1}]}}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: the job has no replica type "Boss", so the rule never holds: use a type of mpiReplicaSpecs, or add it`}},
		{reason: "a success policy of too many", kind: "MPIJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Launcher, count: 2}]}}, mpiReplicaSpecs: {Launcher: {replicas: 1, template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: count is 2, and the job has 1 replicas of Launcher, so the rule never holds: lower count, or raise replicas`}},
		{reason: "a success policy", kind: "XGBoostJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Master, count: 1}, {replicaType: Master, indexes: "0"}]}}, xgbReplicaSpecs: {Master: {replicas: 1, template: TEMPLATE}}}`},
		{reason: "a success policy of a type that is not there", kind: "XGBoostJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Boss, count: 1}]}}, xgbReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: the job has no replica type "Boss", so the rule never holds: use a type of xgbReplicaSpecs, or add it`}},
		{reason: "a success policy of too many", kind: "XGBoostJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Master, count: 2}]}}, xgbReplicaSpecs: {Master: {replicas: 1, template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: count is 2, and the job has 1 replicas of Master, so the rule never holds: lower count, or raise replicas`}},
		{reason: "a success policy", kind: "PaddleJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 1}, {replicaType: Worker, indexes: "0"}]}}, paddleReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`},
		{reason: "a success policy of a type that is not there", kind: "PaddleJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Boss, count: 1}]}}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: the job has no replica type "Boss", so the rule never holds: use a type of paddleReplicaSpecs, or add it`}},
		{reason: "a success policy of too many", kind: "PaddleJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 2}]}}, paddleReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: count is 2, and the job has 1 replicas of Worker, so the rule never holds: lower count, or raise replicas`}},
		{reason: "a success policy", kind: "JAXJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 1}, {replicaType: Worker, indexes: "0"}]}}, jaxReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`},
		{reason: "a success policy of a type that is not there", kind: "JAXJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Boss, count: 1}]}}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: the job has no replica type "Boss", so the rule never holds: use a type of jaxReplicaSpecs, or add it`}},
		{reason: "a success policy of too many", kind: "JAXJob", spec: `{runPolicy: {successPolicy: {rules: [{replicaType: Worker, count: 2}]}}, jaxReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`, want: []string{`spec.runPolicy.successPolicy: Invalid value: count is 2, and the job has 1 replicas of Worker, so the rule never holds: lower count, or raise replicas`}},
		{reason: "budgets over time", kind: "PyTorchJob", spec: `{runPolicy: {backoffLimit: 1000, backoffLimitWindowSeconds: 1, backoffLimitPerReplica: 1, onBackoffLimitPerReplica: RestartJob, maxJobRestarts: 0}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "a window of no limit", kind: "TFJob", spec: `{runPolicy: {backoffLimitWindowSeconds: 60}, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.backoffLimitWindowSeconds: Invalid value: it says nothing without backoffLimit or backoffLimitPerReplica: add one of them, or remove it"}},
		{reason: "a window of no time", kind: "JAXJob", spec: `{runPolicy: {backoffLimit: 1, backoffLimitWindowSeconds: 0}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.backoffLimitWindowSeconds: Invalid value: 0: spec.runPolicy.backoffLimitWindowSeconds in body should be greater than or equal to 1"}},
		{reason: "more restarts than the status holds", kind: "XGBoostJob", spec: `{runPolicy: {backoffLimit: 1001, backoffLimitWindowSeconds: 60}, xgbReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.backoffLimit: Invalid value: with backoffLimitWindowSeconds the status holds the time of each restart: use at most 1000, or remove backoffLimitWindowSeconds"}},
		{reason: "an action of no limit", kind: "PaddleJob", spec: `{runPolicy: {onBackoffLimitPerReplica: RestartJob}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.onBackoffLimitPerReplica: Invalid value: it says nothing without backoffLimitPerReplica: add that, or remove it"}},
		{reason: "restarts for late starts", kind: "MPIJob", spec: `{runPolicy: {startDeadlineSeconds: 1, onStartDeadline: RestartJob, maxJobRestarts: 1}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`},
		{reason: "no start is late", kind: "MPIJob", spec: `{runPolicy: {onStartDeadline: RestartJob}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.onStartDeadline: Invalid value: it says nothing without startDeadlineSeconds: add that, or remove it"}},
		{reason: "every start is late", kind: "JAXJob", spec: `{runPolicy: {startDeadlineSeconds: 0, onStartDeadline: RestartJob}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.startDeadlineSeconds: Invalid value: with 0 the job would restart forever: use 1 or more, or set onStartDeadline to FailJob"}},
		{reason: "no such action", kind: "JAXJob", spec: `{runPolicy: {startDeadlineSeconds: 1, onStartDeadline: Restart}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.onStartDeadline: Unsupported value: "Restart": supported values: "FailJob", "RestartJob"`}},
		{reason: "host ports", kind: "JAXJob", spec: `{runPolicy: {hostPorts: Allocate, hostPortRange: {first: 1, last: 65535}}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "no such way", kind: "JAXJob", spec: `{runPolicy: {hostPorts: Random}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{`spec.runPolicy.hostPorts: Unsupported value: "Random": supported values: "Allocate"`}},
		{reason: "a range for nothing", kind: "TFJob", spec: `{runPolicy: {hostPortRange: {first: 1, last: 2}}, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.hostPortRange: Invalid value: it says nothing without hostPorts: add that, or remove it"}},
		{reason: "a range without ports", kind: "TFJob", spec: `{runPolicy: {hostPorts: Allocate, hostPortRange: {first: 2, last: 1}}, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.hostPortRange: Invalid value: first is more than last: lower first, or raise last"}},
		{reason: "ports beyond the last", kind: "TFJob", spec: `{runPolicy: {hostPorts: Allocate, hostPortRange: {first: 0, last: 65536}}, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.hostPortRange.first: Invalid value: 0: spec.runPolicy.hostPortRange.first in body should be greater than or equal to 1", "hostPortRange.last in body should be less than or equal to 65535"}},
		{reason: "restarts that never come", kind: "MPIJob", spec: `{runPolicy: {backoffLimitPerReplica: 1, maxJobRestarts: 1}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{"spec.runPolicy.maxJobRestarts: Invalid value: it says nothing unless onBackoffLimitPerReplica or onStartDeadline is RestartJob: set one of them, or remove it"}},
		{reason: "negative slots", kind: "MPIJob", spec: `{slotsPerWorker: -1, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, want: []string{"spec.slotsPerWorker: Invalid value: -1"}},

		// Elastic policies.
		{reason: "row 75: rdzvConf without settings", kind: "PyTorchJob", spec: `{elasticPolicy: {rdzvConf: []}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "row 75: nothing to scale", kind: "PyTorchJob", spec: `{elasticPolicy: {}, pytorchReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{noWorker + "pytorchReplicaSpecs, or remove elasticPolicy"}},
		{reason: "row 75: nothing to scale", kind: "PaddleJob", spec: `{elasticPolicy: {}, paddleReplicaSpecs: {Master: {template: TEMPLATE}}}`, want: []string{noWorker + "paddleReplicaSpecs, or remove elasticPolicy"}},
		{reason: "limits the wrong way round", kind: "PyTorchJob", spec: `{elasticPolicy: {minReplicas: 3, maxReplicas: 2}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{minMax}},
		{reason: "limits the wrong way round", kind: "PaddleJob", spec: `{elasticPolicy: {minReplicas: 3, maxReplicas: 2}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{minMax}},
		{reason: "no Workers wanted", kind: "PyTorchJob", spec: `{elasticPolicy: {minReplicas: 0}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.elasticPolicy.minReplicas: Invalid value: 0"}},
		{reason: "no such port", kind: "PyTorchJob", spec: `{elasticPolicy: {rdzvPort: 65536}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.elasticPolicy.rdzvPort: Invalid value: 65536"}},
		{reason: "the number of processes in its older place", kind: "PyTorchJob", spec: `{elasticPolicy: {nProcPerNode: 2}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`},
		{reason: "the number of processes twice", kind: "PyTorchJob", spec: `{nprocPerNode: "2", elasticPolicy: {nProcPerNode: 2}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`, want: []string{"spec.elasticPolicy.nProcPerNode: Invalid value: it says the same as spec.nprocPerNode: remove it, it is deprecated"}},
	} {
		t.Run(tc.kind+"/"+tc.reason, func(t *testing.T) {
			t.Parallel()
			job := manifest(t, tc.kind, ns, tc.name, tc.spec)
			if tc.name == "" {
				job.SetGenerateName("job-")
			}
			checkRefused(t, cluster.client.Create(t.Context(), job), tc.want...)
		})
	}
}

// TestKubeflowManagedBy checks on every kind which controllers a job can name, and
// that it cannot be given to another (row 70, and that JAXJobs and MPIJobs were not
// checked).
func TestKubeflowManagedBy(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for kind, spec := range map[string]string{
		"TFJob":      `tfReplicaSpecs: {Worker: {template: TEMPLATE}}`,
		"PyTorchJob": `pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}`,
		"MPIJob":     `mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}`,
		"XGBoostJob": `xgbReplicaSpecs: {Master: {template: TEMPLATE}}`,
		"PaddleJob":  `paddleReplicaSpecs: {Worker: {template: TEMPLATE}}`,
		"JAXJob":     `jaxReplicaSpecs: {Worker: {template: TEMPLATE}}`,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			err := cluster.client.Create(t.Context(), manifest(t, kind, ns, "unknown", "{runPolicy: {managedBy: me}, "+spec+"}"))
			checkRefused(t, err, `spec.runPolicy.managedBy: Invalid value: no controller "me" is known: remove it, or use kubeflow.org/training-operator or kueue.x-k8s.io/multikueue`)

			const immutable = `spec.runPolicy.managedBy: Invalid value: it is immutable and was %q: keep that, or delete the job and create it again`
			for i, tc := range []struct{ before, after, want string }{
				{`{}`, `{runPolicy: {managedBy: kueue.x-k8s.io/multikueue}}`, fmt.Sprintf(immutable, "")},
				{`{runPolicy: {suspend: true}}`, `{runPolicy: {suspend: true, managedBy: kueue.x-k8s.io/multikueue}}`, fmt.Sprintf(immutable, "")},
				{`{runPolicy: {managedBy: kueue.x-k8s.io/multikueue}}`, `{}`, fmt.Sprintf(immutable, "kueue.x-k8s.io/multikueue")},
				{`{runPolicy: {managedBy: kubeflow.org/training-operator}}`, `{runPolicy: {managedBy: kueue.x-k8s.io/multikueue}}`, fmt.Sprintf(immutable, "kubeflow.org/training-operator")},
				{`{runPolicy: {managedBy: kubeflow.org/training-operator}}`, `{runPolicy: {managedBy: kubeflow.org/training-operator, suspend: true}}`, ""},
				{`{}`, `{runPolicy: {managedBy: ""}}`, ""},
			} {
				name := fmt.Sprintf("job-%d", i)
				job := manifest(t, kind, ns, name, strings.Replace(tc.before, "{", "{"+spec+", ", 1))
				if err := cluster.client.Create(t.Context(), job); err != nil {
					t.Fatal(err)
				}
				changed := manifest(t, kind, ns, name, strings.Replace(tc.after, "{", "{"+spec+", ", 1))
				changed.SetResourceVersion(job.GetResourceVersion())
				if tc.want == "" {
					checkRefused(t, cluster.client.Update(t.Context(), changed))
				} else {
					checkRefused(t, cluster.client.Update(t.Context(), changed), tc.want)
				}
			}
		})
	}
}

// TestKubeflowUpdates checks the rules about changes.
func TestKubeflowUpdates(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	const hostPorts = "spec.runPolicy: Invalid value: hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports: undo the change, or create another job"
	for i, tc := range []struct {
		reason, kind, name, before, after string
		want                              []string
	}{
		{
			reason: "as many replicas as the name has room for", kind: "TFJob", name: strings.Repeat("a", 54),
			before: `{tfReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`, after: `{tfReplicaSpecs: {Worker: {replicas: 10, template: TEMPLATE}}}`,
		},
		{
			reason: "row 74: more replicas than the name has room for", kind: "TFJob", name: strings.Repeat("b", 54),
			before: `{tfReplicaSpecs: {Worker: {replicas: 10, template: TEMPLATE}}}`, after: `{tfReplicaSpecs: {Worker: {replicas: 11, template: TEMPLATE}}}`,
			want: []string{"has 54 characters, which is too long for so many replicas: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: use fewer replicas, or a new job with a name of at most 53 characters"},
		},
		{
			reason: "row 74: more replicas than the name has room for", kind: "MPIJob", name: strings.Repeat("c", 54),
			before: `{runPolicy: {serviceMode: PerReplica}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {serviceMode: PerReplica}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Worker: {replicas: 11, template: TEMPLATE}}}`,
			want:   []string{"use fewer replicas, or a new job with a name of at most 53 characters"},
		},
		{
			reason: "row 280: more replicas of a name without services", kind: "MPIJob", name: strings.Repeat("d", 63),
			before: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, after: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}, Worker: {replicas: 11, template: TEMPLATE}}}`,
		},
		{
			reason: "row 280: services for which the name has no room", kind: "MPIJob", name: strings.Repeat("e", 63),
			before: `{mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`, after: `{runPolicy: {serviceMode: PerJob}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`,
			want: []string{"is the name of a pod and a service and can have 63 characters"},
		},
		{
			reason: "labels that the controller ignores in a job that is accepted, as in those of v1", kind: "JAXJob",
			before: `{jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			after:  `{jaxReplicaSpecs: {Worker: {template: {metadata: {labels: {training.kubeflow.org/job-role: master}}, spec: {containers: [{name: jax, image: busybox}]}}}}}`,
		},
		{
			reason: "down to nothing", kind: "JAXJob",
			before: `{jaxReplicaSpecs: {Worker: {replicas: 2, template: TEMPLATE}}}`, after: `{jaxReplicaSpecs: {Worker: {replicas: 0, template: TEMPLATE}}}`,
		},
		{
			reason: "the types are removed", kind: "TFJob",
			before: `{tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`, after: `{tfReplicaSpecs: {}}`,
			want: []string{"the job has no replicas: add at least one replica type with a template"},
		},
		{
			reason: "host ports are added with the whole run policy", kind: "PyTorchJob",
			before: `{pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {hostPorts: Allocate}, pytorchReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			want:   []string{hostPorts},
		},
		{
			reason: "host ports are removed with the whole run policy", kind: "TFJob",
			before: `{runPolicy: {hostPorts: Allocate}, tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			after:  `{tfReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			want:   []string{hostPorts},
		},
		{
			reason: "host ports are added to a run policy", kind: "MPIJob",
			before: `{runPolicy: {backoffLimit: 3}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {backoffLimit: 3, hostPorts: Allocate}, mpiReplicaSpecs: {Launcher: {template: TEMPLATE}}}`,
			want:   []string{hostPorts},
		},
		{
			reason: "another range", kind: "XGBoostJob",
			before: `{runPolicy: {hostPorts: Allocate, hostPortRange: {first: 1, last: 2}}, xgbReplicaSpecs: {Master: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {hostPorts: Allocate, hostPortRange: {first: 1, last: 3}}, xgbReplicaSpecs: {Master: {template: TEMPLATE}}}`,
			want:   []string{hostPorts},
		},
		{
			reason: "a range is removed", kind: "PaddleJob",
			before: `{runPolicy: {hostPorts: Allocate, hostPortRange: {first: 1, last: 2}}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {hostPorts: Allocate}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			want:   []string{hostPorts},
		},
		{
			reason: "another policy beside host ports", kind: "JAXJob",
			before: `{runPolicy: {hostPorts: Allocate, hostPortRange: {first: 1, last: 2}}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {suspend: true, hostPorts: Allocate, hostPortRange: {first: 1, last: 2}}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
		},
		{
			reason: "a run policy without host ports is added", kind: "JAXJob",
			before: `{jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {suspend: true}, jaxReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
		},
		{
			reason: "another queue", kind: "PaddleJob",
			before: `{runPolicy: {schedulingPolicy: {queue: a}}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			after:  `{runPolicy: {schedulingPolicy: {queue: b}}, paddleReplicaSpecs: {Worker: {template: TEMPLATE}}}`,
			want:   []string{"spec.runPolicy.schedulingPolicy.queue is immutable"},
		},
	} {
		t.Run(tc.kind+"/"+tc.reason, func(t *testing.T) {
			t.Parallel()
			name := tc.name
			if name == "" {
				name = fmt.Sprintf("job-%d", i)
			}
			job := manifest(t, tc.kind, ns, name, tc.before)
			if err := cluster.client.Create(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			changed := manifest(t, tc.kind, ns, name, tc.after)
			changed.SetResourceVersion(job.GetResourceVersion())
			checkRefused(t, cluster.client.Update(t.Context(), changed), tc.want...)
		})
	}
}

// TestKubeflowRoundTrip checks that the Go types hold all that the CRDs keep, and
// the other way round, empty lists included (row 75).
func TestKubeflowRoundTrip(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	replicas := kubeflowv1.ReplicaSpecs{"Worker": {Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}, Annotations: map[string]string{"a": "b"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "pytorch", Image: "busybox"}}},
	}, Replicas: new(int32(1)), RestartPolicy: commonv1.RestartPolicyExitCode}}
	want := kubeflowv1.PyTorchJobSpec{
		RunPolicy: commonv1.RunPolicy{Suspend: new(false), BackoffLimit: new(int32(0)), ManagedBy: new("")},
		ElasticPolicy: &kubeflowv1.ElasticPolicy{
			MinReplicas: new(int32(1)), MaxReplicas: new(int32(2)), RDZVBackend: new(kubeflowv1.BackendETCDV2), RDZVPort: new(int32(0)),
			RDZVHost: new("host"), RDZVID: new("id"), RDZVConf: []kubeflowv1.RDZVConf{{Key: "k", Value: "v"}, {}},
			Standalone: new(true), MaxRestarts: new(int32(0)),
		},
		NprocPerNode:        new("auto"),
		PyTorchReplicaSpecs: replicas,
	}
	job := &kubeflowv1.PyTorchJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "job"}, Spec: *want.DeepCopy()}
	create(t, job)
	got := &kubeflowv1.PyTorchJob{}
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(job), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("the API server keeps what it is given: -want +got\n%s", diff)
	}
}

// TestKubeflowScale checks that the kinds with a scale subresource can be scaled,
// and that the rules hold there too.
func TestKubeflowScale(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for kind, spec := range map[string]string{
		"PyTorchJob": `{pytorchReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`,
		"PaddleJob":  `{paddleReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`,
		"JAXJob":     `{jaxReplicaSpecs: {Worker: {replicas: 1, template: TEMPLATE}}}`,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			job := manifest(t, kind, ns, strings.Repeat("a", 54), spec)
			create(t, job)
			scale := func(n int) error {
				body := fmt.Sprintf(`{"spec":{"replicas":%d}}`, n)
				return cluster.client.SubResource("scale").Patch(t.Context(), job.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(body)))
			}
			checkRefused(t, scale(10))
			checkRefused(t, scale(11), "use fewer replicas, or a new job with a name of at most 53 characters")
		})
	}
}

// TestKubeflowColumns checks what kubectl get shows (row 78: the state was that of
// the last condition, true or not).
func TestKubeflowColumns(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := &kubeflowv1.PyTorchJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "job"}, Spec: kubeflowv1.PyTorchJobSpec{
		PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": {Replicas: new(int32(3)), Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "pytorch", Image: "busybox"}}},
		}}},
	}}
	create(t, job)
	job.Status = commonv1.JobStatus{
		Conditions: []commonv1.JobCondition{
			{Type: commonv1.JobRunning, Status: corev1.ConditionTrue},
			{Type: commonv1.JobSuspended, Status: corev1.ConditionFalse},
		},
		ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{"Worker": {Active: 2}},
		State:           commonv1.JobRunning,
		Restarts:        4,
	}
	if err := cluster.client.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	clientset, err := kubernetes.NewForConfig(cluster.config)
	if err != nil {
		t.Fatal(err)
	}
	for kind, plural := range map[string]string{
		"TFJob": "tfjobs", "PyTorchJob": "pytorchjobs", "MPIJob": "mpijobs", "XGBoostJob": "xgboostjobs", "PaddleJob": "paddlejobs", "JAXJob": "jaxjobs",
	} {
		text, err := clientset.RESTClient().Get().AbsPath("/apis/kubeflow.org/v1/namespaces/"+ns+"/"+plural).
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var table metav1.Table
		if err := json.Unmarshal(text, &table); err != nil {
			t.Fatal(err)
		}
		var columns []string
		for _, c := range table.ColumnDefinitions {
			columns = append(columns, c.Name)
		}
		if diff := cmp.Diff([]string{"Name", "State", "Workers", "Active", "Restarts", "Progress", "Remaining", "Age"}, columns); diff != "" {
			t.Errorf("%s shows these columns: -want +got\n%s", kind, diff)
		}
		if kind != "PyTorchJob" {
			continue
		}
		if len(table.Rows) != 1 {
			t.Fatalf("there is one %s, the table has %d", kind, len(table.Rows))
		}
		if diff := cmp.Diff([]any{"job", "Running", 3.0, 2.0, 4.0}, table.Rows[0].Cells[:5]); diff != "" {
			t.Errorf("the columns hold the true state: -want +got\n%s", diff)
		}
	}
}

// TestKubeflowOldJobs checks that a job from before the rules, which breaks many of
// them, can still get a status, lose its finalizers, and be fixed, but
// not be made worse: the rules check only what changes. It has a CRD of its own, whose
// rules come after the job.
func TestKubeflowOldJobs(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	apply := func(crd *unstructured.Unstructured) {
		t.Helper()
		err := cluster.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(crd.DeepCopy()), client.FieldOwner("test"), client.ForceOwnership)
		if err != nil {
			t.Fatal(err)
		}
	}
	strict := oldJobCRD(t)
	lax := strict.DeepCopy()
	withoutRules(lax.Object)
	apply(lax)
	t.Cleanup(func() { _ = cluster.client.Delete(context.Background(), strict) })

	long := strings.Repeat("a", 63)
	job := manifest(t, "OldJob", ns, long, `{tfReplicaSpecs: {Boss: {template: {metadata: {labels: {training.kubeflow.org/job-name: x}}, spec: {containers: [{name: x}]}}}, worker: {replicas: 3, template: {spec: {containers: [{name: tensorflow, image: busybox}]}}}}}`)
	job.SetFinalizers([]string{"example.com/f"})
	eventually(t, "the CRD is served", func(ctx context.Context) string {
		if err := cluster.client.Create(ctx, job.DeepCopy()); err != nil {
			return err.Error()
		}
		return ""
	})
	apply(strict)
	eventually(t, "the rules hold", func(ctx context.Context) string {
		err := cluster.client.Create(ctx, manifest(t, "OldJob", ns, long+"b", `{tfReplicaSpecs: {}}`), client.DryRunAll)
		if !apierrors.IsInvalid(err) {
			return fmt.Sprintf("%v", err)
		}
		return ""
	})

	change := func(ops string, status bool) error {
		patch := client.RawPatch("application/json-patch+json", []byte(ops))
		if status {
			return cluster.client.Status().Patch(t.Context(), job.DeepCopy(), patch)
		}
		return cluster.client.Patch(t.Context(), job.DeepCopy(), patch)
	}
	checkRefused(t, change(`[{"op":"add","path":"/status","value":{"state":"Failed","restarts":0}}]`, true))
	checkRefused(t, change(`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`, false))
	checkRefused(t, change(`[{"op":"add","path":"/spec/tfReplicaSpecs/worker/replicas","value":2}]`, false), "unknown replica type")
	checkRefused(t, change(`[{"op":"remove","path":"/spec/tfReplicaSpecs/Boss"}]`, false))
	checkRefused(t, change(`[{"op":"add","path":"/spec/tfReplicaSpecs/worker/replicas","value":2}]`, false))
	checkRefused(t, change(`[{"op":"remove","path":"/metadata/finalizers"}]`, false))
}

// oldJobCRD is the CRD of TFJob, for a kind of another name.
func oldJobCRD(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	text, err := crd.Files.ReadFile("kubeflow.org_tfjobs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetName("oldjobs.kubeflow.org")
	names := map[string]any{"kind": "OldJob", "listKind": "OldJobList", "plural": "oldjobs", "singular": "oldjob"}
	if err := unstructured.SetNestedMap(u.Object, names, "spec", "names"); err != nil {
		t.Fatal(err)
	}
	return u
}

// withoutRules removes the rules from a schema.
func withoutRules(in any) {
	switch in := in.(type) {
	case map[string]any:
		delete(in, "x-kubernetes-validations")
		for _, v := range in {
			withoutRules(v)
		}
	case []any:
		for _, v := range in {
			withoutRules(v)
		}
	}
}
