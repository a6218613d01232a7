package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestPodStuckTerminating: a pod that is past its grace period holds its job up, which
// says so with pod, node and what to do.
func TestPodStuckTerminating(t *testing.T) {
	const advice = "Bring the node back; if it is dead, delete the node or give it the taint " +
		"node.kubernetes.io/out-of-service; or set runPolicy.forceDeleteAfterSeconds."
	for name, tc := range map[string]struct {
		reason string
		set    func(*model)
		want   string // "" if the job is not stalled
	}{
		"NodeDoesNotAnswer": {
			"pod, node and what to do", func(*model) {},
			"pod job-worker-0 on node node-7, deleted and still terminating: its node does not answer. " + advice,
		},
		"ForceDeleteLater": {
			"what happens next", func(m *model) { m.in.RunPolicy.ForceDeleteAfterSeconds = new(int64(600)) },
			"pod job-worker-0 on node node-7, deleted and still terminating: its node does not answer; " +
				"it is deleted by force after runPolicy.forceDeleteAfterSeconds, which is 600.",
		},
		"ForceDeleteNow": {
			"the job helps itself", func(m *model) { m.in.RunPolicy.ForceDeleteAfterSeconds = new(int64(30)) }, "",
		},
		"NodeIsDead": {
			"the job helps itself", func(m *model) { m.in.DeadNodes = map[string]bool{"node-7": true} }, "",
		},
		"Finalizer": {
			"the node is done with it", func(m *model) {
				m.pod("worker-0").Finalizers, m.pod("worker-0").DeletionGracePeriodSeconds = []string{"example.com/keep"}, new(int64(0))
			},
			"pod job-worker-0 on node node-7, deleted and still terminating: its finalizer example.com/keep keeps it, and the client that set it must remove it.",
		},
		"GoesAtOnce": {
			"the API server is about to remove it", func(m *model) { m.pod("worker-0").DeletionGracePeriodSeconds = new(int64(0)) }, "",
		},
		"Several": {
			"the first few are named", func(m *model) {
				for _, p := range []string{"worker-1", "worker-2", "worker-3", "worker-4"} {
					m.pod(p).Spec.NodeName, m.pod(p).DeletionTimestamp = "node-8", m.pod("worker-0").DeletionTimestamp
				}
			},
			"pod job-worker-0 on node node-7, job-worker-1 on node node-8, job-worker-2 on node node-8 and 2 more, deleted and still terminating: " +
				"its node does not answer. " + advice,
		},
		"NotWanted": {
			"a pod that is not waited for delays nothing", func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(4))
				m.pod("worker-4").DeletionTimestamp, m.pod("worker-0").DeletionTimestamp = m.pod("worker-0").DeletionTimestamp, nil
			}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(5), nil)
			m.terminate(m.pod("worker-0"))
			m.pod("worker-0").Spec.NodeName = "node-7"
			tc.set(m)
			early := m.in.Now.Add(30 * time.Second)
			late := early.Add(30 * time.Second)
			m.in.Now = late.Add(-time.Second)
			p := m.decide()
			if p.Status.IsTrue(commonv1.JobStalled) {
				t.Errorf("%s: the kubelet may take a moment", tc.reason)
			}
			if tc.want != "" && p.RequeueAfter != time.Second {
				t.Errorf("%s: requeued after %s", tc.reason, p.RequeueAfter)
			}
			m.in.Now = late
			p = m.decide()
			if tc.want != "" && !aboutFirst(p.Events, tc.want) {
				t.Errorf("%s: an event is about the first pod: %+v", tc.reason, p.Events)
			}
			got := ""
			if c := p.Status.Condition(commonv1.JobStalled); c != nil {
				got = strings.TrimPrefix(c.Reason+": "+c.Message, "TestJobPodStuckTerminating: TestJob ns/job waits for ")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestPodStuckTerminatingEnds: it is reported once, costs nothing while it lasts, and ends by
// itself when the pod goes.
func TestPodStuckTerminatingEnds(t *testing.T) {
	m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
	m.end(m.pod("worker-1"), 137)
	m.reconcileUntilStable()                                                           // its successor is pending, so that the job is Restarting
	m.pod("worker-1").CreationTimestamp = metav1.NewTime(m.in.Now.Add(24 * time.Hour)) // too young for the job to ask why it does not start
	m.terminate(m.pod("worker-0"))
	m.pod("worker-0").Spec.NodeName = "node-7"
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(2 * time.Minute)
	if p := m.reconcile(); len(p.Events) != 1 || !p.Events[0].Warning || p.Status.State != commonv1.JobStalled {
		t.Errorf("one event, and the state: %v, %s", p.Events, p.Status.State)
	}
	for range 100 {
		m.in.Now = m.in.Now.Add(time.Minute)
		if p := m.decide(); p.StatusChange != plan.StatusUnchanged || len(p.Events) > 0 || p.RequeueAfter != time.Minute {
			t.Fatalf("it is requeued every minute, because its node may die, and not written to: %+v", p)
		}
	}
	m.drop(m.pod("worker-0"))
	p := m.decide()
	for _, a := range p.Actions {
		m.apply(a)
	}
	// The pod of its name was created, so that nothing is in the way any longer.
	m.in.Status = p.Status
	m.reconcileUntilStable()
	if m.in.Status.IsTrue(commonv1.JobStalled) || m.pod("worker-0") == nil {
		t.Errorf("it continues: %q", conditions(&m.in.Status))
	}
}

// TestStuckIsNotTakenBack: known-bugs row 179. To another process, which knows the first request for the
// deletion, the pod has a second more.
func TestStuckIsNotTakenBack(t *testing.T) {
	m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
	m.terminate(m.pod("worker-0"))
	m.pod("worker-0").Spec.NodeName = "node-7"
	m.reconcileUntilStable()
	if m.in.Now = m.pod("worker-0").DeletionTimestamp.Add(30 * time.Second); !m.reconciledTo(commonv1.JobStalled) {
		t.Fatalf("the pod is stuck: %q", conditions(&m.in.Status))
	}
	m.pod("worker-0").DeletionTimestamp = &metav1.Time{Time: m.in.Now.Add(-29 * time.Second)}
	if !m.reconciledTo(commonv1.JobStalled) {
		t.Errorf("a second is too little to take it back: %q", conditions(&m.in.Status))
	}
}

// reconciledTo reports whether a condition holds after a pass.
func (m *model) reconciledTo(c commonv1.JobConditionType) bool {
	m.reconcileUntilStable()
	return m.in.Status.IsTrue(c)
}

// TestSchedulingGates: pods that no scheduler processes are reported as such, with the
// gates and who removes them, before what a gang scheduler makes of their group.
func TestSchedulingGates(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		set    func(*model)
		want   string // "" if the job is not stalled
	}{
		"All": {
			"the pods and the gates", func(m *model) { gate(m, "example.com/quota", "worker-0", "worker-1") },
			"pod job-worker-0, job-worker-1, held back by scheduling gates: the client that set example.com/quota must remove them.",
		},
		"Several": {
			"all gates are named, each once, and the first pods", func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(5))
				m.reconcileUntilStable()
				gate(m, "example.com/b", "worker-0", "worker-1", "worker-2", "worker-3", "worker-4")
				gate(m, "example.com/a", "worker-3")
			},
			"pod job-worker-0, job-worker-1, job-worker-2 and 2 more, held back by scheduling gates: the client that set example.com/a, example.com/b must remove them.",
		},
		"Gang": {
			"the rest of a gang waits for them", func(m *model) {
				m.in.Gang = &plan.Gang{Why: "3/4 tasks in gang unschedulable", Since: m.in.Now}
				gate(m, "example.com/quota", "worker-1")
			},
			"pod job-worker-1, held back by scheduling gates: the client that set example.com/quota must remove them.",
		},
		"Terminating": {
			"a pod that goes is no longer waited for", func(m *model) {
				gate(m, "example.com/quota", "worker-1")
				at := metav1.NewTime(m.in.Now.Add(time.Minute))
				m.pod("worker-1").DeletionTimestamp = &at
			}, "",
		},
		"None": {"no gates, no wait", func(*model) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			m.reconcileUntilStable()
			tc.set(m)
			m.in.Now = m.in.Now.Add(9 * time.Second)
			m.reconcileUntilStable()
			if m.in.Status.IsTrue(commonv1.JobStalled) {
				t.Errorf("%s: a queue may take a moment: %q", tc.reason, conditions(&m.in.Status))
			}
			m.in.Now = m.in.Now.Add(time.Second)
			if p := m.decide(); tc.want != "" && !aboutFirst(p.Events, tc.want) {
				t.Errorf("%s: an event is about the first pod: %+v", tc.reason, p.Events)
			}
			m.reconcileUntilStable()
			got := ""
			if c := m.in.Status.Condition(commonv1.JobStalled); c != nil {
				got = strings.TrimPrefix(c.Reason+": "+c.Message, "TestJobSchedulingGated: TestJob ns/job waits for ")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", tc.reason, diff)
			}
			m.in.Now = m.in.Now.Add(time.Second)
			if p := m.decide(); p.RequeueAfter != 0 && tc.want != "" {
				t.Errorf("%s: what is said needs no other pass, got one after %s", tc.reason, p.RequeueAfter)
			}
			for range 20 {
				m.in.Now = m.in.Now.Add(time.Minute)
				if p := m.decide(); p.StatusChange != plan.StatusUnchanged && tc.want != "" {
					t.Fatalf("%s: it costs nothing while it lasts, got %q", tc.reason, conditions(&p.Status))
				}
			}
			for _, p := range m.in.Pods {
				p.Spec.SchedulingGates, p.Spec.NodeName = nil, "node"
			}
			m.in.Gang = nil
			m.run()
			if m.reconcileUntilStable(); tc.want != "" && m.in.Status.State != commonv1.JobRunning {
				t.Errorf("%s: it continues: %q", tc.reason, conditions(&m.in.Status))
			}
		})
	}
}

// TestGatesOfAnEarlierAttempt: a pod whose next attempt takes its place is not waited for.
func TestGatesOfAnEarlierAttempt(t *testing.T) {
	m := newModel(workers(2))
	m.reconcileUntilStable()
	gate(m, "example.com/quota", "worker-1")
	m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"1": 1}
	m.in.Now = m.in.Now.Add(10 * time.Second)
	if p := m.decide(); p.Status.IsTrue(commonv1.JobStalled) || len(p.Actions) != 1 {
		t.Errorf("the pod is deleted, and nothing said of it: %v, %q", p.Actions, conditions(&p.Status))
	}
}

// aboutFirst reports whether an event says a message, and is about the first of the pods that it names.
func aboutFirst(events []plan.Event, message string) bool {
	return slices.ContainsFunc(events, func(e plan.Event) bool {
		return strings.HasSuffix(e.Message, message) && e.Pod.Name != "" && strings.HasPrefix(message, "pod "+e.Pod.Name)
	})
}

// gate gives pods that wait a scheduling gate.
func gate(m *model, name string, pods ...string) {
	for _, pod := range pods {
		p := m.pod(pod)
		p.Status.Phase, p.Spec.NodeName = corev1.PodPending, ""
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: name})
	}
}

// TestWaitsDoNotAlternate: of two things that a job waits for the first is reported, and what is
// reported stays for a minute; when it is over, the other is reported at once.
func TestWaitsDoNotAlternate(t *testing.T) {
	m := started(workers(2), nil)
	m.in.Gang = &plan.Gang{}
	unschedulable(m, "worker-1", "no room")
	reason := func() string {
		m.reconcileUntilStable()
		if c := m.in.Status.Condition(commonv1.JobStalled); c != nil {
			return strings.TrimPrefix(c.Reason, "TestJob")
		}
		return ""
	}
	m.in.Now = m.in.Now.Add(10 * time.Second)
	if got := reason(); got != "WaitingForGang" {
		t.Fatalf("the gang waits: %s", got)
	}
	at := metav1.NewTime(m.in.Now.Add(-30 * time.Second))
	m.pod("worker-0").Spec.NodeName, m.pod("worker-0").DeletionTimestamp, m.pod("worker-0").DeletionGracePeriodSeconds = "node-7", &at, new(int64(30))
	m.in.Now = m.in.Now.Add(59 * time.Second)
	if got := reason(); got != "WaitingForGang" || m.decide().RequeueAfter != time.Second {
		t.Errorf("what is reported stays for a minute: %s, again after %s", got, m.decide().RequeueAfter)
	}
	m.in.Now = m.in.Now.Add(time.Second)
	if got := reason(); got != "PodStuckTerminating" {
		t.Errorf("then what takes precedence is reported: %s", got)
	}
	m.pod("worker-0").DeletionTimestamp = nil
	if got := reason(); got != "WaitingForGang" {
		t.Errorf("the other is reported at once: %s", got)
	}
}

// TestSameMessageInAnotherOrder: what the API server joins from a map comes in another
// order at every try, and is no news.
func TestSameMessageInAnotherOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, first, then string
		news                bool
	}{
		"LimitRange": {
			reason: "the limits of a LimitRange",
			first:  "[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container is 1Gi, but limit is 4Gi]",
			then:   "[maximum memory usage per Container is 1Gi, but limit is 4Gi, maximum cpu usage per Container is 1, but limit is 2]",
		},
		"Numbers": {reason: "other numbers are news", first: "limit is 1, used 2", then: "limit is 1, used 3", news: true},
		"Longer":  {reason: "more is news", first: "a, b", then: "b, a, c", news: true},
		"Same":    {reason: "the same is none", first: "a, b", then: "a, b"},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.in.Problem = tc.first
			m.reconcileUntilStable()
			m.in.Problem = tc.then
			m.in.Now = m.in.Now.Add(time.Minute)
			if p := m.decide(); (p.StatusChange == plan.StatusNews) != tc.news {
				t.Errorf("%s: the status is written: %t, %q", tc.reason, p.StatusChange != plan.StatusUnchanged, conditions(&p.Status))
			}
		})
	}
}

// TestObstacleThatIsGoneAndWaits: a job without obstacles is no longer stalled, but for one that waits.
func TestObstacleThatIsGoneAndWaits(t *testing.T) {
	for reason, want := range map[string]bool{
		"PodStuckTerminating": true, "VolumeClaimStuckTerminating": true, "SchedulingGated": true, "WaitingForGang": true,
		"PodsNotStarting": true, "WaitingForReplicas": true, "AvoidedNodeNeeded": true, "CreateRefused": false, "NameConflict": false,
	} {
		m := newModel(workers(1))
		p := m.decide()
		p.Status.Conditions = append(p.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJob" + reason})
		done := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{PodsCreated: []string{"job-worker-0"}})
		if got := done.Status.IsTrue(commonv1.JobStalled); got != want {
			t.Errorf("%s: stalled %t, want %t", reason, got, want)
		}
	}
}
