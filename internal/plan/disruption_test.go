package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// The reasons of DisruptionTarget.
const (
	preempted = "PreemptionByScheduler"
	evicted   = "EvictionByEvictionAPI"
	tainted   = "DeletionByTaintManager"
	collected = "DeletionByPodGC"
	byKubelet = "TerminationByKubelet"
)

// disrupt gives a pod the condition DisruptionTarget, as an old cluster does: without
// the generation.
func (m *model) disrupt(p *corev1.Pod, reason string) {
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.NewTime(m.in.Now),
	})
}

// bind gives all pods a node.
func (m *model) bind() {
	for _, p := range m.in.Pods {
		p.Spec.NodeName = "node-1"
	}
}

// TestDisruptedPods: known-bugs row 95. A disrupted pod has failed from that moment on,
// unless it had ended, or was being deleted, before.
func TestDisruptedPods(t *testing.T) {
	wait := func(m *model) { m.in.Now = m.in.Now.Add(time.Minute) }
	cases := map[string]struct {
		reason  string
		happens func(m *model, p *corev1.Pod)
		want    jobkit.ReplicaState
	}{
		"Runs": {
			reason: "it will be deleted, and need never be Failed", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { m.disrupt(p, preempted) },
		},
		"Pending": {
			reason: "whatever its phase", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { p.Status.Phase = corev1.PodPending; m.disrupt(p, tainted) },
		},
		"Deleted": {
			reason: "and whether or not it is being deleted", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { m.disrupt(p, evicted); m.terminate(p) },
		},
		"StoppedWithZero": {
			reason: "and however its containers end then", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { m.disrupt(p, evicted); m.terminate(p); wait(m); m.end(p, 0) },
		},
		"SucceededBefore": {
			reason: "a pod that had succeeded before stays succeeded", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 0); wait(m); m.disrupt(p, tainted) },
		},
		"SucceededInTheSameSecond": {
			reason: "what stops a pod is its deletion, which comes after the condition", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 0); m.disrupt(p, tainted) },
		},
		"SucceededInTheSameSecondAsPreempted": {
			reason: "the scheduler, too, deletes the pod only after the condition", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 0); m.disrupt(p, preempted) },
		},
		"SucceededInTheSameSecondAsEvicted": {
			reason: "so does the eviction API", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 0); m.disrupt(p, evicted) },
		},
		"SucceededBeforeAnotherReason": {
			reason: "of a reason that is not known the times decide", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 0); wait(m); m.disrupt(p, "Other") },
		},
		"SucceededAfterAnotherReason": {
			reason: "a pod that ended after that was stopped", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { m.disrupt(p, "Other"); wait(m); m.end(p, 0) },
		},
		"FailedBefore": {
			reason: "a pod that failed before failed by itself", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 1); m.disrupt(p, tainted) },
		},
		"MayHaveSucceeded": {
			reason: "if in doubt the replica runs again, and nothing counts", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.end(p, 0)
				m.disrupt(p, tainted)
				m.terminate(p)
				p.DeletionGracePeriodSeconds = new(int64(0))
			},
		},
		"SucceededRemembered": {
			reason: "what the status says has succeeded stays so", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) {
				m.end(p, 0)
				m.in.Status.ReplicaStatuses[worker].SucceededIndexes = "0"
				m.disrupt(p, tainted)
			},
		},
		"DeletedBefore": {
			reason: "who deleted the pod before stopped it", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) { m.terminate(p); wait(m); m.disrupt(p, collected) },
		},
		"DeletedJustBefore": {
			reason: "the clocks of a control plane may be apart", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				m.in.Now = m.in.Now.Add(2 * time.Second)
				m.disrupt(p, tainted)
			},
		},
		"DeletedAndThenEvicted": {
			reason: "of an eviction and a deletion the same clock decides", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				m.in.Now = m.in.Now.Add(time.Second)
				m.disrupt(p, evicted)
			},
		},
		"DeletedThreeSecondsBefore": {
			reason: "but not by more than two seconds", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				m.in.Now = m.in.Now.Add(3 * time.Second)
				m.disrupt(p, collected)
			},
		},
		"DeletedWithASecondAndThenEvictedByTheKubelet": {
			reason: "a grace period of a second is one", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				p.DeletionGracePeriodSeconds = new(int64(1))
				m.nodesAhead = -time.Hour
				m.disrupt(p, byKubelet)
			},
		},
		"GenerationBefore": {
			reason: "the generation says what was first, whatever the clocks", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				wait(m)
				m.disrupt(p, tainted)
				p.Generation, p.Status.Conditions[0].ObservedGeneration = 2, 1
			},
		},
		"GenerationAfter": {
			reason: "the generation says what was first", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				m.in.Now = m.in.Now.Add(time.Second)
				m.disrupt(p, tainted)
				p.Generation, p.Status.Conditions[0].ObservedGeneration = 2, 2
			},
		},
		"GenerationInTheSameSecond": {
			reason: "a node is tainted right after a user deleted its pods", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				m.disrupt(p, tainted)
				p.Generation, p.Status.Conditions[0].ObservedGeneration = 2, 2
			},
		},
		"SecondReason": {
			reason: "the condition keeps its time when another reason comes", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.disrupt(p, tainted)
				m.terminate(p)
				p.Status.Conditions[0].Reason, p.Generation, p.Status.Conditions[0].ObservedGeneration = collected, 2, 2
			},
		},
		"Removed": {
			reason: "a pod that only a finalizer keeps shows the time when its node was done with it", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.disrupt(p, evicted)
				m.terminate(p)
				wait(m)
				m.end(p, 143)
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: m.in.Now}, new(int64(0))
			},
		},
		"EvictedByTheKubelet": {
			reason: "the clock of the node has no say", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.nodesAhead = time.Hour
				m.evict(p)
				wait(m)
				m.terminate(p)
				p.DeletionGracePeriodSeconds = new(int64(0))
			},
		},
		"DeletedAndThenEvictedByTheKubelet": {
			reason: "a pod that is Failed gets no grace period", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) { m.nodesAhead = -time.Hour; m.terminate(p); m.disrupt(p, byKubelet) },
		},
		"OurOwnDeletion": {
			reason: "what the cache does not show yet came after what it shows", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.disrupt(p, evicted)
				m.in.Now = m.in.Now.Add(-time.Minute)
				m.terminate(p)
				p.DeletionGracePeriodSeconds = nil
			},
		},
		"NotTrue": {
			reason: "a condition that is False says nothing", want: jobkit.Active,
			happens: func(m *model, p *corev1.Pod) {
				m.disrupt(p, evicted)
				p.Status.Conditions[0].Status = corev1.ConditionFalse
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.bind()
			tc.happens(m, m.pod("worker-0"))
			if got := plan.TallyOf(&m.in).Of(worker).States[0]; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

// TestEndsThatAreDisruptions: kubelets and the pod garbage collector write the end and the
// disruption of a pod together, so the times of the two say nothing.
func TestEndsThatAreDisruptions(t *testing.T) {
	for _, reason := range []string{byKubelet, collected} {
		t.Run(reason, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyNever))
			m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
			m.bind()
			p := m.pod("worker-0")
			m.end(p, 1)
			m.in.Now = m.in.Now.Add(time.Hour)
			m.disrupt(p, reason)
			m.reconcileUntilStable()
			if s := &m.in.Status; s.Finished() || len(s.Failures) != 1 || s.Failures[0].Reason != reason {
				t.Errorf("it was disrupted, and the job goes on: %q, %+v", conditions(s), s.Failures)
			}
		})
	}
}

// TestPreemptedGang: known-bugs row 95. What the scope and the rules make of a pod that
// is preempted: it is deleted, and never Failed.
func TestPreemptedGang(t *testing.T) {
	rule := func(a commonv1.PodFailurePolicyAction) *commonv1.PodFailurePolicy {
		return &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{
			onCodes(failJob, batchv1.PodFailurePolicyOnExitCodesOpIn, 143), onDisruption(a),
		}}
	}
	type outcome struct {
		state             commonv1.JobConditionType
		restarts, attempt int32
		fresh             int // how many pods are new
	}
	cases := map[string]struct {
		reason string
		scope  commonv1.RestartScope
		policy commonv1.RestartPolicy
		rules  *commonv1.PodFailurePolicy
		want   outcome
	}{
		"Gang": {
			reason: "the whole job restarts, once", scope: commonv1.RestartScopeJob, policy: commonv1.RestartPolicyExitCode,
			want: outcome{commonv1.JobRunning, 1, 1, 3},
		},
		"GangRestartJob": {
			reason: "so it does by rule", scope: commonv1.RestartScopeJob, policy: commonv1.RestartPolicyExitCode, rules: rule(restartJob),
			want: outcome{commonv1.JobRunning, 1, 1, 3},
		},
		"GangIgnore": {
			reason: "no limit counts what a rule ignores", scope: commonv1.RestartScopeJob, policy: commonv1.RestartPolicyExitCode, rules: rule(ignore),
			want: outcome{commonv1.JobRunning, 0, 1, 3},
		},
		"GangCount": {
			reason: "a rule goes before the restart policy", scope: commonv1.RestartScopeJob, policy: commonv1.RestartPolicyNever, rules: rule(countIt),
			want: outcome{commonv1.JobRunning, 1, 1, 3},
		},
		"GangFailJob": {
			reason: "a rule can fail the job", scope: commonv1.RestartScopeJob, policy: commonv1.RestartPolicyExitCode, rules: rule(failJob),
			want: outcome{commonv1.JobFailed, 0, 0, 0},
		},
		"GangNever": {
			reason: "Never fails the job, as it does for a pod that its node evicts", scope: commonv1.RestartScopeJob, policy: commonv1.RestartPolicyNever,
			want: outcome{commonv1.JobFailed, 0, 0, 0},
		},
		"Replica": {
			reason: "one replica restarts, counted once", scope: commonv1.RestartScopeReplica, policy: commonv1.RestartPolicyOnFailure,
			want: outcome{commonv1.JobRunning, 1, 0, 1},
		},
		"ReplicaRestartJob": {
			reason: "the rule sees it", scope: commonv1.RestartScopeReplica, policy: commonv1.RestartPolicyExitCode, rules: rule(restartJob),
			want: outcome{commonv1.JobRunning, 1, 1, 3},
		},
		"ReplicaIgnore": {
			reason: "the rule sees it", scope: commonv1.RestartScopeReplica, policy: commonv1.RestartPolicyNever, rules: rule(ignore),
			want: outcome{commonv1.JobRunning, 0, 0, 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(3), restartPolicy(tc.policy))
			m.in.RunPolicy.RestartScope, m.in.RunPolicy.PodFailurePolicy = &tc.scope, tc.rules
			m.bind()
			m.in.Now = m.in.Now.Add(time.Minute)
			before, p := map[string]bool{}, m.pod("worker-1")
			for _, p := range m.in.Pods {
				before[string(p.UID)] = true
			}
			m.disrupt(p, preempted)
			m.terminate(p)
			m.reconcileUntilStable()
			if tc.want.state != commonv1.JobFailed {
				m.in.Now = m.in.Now.Add(2 * time.Second)
				m.end(p, 143)
				m.reconcileUntilStable()
				m.drop(p)
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
			}
			s := &m.in.Status
			got := outcome{s.State, s.Restarts, s.Attempt, 0}
			for _, p := range m.in.Pods {
				if !before[string(p.UID)] {
					got.fresh++
				}
			}
			if got != tc.want {
				t.Errorf("%s: want %+v, got %+v", tc.reason, tc.want, got)
			}
			if f := s.Failures; len(f) != 1 || f[0].Reason != preempted || f[0].ExitCode != nil || f[0].Index != 1 {
				t.Errorf("%s: the failure says who was preempted: %+v", tc.reason, f)
			}
		})
	}
}

// TestLostReplicas: known-bugs rows 95 and 125. A replica of a gang that must be replaced
// without having failed restarts the gang, counted against no limit; and no new pod meets
// an old one.
func TestLostReplicas(t *testing.T) {
	gang := func(n int32) *model {
		m := started(workers(n), func(m *model) {
			restartPolicy(commonv1.RestartPolicyNever)(m)
			m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			m.in.RunPolicy.BackoffLimit = new(int32(0))
		})
		m.bind()
		m.in.Now = m.in.Now.Add(time.Minute)
		return m
	}
	cases := map[string]struct {
		reason  string
		happens func(*model)
		attempt int32
		says    string
	}{
		"Deleted": {
			reason: "a user deletes a pod", attempt: 1, says: "pod job-worker-1 was deleted",
			happens: func(m *model) { m.terminate(m.pod("worker-1")) },
		},
		"Gone": {
			reason: "a pod goes while the operator is down", attempt: 1, says: "pod job-worker-1 is gone",
			happens: func(m *model) { m.drop(m.pod("worker-1")) },
		},
		"GoneWhileItGrows": {
			reason: "a pod goes, and the job grows", attempt: 1, says: "pod job-worker-1 is gone",
			happens: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(5)); m.drop(m.pod("worker-1")) },
		},
		"GoneOfSucceeded": {
			reason: "the others have succeeded already: the one left over could not continue alone", attempt: 1, says: "pod job-worker-1 was deleted",
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.end(m.pod("worker-2"), 0)
				m.reconcileUntilStable()
				m.terminate(m.pod("worker-1"))
			},
		},
		"OthersPullTheirImages": {
			reason: "those that have a node are with the one that goes", attempt: 1, says: "pod job-worker-1 was deleted",
			happens: func(m *model) {
				m.pod("worker-0").Status.Phase, m.pod("worker-2").Status.Phase = corev1.PodPending, corev1.PodPending
				m.terminate(m.pod("worker-1"))
			},
		},
		"Grows": {reason: "what was never there is not lost", happens: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(5)) }},
		"Shrinks": {
			reason:  "what is not wanted is not lost",
			happens: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(2)) },
		},
		"ShrinksAndGrows": {
			reason: "neither is what was not wanted for a while, and is gone",
			happens: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(2))
				m.reconcileUntilStable()
				m.in.Replicas[worker].Replicas = new(int32(3))
			},
		},
		"ShrinksWithoutOne": {
			reason: "what the status counts is what is no longer wanted, not what was never created",
			happens: func(m *model) {
				m.drop(m.pod("worker-0"))
				m.in.Status.ReplicaStatuses[worker].Active = 2
				m.in.Job.Generation++
				m.in.Replicas[worker].Replicas = new(int32(2))
			},
		},
		"ShrinksWithoutOneThatSucceeded": {
			reason: "that may have succeeded, and be gone",
			happens: func(m *model) {
				m.end(m.pod("worker-2"), 0)
				m.reconcileUntilStable()
				m.drop(m.pod("worker-2"))
				m.drop(m.pod("worker-0"))
				m.in.Status.ReplicaStatuses[worker].Active = 1
				m.in.Job.Generation++
				m.in.Replicas[worker].Replicas = new(int32(2))
			},
		},
		"GoneWhileItShrinks": {
			reason: "a pod goes that is wanted", attempt: 1, says: "pod job-worker-1 is gone",
			happens: func(m *model) {
				m.in.Job.Generation++
				m.in.Replicas[worker].Replicas = new(int32(2))
				m.drop(m.pod("worker-1"))
			},
		},
		"NeverBound": {
			reason: "a pod without a node did nothing yet",
			happens: func(m *model) {
				p := m.pod("worker-1")
				p.Status.Phase, p.Spec.NodeName = corev1.PodPending, ""
				m.reconcileUntilStable()
				m.terminate(p)
				m.reconcileUntilStable()
				m.drop(p)
			},
		},
		"All": {
			reason: "without others there is no gang to restart",
			happens: func(m *model) {
				for _, p := range m.in.Pods {
					m.terminate(p)
				}
			},
		},
		"SucceededGone": {
			reason: "what has succeeded need not be there",
			happens: func(m *model) {
				m.end(m.pod("worker-1"), 0)
				m.reconcileUntilStable()
				m.drop(m.pod("worker-1"))
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := gang(3)
			tc.happens(m)
			p := m.decide()
			if tc.says != "" {
				if c := p.Status.Condition(commonv1.JobRestarting); c == nil || !strings.Contains(c.Message, tc.says) {
					t.Errorf("%s: the condition names it: %q", tc.reason, conditions(&p.Status))
				}
			}
			m.reconcileUntilStable()
			for range 3 {
				if terminating := terminating(m); terminating != nil {
					checkAlone(t, m, terminating)
					m.drop(terminating)
				}
				m.reconcileUntilStable()
			}
			m.bind()
			m.run()
			m.reconcileUntilStable()
			s := &m.in.Status
			if s.Attempt != tc.attempt || s.Restarts != 0 || s.State != commonv1.JobRunning || len(m.in.Pods) < 2 {
				t.Errorf("%s: want attempt %d and no restart, got %d and %d, %s", tc.reason, tc.attempt, s.Attempt, s.Restarts, s.State)
			}
		})
	}
}

// terminating is a pod that is being deleted, or nil.
func terminating(m *model) *corev1.Pod {
	for _, p := range m.in.Pods {
		if p.DeletionTimestamp != nil {
			return p
		}
	}
	return nil
}

// checkAlone checks that no pod is new while one is still being stopped.
func checkAlone(t *testing.T, m *model, old *corev1.Pod) {
	t.Helper()
	for _, p := range m.in.Pods {
		if p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil {
			t.Errorf("%s was created while %s still exists", p.Name, old.Name)
		}
	}
}

// TestSuspectPods: before the whole job restarts because replicas are lost, the shell makes
// sure of that; and of no other job. Where a stale view of existing pods may be what it
// concludes that from, it reads all of them.
func TestSuspectPods(t *testing.T) {
	waits := func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }
	cases := map[string]struct {
		reason string
		change func(*model)
		want   string
		doubt  bool
	}{
		"Terminating": {"who is being deleted", func(m *model) { m.terminate(m.pod("worker-1")) }, "[job-worker-1]", false},
		"Gone":        {"who is not there", func(m *model) { m.drop(m.pod("worker-2")) }, "[job-worker-2]", false},
		"NewBesidePending": {"who was never there, unless the pod that waits did not run", func(m *model) {
			m.in.Replicas[worker].Replicas = new(int32(24))
			waits(m.pod("worker-1"))
		}, "[job-worker-23]", true},
		"ShrinksBesidePending": {"what is no longer wanted may be shown as pending, too", func(m *model) {
			m.drop(m.pod("worker-0"))
			m.in.Status.ReplicaStatuses[worker].Active = 22
			waits(m.pod("worker-22"))
			m.in.Job.Generation++
			m.in.Replicas[worker].Replicas = new(int32(22))
		}, "[job-worker-0]", true},
		"GoneBesidePending": {"one more is missing than can be old news", func(m *model) {
			waits(m.pod("worker-1"))
			m.drop(m.pod("worker-2"))
		}, "[job-worker-2]", false},
		"LeavingBesidePending": {"whoever is being deleted is lost in any case", func(m *model) {
			m.in.Replicas[worker].Replicas = new(int32(24))
			waits(m.pod("worker-1"))
			m.terminate(m.pod("worker-3"))
		}, "[job-worker-3 job-worker-23]", false},
		"SuspendedBesidePending": {"a suspended job wants no pods", func(m *model) {
			m.in.RunPolicy.Suspend = new(true)
			m.in.Replicas[worker].Replicas = new(int32(24))
			waits(m.pod("worker-1"))
		}, "[]", false},
		"Complete": {"no pod is missing", func(*model) {}, "[]", false},
		"Restarting": {"what the status counts may be of the attempt before", func(m *model) {
			m.end(m.pod("worker-0"), 137)
			m.in.Status = m.decide().Status
			m.drop(m.pod("worker-2"))
		}, "[]", false},
		"Suspended": {"a suspended job wants no pods", func(m *model) {
			m.in.RunPolicy.Suspend = new(true)
			m.terminate(m.pod("worker-1"))
		}, "[]", false},
		"ScopeReplica": {"another replica can take its place", func(m *model) {
			m.in.RunPolicy.RestartScope = nil
			m.terminate(m.pod("worker-1"))
		}, "[]", false},
		"Many": {"a few are enough", func(m *model) {
			for i := range 20 {
				m.drop(m.pod(fmt.Sprintf("worker-%d", i+3)))
			}
		}, "[job-worker-3 job-worker-4 job-worker-5 job-worker-6 job-worker-7 job-worker-8 job-worker-9 job-worker-10]", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(23), func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			})
			m.bind()
			tc.change(m)
			if got := fmt.Sprint(plan.TallyOf(&m.in).SuspectPods()); got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
			if got := plan.TallyOf(&m.in).InDoubt(); got != tc.doubt {
				t.Errorf("%s: want doubt %t, got %t", tc.reason, tc.doubt, got)
			}
		})
	}
}

// TestDisruptedReplicaDelaysNoOther: where replicas are restarted one by one, one
// that is disrupted and still stops does not hold back the pods of others.
func TestDisruptedReplicaDelaysNoOther(t *testing.T) {
	m := started(workers(3), restartPolicy(commonv1.RestartPolicyOnFailure))
	m.bind()
	m.disrupt(m.pod("worker-2"), preempted)
	m.terminate(m.pod("worker-2"))
	m.drop(m.pod("worker-1"))
	m.reconcileUntilStable()
	if p := m.pod("worker-1"); p == nil || m.pod("worker-2").DeletionTimestamp == nil {
		t.Errorf("worker-1 waits until worker-2 has stopped: %+v", m.in.Status)
	}
}

// TestNotLostWithoutOthers: pods that have no node yet are no gang that the others could join.
func TestNotLostWithoutOthers(t *testing.T) {
	m := started(workers(3), func(m *model) {
		restartPolicy(commonv1.RestartPolicyNever)(m)
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	})
	m.bind()
	for _, p := range []*corev1.Pod{m.pod("worker-0"), m.pod("worker-2")} {
		p.Status.Phase, p.Spec.NodeName = corev1.PodPending, ""
	}
	m.terminate(m.pod("worker-1"))
	if p := m.decide(); p.Status.Attempt != 0 {
		t.Errorf("the job restarts for one pod of which no other has a node: %q", conditions(&p.Status))
	}
}

// TestNotLostWhileCountsAreOld: what the status counts is of this attempt only while the job runs.
func TestNotLostWhileCountsAreOld(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   int32
	}{
		"Runs": {"it runs", func(*model) {}, 1},
		"GoneBesideASuccess": {"one that has succeeded was counted, too", func(m *model) {
			m.end(m.pod("worker-0"), 0)
			m.reconcileUntilStable()
		}, 1},
		"GrowsAfterASuccess": {"one that has succeeded is not missing, and new ones were never there", func(m *model) {
			p := m.pod("worker-1")
			m.end(p, 0)
			m.reconcileUntilStable()
			m.in.Replicas[worker].Replicas = new(int32(5))
		}, 0},
		"GrowsWithOneFound": {"nor is one that the API server has", func(m *model) {
			m.in.FoundPods = map[string]bool{"job-worker-1": true}
			m.in.Replicas[worker].Replicas = new(int32(4))
		}, 0},
		"Restarts": {"a part of it is being restarted", func(m *model) {
			m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobRestarting, Status: corev1.ConditionTrue})
		}, 0},
		"Stopped": {"it does not run", func(m *model) { m.in.Status.Condition(commonv1.JobRunning).Status = corev1.ConditionFalse }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(3), func(m *model) {
				restartPolicy(commonv1.RestartPolicyNever)(m)
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			})
			m.bind()
			tc.change(m)
			if p := m.pod("worker-1"); p != nil {
				m.drop(p)
			}
			if p := m.decide(); p.Status.Attempt != tc.want {
				t.Errorf("%s: attempt %d, want %d: %q", tc.reason, p.Status.Attempt, tc.want, conditions(&p.Status))
			}
		})
	}
}
