package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

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
		"Restarts": {"it is being restarted", func(m *model) {
			m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobRestarting, Status: corev1.ConditionTrue})
			m.in.Status.ReplicaStatuses[worker].Attempt = 1
			for _, p := range m.in.Pods {
				p.Labels[commonv1.AttemptLabel] = "1"
			}
		}, 0},
		"OthersRestart": {"what restarts is of another type", func(m *model) {
			m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobRestarting, Status: corev1.ConditionTrue})
		}, 1},
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

// TestLostBesideOthersThatRestart: a replica of a gang that is lost restarts the gang, although replicas that
// restart without it fail in the same pass, or failed before and wait for their delay.
func TestLostBesideOthersThatRestart(t *testing.T) {
	type outcome struct {
		Attempts          map[string]string
		Restarts, Ignored int32
		Says              string
	}
	const says = "TestJob job is restarting because 1 Worker replica(s) failed."
	all := func(m0, m1, w0, w1 string) map[string]string {
		return map[string]string{"master-0": m0, "master-1": m1, "worker-0": w0, "worker-1": w1}
	}
	for name, tc := range map[string]struct {
		reason             string
		ofMaster, ofWorker commonv1.RestartScope
		before             bool // worker-0 failed before, and waits
		want               outcome
	}{
		"JobBesideReplica":  {"the job restarts", scopeJob, scopeReplica, false, outcome{all("1", "1", "2", "1"), 1, 1, says}},
		"JobBesideRole":     {"so it does beside a role", scopeJob, scopeRole, false, outcome{all("1", "1", "1", "1"), 1, 1, says}},
		"RoleBesideReplica": {"the masters restart", scopeRole, scopeReplica, false, outcome{all("1", "1", "1", "0"), 1, 1, says}},
		"RoleBesideRole":    {"so they do beside another role", scopeRole, scopeRole, false, outcome{all("1", "1", "1", "1"), 1, 1, says}},
		"Replica":           {"a master that restarts alone is replaced", scopeReplica, scopeReplica, false, outcome{all("0", "0", "1", "0"), 1, 0, says}},
		"OfOneGang":         {"what has failed restarts it, once", scopeJob, scopeJob, false, outcome{all("1", "1", "1", "1"), 1, 0, says}},
		"JobWhileReplica": {
			"the worker waits for its delay", scopeJob, scopeReplica, true,
			outcome{all("1", "1", "5", "1"), 1, 1, "TestJob job is restarting because pod job-master-1 is gone."},
		},
		"RoleWhileReplica": {
			"so it does where the masters restart", scopeRole, scopeReplica, true,
			outcome{all("1", "1", "5", "0"), 1, 1, "TestJob job is restarting because pod job-master-1 is gone."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := roles(tc.ofMaster, tc.ofWorker)
			if tc.before {
				m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": 5}
				m.pod("worker-0").Labels[commonv1.AttemptLabel] = "5"
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable()
				m.after(5 * time.Second)
				m.drop(m.pod("master-1"))
			} else {
				m.in.Backoff = plan.Backoff{}
				m.drop(m.pod("master-1"))
				m.end(m.pod("worker-0"), 137)
			}
			p := m.decide()
			got := outcome{Restarts: p.Status.Restarts, Ignored: p.Restarts.Ignored}
			if c := p.Status.Condition(commonv1.JobRestarting); c != nil {
				got.Says = c.Message
			}
			m.reconcileUntilStable()
			got.Attempts = attempts(m)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
