package plan_test

import (
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
