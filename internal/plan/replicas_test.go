package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// stopsSlowly reconciles while one pod takes long to stop. It returns the names of the pods that are
// created meanwhile, without the job's.
func (m *model) stopsSlowly(old *corev1.Pod) []string {
	var created []string
	for range 5 {
		for _, a := range m.reconcile().Actions {
			switch a := a.(type) {
			case plan.DeletePod:
				if a.UID == old.UID {
					m.terminate(old)
					m.in.Pods = append(m.in.Pods, old) // The model removes at once.
				}
			case plan.CreatePod:
				created = append(created, strings.TrimPrefix(a.Name, "job-"))
			}
		}
	}
	slices.Sort(created)
	return created
}

// TestUnwantedPodsHoldUpTheirGang: a pod that the job wants no more, and that still stops, is one of the
// gang: the next attempt does not begin before it has ended.
func TestUnwantedPodsHoldUpTheirGang(t *testing.T) {
	scaled := func(m *model) {
		m.in.Replicas[worker].Replicas = new(int32(2))
		m.in.Job.Generation++
	}
	all := []string{"master-0", "worker-0", "worker-1"}
	for name, tc := range map[string]struct {
		reason             string
		ofMaster, ofWorker commonv1.RestartScope
		edit               func(*model)
		happens            func(*model)
		// during and after are what is created while the pod of worker-2 stops, and when it is gone.
		during, after []string
	}{
		"Job":  {"the job restarts", scopeJob, scopeJob, scaled, func(m *model) { m.end(m.pod("worker-0"), 137) }, nil, all},
		"Role": {"the role restarts", scopeReplica, scopeRole, scaled, func(m *model) { m.end(m.pod("worker-0"), 137) }, nil, []string{"worker-0", "worker-1"}},
		"OtherRole": {
			"another role restarts", scopeRole, scopeRole, scaled, func(m *model) { m.end(m.pod("master-0"), 137) }, []string{"master-0"}, nil,
		},
		"OneByOne": {"replicas restart alone", scopeReplica, scopeReplica, scaled, func(m *model) { m.end(m.pod("worker-0"), 137) }, []string{"worker-0"}, nil},
		"Rule": {
			"a rule restarts the job", scopeReplica, scopeReplica, func(m *model) {
				scaled(m)
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(restartJob, in, 42)}}
			}, func(m *model) { m.end(m.pod("worker-0"), 42) }, nil, all,
		},
		"NoType": {
			"the type is gone, and the job restarts", scopeJob, scopeJob, func(m *model) {
				m.in.RunPolicy.RestartScope = new(scopeJob)
				delete(m.in.Replicas, worker)
				m.in.Job.Generation++
			}, func(m *model) { m.end(m.pod("master-0"), 137) }, nil, []string{"master-0"},
		},
		"Resumed": {
			"the job was suspended, and resumes smaller", scopeJob, scopeJob, scaled, func(m *model) {
				m.in.RunPolicy.Suspend = new(true)
				m.reconcileUntilStable()
				m.in.RunPolicy.Suspend = new(false)
			}, nil, all,
		},
		"Ended": {
			"what has ended meets no one", scopeJob, scopeJob, scaled, func(m *model) {
				m.end(m.pod("worker-2"), 0)
				m.end(m.pod("worker-0"), 137)
			}, all, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 3})
			m.in.Replicas[master].RestartScope, m.in.Replicas[worker].RestartScope = &tc.ofMaster, &tc.ofWorker
			for typ := range m.in.Replicas {
				m.in.Replicas[typ].RestartPolicy = commonv1.RestartPolicyExitCode
			}
			m.reconcileUntilStable()
			m.bind()
			m.run()
			m.reconcileUntilStable()
			tc.edit(m)
			old := m.pod("worker-2")
			if got := m.stopsSlowly(old); got != nil {
				t.Fatalf("%s: %v is created before anything happens", tc.reason, got)
			}
			tc.happens(m)
			if m.pod("worker-2") == nil {
				m.in.Pods = append(m.in.Pods, old)
			}
			if diff := cmp.Diff(tc.during, m.stopsSlowly(old)); diff != "" {
				t.Errorf("%s: created while worker-2 still stops (-want +got):\n%s", tc.reason, diff)
			}
			m.drop(old)
			if diff := cmp.Diff(tc.after, m.stopsSlowly(old)); diff != "" {
				t.Errorf("%s: created when it is gone (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestUnwantedPodThatHoldsUpIsNamed: if its node is dead, the job says so, as of a pod that it wants; one
// that holds up no one is not worth a word.
func TestUnwantedPodThatHoldsUpIsNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		scope   commonv1.RestartScope
		happens func(*model)
		says    bool
	}{
		"Job":   {"the job waits for it", scopeJob, func(m *model) { m.end(m.pod("worker-0"), 137) }, true},
		"Role":  {"the role waits for it", scopeRole, func(m *model) { m.end(m.pod("worker-0"), 137) }, true},
		"Alone": {"nothing waits for it", scopeReplica, func(m *model) { m.end(m.pod("worker-0"), 137) }, false},
		"Runs":  {"nothing is to be created", scopeJob, func(*model) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(3), func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.RunPolicy.RestartScope = &tc.scope
			})
			m.bind()
			old := m.pod("worker-2")
			m.in.Replicas[worker].Replicas = new(int32(2))
			m.in.Job.Generation++
			m.stopsSlowly(old)
			tc.happens(m)
			m.stopsSlowly(old)
			m.after(61 * time.Second)
			m.stopsSlowly(old)
			got := ""
			if c := m.in.Status.Condition(commonv1.JobStalled); c != nil {
				got = c.Message
			}
			const names = "TestJob ns/job waits for pod job-worker-2 on node node-1, deleted and still terminating: "
			if tc.says != strings.HasPrefix(got, names) {
				t.Errorf("%s: it is named: want %t, got %q", tc.reason, tc.says, got)
			}
		})
	}
}

// TestPodsOfLaterAttemptsHoldUpTheJob: a pod that was restarted alone before, and that a restart of the
// whole job supersedes while it is stopped, keeps the others from starting too.
func TestPodsOfLaterAttemptsHoldUpTheJob(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model) *corev1.Pod
	}{
		"Budget": {
			"a replica that is preempted has used up its limit",
			restartsJob(1, nil),
			func(m *model) *corev1.Pod {
				old := m.pod("worker-1")
				m.disrupt(old, preempted)
				m.terminate(old)
				return old
			},
		},
		"StartDeadline": {
			"another replica does not start in time, where hung ones restart alone",
			func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.Backoff = plan.Backoff{}
				p := &m.in.RunPolicy
				p.StartDeadlineSeconds, p.OnStartDeadline, p.BackoffLimit = new(int64(600)), new(commonv1.StartDeadlineRestartJob), new(int32(9))
				p.ProgressPolicy = &commonv1.ProgressPolicy{
					Source: commonv1.ProgressSourceReadiness, StallTimeoutSeconds: new(int64(300)), Action: commonv1.ProgressActionRestartReplica,
				}
			},
			func(m *model) *corev1.Pod {
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable() // Its next pod does not start.
				m.after(601 * time.Second)
				return m.pod("worker-1")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(3), tc.change)
			m.bind()
			m.killed("worker-1")
			m.bind()
			old := tc.happens(m)
			if got := m.stopsSlowly(old); m.in.Status.JobRestarts != 1 || got != nil {
				t.Errorf("%s: %d restarts of the job; created while worker-1 of an earlier attempt stops: %v", tc.reason, m.in.Status.JobRestarts, got)
			}
			m.drop(old)
			if diff := cmp.Diff([]string{"worker-0", "worker-1", "worker-2"}, m.stopsSlowly(old)); diff != "" {
				t.Errorf("%s: created when it is gone (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
