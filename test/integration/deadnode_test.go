//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// testNode is the label of the nodes that a namespace's pods may run on.
func testNode(ns string) string { return "test.jobkit.dev/" + ns }

// TestDeadNodes checks that pods which no one ends, because their node is dead, are
// deleted by force in time, and not before, and that the job continues elsewhere.
// Kubernetes itself would delete some of them, later; the events say who did it.
func TestDeadNodes(t *testing.T) {
	t.Parallel()
	silent := startOnNode(t, "silent", commonv1.RunPolicy{})
	silent.evict(t)
	cases := map[string]struct {
		reason string
		run    commonv1.RunPolicy
		// die is how the cluster learns of the node's death.
		die   func(*testing.T, *nodeTest)
		after time.Duration
	}{
		"Gone": {
			reason: "the node is deleted", after: 30 * time.Second,
			die: func(t *testing.T, n *nodeTest) {
				if err := cluster.client.Delete(t.Context(), n.node); err != nil {
					t.Fatal(err)
				}
			},
		},
		"OutOfService": {
			reason: "an administrator says that the node is switched off", after: 30 * time.Second,
			die: func(t *testing.T, n *nodeTest) {
				n.patchNode(t, func(node *corev1.Node) {
					node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute})
				})
			},
		},
		"DoesNotAnswer": {
			reason: "the job says how long to wait for a node that may be alive", after: 3 * time.Second,
			run: commonv1.RunPolicy{ForceDeleteAfterSeconds: new(int64(3))},
			die: func(t *testing.T, n *nodeTest) {
				n.patchNode(t, func(node *corev1.Node) { node.Spec.Unschedulable = true })
			},
		},
	}
	// The subtests end before what follows them.
	t.Run("ForceDeleted", func(t *testing.T) {
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				pace, n := startPace(t), startOnNode(t, "dead", tc.run)
				due := n.evict(t)
				tc.die(t, n)
				n.offerAnotherNode(t)
				for pod, at := range n.awaitDeletion(t) {
					took := at.Sub(due[pod])
					said := fmt.Sprintf("%s: %s went %.2f s after its grace period, want %s and at most %s more",
						tc.reason, pod, took.Seconds(), tc.after, pace.late())
					t.Log(said)
					if took < tc.after || took >= tc.after+pace.late() {
						t.Error(said)
					}
				}
				waitFor(t, n.job, commonv1.JobSucceeded)
				if n.job.Status.Restarts != 0 {
					status, _ := json.Marshal(n.job.Status)
					t.Errorf("a pod that was deleted is no failure: %s; events: %q", status, events(t, n.job))
				}
				n.waitForEvent(t, "ForcedDeletePod: ")
			})
		}
	})
	for name, pod := range pods(t.Context(), t, silent.job.Namespace) {
		if pod.DeletionTimestamp == nil || pod.UID != silent.pods[name] {
			t.Errorf("nothing says that the node of %s is dead, so the pod may be running: it must stay", name)
		}
	}
}

// nodeTest is a job whose pods run on a node of the test's own. No kubelet manages
// it.
type nodeTest struct {
	job  *testv1.TestJob
	node *corev1.Node
	pods map[string]types.UID
	gone <-chan timedEvent
}

// startOnNode makes a node, and a job that runs there.
func startOnNode(t *testing.T, name string, run commonv1.RunPolicy) *nodeTest {
	t.Helper()
	ns := namespace(t)
	room := corev1.ResourceList{corev1.ResourceCPU: quantity("8"), corev1.ResourceMemory: quantity("8Gi"), corev1.ResourcePods: quantity("10")}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name + "-" + ns, Labels: map[string]string{testNode(ns): ""}}}
	node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Test", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}}
	// No kubelet runs: pods of other tests must not come here, where they would
	// never run.
	own := corev1.Taint{Key: testNode(ns), Effect: corev1.TaintEffectNoSchedule}
	node.Spec.Taints = []corev1.Taint{own}
	create(t, node)
	t.Cleanup(func() { _ = cluster.client.Delete(context.Background(), node) })

	worker := replicas(2, "run-for", "500ms") // On a node that works.
	worker.RestartPolicy = commonv1.RestartPolicyExitCode
	worker.Template.Spec.NodeSelector = map[string]string{testNode(ns): ""}
	worker.Template.Spec.Tolerations = []corev1.Toleration{{Key: own.Key, Operator: corev1.TolerationOpExists, Effect: own.Effect}}
	worker.Template.Spec.TerminationGracePeriodSeconds = new(int64(1))
	n := &nodeTest{job: newJob(ns, "job", nil, worker), node: node, pods: map[string]types.UID{}}
	n.job.Spec.RunPolicy = run
	create(t, n.job)
	eventually(t, "the pods are on the node", func(ctx context.Context) string {
		for name, pod := range pods(ctx, t, ns) {
			if pod.Spec.NodeName != node.Name {
				return fmt.Sprintf("%s is on %q", name, pod.Spec.NodeName)
			}
			n.pods[name] = pod.UID
		}
		if len(n.pods) != 2 {
			return fmt.Sprintf("there are %d pods", len(n.pods))
		}
		return ""
	})
	// What a kubelet would report before the node died.
	for _, pod := range pods(t.Context(), t, ns) {
		before := pod.DeepCopy()
		pod.Status.Phase, pod.Status.StartTime = corev1.PodRunning, new(metav1.Now())
		if err := cluster.client.Status().Patch(t.Context(), &pod, patchFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, n.job, commonv1.JobRunning)
	n.gone = watchEvents(t, &corev1.PodList{}, ns)
	return n
}

// evict deletes the pods, as Kubernetes does with those on a node that does not
// answer, and returns when their grace periods end.
func (n *nodeTest) evict(t *testing.T) map[string]time.Time {
	t.Helper()
	for _, pod := range pods(t.Context(), t, n.job.Namespace) {
		if err := cluster.client.Delete(t.Context(), &pod); err != nil {
			t.Fatal(err)
		}
	}
	ends := map[string]time.Time{}
	for name, pod := range pods(t.Context(), t, n.job.Namespace) {
		if pod.DeletionTimestamp == nil {
			t.Fatalf("%s is to be there, and to be deleted", name)
		}
		ends[name] = pod.DeletionTimestamp.Time
	}
	return ends
}

// offerAnotherNode lets the job's pods run on a node that works.
func (n *nodeTest) offerAnotherNode(t *testing.T) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-0"}}
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:""}}}`, testNode(n.job.Namespace))
	if err := cluster.client.Patch(t.Context(), node, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// patchNode changes the node on the API server.
func (n *nodeTest) patchNode(t *testing.T, change func(*corev1.Node)) {
	t.Helper()
	before := n.node.DeepCopy()
	change(n.node)
	if err := cluster.client.Patch(t.Context(), n.node, patchFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// awaitDeletion waits until the pods are gone, and returns when the watch said so.
func (n *nodeTest) awaitDeletion(t *testing.T) map[string]time.Time {
	t.Helper()
	gone := map[string]time.Time{}
	limit := time.After(patience)
	for len(gone) < len(n.pods) {
		select {
		case e := <-n.gone:
			if pod, ok := e.Object.(*corev1.Pod); ok && e.Type == watch.Deleted && pod.UID == n.pods[pod.Name] {
				gone[pod.Name] = e.at
			}
		case <-limit:
			t.Fatalf("of the pods %v these are gone: %v", n.pods, gone)
		}
	}
	return gone
}

// waitForEvent waits until the job has an event that begins so.
func (n *nodeTest) waitForEvent(t *testing.T, want string) {
	t.Helper()
	eventually(t, "the event is recorded", func(context.Context) string {
		got := events(t, n.job)
		if !slices.ContainsFunc(got, func(e string) bool { return strings.HasPrefix(e, want) }) {
			return fmt.Sprintf("want %q among %q", want, got)
		}
		return ""
	})
}
