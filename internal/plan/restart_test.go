package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestStaleViewOfAPodThatIsGone lets the cache go back in time: a pod that was
// counted, and whose place another pod has taken, shows up once more.
func TestStaleViewOfAPodThatIsGone(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
	old := m.pod("worker-0")
	old.ResourceVersion = "100"
	m.restartInPlace(old)
	m.restartInPlace(old)
	m.reconcileUntilStable()
	m.drop(old)
	m.reconcileUntilStable()
	m.run()
	now := m.pod("worker-0")
	now.ResourceVersion = "200"
	m.restartInPlace(now)
	m.reconcileUntilStable()
	if got := m.in.Status.Restarts; got != 3 {
		t.Fatalf("2 of the old pod and 1 of the new are 3, got %d", got)
	}
	for _, view := range []*corev1.Pod{old, now, old, now} {
		m.in.Pods = []*corev1.Pod{view}
		m.reconcileUntilStable()
	}
	if got := m.in.Status.Restarts; got != 3 {
		t.Errorf("an old view of a pod must not be counted again, got %d", got)
	}
}

func TestSuspendedJobThatFails(t *testing.T) {
	m := newModel(workers(1))
	m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyNever
	m.in.RunPolicy.Suspend = new(true)
	m.reconcileUntilStable()
	m.in.RunPolicy.Suspend = new(false)
	m.reconcileUntilStable()
	m.run()
	m.end(m.pod("worker-0"), 1)
	m.reconcileUntilStable()
	if s := &m.in.Status; !s.IsTrue(commonv1.JobFailed) || s.IsTrue(commonv1.JobSuspended) {
		t.Errorf("a job that failed is not suspended: %q", conditions(s))
	}
}

// TestChangedAttemptLabel: whatever a client writes into the attempt
// label of a pod, its failure is one restart, and a restart of the whole job leaves
// no pod out.
func TestChangedAttemptLabel(t *testing.T) {
	for _, label := range []string{"1", "2", "7", "2147483647", "2147483646", "-1", "x"} {
		for _, scope := range []commonv1.RestartScope{scopeReplica, scopeRole, scopeJob} {
			for _, whose := range []string{"worker-0", "worker-1"} {
				t.Run(label+" "+string(scope)+" "+whose, func(t *testing.T) {
					m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
					m.in.RunPolicy.RestartScope = &scope
					old := m.pod("worker-1").UID
					m.pod(whose).Labels[commonv1.AttemptLabel] = label
					m.end(m.pod("worker-0"), 137)
					m.reconcileUntilStable()
					if first, other := m.pod("worker-0"), m.pod("worker-1"); scope != scopeReplica &&
						first != nil && first.Status.Phase == corev1.PodFailed && other != nil && other.UID != old {
						t.Errorf("worker-1 was restarted before the failed pod of worker-0 is gone")
					}
					m.in.Now = m.in.Now.Add(time.Hour)
					m.reconcileUntilStable()
					if got := m.in.Status.Restarts; got != 1 {
						t.Errorf("%d restarts were counted, want 1: %+v", got, m.in.Status)
					}
					if again := m.pod("worker-0"); again == nil || again.Status.Phase != corev1.PodPending {
						t.Errorf("the replica that failed was not restarted: %+v", again)
					}
					if other := m.pod("worker-1"); other == nil || (other.UID == old) != (scope == commonv1.RestartScopeReplica) {
						t.Errorf("with restart scope %s the other replica has the pod %+v", scope, other)
					}
				})
			}
		}
	}
}

// TestStaleViewAfterTheEnd lets the cache go back in time when the job has succeeded:
// pods that ended seem to run, and then to end once more.
func TestStaleViewAfterTheEnd(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 3})
	m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	m.end(m.pod("master-0"), 0)
	m.reconcileUntilStable()
	old := make([]*corev1.Pod, 0, len(m.in.Pods))
	for _, p := range m.in.Pods {
		old = append(old, p.DeepCopy())
	}
	for range 2 {
		now := m.in.Pods
		for _, p := range now {
			m.end(p, 0)
		}
		m.in.Now = m.in.Now.Add(time.Minute)
		m.reconcileUntilStable()
		if got := m.in.Status.ReplicaStatuses[worker]; got.Active != 0 || got.Succeeded != 3 {
			t.Errorf("3 workers succeeded, the status counts %+v", got)
		}
		m.in.Pods, m.in.Now = old, m.in.Now.Add(time.Minute)
		m.reconcileUntilStable()
		m.in.Pods = now
	}
}

func TestRestartDelay(t *testing.T) {
	cases := map[string]struct {
		reason string
		failed int           // how often the replica has failed before
		ran    time.Duration // how long the attempt ran that fails now
		want   time.Duration
	}{
		"First":     {reason: "the first restart is at once", failed: 0, ran: time.Second, want: 0},
		"Second":    {reason: "then after 10 s", failed: 1, ran: time.Second, want: 10 * time.Second},
		"Third":     {reason: "doubled each time", failed: 2, ran: time.Second, want: 20 * time.Second},
		"Sixth":     {reason: "and again", failed: 5, ran: time.Second, want: 160 * time.Second},
		"Fiftieth":  {reason: "up to 10 minutes", failed: 50, ran: time.Second, want: 10 * time.Minute},
		"RanLonger": {reason: "a replica that ran for long is no crash loop", failed: 5, ran: time.Hour, want: 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
			m.reconcileUntilStable()
			m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": int32(tc.failed)}
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = itoa(tc.failed)
			m.run()
			m.in.Now = m.in.Now.Add(tc.ran)
			m.end(m.pod("worker-0"), 137)
			p := m.reconcile()
			if tc.want == 0 {
				if len(p.Actions) != 1 {
					t.Errorf("%s: the failed pod is to be deleted at once, got %v, again after %s", tc.reason, p.Actions, p.RequeueAfter)
				}
				return
			}
			if len(p.Actions) > 0 || p.RequeueAfter != tc.want {
				t.Errorf("%s: want it requeued after %s, got %v, again after %s", tc.reason, tc.want, p.Actions, p.RequeueAfter)
			}
		})
	}
}

// TestCauseOfARestart: what restarts together counts under the failure that was the cause, not under
// a consequence that was reported before it.
func TestCauseOfARestart(t *testing.T) {
	second := func(m *model) { m.in.Now = m.in.Now.Add(time.Second) }
	for name, tc := range map[string]struct {
		reason           string
		ofMaster, worker commonv1.RestartScope
		happens          func(*model)
		want             plan.Restarts
	}{
		"Job": {
			reason: "the whole job restarts for the eviction", ofMaster: scopeJob, worker: scopeJob,
			happens: func(m *model) { m.end(m.pod("worker-0"), 1); second(m); m.disrupt(m.pod("worker-1"), evicted) },
			want:    plan.Restarts{Disrupted: 1},
		},
		"Role": {
			reason: "so does a role; the other has its own cause", ofMaster: scopeRole, worker: scopeRole,
			happens: func(m *model) {
				m.end(m.pod("master-0"), 137)
				m.end(m.pod("worker-0"), 1)
				second(m)
				m.disrupt(m.pod("worker-1"), evicted)
			},
			want: plan.Restarts{Failed: 1, Disrupted: 1},
		},
		"RoleAfterADelete": {
			reason: "the cause is a pod that a user deleted, which is no failure", ofMaster: scopeReplica, worker: scopeRole,
			happens: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(3))
				m.reconcileUntilStable()
				m.bind()
				m.run()
				m.reconcileUntilStable()
				m.terminate(m.pod("worker-1"))
				second(m)
				m.end(m.pod("worker-0"), 1)
			},
			want: plan.Restarts{Ignored: 1},
		},
	} {
		m := roles(tc.ofMaster, tc.worker)
		m.in.Now = m.in.Now.Add(time.Minute)
		tc.happens(m)
		if diff := cmp.Diff(tc.want, m.decide().Restarts); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
}

// TestTooEarlyToKnow: while it is open what a failure means, what was decided before goes on, and so
// does what has nothing to do with it.
func TestTooEarlyToKnow(t *testing.T) {
	m := started(workers(4), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(restartJob, in, 137)}}
	})
	m.bind()
	m.end(m.pod("worker-2"), 143)
	m.in.Status = m.decide().Status // It is counted, and not yet deleted.
	m.in.Replicas[worker].Replicas = new(int32(3))
	m.end(m.pod("worker-0"), 1)
	want := []string{
		"delete pod job-worker-2: attempt 1 takes its place",
		"delete pod job-worker-3: the job does not want this replica",
	}
	p := m.decide()
	if diff := cmp.Diff(want, actions(p)); diff != "" || p.Status.Finished() {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDelaysOfReplicas: the delay of each replica begins with its own failure.
func TestDelaysOfReplicas(t *testing.T) {
	m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
	m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": 1, "1": 1}
	for i, name := range []string{"worker-0", "worker-1"} {
		m.pod(name).Labels[commonv1.AttemptLabel] = "1"
		m.in.Now = epoch.Add(time.Duration(i) * 5 * time.Second)
		m.end(m.pod(name), 137)
		unread(m)
		m.reconcileUntilStable()
	}
	m.in.Now = epoch.Add(10 * time.Second)
	want := []string{"delete pod job-worker-0: attempt 2 takes its place"}
	if diff := cmp.Diff(want, actions(m.decide())); diff != "" {
		t.Errorf("after 10 s (-want +got):\n%s", diff)
	}
}
