package plan_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// actions writes actions in one line each.
func actions(p plan.Plan) []string {
	out := []string{}
	for _, a := range p.Actions {
		out = append(out, a.String())
	}
	return out
}

// TestCleanUp: what a job that ends deletes, by its clean-up policy. It does so
// whatever ended it, in the same look.
func TestCleanUp(t *testing.T) {
	ends := map[string]func(*model){
		"Success":   func(m *model) { m.end(m.pod("master-0"), 0) },
		"Failure":   func(m *model) { m.end(m.pod("master-0"), 1) },
		"Deadline":  func(m *model) { m.end(m.pod("master-0"), 0); masterRuns(m); m.in.Now = m.in.Now.Add(time.Hour) },
		"LongSince": func(m *model) { m.end(m.pod("master-0"), 0); markFailed(m) },
	}
	const (
		ended   = "delete pod job-master-0: the job has finished; cleanPodPolicy is "
		runs    = "delete pod job-worker-0: the job has finished; cleanPodPolicy is "
		waits   = "delete pod job-worker-1: the job has finished; cleanPodPolicy is "
		service = "delete service job: the job has finished"
	)
	policies := map[commonv1.CleanPodPolicy][]string{
		commonv1.CleanPodPolicyAll:       {ended + "All", runs + "All", waits + "All", service},
		commonv1.CleanPodPolicyRunning:   {runs + "Running", waits + "Running", service},
		commonv1.CleanPodPolicyNone:      {},
		commonv1.CleanPodPolicyUndefined: {},
	}
	for name, end := range ends {
		for policy, want := range policies {
			t.Run(name+"/"+string(policy), func(t *testing.T) {
				m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 3}, func(m *model) {
					masterDecides(m)
					m.in.RunPolicy.CleanPodPolicy = &policy
					m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(60))
				})
				m.pod("worker-1").Status.Phase = corev1.PodPending
				m.leave(m.pod("worker-2"))
				end(m)
				p := m.reconcile()
				if !p.Status.Finished() {
					t.Fatalf("the job is %s", p.Status.State)
				}
				if diff := cmp.Diff(want, actions(p)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				m.drop(m.pod("worker-2"))
				m.settle()
				if p := m.decide(); len(p.Actions) > 0 {
					t.Errorf("nothing is left to do, got %v", p.Actions)
				}
			})
		}
	}
}

// masterRuns lets two replicas decide of which one runs on, so that only the
// deadline can end the job.
func masterRuns(m *model) {
	m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master), jobkit.All(worker))}
}

// markFailed makes the job one that ended in an earlier look, without clean-up.
func markFailed(m *model) {
	m.in.Status.CompletionTime = new(metav1.NewTime(m.in.Now))
	m.in.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobFailed, Status: corev1.ConditionTrue}}
}

// TestFailedPodThatMayRunAgain: a failed pod whose containers are restarted in place
// has not ended, so it is not kept under Running.
func TestFailedPodThatMayRunAgain(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
		masterDecides(m)
		m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyOnFailure
		m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyRunning)
	})
	m.evict(m.pod("worker-0"))
	m.end(m.pod("master-0"), 0)
	m.settle()
	if m.pod("worker-0") != nil || m.pod("master-0") == nil {
		t.Errorf("the Master's pod is to be left, and no other: %d are", len(m.in.Pods))
	}
}

// TestEndlessTimes: times that nobody lives to see neither overflow nor end a job.
func TestEndlessTimes(t *testing.T) {
	m := started(workers(1), func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(math.MaxInt64)) })
	if p := m.decide(); m.in.Status.State != commonv1.JobRunning || p.RequeueAfter < 292*365*24*time.Hour {
		t.Errorf("the job is %s, and is looked at again after %s", m.in.Status.State, p.RequeueAfter)
	}
	m = started(workers(1), func(m *model) { m.in.RunPolicy.TTLSecondsAfterFinished = new(int32(math.MaxInt32)) })
	m.end(m.pod("worker-0"), 0)
	m.settle()
	if p := m.decide(); len(p.Actions) > 0 || p.RequeueAfter != math.MaxInt32*time.Second {
		t.Errorf("want another look after %d s, got %v, again after %s", math.MaxInt32, p.Actions, p.RequeueAfter)
	}
}

// TestNearestDeadline: of several times the nearest is when to look again.
func TestNearestDeadline(t *testing.T) {
	m := started(workers(2), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(3600))
	})
	if p := m.decide(); p.RequeueAfter != time.Hour {
		t.Errorf("the deadline is in an hour, got %s", p.RequeueAfter)
	}
	rs := m.in.Status.ReplicaStatuses[worker]
	rs.Attempts = map[string]int32{"0": 1, "1": 4} // the next attempts wait for 10 s and 80 s
	for _, name := range []string{"worker-0", "worker-1"} {
		m.pod(name).Labels[commonv1.AttemptLabel] = itoa(int(rs.Attempts[name[len("worker-"):]]))
		m.end(m.pod(name), 137)
	}
	if p := m.reconcile(); p.RequeueAfter != 10*time.Second || len(p.Actions) > 0 {
		t.Errorf("the restart of worker 0 is in 10 s, got %s, %v", p.RequeueAfter, p.Actions)
	}
	m.in.Now = m.in.Now.Add(10*time.Second - time.Nanosecond)
	if p := m.decide(); p.RequeueAfter != time.Millisecond {
		t.Errorf("no look follows at once, which would be a busy loop: got %s", p.RequeueAfter)
	}
}

// TestServicesGoWithTheLastPod: Failed is final, under any restart policy. What pods need
// that run goes with the last of them that does.
func TestServicesGoWithTheLastPod(t *testing.T) {
	for _, policy := range []commonv1.RestartPolicy{
		commonv1.RestartPolicyNever, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyAlways, commonv1.RestartPolicyExitCode,
	} {
		t.Run(string(policy), func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
				masterDecides(m)
				m.in.Replicas[worker].RestartPolicy = policy
				m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyNone)
			})
			m.end(m.pod("master-0"), 0)
			if m.settle(); len(m.in.Services) != 1 {
				t.Fatalf("the worker runs on, and may need the service: there are %d", len(m.in.Services))
			}
			m.evict(m.pod("worker-0"))
			if m.settle(); len(m.in.Services) != 0 || m.pod("worker-0") == nil {
				t.Errorf("the last pod has failed, and stays: %d services, pod %v", len(m.in.Services), m.pod("worker-0") != nil)
			}
		})
	}
}
