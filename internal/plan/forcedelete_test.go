package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func TestPodsOnDeadNodes(t *testing.T) {
	force := func(why string) []plan.Action {
		return []plan.Action{plan.DeletePod{Name: "job-worker-0", UID: "pod-3", Force: true, Reason: why}}
	}
	cases := map[string]struct {
		reason  string
		dead    bool
		after   *int64
		overdue time.Duration // time since the grace period ended
		want    []plan.Action
		again   time.Duration
	}{
		"NodeWorks": {
			reason: "a kubelet that is slow is left alone, and requeued", overdue: time.Hour, again: time.Minute,
		},
		"NodeIsGoneButItIsEarly": {
			reason: "30 s are left to those who end pods", dead: true, overdue: 29 * time.Second, again: time.Second,
		},
		"NodeIsGone": {
			reason: "then the pod is deleted by force", dead: true, overdue: 30 * time.Second,
			want: force("its node node-7 is gone or out of service"),
		},
		"OptInEarly": {
			reason: "a node that does not answer is given the time that the job says", after: new(int64(20)), overdue: 19 * time.Second, again: time.Second,
		},
		"OptIn": {
			reason: "and not longer", after: new(int64(20)), overdue: 20 * time.Second,
			want: force("it still exists 20 seconds after its grace period; its node node-7 does not answer"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), nil)
			m.in.RunPolicy.ForceDeleteAfterSeconds = tc.after
			pod := m.pod("worker-0")
			pod.UID, pod.Spec.NodeName = "pod-3", "node-7"
			m.terminate(pod)
			m.in.Now = pod.DeletionTimestamp.Add(tc.overdue)
			if tc.dead {
				m.in.DeadNodes = map[string]bool{"node-7": true}
			}
			m.in.Status.LastReconcileTime = nil
			p := m.decide()
			if diff := cmp.Diff(tc.want, p.Actions); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if p.RequeueAfter != tc.again {
				t.Errorf("%s: again after %s, want %s", tc.reason, p.RequeueAfter, tc.again)
			}
			m.reconcile()
			if len(tc.want) > 0 {
				m.reconcileUntilStable()
				if now := m.pod("worker-0"); now == nil || now.UID == "pod-3" || m.in.Status.Restarts != 0 {
					t.Errorf("%s: the replica gets a new pod, and that is no restart", tc.reason)
				}
			}
		})
	}
}

// TestForceDoesNotHideAFailure: a pod that failed is not deleted by force before its
// failure is counted: nothing would be left of it to count.
func TestForceDoesNotHideAFailure(t *testing.T) {
	cases := map[string]struct {
		reason string
		// waits keeps the job from counting failures, and goesOn ends that.
		waits, goesOn func(*model)
	}{
		"Invalid": {
			reason: "an edit made the job invalid",
			waits:  func(m *model) { m.in.Replicas[worker].Template.Spec.Containers[0].Name = "x" },
			goesOn: func(m *model) { m.in.Replicas[worker].Template.Spec.Containers[0].Name = "main" },
		},
		"Broken": {
			reason: "the operator's own code fails",
			waits:  func(m *model) { m.in.OperatorError = "panic" },
			goesOn: func(m *model) { m.in.OperatorError = "" },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
			m.bind()
			m.in.DeadNodes = map[string]bool{"node-1": true}
			tc.waits(m)
			failed, stopped := m.pod("worker-0"), m.pod("worker-1")
			m.disrupt(failed, "DeletionByTaintManager")
			m.terminate(failed)
			m.terminate(stopped)
			m.in.Now = m.in.Now.Add(2 * time.Minute)
			forced := func() (names []string) {
				for _, a := range m.decide().Actions {
					if pod, ok := a.(plan.DeletePod); ok && pod.Force {
						names = append(names, pod.Name)
					}
				}
				return names
			}
			if diff := cmp.Diff([]string{stopped.Name}, forced()); diff != "" {
				t.Errorf("%s: what was only stopped goes (-want +got):\n%s", tc.reason, diff)
			}
			tc.goesOn(m)
			if diff := cmp.Diff([]string{failed.Name, stopped.Name}, forced()); diff != "" {
				t.Errorf("%s, and no longer (-want +got):\n%s", tc.reason, diff)
			}
			m.reconcileUntilStable()
			if m.in.Status.Restarts != 1 {
				t.Errorf("%s: %d restarts are counted, want the one", tc.reason, m.in.Status.Restarts)
			}
		})
	}
}

func TestSuspectNodes(t *testing.T) {
	m := started(workers(3), nil)
	for i, p := range m.in.Pods {
		p.Spec.NodeName = []string{"b", "a", "a"}[i]
	}
	m.terminate(m.in.Pods[0])
	m.terminate(m.in.Pods[1])
	m.in.Now = epoch.Add(59 * time.Second)
	if got := plan.SuspectNodes(&m.in); len(got) > 0 {
		t.Errorf("nothing is overdue yet: %v", got)
	}
	m.in.Now = epoch.Add(time.Minute)
	if diff := cmp.Diff([]string{"a", "b"}, plan.SuspectNodes(&m.in)); diff != "" {
		t.Errorf("each node once, in order (-want +got):\n%s", diff)
	}
}

// TestPodsNotForceDeleted: a finalizer is up to its owner, and what is not
// being deleted is not stuck.
func TestPodsNotForceDeleted(t *testing.T) {
	for name, tc := range map[string]struct {
		grace  *int64
		forced bool
		want   int
	}{
		"DeletedByForceAlready":       {grace: new(int64(0))},
		"DeletedByForceAfterItsGrace": {grace: new(int64(30)), forced: true},
		"OneSecond":                   {grace: new(int64(1)), want: 1},
		"NoGracePeriod":               {want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			pod := m.pod("worker-0")
			pod.Spec.NodeName = "node-7"
			m.terminate(pod)
			pod.DeletionGracePeriodSeconds = tc.grace
			m.in.ForceDeleted = map[types.UID]bool{pod.UID: tc.forced}
			m.in.DeadNodes = map[string]bool{"node-7": true}
			m.in.Now = m.in.Now.Add(time.Hour)
			m.in.Status.LastReconcileTime = nil
			if p := m.decide(); len(p.Actions) != tc.want || tc.want == 0 && p.RequeueAfter != 0 {
				t.Errorf("got %v, again after %s", p.Actions, p.RequeueAfter)
			}
			if nodes := plan.SuspectNodes(&m.in); len(nodes) != tc.want {
				t.Errorf("suspect nodes: %v", nodes)
			}
		})
	}
}

// TestWhatIsDeletedAllTheSame: only a failure that is yet to be counted keeps its pod.
func TestWhatIsDeletedAllTheSame(t *testing.T) {
	// goes deletes a pod that failed a second before, with its node dead and no time to wait.
	goes := func(m *model, p *corev1.Pod, code int32) {
		m.in.RunPolicy.ForceDeleteAfterSeconds = new(int64(0))
		m.end(p, code)
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = new(metav1.NewTime(m.in.Now.Add(2*time.Second))), new(int64(1))
		m.after(2 * time.Second)
	}
	for name, tc := range map[string]struct {
		reason string
		job    func(*model)
		change func(*model)
		want   []string
	}{
		"Optional": {
			"its failure counts for nothing", func(m *model) { m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.Index(worker, 0)} },
			func(m *model) { goes(m, m.pod("worker-0"), 1) },
			[]string{"delete pod job-worker-0 by force: it still exists 0 seconds after its grace period; its node node-1 does not answer"},
		},
		"TooEarly": {
			"it may be the consequence of a failure that is yet to be reported", func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			},
			func(m *model) { goes(m, m.pod("worker-0"), 1) },
			[]string{},
		},
		"Suspended": {
			"a suspended job keeps none", func(m *model) { m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyNone) },
			func(m *model) {
				m.in.RunPolicy.Suspend, m.in.OperatorError = new(true), "panic"
				m.end(m.pod("worker-0"), 137)
				m.drop(m.pod("worker-1"))
				m.in.Services = nil
			},
			[]string{"delete pod job-worker-0: the job is suspended"},
		},
		"Finished": {
			"nothing is counted any more", func(m *model) { m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyNone) },
			func(m *model) {
				m.in.Services = nil
				markFailed(m)
				m.in.OperatorError = "panic"
				goes(m, m.pod("worker-0"), 1)
			},
			[]string{"delete pod job-worker-0 by force: it still exists 0 seconds after its grace period; its node node-1 does not answer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), tc.job)
			m.bind()
			tc.change(m)
			if diff := cmp.Diff(tc.want, actions(m.decide())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNodesOfWhichNothingIsKnown: a pod that never had a node is not stuck on one.
func TestNodesOfWhichNothingIsKnown(t *testing.T) {
	m := started(workers(1), nil)
	m.terminate(m.pod("worker-0"))
	m.in.Now = epoch.Add(time.Hour)
	if got := plan.SuspectNodes(&m.in); len(got) > 0 {
		t.Errorf("suspect nodes: %q", got)
	}
}
