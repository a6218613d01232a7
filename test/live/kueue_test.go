//go:build live

package live

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/devenv"
)

const (
	kueueVersion = "kueue.x-k8s.io/v1beta2"
	queueLabel   = "kueue.x-k8s.io/queue-name"
	// podsReadyTimeout is how long Kueue waits for the condition Running.
	podsReadyTimeout = 30 * time.Second
)

// kueueConfig is that of Kueue, with ports, a folder of certificates, and the timeout.
const kueueConfig = `
apiVersion: config.kueue.x-k8s.io/v1beta2
kind: Configuration
namespace: kueue-system
health: {healthProbeBindAddress: "127.0.0.1:%d"}
metrics: {bindAddress: "0"}
webhook: {host: 127.0.0.1, port: %d, certDir: %q}
leaderElection: {leaderElect: false}
internalCertManagement: {enable: false}
featureGates: {VisibilityOnDemand: false}
multiKueue: {gcInterval: 2s}
waitForPodsReady:
  timeout: %s
  recoveryTimeout: %[4]s
  requeuingStrategy: {timestamp: Eviction, backoffBaseSeconds: 1, backoffMaxSeconds: 2}
integrations:
  frameworks: [pod, kubeflow.org/tfjob, kubeflow.org/pytorchjob, kubeflow.org/xgboostjob, kubeflow.org/paddlejob, kubeflow.org/jaxjob]
`

// TestKueue runs jobs in queues of the real Kueue.
func TestKueue(t *testing.T) {
	pools := append([]string{"a", "a", "a", "a", "a", "lost"}, topologyPools...)
	w := startKueue(t, pools...)
	w.topology(t, pools)
	w.apply(t, `
{apiVersion: `+kueueVersion+`, kind: ResourceFlavor, metadata: {name: lost}, spec: {nodeLabels: {pool: lost}}}
---
{apiVersion: `+kueueVersion+`, kind: WorkloadPriorityClass, metadata: {name: high}, value: 1000}
---
{apiVersion: `+kueueVersion+`, kind: WorkloadPriorityClass, metadata: {name: low}, value: 10}
`)
	for name, test := range map[string]func(*testing.T, *world){
		"Kinds": kueueKinds, "MPIJob": kueueMPI, "Quota": kueueQuota, "Preemption": kueuePreemption, "PodsReady": kueuePodsReady,
		"Recovery": kueueRecovery, "Deletion": kueueDeletion, "Edits": kueueEdits, "Reclaimable": kueueReclaimable, "LateQueue": kueueLateQueue,
		"Restart": kueueRestart, "Topology": kueueTopology, "TopologyRoom": kueueTopologyRoom, "TopologyRestart": kueueTopologyRestart,
		"TopologyReplica": kueueTopologyReplica,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// startKueue starts a control plane with Kueue, whose nodes are in these pools, and a flavor of the
// pool a.
func startKueue(t *testing.T, pools ...string) *world {
	t.Helper()
	manager := program{name: "kueue", module: "kueue", path: "sigs.k8s.io/kueue/cmd/kueue", flags: stripped}.build(t)
	src := source(t, "kueue", "sigs.k8s.io/kueue")
	w := start(t, devenv.Options{Nodes: len(pools), CRDs: []string{filepath.Join(src, "config/components/crd/bases")}})
	w.label(t, "pool", pools...)
	w.kueue(t, manager, src)
	w.apply(t, `{apiVersion: `+kueueVersion+`, kind: ResourceFlavor, metadata: {name: a}, spec: {nodeLabels: {pool: a}}}`)
	return w
}

// kueue starts Kueue's manager with its webhooks, as the administrator.
func (w *world) kueue(t *testing.T, manager, src string) {
	t.Helper()
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kueue-system"}})
	certs, public := certificate(t)
	port, health := freePort(t), freePort(t)
	config := write(t, "config.yaml", fmt.Sprintf(kueueConfig, health, port, certs, podsReadyTimeout))
	// It reads a certificate for its metrics, which are off, from a path that is fixed: it gets an
	// /etc of its own.
	args := []string{
		"--mount", "sh", "-c", `mount -t tmpfs none /etc && mkdir -p /etc/kueue/metrics/certs && cp "$0"/tls.* /etc/kueue/metrics/certs && exec "$@"`,
		certs, manager, "--config=" + config, "--zap-log-level=2",
	}
	if os.Geteuid() != 0 {
		args = append([]string{"--map-root-user"}, args...)
	}
	w.run(t, "kueue", "unshare", args...)
	answers(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", health))
	text, err := os.ReadFile(filepath.Join(src, "config/components/webhook/manifests.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range documents(t, text) {
		u.SetName("kueue-" + u.GetName())
		hooks, _, _ := unstructured.NestedSlice(u.Object, "webhooks")
		for _, h := range hooks {
			hook := h.(map[string]any)
			path, _, _ := unstructured.NestedString(hook, "clientConfig", "service", "path")
			hook["clientConfig"] = map[string]any{"url": fmt.Sprintf("https://127.0.0.1:%d%s", port, path), "caBundle": base64.StdEncoding.EncodeToString(public)}
		}
		u.Object["webhooks"] = hooks
		w.create(t, u)
	}
}

// queue makes a namespace with a queue named q that has CPUs of a flavor.
func (w *world) queue(t *testing.T, flavor string, cpus int) string {
	t.Helper()
	ns := w.namespace(t)
	w.queueIn(t, ns, flavor, cpus, "")
	return ns
}

// queueIn makes the queue in a namespace, with a check that its jobs have to pass, or "".
func (w *world) queueIn(t *testing.T, ns, flavor string, cpus int, check string) {
	t.Helper()
	more := ""
	if check != "" {
		more = fmt.Sprintf("  admissionChecksStrategy: {admissionChecks: [{name: %s}]}\n", check)
	}
	w.apply(t, strings.NewReplacer("VERSION", kueueVersion, "NS", ns, "FLAVOR", flavor, "CPUS", strconv.Itoa(cpus)).Replace(`
apiVersion: VERSION
kind: ClusterQueue
metadata: {name: NS}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
  preemption: {withinClusterQueue: LowerPriority}
  resourceGroups:
  - coveredResources: [cpu, memory, ephemeral-storage]
    flavors:
    - name: FLAVOR
      resources: [{name: cpu, nominalQuota: CPUS}, {name: memory, nominalQuota: 100Gi}, {name: ephemeral-storage, nominalQuota: 100Gi}]
`)+more)
	w.localQueue(t, ns)
}

func (w *world) localQueue(t *testing.T, ns string) {
	t.Helper()
	w.apply(t, strings.NewReplacer("VERSION", kueueVersion, "NS", ns).Replace(
		`{apiVersion: VERSION, kind: LocalQueue, metadata: {name: q, namespace: NS}, spec: {clusterQueue: NS}}`))
}

// queued are the labels of a job in the queue, with a priority or "".
func queued(priority string) map[string]string {
	labels := map[string]string{queueLabel: "q"}
	if priority != "" {
		labels["kueue.x-k8s.io/priority-class"] = priority
	}
	return labels
}

// workloads are the Workloads of a job.
func (w *world) workloads(t *testing.T, j client.Object) []unstructured.Unstructured {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(kueueVersion)
	list.SetKind("WorkloadList")
	if err := w.client.List(t.Context(), list, client.InNamespace(j.GetNamespace())); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(u unstructured.Unstructured) bool {
		return len(u.GetOwnerReferences()) == 0 || u.GetOwnerReferences()[0].UID != j.GetUID()
	})
}

// workload waits until a condition of a job's Workload has a status, a reason if one is given, and
// a message with all parts.
func (w *world) workload(t *testing.T, j *unstructured.Unstructured, condition string, want metav1.ConditionStatus, reason string, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the Workload of %s is %s=%s %s %q", j.GetName(), condition, want, reason, parts), func() error {
		all := w.workloads(t, j)
		if len(all) != 1 {
			return fmt.Errorf("there are %d Workloads", len(all))
		}
		var holder struct {
			Status struct {
				Conditions []metav1.Condition `json:"conditions"`
			} `json:"status"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(all[0].Object, &holder); err != nil {
			return err
		}
		c := meta.FindStatusCondition(holder.Status.Conditions, condition)
		if c == nil || c.Status != want || reason != "" && c.Reason != reason {
			return fmt.Errorf("its conditions are %+v", holder.Status.Conditions)
		}
		for _, p := range parts {
			if !strings.Contains(c.Message, p) {
				return fmt.Errorf("the message is %q", c.Message)
			}
		}
		return nil
	})
}

// waits checks that a job stays suspended by the queue, without pods.
func (w *world) waits(t *testing.T, j *unstructured.Unstructured, during time.Duration) {
	t.Helper()
	w.reaches(t, j, commonv1.JobSuspended)
	stays(t, j.GetName()+" waits in the queue", during, func() error {
		if s := w.status(t, j); s.State != commonv1.JobSuspended || w.bound(t, j) > 0 {
			return fmt.Errorf("it is %s with %d pods", s.State, w.bound(t, j))
		}
		return nil
	})
}

// ownFields are fields that Kueue's types of these kinds do not have.
func ownFields() (policy, replica map[string]any) {
	policy = map[string]any{
		"avoidNodes": map[string]any{"mode": "Preferred", "afterFailures": int64(2)}, "backoffLimitPerReplica": int64(3), "backoffLimitWindowSeconds": int64(600),
		"forceDeleteAfterSeconds": int64(60), "serviceMode": "PerJob", "startDeadlineSeconds": int64(600), "onStartDeadline": "RestartJob", "maxJobRestarts": int64(4),
	}
	replica = map[string]any{"backoffLimit": int64(5), "restartScope": "Role", "restartPolicy": "ExitCode"}
	return policy, replica
}

// withoutMarks is the spec of a job without the labels and annotations by which Kueue says in
// each template whose pods they are.
func withoutMarks(t *testing.T, j *unstructured.Unstructured) map[string]any {
	t.Helper()
	spec := runtime.DeepCopyJSON(j.Object["spec"].(map[string]any))
	for key, types := range spec {
		if key == "runPolicy" {
			continue
		}
		for name, r := range types.(map[string]any) {
			metadata := r.(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)
			if got, _, _ := unstructured.NestedString(metadata, "labels", "kueue.x-k8s.io/podset"); got != strings.ToLower(name) {
				t.Errorf("the pods of %s are of the pod set %q", name, got)
			}
			for _, part := range []string{"labels", "annotations"} {
				marks, _ := metadata[part].(map[string]any)
				for mark := range marks {
					if strings.HasPrefix(mark, "kueue.x-k8s.io/") {
						delete(marks, mark)
					}
				}
				if len(marks) == 0 {
					delete(metadata, part)
				}
			}
		}
	}
	return spec
}

// kueueKinds: jobs of all kinds go through a queue to their end on the nodes of its flavor, and
// keep the fields that Kueue does not know.
func kueueKinds(t *testing.T, w *world) {
	ns := w.queue(t, "a", 40)
	policy, replica := ownFields()
	life := lasts("3s")
	life["PS"] = map[string]string{"run-for": "10m"}
	for kind, replicas := range map[string]map[string]int{
		"TFJob": {"Chief": 1, "PS": 1, "Worker": 2}, "PyTorchJob": {"Master": 1, "Worker": 2}, "XGBoostJob": {"Master": 1, "Worker": 2},
		"PaddleJob": {"Master": 1, "Worker": 2}, "JAXJob": {"Worker": 2},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			j := jobSpec{kind: kind, name: strings.ToLower(kind), replicas: replicas, life: life, labels: queued(""), policy: policy, replica: replica}.job(ns)
			want := j.DeepCopy().Object["spec"].(map[string]any)
			w.create(t, j)
			s := w.reaches(t, j, commonv1.JobSucceeded)
			if s.Restarts != 0 {
				t.Errorf("%d restarts are counted", s.Restarts)
			}
			w.workload(t, j, "Finished", metav1.ConditionTrue, "Succeeded")
			// What Kueue says by the spec is all that has changed.
			want["runPolicy"].(map[string]any)["suspend"] = false
			for key, types := range want {
				if key == "runPolicy" {
					continue
				}
				for _, r := range types.(map[string]any) {
					pod := r.(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
					pod["nodeSelector"] = map[string]any{"pool": "a"}
				}
			}
			got := withoutMarks(t, j)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the spec after admission (-want +got):\n%s", diff)
			}
			for _, p := range w.pods(t, ns) {
				if p.Labels[commonv1.JobNameLabel] == j.GetName() && p.Spec.NodeSelector["pool"] != "a" {
					t.Errorf("the pod %s has the node selector %v", p.Name, p.Spec.NodeSelector)
				}
			}
		})
	}
}

// kueueMPI: Kueue has no integration of this kind: its pods are a group.
func kueueMPI(t *testing.T, w *world) {
	ns := w.queue(t, "a", 3)
	mpi := func(name string) *unstructured.Unstructured {
		return jobSpec{
			kind: "MPIJob", name: name, replicas: map[string]int{"Launcher": 1, "Worker": 2},
			life: map[string]map[string]string{"Launcher": {"run-for": "3s"}},
			meta: map[string]map[string]string{
				"labels":      {queueLabel: "q", "kueue.x-k8s.io/pod-group-name": name},
				"annotations": {"kueue.x-k8s.io/pod-group-total-count": "3"},
			},
		}.job(ns)
	}
	most := w.peak(t, ns)
	first := mpi("first")
	w.create(t, first)
	w.reaches(t, first, commonv1.JobRunning)
	second := mpi("second")
	w.create(t, second)
	w.says(t, second, commonv1.JobStalled, "gate")
	w.reaches(t, first, commonv1.JobSucceeded)
	w.reaches(t, second, commonv1.JobSucceeded)
	if n := most(); n > 3 {
		t.Errorf("the pods had %d CPUs at a time, of a quota of 3", n)
	}
}

// kueueQuota: a job waits until another ends.
func kueueQuota(t *testing.T, w *world) {
	ns := w.queue(t, "a", 4)
	most := w.peak(t, ns)
	first := jobSpec{kind: "PyTorchJob", name: "first", replicas: map[string]int{"Master": 1, "Worker": 2}, life: lasts("8s"), labels: queued("")}.job(ns)
	w.create(t, first)
	w.reaches(t, first, commonv1.JobRunning)
	second := jobSpec{kind: "JAXJob", name: "second", replicas: map[string]int{"Worker": 3}, life: lasts("2s"), labels: queued("")}.job(ns)
	w.create(t, second)
	w.waits(t, second, 3*time.Second)
	w.reaches(t, first, commonv1.JobSucceeded)
	w.reaches(t, second, commonv1.JobSucceeded)
	if n := most(); n > 4 {
		t.Errorf("the pods had %d CPUs at a time, of a quota of 4", n)
	}
}

// kueuePreemption: a job is suspended for another with a higher priority, and goes on after it as
// it was created.
func kueuePreemption(t *testing.T, w *world) {
	ns := w.queue(t, "a", 4)
	policy, replica := ownFields()
	low := jobSpec{
		kind: "PyTorchJob", name: "low", replicas: map[string]int{"Master": 1, "Worker": 2}, labels: queued("low"), policy: policy, replica: replica,
		life: map[string]map[string]string{"": {"run-for": "15s", "stop-delay": "2s"}},
	}.job(ns)
	want := low.DeepCopy().Object["spec"].(map[string]any)
	most := w.peak(t, ns)
	w.create(t, low)
	w.reaches(t, low, commonv1.JobRunning)
	high := jobSpec{kind: "TFJob", name: "high", replicas: map[string]int{"Worker": 3}, life: lasts("6s"), labels: queued("high")}.job(ns)
	w.create(t, high)
	w.workload(t, low, "Evicted", metav1.ConditionTrue, "Preempted")
	w.reaches(t, low, commonv1.JobSuspended)
	w.reaches(t, high, commonv1.JobRunning)
	w.get(t, low)
	want["runPolicy"].(map[string]any)["suspend"] = true
	if diff := cmp.Diff(want, low.Object["spec"]); diff != "" {
		t.Errorf("the spec while it is suspended (-want +got):\n%s", diff)
	}
	w.reaches(t, high, commonv1.JobSucceeded)
	s := w.reaches(t, low, commonv1.JobSucceeded)
	if s.Restarts != 0 {
		t.Errorf("%d restarts are counted: a suspension is none", s.Restarts)
	}
	if n := most(); n > 4 {
		t.Errorf("the pods had %d CPUs at a time, of a quota of 4", n)
	}
}

// kueuePodsReady: a job that does not come to run gives its room away, and tries again.
func kueuePodsReady(t *testing.T, w *world) {
	ns := w.queue(t, "a", 2)
	j := jobSpec{
		kind: "PyTorchJob", name: "slow", replicas: map[string]int{"Master": 1, "Worker": 1}, labels: queued(""),
		life: map[string]map[string]string{"": {"run-for": "3s"}, "Master": {"start-delay": "10m"}},
	}.job(ns)
	w.create(t, j)
	w.reaches(t, j, commonv1.JobCreated)
	w.workload(t, j, "Admitted", metav1.ConditionTrue, "")
	w.workload(t, j, "PodsReady", metav1.ConditionFalse, "")
	w.workload(t, j, "Evicted", metav1.ConditionTrue, "PodsReadyTimeout")
	w.reaches(t, j, commonv1.JobSuspended)
	w.workload(t, j, "Admitted", metav1.ConditionTrue, "") // requeued
	// It is deleted while it is admitted again, and leaves no room taken.
	w.remove(t, j)
	next := jobSpec{kind: "JAXJob", name: "next", replicas: map[string]int{"Worker": 2}, life: lasts("1s"), labels: queued("")}.job(ns)
	w.create(t, next)
	w.workload(t, next, "PodsReady", metav1.ConditionTrue, "")
	w.reaches(t, next, commonv1.JobSucceeded)
}

// kueueRecovery: the replica that decides is gone and its successor does not fit: the job is not
// Running any more, so Kueue takes it back, and it ends when there is room again.
func kueueRecovery(t *testing.T, w *world) {
	ns := w.queue(t, "lost", 2)
	j := jobSpec{
		kind: "PyTorchJob", name: "lost", replicas: map[string]int{"Master": 1, "Worker": 1}, life: lasts("20s"), labels: queued(""),
		replica: map[string]any{"restartPolicy": "ExitCode"},
	}.job(ns)
	w.create(t, j)
	w.reaches(t, j, commonv1.JobRunning)
	w.workload(t, j, "PodsReady", metav1.ConditionTrue, "")
	var nodes corev1.NodeList
	if err := w.client.List(t.Context(), &nodes, client.MatchingLabels{"pool": "lost"}); err != nil || len(nodes.Items) != 1 {
		t.Fatal(nodes.Items, err)
	}
	w.patch(t, &nodes.Items[0], `{"spec": {"unschedulable": true}}`)
	w.remove(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "lost-master-0"}})
	w.workload(t, j, "PodsReady", metav1.ConditionFalse, "")
	w.workload(t, j, "Evicted", metav1.ConditionTrue, "PodsReadyTimeout")
	w.patch(t, &nodes.Items[0], `{"spec": {"unschedulable": null}}`)
	w.reaches(t, j, commonv1.JobSucceeded)
}

// kueueDeletion: what a deleted job had, another gets.
func kueueDeletion(t *testing.T, w *world) {
	ns := w.queue(t, "a", 2)
	job := func(name string) *unstructured.Unstructured {
		j := jobSpec{kind: "XGBoostJob", name: name, replicas: map[string]int{"Master": 1, "Worker": 1}, life: lasts("10m"), labels: queued("")}.job(ns)
		w.create(t, j)
		return j
	}
	first := job("first")
	w.reaches(t, first, commonv1.JobRunning)
	second := job("second")
	w.reaches(t, second, commonv1.JobSuspended)
	third := job("third")
	w.reaches(t, third, commonv1.JobSuspended)
	w.remove(t, second) // while it waits
	w.remove(t, first)
	w.reaches(t, third, commonv1.JobRunning)
	eventually(t, "the others leave nothing", func() error {
		for _, j := range []*unstructured.Unstructured{first, second} {
			if n := len(w.workloads(t, j)); n != 0 || w.bound(t, j) != 0 {
				return fmt.Errorf("%s has %d Workloads and %d pods", j.GetName(), n, w.bound(t, j))
			}
		}
		return nil
	})
}

// kueueEdits: a job that is scaled goes through the queue again, waiting or running.
func kueueEdits(t *testing.T, w *world) {
	ns := w.queue(t, "a", 4)
	most := w.peak(t, ns)
	first := jobSpec{kind: "JAXJob", name: "first", replicas: map[string]int{"Worker": 2}, life: lasts("15s"), labels: queued("")}.job(ns)
	w.create(t, first)
	w.reaches(t, first, commonv1.JobRunning)
	second := jobSpec{kind: "JAXJob", name: "second", replicas: map[string]int{"Worker": 4}, life: lasts("2s"), labels: queued("")}.job(ns)
	w.create(t, second)
	w.reaches(t, second, commonv1.JobSuspended)
	scale := func(j *unstructured.Unstructured, n int) {
		w.patch(t, j, fmt.Sprintf(`{"spec": {"jaxReplicaSpecs": {"Worker": {"replicas": %d}}}}`, n))
	}
	scale(second, 2) // it fits now
	w.reaches(t, second, commonv1.JobSucceeded)
	scale(first, 3)
	eventually(t, "three Workers run", func() error {
		if s := w.status(t, first); s.State != commonv1.JobRunning || w.bound(t, first) != 3 {
			return fmt.Errorf("it is %s with %d pods", s.State, w.bound(t, first))
		}
		return nil
	})
	w.reaches(t, first, commonv1.JobSucceeded)
	if n := most(); n > 4 {
		t.Errorf("the pods had %d CPUs at a time, of a quota of 4", n)
	}
}

// kueueReclaimable: the status says what a job needs no more, and Kueue is not disturbed by it.
func kueueReclaimable(t *testing.T, w *world) {
	ns := w.queue(t, "a", 3)
	j := jobSpec{
		kind: "PyTorchJob", name: "half", replicas: map[string]int{"Master": 1, "Worker": 2}, labels: queued(""),
		life: map[string]map[string]string{"Worker": {"run-for": "2s"}, "Master": {"run-for": "8s"}},
	}.job(ns)
	w.create(t, j)
	eventually(t, "both Workers are reclaimable", func() error {
		s := w.status(t, j)
		if r := s.ReplicaStatuses["Worker"]; s.Finished() || r == nil || r.Reclaimable != 2 {
			return fmt.Errorf("the status is %s, %+v", s.State, r)
		}
		return nil
	})
	w.reaches(t, j, commonv1.JobSucceeded)
	w.workload(t, j, "Finished", metav1.ConditionTrue, "Succeeded")
}

// kueueLateQueue: a job exists before its queue; one without the label is none of Kueue's.
func kueueLateQueue(t *testing.T, w *world) {
	ns := w.namespace(t)
	j := jobSpec{kind: "PaddleJob", name: "early", replicas: map[string]int{"Worker": 2}, life: lasts("1s"), labels: queued("")}.job(ns)
	w.create(t, j)
	free := jobSpec{kind: "PaddleJob", name: "free", replicas: map[string]int{"Worker": 2}, life: lasts("1s")}.job(ns)
	w.create(t, free)
	w.reaches(t, free, commonv1.JobSucceeded)
	w.waits(t, j, time.Second)
	w.apply(t, strings.NewReplacer("VERSION", kueueVersion, "NS", ns).Replace(`
apiVersion: VERSION
kind: ClusterQueue
metadata: {name: NS}
spec:
  namespaceSelector: {}
  resourceGroups: [{coveredResources: [cpu], flavors: [{name: a, resources: [{name: cpu, nominalQuota: 2}]}]}]
`))
	w.localQueue(t, ns)
	w.reaches(t, j, commonv1.JobSucceeded)
}

// kueueRestart: a job of which all replicas restart keeps its room.
func kueueRestart(t *testing.T, w *world) {
	ns := w.queue(t, "a", 2)
	most := w.peak(t, ns)
	j := jobSpec{
		kind: "PyTorchJob", name: "again", replicas: map[string]int{"Master": 1, "Worker": 1}, labels: queued(""),
		life:    map[string]map[string]string{"": {"run-for": "3s"}, "Worker": {"run-for": "1s", "exit-code": "137", "fail-until-attempt": "1"}},
		replica: map[string]any{"restartPolicy": "ExitCode", "restartScope": "Job"},
	}.job(ns)
	w.create(t, j)
	s := w.reaches(t, j, commonv1.JobSucceeded)
	if s.Restarts != 1 {
		t.Errorf("%d restarts are counted, want 1", s.Restarts)
	}
	if n := most(); n > 2 {
		t.Errorf("the pods had %d CPUs at a time, of a quota of 2", n)
	}
	w.keptRoom(t, j)
}

// keptRoom checks that a job was never evicted.
func (w *world) keptRoom(t *testing.T, j *unstructured.Unstructured) {
	t.Helper()
	all := w.workloads(t, j)
	if len(all) != 1 {
		t.Fatalf("%s has %d Workloads", j.GetName(), len(all))
	}
	if n, _, _ := unstructured.NestedSlice(all[0].Object, "status", "schedulingStats", "evictions"); len(n) != 0 {
		t.Errorf("%s was evicted: %v", j.GetName(), n)
	}
}
