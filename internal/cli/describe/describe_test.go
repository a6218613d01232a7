package describe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/describe"
	"github.com/jobkit/jobkit/internal/cli/jobs"
)

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// spec is a job that has been running for ten minutes, with a change to its run policy and status.
func spec(policy, status string) string {
	return `
apiVersion: kubeflow.org/v1
kind: JAXJob
metadata: {name: a, namespace: ns, uid: u, generation: 1, resourceVersion: "7", creationTimestamp: "2026-01-02T11:50:00Z"}
spec:
  runPolicy: {serviceMode: None` + policy + `}
  jaxReplicaSpecs: {Worker: {replicas: 2, restartPolicy: ExitCode, template: {spec: {containers: [{name: jax, image: i}]}}}}
status:
  startTime: "2026-01-02T11:50:00Z"
  observedGeneration: 1
  ` + status
}

const (
	running = `state: Running
  restarts: 0
  conditions:
  - {type: Created, status: "True", reason: JAXJobCreated, message: JAXJob a is created., lastTransitionTime: "2026-01-02T11:50:00Z"}
  - {type: Running, status: "True", reason: JAXJobRunning, message: JAXJob ns/a is running., lastTransitionTime: "2026-01-02T11:50:05Z"}
  replicaStatuses: {Worker: {active: 2, selector: "training.kubeflow.org/job-name=a,training.kubeflow.org/operator-name=jaxjob-controller,training.kubeflow.org/replica-type=worker"}}`
	succeeded = `state: Succeeded
  completionTime: "2026-01-02T11:59:00Z"
  restarts: 0
  conditions:
  - {type: Created, status: "True", reason: JAXJobCreated, message: JAXJob a is created., lastTransitionTime: "2026-01-02T11:50:00Z"}
  - {type: Succeeded, status: "True", reason: JAXJobSucceeded, message: JAXJob ns/a successfully completed., lastTransitionTime: "2026-01-02T11:59:00Z"}
  replicaStatuses: {Worker: {}}`
	restarting = `state: Restarting
  restarts: 2
  conditions:
  - {type: Created, status: "True", reason: JAXJobCreated, message: JAXJob a is created., lastTransitionTime: "2026-01-02T11:50:00Z"}
  - {type: Running, status: "True", reason: JAXJobRunning, message: JAXJob ns/a is running., lastTransitionTime: "2026-01-02T11:50:05Z"}
  - {type: Restarting, status: "True", reason: JAXJobRestarting, message: JAXJob a is restarting because 1 Worker replica(s) failed., lastTransitionTime: "2026-01-02T11:59:55Z"}
  replicaStatuses: {Worker: {active: 1, failed: 1, attempts: {"1": 2}}}
  failures: [{time: "2026-01-02T11:59:55Z", type: Worker, index: 1, attempt: 1, node: node-3, reason: Error, exitCode: 137}]`
)

// pod is one of the job, of an attempt, in a phase.
func pod(index, attempt, phase string) string {
	state := `{running: {startedAt: "2026-01-02T11:50:05Z"}}`
	if phase == "Failed" {
		state = `{terminated: {exitCode: 137, reason: Error, startedAt: "2026-01-02T11:59:50Z", finishedAt: "2026-01-02T11:59:55Z"}}`
	}
	return `
apiVersion: v1
kind: Pod
metadata:
  name: a-worker-` + index + `
  namespace: ns
  uid: p` + index + `
  creationTimestamp: "2026-01-02T11:59:45Z"
  labels: {training.kubeflow.org/job-name: a, training.kubeflow.org/operator-name: jaxjob-controller, training.kubeflow.org/replica-type: worker, training.kubeflow.org/replica-index: "` + index + `", training.kubeflow.org/attempt: "` + attempt + `"}
  ownerReferences: [{apiVersion: kubeflow.org/v1, kind: JAXJob, name: a, uid: u, controller: true}]
spec: {nodeName: node-3, restartPolicy: Never, containers: [{name: jax, image: i}]}
status: {phase: ` + phase + `, containerStatuses: [{name: jax, state: ` + state + `}]}`
}

// cluster has objects; the first is the job.
func cluster(t *testing.T, texts ...string) (*fake.FakeDynamicClient, *jobs.Found) {
	t.Helper()
	var objects []runtime.Object
	job := &jobs.Found{Kind: jobs.Kind{Name: "JAXJob"}, Pods: []*corev1.Pod{}}
	for i, text := range texts {
		u := &unstructured.Unstructured{}
		if data, err := yaml.YAMLToJSON([]byte(text)); err != nil || u.UnmarshalJSON(data) != nil {
			t.Fatal(err)
		}
		objects = append(objects, u)
		if i == 0 {
			job.Object = u
			continue
		}
		p := &corev1.Pod{}
		if err := yaml.Unmarshal([]byte(text), p); err != nil {
			t.Fatal(err)
		}
		job.Pods = append(job.Pods, p)
	}
	kinds := map[schema.GroupVersionResource]string{
		{Group: "kubeflow.org", Version: "v1", Resource: "jaxjobs"}: "JAXJobList",
		{Version: "v1", Resource: "pods"}:                           "PodList",
		{Version: "v1", Resource: "services"}:                       "ServiceList",
		{Version: "v1", Resource: "events"}:                         "EventList",
		{Version: "v1", Resource: "nodes"}:                          "NodeList",
		{Version: "v1", Resource: "persistentvolumeclaims"}:         "PersistentVolumeClaimList",
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...), job
}

// TestNext compares what is said with what the controller itself would do, and when.
func TestNext(t *testing.T) {
	t.Parallel()
	waiting, _, _ := strings.Cut(strings.Replace(pod("1", "0", "Running"), "{nodeName: node-3, ", "{", 1), "status:")
	waiting += "status: {phase: Pending}"
	for _, c := range []struct {
		reason  string
		objects []string
		want    string
		// operator is what the controller would do first; it is due at the time of the step timed.
		operator string
		timed    int
	}{
		{
			reason: "nothing is due", objects: []string{spec("", running), pod("0", "0", "Running"), pod("1", "0", "Running")},
			want: "The job runs to its end.", operator: "nothing, until something happens",
		},
		{
			reason:   "a deadline",
			objects:  []string{spec(", activeDeadlineSeconds: 3600", running), pod("0", "0", "Running"), pod("1", "0", "Running")},
			want:     "in 50m00s: The job fails unless it has ended (activeDeadlineSeconds 3600).",
			operator: "in 50m00s: it is Failed: JAXJob a is failed because it was active longer than specified deadline: runPolicy.activeDeadlineSeconds is 3600.",
		},
		{
			reason:   "a restart that waits",
			objects:  []string{spec(", backoffLimit: 5", restarting), pod("0", "0", "Running"), pod("1", "1", "Failed")},
			want:     "in 5s: Restart of worker-1, attempt 2",
			operator: "in 5s: restart of worker-1, 2 of 5 used",
		},
		{
			reason:  "the operator has not come to it",
			objects: []string{spec("", running), pod("0", "0", "Running")},
			want:    "Worker: 1 to be created", operator: "now: creates worker-1",
		},
		{
			reason:   "the end of a finished job",
			objects:  []string{spec(", ttlSecondsAfterFinished: 600", succeeded)},
			want:     "in 9m00s: The job is deleted (ttlSecondsAfterFinished 600).",
			operator: "in 9m00s: deletes the job, because of ttlSecondsAfterFinished",
		},
		{
			reason:   "a pod that has not started in time",
			objects:  []string{spec(", startDeadlineSeconds: 20", running), pod("0", "0", "Running"), waiting},
			want:     "Worker: 1 waiting for a node\nin 5s: The job fails unless worker-1 has started (startDeadlineSeconds 20).",
			operator: "in 5s: it is Failed: JAXJob a is failed because 1 of 2 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 20. The first of them is a-worker-1: no scheduler takes it up", timed: 1,
		},
		{
			reason:   "it restarts the job instead",
			objects:  []string{spec(", startDeadlineSeconds: 20, onStartDeadline: RestartJob", running), pod("0", "0", "Running"), waiting},
			want:     "Worker: 1 waiting for a node\nin 5s: The whole job restarts unless worker-1 has started (startDeadlineSeconds 20).",
			operator: "in 5s: deletes worker-0, worker-1", timed: 1,
		},
		{
			reason:   "a replica that is not ready",
			objects:  []string{spec(", progressPolicy: {source: Readiness, stallTimeoutSeconds: 600, action: FailJob}", running), unready("0"), pod("1", "0", "Running")},
			want:     "in 9m55s: The job fails unless worker-0 is ready (progressPolicy.stallTimeoutSeconds\n600).",
			operator: "in 9m56s: it is Failed",
		},
	} {
		client, job := cluster(t, c.objects...)
		step, err := oracle(t.Context(), client, job, noon())
		if err != nil || !strings.HasPrefix(step.String(), c.operator) {
			t.Errorf("%s:\nwant of the operator %s\ngot  %s, %v", c.reason, c.operator, step, err)
		}
		for _, a := range client.Actions() {
			if v := a.GetVerb(); v != "get" && v != "list" {
				t.Errorf("%s: it should only read, and does %s %s", c.reason, v, a.GetResource().Resource)
			}
		}
		var said []string
		for _, line := range describe.Job(t.Context(), client, job, noon()) {
			if name, text := strings.TrimSpace(line[:min(len(line), 13)]), line[min(len(line), 14):]; name == "next" || name == "" && len(said) > 0 {
				said = append(said, text)
			} else if len(said) > 0 {
				break
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(said, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
		if at := describe.FactsOf(job, noon()).Steps[c.timed].At; at != 0 {
			if said := time.UnixMilli(at).Sub(noon()); said < step.In-2*time.Second || said > step.In+2*time.Second {
				t.Errorf("%s: it is said to come in %s, and the operator would do it in %s", c.reason, said, step.In)
			}
		}
	}
}

// unready is a pod that runs, and has not been ready since 5 seconds ago.
func unready(index string) string {
	return strings.Replace(pod(index, "0", "Running"), "status: {phase: Running,",
		`status: {phase: Running, conditions: [{type: Ready, status: "False", lastTransitionTime: "2026-01-02T11:59:55Z"}],`, 1)
}

func TestJob(t *testing.T) {
	t.Parallel()
	client, job := cluster(t, spec(", backoffLimit: 5", restarting), pod("0", "0", "Running"), pod("1", "1", "Failed"))
	got := strings.Join(describe.Job(t.Context(), client, job, noon()), "\n") + "\n"
	facts := describe.FactsOf(job, noon())
	if facts.State != "Restarting" || facts.Next != "Restart of worker-1, attempt 2" || facts.Budgets[0].Used != 2 || facts.InSeconds != 5 || facts.Replicas["Worker"] != 2 {
		t.Errorf("programs should read the same, and get %+v", facts)
	}
	want := `JAXJob ns/a
  state       Restarting for 5s, age 10m00s
  why         1 Worker replica(s) failed.
  next        in 5s: Restart of worker-1, attempt 2
  restarts    2 restarts, backoffLimit 5
  used        2 of 5 restarts of the job
  replicas    2 Worker: 1 running, 1 failed
  failure     worker-1, attempt 2, 5s ago, on node-3: Error, exit code 137
  conditions:
    Created     True    JAXJobCreated: JAXJob a is created.
    Running     True    JAXJobRunning: JAXJob ns/a is running.
    Restarting  True    JAXJobRestarting: JAXJob a is restarting because 1 Worker replica(s) failed.
  pods:
    a-worker-0  Running
    a-worker-1  Failed
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
