//go:build integration

package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// kind is a job kind, with the replica types of the jobs that the scenarios make.
type kind struct {
	kind, field, container string
	// shape names the replica types, where a kind is in the table more than once.
	shape string
	// types are the replica types, each with one replica, and two Workers.
	types []string
	// leader is the type whose replicas decide whether the job runs and has succeeded.
	leader string
	// deciders are the pods that make the job a success when they succeed.
	deciders []string
	// alternative is true for the additional rows of a kind: they play only the scenarios
	// in which the replica types matter.
	alternative bool
	// masters are the pods with the label job-role=master.
	masters []string
	// noServices is true for the kind that has none.
	noServices bool
	// leaderLast is true for the kind whose leader is created when the other replicas are ready.
	leaderLast bool
	// running, succeeded and failed are the messages of conditions; failed ends before
	// the cause. NS stands for the namespace.
	running, succeeded, failed string
	// failedReason is the reason of the condition Failed when replicas failed.
	failedReason string
	// defaults are what a replica spec gets that sets only its template.
	defaultPolicy, defaultPort string
}

// Types, as manifests spell them.
const (
	chief, evaluator, launcher, master, ps, worker = "Chief", "Evaluator", "Launcher", "Master", "PS", "Worker"
)

// kinds are all kinds, some in more than one shape.
func kinds() []*kind {
	byNamespace := func(k *kind) *kind {
		k.running, k.succeeded = k.kind+" NS/job is running.", k.kind+" NS/job successfully completed."
		return k
	}
	byName := func(k *kind) *kind {
		k.running, k.succeeded = k.kind+" job is running.", k.kind+" job is successfully completed."
		return k
	}
	all := []*kind{
		byNamespace(&kind{
			kind: "TFJob", shape: "Workers", field: "tfReplicaSpecs", container: "tensorflow", types: []string{ps, worker}, leader: worker,
			deciders: []string{"job-worker-0"}, masters: []string{"job-worker-0"}, failed: "TFJob NS/job has failed", defaultPolicy: "Never", defaultPort: "{name: tfjob-port, containerPort: 2222}",
		}),
		byNamespace(&kind{
			kind: "TFJob", shape: "Chief", field: "tfReplicaSpecs", container: "tensorflow", types: []string{chief, evaluator, ps, worker}, leader: chief,
			alternative: true, masters: []string{"job-chief-0"}, failed: "TFJob NS/job has failed", defaultPolicy: "Never", defaultPort: "{name: tfjob-port, containerPort: 2222}",
		}),
		byName(&kind{
			kind: "PyTorchJob", shape: "Master", field: "pytorchReplicaSpecs", container: "pytorch", types: []string{master, worker}, leader: master,
			masters: []string{"job-master-0"}, defaultPolicy: "OnFailure", defaultPort: "{name: pytorchjob-port, containerPort: 23456}",
		}),
		byNamespace(&kind{
			kind: "PyTorchJob", shape: "Workers", field: "pytorchReplicaSpecs", container: "pytorch", types: []string{worker}, leader: worker,
			alternative: true, masters: []string{"job-worker-0"}, defaultPolicy: "OnFailure", defaultPort: "{name: pytorchjob-port, containerPort: 23456}",
		}),
		byName(&kind{
			kind: "MPIJob", field: "mpiReplicaSpecs", container: "mpi", types: []string{launcher, worker}, leader: launcher,
			masters: []string{"job-launcher"}, noServices: true, leaderLast: true, failedReason: "MPIJobMPIJobFailed", defaultPolicy: "Never",
		}),
		byName(&kind{
			kind: "XGBoostJob", field: "xgbReplicaSpecs", container: "xgboost", types: []string{master, worker}, leader: master,
			masters: []string{"job-master-0"}, defaultPolicy: "Never", defaultPort: "{name: xgboostjob-port, containerPort: 9999}",
		}),
		byName(&kind{
			kind: "PaddleJob", shape: "Master", field: "paddleReplicaSpecs", container: "paddle", types: []string{master, worker}, leader: master,
			masters: []string{"job-master-0"}, defaultPolicy: "OnFailure", defaultPort: "{name: master, containerPort: 36543}",
		}),
		byNamespace(&kind{
			kind: "PaddleJob", shape: "Workers", field: "paddleReplicaSpecs", container: "paddle", types: []string{worker}, leader: worker,
			alternative: true, defaultPolicy: "OnFailure", defaultPort: "{name: master, containerPort: 36543}",
		}),
		byNamespace(&kind{
			kind: "JAXJob", field: "jaxReplicaSpecs", container: "jax", types: []string{worker}, leader: worker,
			masters: []string{"job-worker-0"}, defaultPolicy: "Never", defaultPort: "{name: jaxjob-port, containerPort: 6666}",
		}),
	}
	for _, k := range all {
		k.failed = cmp.Or(k.failed, k.kind+" job is failed")
		k.failedReason = cmp.Or(k.failedReason, k.kind+"Failed")
		if k.deciders == nil {
			k.deciders = k.podsOf(k.leader)
		}
	}
	return all
}

// kindOf is the first row of a kind.
func kindOf(name string) *kind {
	all := kinds()
	return all[slices.IndexFunc(all, func(k *kind) bool { return k.kind == name })]
}

func (k *kind) String() string { return k.kind + k.shape }

// object is an empty job of the kind.
func (k *kind) object() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(kubeflowv1.GroupVersion.String())
	u.SetKind(k.kind)
	return u
}

// manifest says what a scenario's jobs have in common.
type manifest struct {
	// run and spec are fields of spec.runPolicy and of spec, in YAML.
	run, spec string
	// policy is the restart policy of all replicas.
	policy string
	// life says how the pods live, in YAML (see devcluster/README.md). By default they
	// run forever.
	life string
}

// manifest writes a job.
func (k *kind) manifest(m manifest) string {
	var out strings.Builder
	_, _ = fmt.Fprintf(&out, `
apiVersion: kubeflow.org/v1
kind: %s
metadata:
  name: job
spec:
  %s
  runPolicy: {%s}
  %s:`, k.kind, m.spec, m.run, k.field)
	for _, t := range k.types {
		_, _ = fmt.Fprintf(&out, `
    %s:
      replicas: %d
      restartPolicy: %s
      template:
        metadata:
          annotations: {%s}
        spec:
          containers:
          - name: %s
            image: registry.example.com/train:v1
            command: [train]`, t, len(k.podsOf(t)), cmp.Or(m.policy, `""`), annotations(m.life), k.container)
	}
	return out.String()
}

// annotations give a pod this life on the dev cluster.
func annotations(life string) string {
	var settings map[string]any
	if err := yaml.Unmarshal([]byte("{"+life+"}"), &settings); err != nil {
		panic(err)
	}
	var out []string
	for name, value := range settings {
		out = append(out, fmt.Sprintf("devcluster.jobkit.dev/%s: %q", name, fmt.Sprint(value)))
	}
	return strings.Join(out, ", ")
}

// podsOf are the names of the pods of a type.
func (k *kind) podsOf(t string) []string {
	switch t {
	case launcher:
		return []string{"job-launcher"}
	case worker:
		return k.workers(2)
	default:
		return []string{"job-" + strings.ToLower(t) + "-0"}
	}
}

// workers are the names of the pods of so many Workers.
func (*kind) workers(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("job-worker-%d", i))
	}
	return out
}

// pods are the names of all pods of a job with so many Workers.
func (k *kind) names(workers int) (pods, services []string) {
	for _, t := range k.types {
		if t == worker {
			pods = append(pods, k.workers(workers)...)
		} else {
			pods = append(pods, k.podsOf(t)...)
		}
	}
	if k.noServices {
		return pods, nil
	}
	return pods, slices.Clone(pods)
}

// Conditions, as helper conditions writes them.

func (k *kind) isCreated() string {
	return fmt.Sprintf("Created True %sCreated: %s job is created.", k.kind, k.kind)
}

func (j *job) in(message string) string { return strings.ReplaceAll(message, "NS", j.namespace) }

func (j *job) isRunning() string {
	return fmt.Sprintf("Running True %sRunning: %s", j.kind.kind, j.in(j.running))
}

func (j *job) wasRunning() string {
	return fmt.Sprintf("Running False %sRunning: %s", j.kind.kind, j.in(j.running))
}

func (j *job) hasSucceeded() string {
	return fmt.Sprintf("Succeeded True %sSucceeded: %s", j.kind.kind, j.in(j.succeeded))
}

// hasFailed is the condition Failed of a job that failed because of replicas.
func (j *job) hasFailed(because string) string {
	return fmt.Sprintf("Failed True %s: %s because %s", j.failedReason, j.in(j.failed), because)
}

// hasReachedLimit is the condition Failed of a job that failed because of a limit.
func (j *job) hasReachedLimit(because string) string {
	return fmt.Sprintf("Failed True %sFailed: %s because %s", j.kind.kind, j.in(j.failed), because)
}
