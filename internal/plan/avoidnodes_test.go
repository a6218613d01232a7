package plan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// avoiding is a job that avoids nodes, all of whose replicas run, each on a node of its index.
func avoiding(n int32, p commonv1.AvoidNodes, change ...func(*model)) *model {
	m := newModel(workers(n))
	m.in.RunPolicy.AvoidNodes = &p
	restartPolicy(commonv1.RestartPolicyOnFailure)(m)
	for _, f := range change {
		f(m)
	}
	m.reconcileUntilStable()
	m.bindOwn()
	m.run()
	m.reconcileUntilStable()
	return m
}

// bindOwn gives each pod without a node that of its replica's index.
func (m *model) bindOwn() {
	for _, p := range m.in.Pods {
		if p.Spec.NodeName == "" {
			p.Spec.NodeName = "node-" + p.Labels[commonv1.ReplicaIndexLabel]
		}
	}
}

// again has the replicas that failed run again, on the nodes of their indexes, after their delay.
func (m *model) again() {
	m.in.Now = m.in.Now.Add(10 * time.Minute)
	m.reconcileUntilStable()
	m.bindOwn()
	m.run()
	m.reconcileUntilStable()
}

func scope(s commonv1.RestartScope) func(*model) {
	return func(m *model) { m.in.RunPolicy.RestartScope = &s }
}

func required(p commonv1.AvoidNodes) commonv1.AvoidNodes {
	p.Mode = commonv1.AvoidNodesRequired
	return p
}

// failedNodes writes the list in one line.
func failedNodes(s *commonv1.JobStatus) string {
	var out []string
	for _, n := range s.FailedNodes {
		out = append(out, fmt.Sprintf("%s %d at %s", n.Name, n.Failures, n.Time.Sub(epoch)))
	}
	return strings.Join(out, ", ")
}

// awayFrom are the nodes that the next pod of a replica is kept away from, and how.
func awayFrom(pod *corev1.Pod) string {
	if pod == nil || pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil {
		return ""
	}
	a, names := pod.Spec.Affinity.NodeAffinity, []string{}
	for _, t := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		for _, r := range t.Preference.MatchFields {
			names = append(names, "not rather "+strings.Join(r.Values, "+"))
		}
	}
	if r := a.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		for _, r := range r.NodeSelectorTerms[0].MatchFields {
			names = append(names, "never "+strings.Join(r.Values, "+"))
		}
	}
	return strings.Join(names, ", ")
}

// TestFailedNodes: the nodes of the failures that count are listed, and new pods avoid them.
func TestFailedNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		policy commonv1.AvoidNodes
		before []func(*model)
		happen func(*model)
		want   string // the list
		away   string // what the next pod of worker 0 is kept away from
	}{
		"One":  {"a replica fails", commonv1.AvoidNodes{}, nil, func(m *model) { m.end(m.pod("worker-0"), 1) }, "node-0 1 at 0s", "not rather node-0"},
		"Must": {"and must not start there", required(commonv1.AvoidNodes{}), nil, func(m *model) { m.end(m.pod("worker-0"), 1) }, "node-0 1 at 0s", "never node-0"},
		"NotYet": {
			"one failure is not enough",
			commonv1.AvoidNodes{AfterFailures: new(int32(2))},
			nil,
			func(m *model) { m.end(m.pod("worker-0"), 1) }, "node-0 1 at 0s", "",
		},
		"Again": {
			"two are",
			commonv1.AvoidNodes{AfterFailures: new(int32(2))},
			nil,
			func(m *model) { m.end(m.pod("worker-0"), 1); m.again(); m.end(m.pod("worker-0"), 1) }, "node-0 2 at 10m0s", "not rather node-0",
		},
		"Long ago": {
			"a failure of long ago does not count",
			commonv1.AvoidNodes{AfterFailures: new(int32(2)), ForSeconds: new(int64(600))},
			nil,
			func(m *model) { m.end(m.pod("worker-0"), 1); m.again(); m.end(m.pod("worker-0"), 1) }, "node-0 1 at 10m0s", "",
		},
		"Drained": {
			"a drain says nothing of the node",
			commonv1.AvoidNodes{},
			nil,
			func(m *model) { m.evict(m.pod("worker-0")) }, "", "",
		},
		"DrainedToo": {
			"unless one asks for it",
			commonv1.AvoidNodes{Causes: []commonv1.AvoidNodesCause{commonv1.AvoidNodesDisrupted}},
			nil,
			func(m *model) { m.evict(m.pod("worker-0")); m.end(m.pod("worker-1"), 1) }, "node-0 1 at 0s", "not rather node-0",
		},
		"Refused": {
			"a pod that the node refused has no exit code",
			commonv1.AvoidNodes{ExitCodes: []int32{7}},
			nil,
			func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.pod("worker-0").Status.Reason, m.pod("worker-0").Status.ContainerStatuses = "UnexpectedAdmissionError", nil
			}, "node-0 1 at 0s", "not rather node-0",
		},
		"OtherCode": {
			"another exit code",
			commonv1.AvoidNodes{ExitCodes: []int32{7}},
			nil,
			func(m *model) { m.end(m.pod("worker-0"), 1); m.end(m.pod("worker-1"), 7) }, "node-1 1 at 0s", "not rather node-1",
		},
		"Ignored": {
			"a rule says to ignore it",
			commonv1.AvoidNodes{},
			[]func(*model){func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(ignore, in, 1)}}
			}},
			func(m *model) { m.end(m.pod("worker-0"), 1) }, "", "",
		},
		"Both": {
			"replicas restart one by one: each node counts",
			commonv1.AvoidNodes{},
			nil,
			func(m *model) { m.end(m.pod("worker-0"), 1); m.end(m.pod("worker-1"), 1) }, "node-0 1 at 0s, node-1 1 at 0s", "not rather node-0, not rather node-1",
		},
		"MaxNodes": {
			"the newest are avoided",
			commonv1.AvoidNodes{MaxNodes: new(int32(1))},
			nil,
			func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.again()
				m.end(m.pod("worker-1"), 1)
				m.end(m.pod("worker-0"), 1)
			},
			"node-0 2 at 10m0s, node-1 1 at 10m0s", "not rather node-1",
		},
		"FirstOfTheGang": {
			"what restarts together fails together: the first counts",
			commonv1.AvoidNodes{},
			[]func(*model){scope(commonv1.RestartScopeJob)},
			func(m *model) {
				m.end(m.pod("worker-1"), 1)
				m.in.Now = m.in.Now.Add(time.Second)
				m.end(m.pod("worker-0"), 1)
			}, "node-1 1 at 0s", "not rather node-1",
		},
		"SignalOfTheSameSecond": {
			"of one second, that of a signal is first",
			commonv1.AvoidNodes{},
			[]func(*model){scope(commonv1.RestartScopeRole)},
			func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.end(m.pod("worker-1"), 137)
				m.end(m.pod("worker-2"), 1)
			}, "node-1 1 at 0s", "not rather node-1",
		},
		"DisruptionOfTheSameSecond": {
			"and that of a disruption before it",
			commonv1.AvoidNodes{Causes: []commonv1.AvoidNodesCause{commonv1.AvoidNodesFailed, commonv1.AvoidNodesDisrupted}},
			[]func(*model){scope(commonv1.RestartScopeJob)},
			func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.evict(m.pod("worker-1"))
				m.end(m.pod("worker-2"), 1)
			}, "node-1 1 at 0s", "not rather node-1",
		},
		"UnreportedAlone": {
			"one that restarts alone counts when it is reported",
			commonv1.AvoidNodes{},
			nil,
			func(m *model) {
				m.stopMain(m.pod("worker-1"), 139)
				m.pod("worker-1").Spec.RestartPolicy = corev1.RestartPolicyNever
				m.end(m.pod("worker-0"), 1)
			}, "node-0 1 at 0s", "not rather node-0",
		},
		"StoredFirst": {
			"then the one that was stored first",
			commonv1.AvoidNodes{},
			[]func(*model){scope(commonv1.RestartScopeJob)},
			func(m *model) {
				for i, version := range []string{"12", "9", "10"} {
					m.pod("worker-" + strconv.Itoa(i)).ResourceVersion = version
					m.end(m.pod("worker-"+strconv.Itoa(i)), 1)
				}
			}, "node-1 1 at 0s", "not rather node-1",
		},
		"Unreported": {
			"the first may be reported last",
			commonv1.AvoidNodes{},
			[]func(*model){scope(commonv1.RestartScopeJob)},
			func(m *model) {
				m.end(m.pod("worker-1"), 139)
				m.pod("worker-1").Status.Phase, m.pod("worker-1").Spec.RestartPolicy = corev1.PodRunning, corev1.RestartPolicyNever
				m.in.Now = m.in.Now.Add(time.Second)
				m.end(m.pod("worker-0"), 1)
			}, "node-1 1 at 0s", "not rather node-1",
		},
		"InPlace": {"its container stays on the node", commonv1.AvoidNodes{}, nil, func(m *model) { m.restartInPlace(m.pod("worker-0")) }, "", ""},
		"NoNode": {"it never had one", commonv1.AvoidNodes{}, nil, func(m *model) {
			m.end(m.pod("worker-0"), 1)
			m.pod("worker-0").Spec.NodeName = ""
		}, "", ""},
		"ClockOfTheFuture": {
			"no failure is later than now",
			commonv1.AvoidNodes{},
			nil,
			func(m *model) {
				m.in.Now = m.in.Now.Add(time.Hour)
				m.end(m.pod("worker-0"), 1)
				m.in.Now = m.in.Now.Add(-time.Hour)
			}, "node-0 1 at 0s", "not rather node-0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := avoiding(3, tc.policy, tc.before...)
			tc.happen(m)
			writes, restarts := m.writes, m.in.Status.Restarts
			p := m.reconcile()
			if got := failedNodes(&m.in.Status); got != tc.want {
				t.Errorf("%s: failedNodes: want %q, got %q", tc.reason, tc.want, got)
			}
			if tc.want != "" && m.in.Status.Restarts == restarts {
				t.Errorf("%s: the node was not counted by the write that counted the failure", tc.reason)
			}
			if deletes := len(p.Actions); m.writes > writes+1+deletes {
				t.Errorf("%s: %d writes", tc.reason, m.writes-writes)
			}
			for range 3 {
				m.reconcileUntilStable()
			}
			if got := failedNodes(&m.in.Status); got != tc.want {
				t.Errorf("%s: later passes count again: %q", tc.reason, got)
			}
			m.drop(m.pod("worker-0"))
			m.reconcileUntilStable()
			if got := awayFrom(m.pod("worker-0")); got != tc.away {
				t.Errorf("%s: the next pod avoids %q, want %q", tc.reason, got, tc.away)
			}
		})
	}
}

// TestAvoidedFor: forSeconds after its last failure a node is no longer avoided, without any write.
func TestAvoidedFor(t *testing.T) {
	m := avoiding(2, required(commonv1.AvoidNodes{ForSeconds: new(int64(1000))}))
	m.end(m.pod("worker-0"), 1)
	m.again()
	for after, want := range map[time.Duration]string{999 * time.Second: "never node-0", 1000 * time.Second: "", -time.Hour: "never node-0"} {
		m.in.Now = epoch.Add(after)
		m.drop(m.pod("worker-1"))
		m.reconcileUntilStable()
		if got := awayFrom(m.pod("worker-1")); got != want {
			t.Errorf("%s after the failure a new pod avoids %q, want %q", after, got, want)
		}
		m.bindOwn()
		m.run()
		m.reconcileUntilStable()
	}
	if got := failedNodes(&m.in.Status); got != "node-0 1 at 0s" {
		t.Errorf("the list is tidied with the next failure, not by a write of its own: %q", got)
	}
	m.in.Now = epoch.Add(2000 * time.Second)
	m.end(m.pod("worker-1"), 1)
	m.reconcileUntilStable()
	if got := failedNodes(&m.in.Status); got != "node-0 1 at 0s, node-1 1 at 33m20s" {
		t.Errorf("after another failure: %q", got)
	}
}

// TestGangAvoidsTheSame: what a node has done is over while a gang is created, but its pods are
// to have the same affinity.
func TestGangAvoidsTheSame(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   string // what the pod that is created later avoids
	}{
		"RestartScopeJob": {"what restarts together", scope(commonv1.RestartScopeJob), "never node-0"},
		"Gang":            {"what is scheduled together", func(m *model) { m.in.Gang = &plan.Gang{} }, "never node-0"},
		"OneByOne":        {"of the others each goes by its own time", func(*model) {}, ""},
	} {
		m := avoiding(2, required(commonv1.AvoidNodes{ForSeconds: new(int64(10))}), tc.change)
		m.end(m.pod("worker-0"), 1)
		m.reconcileUntilStable()
		m.in.Now = m.in.Now.Add(5 * time.Second)
		m.drop(m.pod("worker-1")) // As if it had not been created yet.
		m.in.Now = m.in.Now.Add(time.Minute)
		m.reconcileUntilStable()
		if a, b := awayFrom(m.pod("worker-0")), awayFrom(m.pod("worker-1")); a != "never node-0" || b != tc.want {
			t.Errorf("%s: %s: one pod avoids %q, the other %q, want %q", name, tc.reason, a, b, tc.want)
		}
	}
}

// TestFailedNodesAreForgotten: without the policy the list is of no use.
func TestFailedNodesAreForgotten(t *testing.T) {
	m := avoiding(2, commonv1.AvoidNodes{})
	m.end(m.pod("worker-0"), 1)
	m.again()
	m.in.RunPolicy.AvoidNodes = nil
	m.end(m.pod("worker-1"), 1)
	m.reconcileUntilStable()
	if got := failedNodes(&m.in.Status); got != "" {
		t.Errorf("the policy was removed, and the next failure is counted: the status still lists %q", got)
	}
}

// TestDefaultsOfAvoidNodes: what holds where the policy says nothing.
func TestDefaultsOfAvoidNodes(t *testing.T) {
	failed := make([]commonv1.FailedNode, 12)
	for i := range failed {
		failed[i] = commonv1.FailedNode{Name: "node-" + strconv.Itoa(i), Failures: 1}
	}
	if diff := cmp.Diff(failed[2:], plan.AvoidedNodes(&commonv1.AvoidNodes{}, failed, epoch)); diff != "" {
		t.Errorf("the newest 10 are avoided (-want +got):\n%s", diff)
	}
	m := hungJob(restartPolicy(commonv1.RestartPolicyOnFailure), watched(readiness, commonv1.ProgressActionRestartReplica), func(m *model) {
		m.in.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{}
	})
	goesOn(m)
	m.turns("worker-1", corev1.ConditionFalse)
	m.later(61 * time.Second)
	if got := failedNodes(&m.in.Status); got != "node-7 1 at 1m11s" {
		t.Errorf("a hang counts: %q", got)
	}
}

// TestAffinityOfTheUser: what the user requires holds as well.
func TestAffinityOfTheUser(t *testing.T) {
	gpu := corev1.NodeSelectorRequirement{Key: "gpu", Operator: corev1.NodeSelectorOpExists}
	old := corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"old"}}
	not := func(names ...string) (out []corev1.NodeSelectorRequirement) {
		for _, n := range names {
			out = append(out, corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{n}})
		}
		return out
	}
	terms := func(t ...corev1.NodeSelectorTerm) *corev1.NodeAffinity {
		return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: t}}
	}
	rather := corev1.PreferredSchedulingTerm{Weight: 7, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{gpu}}}
	for name, tc := range map[string]struct {
		reason string
		mode   commonv1.AvoidNodesMode
		theirs *corev1.NodeAffinity
		want   *corev1.NodeAffinity
	}{
		"None":      {"only ours", commonv1.AvoidNodesRequired, nil, terms(corev1.NodeSelectorTerm{MatchFields: not("a", "b")})},
		"EmptyList": {"the API server refuses it, with its own message", commonv1.AvoidNodesRequired, terms(), terms()},
		"Terms": {
			"terms are alternatives: each gets ours", commonv1.AvoidNodesRequired,
			terms(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{gpu}}, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{old}}),
			terms(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{gpu}, MatchFields: not("a", "b")}, corev1.NodeSelectorTerm{MatchFields: not("old", "a", "b")}),
		},
		"EmptyTerm": {
			"an empty term matches no node, and must not begin to", commonv1.AvoidNodesRequired,
			terms(corev1.NodeSelectorTerm{}, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{gpu}}),
			terms(corev1.NodeSelectorTerm{}, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{gpu}, MatchFields: not("a", "b")}),
		},
		"Preferred": {
			"a preference next to theirs", commonv1.AvoidNodesPreferred,
			&corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{rather}},
			&corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				rather, {Weight: 100, Preference: corev1.NodeSelectorTerm{MatchFields: not("a", "b")}},
			}},
		},
	} {
		m := newModel(workers(1))
		m.in.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{Mode: tc.mode}
		template := m.in.Replicas[worker].Template.DeepCopy()
		template.Annotations = map[string]string{commonv1.AvoidedNodesAnnotation: "theirs"}
		if tc.theirs != nil {
			template.Spec.Affinity = &corev1.Affinity{NodeAffinity: tc.theirs}
		}
		pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker, Avoid: "a,b"}, template)
		if diff := cmp.Diff(tc.want, pod.Spec.Affinity.NodeAffinity); diff != "" {
			t.Errorf("%s: %s: -want +got:\n%s", name, tc.reason, diff)
		}
		want := ""
		if tc.mode == commonv1.AvoidNodesRequired {
			want = "78ed6781f136a14e" // As every release of the operator has it, or pods that wait would be replaced by an upgrade.
		}
		if mark := pod.Annotations[commonv1.AvoidedNodesAnnotation]; mark != want {
			t.Errorf("%s: the pod is marked with %q, want %q", name, mark, want)
		}
	}
}

// noRoom has the scheduler say of all pods without a node that it finds none.
func noRoom(m *model, message string) {
	for _, p := range m.in.Pods {
		if p.Spec.NodeName == "" {
			p.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
				LastTransitionTime: metav1.NewTime(m.in.Now),
			}}
		}
	}
}

const noMatch = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."

// TestRequiredNeverForGood: while pods find no node, one node after the other is no longer
// avoided, the one with the oldest failure first; the condition names it.
func TestRequiredNeverForGood(t *testing.T) {
	m := avoiding(3, required(commonv1.AvoidNodes{}))
	for i := range 3 {
		m.end(m.pod("worker-"+strconv.Itoa(i)), 1)
		m.again()
	}
	m.end(m.pod("worker-1"), 1)
	m.in.Now = m.in.Now.Add(10 * time.Minute)
	m.reconcileUntilStable()
	for _, next := range []struct{ drops, away string }{
		{"node-0", "never node-1, never node-2"}, {"node-2", "never node-1"}, {"node-1", ""},
	} {
		noRoom(m, noMatch)
		uid := m.pod("worker-1").UID
		m.in.Now = m.in.Now.Add(5*time.Minute - time.Second)
		m.reconcileUntilStable()
		if got := m.pod("worker-1").UID; got != uid {
			t.Fatalf("before %s is dropped: the pod was replaced too early", next.drops)
		}
		m.in.Now = m.in.Now.Add(time.Second)
		m.reconcileUntilStable()
		if got := awayFrom(m.pod("worker-1")); got != next.away || m.pod("worker-1").UID == uid {
			t.Errorf("after %s was dropped, the pod avoids %q, want %q", next.drops, got, next.away)
		}
		c := m.in.Status.Condition(commonv1.JobStalled)
		want := "TestJob ns/job no longer avoids node " + next.drops + ", because its pods find no other node: runPolicy.avoidNodes.mode is Required."
		if c == nil || c.Message != want || c.Reason != "TestJobAvoidedNodeNeeded" {
			t.Errorf("the condition is %+v, want %q", c, want)
		}
	}
	if pod := m.pod("worker-1"); pod.Annotations[commonv1.AvoidedNodesAnnotation] != "" || pod.Spec.Affinity != nil {
		t.Errorf("the last pod has %v and %v", pod.Annotations, pod.Spec.Affinity)
	}
	m.bindOwn()
	m.run()
	m.reconcileUntilStable()
	if c := m.in.Status.Condition(commonv1.JobStalled); c != nil {
		t.Errorf("all run, and the job is still stalled: %+v", c)
	}
}

// TestRelaxingWaits: what the scheduler says decides how long pods wait, and each pod is deleted
// only as it was seen.
func TestRelaxingWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		policy commonv1.AvoidNodes
		set    func(*model)
		after  time.Duration
		want   bool
		left   string // of the list of failed nodes
	}{
		"Soon":   {"an autoscaler may bring a node", required(commonv1.AvoidNodes{}), func(m *model) { noRoom(m, noMatch) }, 299 * time.Second, false, "node-0 1 at 0s"},
		"Late":   {"none did", required(commonv1.AvoidNodes{}), func(m *model) { noRoom(m, noMatch) }, 300 * time.Second, true, ""},
		"Full":   {"nodes are full, which says nothing of affinity", required(commonv1.AvoidNodes{}), func(m *model) { noRoom(m, "0/3 nodes are available: 3 Insufficient cpu.") }, 1799 * time.Second, false, "node-0 1 at 0s"},
		"Full2":  {"for so long that it may be why", required(commonv1.AvoidNodes{}), func(m *model) { noRoom(m, "0/3 nodes are available: 3 Insufficient cpu.") }, 1800 * time.Second, true, ""},
		"Silent": {"a scheduler that says nothing", required(commonv1.AvoidNodes{}), func(*model) {}, 1800 * time.Second, true, ""},
		"Gated":  {"a queue holds it back", required(commonv1.AvoidNodes{}), func(m *model) { gate(m, "example.com/quota", "worker-0") }, time.Hour, false, "node-0 1 at 0s"},
		"Bound":  {"it has a node", required(commonv1.AvoidNodes{}), func(m *model) { m.bindOwn() }, time.Hour, false, "node-0 1 at 0s"},
		"Rather": {"a preference keeps nothing waiting", commonv1.AvoidNodes{}, func(m *model) { noRoom(m, noMatch) }, time.Hour, false, "node-0 1 at 0s"},
		"Edited": {"the policy was removed", required(commonv1.AvoidNodes{}), func(m *model) { noRoom(m, noMatch); m.in.RunPolicy.AvoidNodes = nil }, 300 * time.Second, true, "node-0 1 at 0s"},
		"Softer": {"an edit made it a preference, which takes no node off the list", required(commonv1.AvoidNodes{}), func(m *model) { noRoom(m, noMatch); m.in.RunPolicy.AvoidNodes.Mode = "" }, 300 * time.Second, true, "node-0 1 at 0s"},
		"Forged": {"what a user writes harms no one: the mark of a pod that avoids no node", required(commonv1.AvoidNodes{ForSeconds: new(int64(700))}), func(m *model) {
			noRoom(m, noMatch)
			m.pod("worker-0").Annotations[commonv1.AvoidedNodesAnnotation] = "cbf29ce484222325"
		}, 300 * time.Second, true, "node-0 1 at 0s"},
		"Over":  {"what the node did is over", required(commonv1.AvoidNodes{ForSeconds: new(int64(700))}), func(m *model) { noRoom(m, noMatch) }, 300 * time.Second, true, "node-0 1 at 0s"},
		"Clock": {"the clock was set back", required(commonv1.AvoidNodes{}), func(m *model) { noRoom(m, noMatch) }, -time.Hour, false, "node-0 1 at 0s"},
	} {
		m := avoiding(2, tc.policy)
		m.end(m.pod("worker-0"), 1)
		m.in.Now = m.in.Now.Add(10 * time.Minute)
		m.reconcileUntilStable()
		pod := m.pod("worker-0")
		pod.ResourceVersion = "42"
		m.drop(m.pod("worker-1"))
		tc.set(m)
		m.in.Now = m.in.Now.Add(tc.after)
		p := m.decide()
		replaced := slices.Contains(p.Actions, plan.Action(plan.DeletePod{
			Name: "job-worker-0", UID: pod.UID, Version: "42", Reason: "it waits for a node, and must no longer avoid the same ones",
		}))
		if left := failedNodes(&p.Status); replaced != tc.want || left != tc.left {
			t.Errorf("%s: %s: it is replaced: %t, want %t; of the list %q is left, want %q", name, tc.reason, replaced, tc.want, left, tc.left)
		}
		if name == "Soon" && p.RequeueAfter != time.Second {
			t.Errorf("the job is requeued when it has been too long, not after %s", p.RequeueAfter)
		}
		if !slices.ContainsFunc(p.Actions, func(a plan.Action) bool { return strings.HasPrefix(a.String(), "create pod job-worker-1 ") }) {
			t.Errorf("%s: a pod that waits delays no other: %v", name, p.Actions)
		}
	}
}

// TestFailedNodesAreBounded: whatever fails where, the list is bounded and exact: a twin counts
// by the documentation.
func TestFailedNodesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := avoiding(3, commonv1.AvoidNodes{
			MaxNodes: new(rapid.Int32Range(1, 3).Draw(t, "max nodes")), AfterFailures: new(rapid.Int32Range(1, 2).Draw(t, "after failures")),
		})
		counts, order := map[string]int32{}, []string{}
		for range rapid.IntRange(1, 150).Draw(t, "failures") {
			pod := m.pod("worker-" + strconv.Itoa(rapid.IntRange(0, 2).Draw(t, "worker")))
			pod.Spec.NodeName = "n" + strconv.Itoa(rapid.IntRange(0, 120).Draw(t, "node"))
			m.end(pod, 1)
			m.again()
			counts[pod.Spec.NodeName]++
			order = append(slices.DeleteFunc(order, func(n string) bool { return n == pod.Spec.NodeName }), pod.Spec.NodeName)
			if len(order) > commonv1.MaxFailedNodes {
				delete(counts, order[0])
				order = order[1:]
			}
		}
		got := []string{}
		for _, n := range m.in.Status.FailedNodes {
			got = append(got, n.Name)
			if n.Failures != counts[n.Name] {
				t.Fatalf("%s: %d failures, want %d", n.Name, n.Failures, counts[n.Name])
			}
		}
		if diff := cmp.Diff(order, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		var want []string
		p := m.in.RunPolicy.AvoidNodes
		for _, n := range slices.Backward(order) {
			if counts[n] >= *p.AfterFailures && len(want) < int(*p.MaxNodes) {
				want = append(want, "not rather "+n)
			}
		}
		slices.Sort(want)
		m.drop(m.pod("worker-0"))
		m.reconcileUntilStable()
		if got := awayFrom(m.pod("worker-0")); got != strings.Join(want, ", ") {
			t.Fatalf("the next pod avoids %q, want %q", got, want)
		}
	})
}

// TestAvoidNodesIsChecked: the mistakes that the schema of a CRD refuses.
func TestAvoidNodesIsChecked(t *testing.T) {
	for want, p := range map[string]commonv1.AvoidNodes{
		"":                         {Mode: commonv1.AvoidNodesRequired, Causes: []commonv1.AvoidNodesCause{commonv1.AvoidNodesFailed}, ExitCodes: []int32{255}},
		"mode: Unsupported value":  {Mode: "Never"},
		"causes[0]: Unsupported":   {Causes: []commonv1.AvoidNodesCause{"Rain"}},
		"afterFailures: Invalid":   {AfterFailures: new(int32(0))},
		"must be from 1 to 50":     {MaxNodes: new(int32(51))},
		"forSeconds: Invalid":      {ForSeconds: new(int64(0))},
		"exitCodes[0]: Invalid":    {ExitCodes: []int32{256}},
		"unless causes has Failed": {Causes: []commonv1.AvoidNodesCause{commonv1.AvoidNodesHung}, ExitCodes: []int32{1}},
	} {
		m := newModel(workers(1))
		m.in.RunPolicy.AvoidNodes = &p
		got := ""
		if err := plan.Validate(&m.in).ToAggregate(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%+v: want %q, got %q", p, want, got)
		}
	}
}

// TestBoundsOfAvoidNodes: the first and the last value that each number may have, and their
// neighbours.
func TestBoundsOfAvoidNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		set               func(p *commonv1.AvoidNodes, n int32)
		first, last, over int32
		bad               string
	}{
		"afterFailures": {func(p *commonv1.AvoidNodes, n int32) { p.AfterFailures = &n }, 1, 1000, 1001, "afterFailures: Invalid value: %d: must be from 1 to 1000"},
		"maxNodes":      {func(p *commonv1.AvoidNodes, n int32) { p.MaxNodes = &n }, 1, 50, 51, "maxNodes: Invalid value: %d: must be from 1 to 50"},
		"forSeconds":    {func(p *commonv1.AvoidNodes, n int32) { p.ForSeconds = new(int64(n)) }, 1, 1 << 30, 0, "forSeconds: Invalid value: %d: must be 1 or more"},
		"exitCodes":     {func(p *commonv1.AvoidNodes, n int32) { p.ExitCodes = []int32{n} }, 1, 255, 256, "exitCodes[0]: Invalid value: %d: must be from 1 to 255"},
	} {
		for n, valid := range map[int32]bool{tc.first: true, tc.last: true, tc.first - 1: false, tc.over: false} {
			m := newModel(workers(1))
			m.in.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{}
			tc.set(m.in.RunPolicy.AvoidNodes, n)
			want := ""
			if !valid {
				want = "spec.runPolicy.avoidNodes." + fmt.Sprintf(tc.bad, n)
			}
			got := ""
			if errs := plan.Validate(&m.in); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if got != want {
				t.Errorf("%s %d: want %q, got %q", name, n, want, got)
			}
		}
	}
}

// TestAvoidedNodeNeededIsTold: that a node is no longer avoided is told even if the job is stalled
// for another reason, which stays.
func TestAvoidedNodeNeededIsTold(t *testing.T) {
	m := avoiding(2, required(commonv1.AvoidNodes{}))
	m.end(m.pod("worker-0"), 1)
	m.again()
	m.pod("worker-0").Status.Phase, m.pod("worker-0").Spec.NodeName = corev1.PodPending, ""
	noRoom(m, noMatch)
	m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJobCreateRefused", Message: "quota"})
	m.in.Now = m.in.Now.Add(5 * time.Minute)
	p := m.decide()
	var told []string
	for _, e := range p.Events {
		told = append(told, fmt.Sprint(e.Warning, " ", e.Reason, " ", e.Pod.Name))
	}
	if c := p.Status.Condition(commonv1.JobStalled); c == nil || c.Reason != "TestJobCreateRefused" || !slices.Equal(told, []string{"true TestJobAvoidedNodeNeeded job-worker-0"}) {
		t.Errorf("want one event, and the condition as it was: %q, %+v", told, c)
	}
}

// TestAvoidedNodeNeededIsNews: a job that is stalled since its pods do not start says in an event
// why, once it knows; and names the next node, too.
func TestAvoidedNodeNeededIsNews(t *testing.T) {
	for _, was := range []string{"TestJobPodsNotStarting", "TestJobAvoidedNodeNeeded"} {
		m := avoiding(2, required(commonv1.AvoidNodes{}))
		m.end(m.pod("worker-0"), 1)
		m.again()
		m.pod("worker-0").Status.Phase, m.pod("worker-0").Spec.NodeName = corev1.PodPending, ""
		noRoom(m, noMatch)
		m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: was})
		m.in.Now = m.in.Now.Add(5 * time.Minute)
		p := m.decide()
		var told []string
		for _, e := range p.Events {
			told = append(told, fmt.Sprint(e.Reason, " ", e.Pod.Name))
		}
		if c := p.Status.Condition(commonv1.JobStalled); c == nil || c.Reason != "TestJobAvoidedNodeNeeded" || !slices.Equal(told, []string{"TestJobAvoidedNodeNeeded job-worker-0"}) {
			t.Errorf("%s: want one event, and the condition changed: %q, %+v", was, told, c)
		}
	}
}
