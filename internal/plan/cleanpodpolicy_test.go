package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestCleanUp: what a job that ends deletes, by its clean-up policy. It does so
// whatever ended it, in the same pass.
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
				m.terminate(m.pod("worker-2"))
				end(m)
				p := m.reconcile()
				if !p.Status.Finished() {
					t.Fatalf("the job is %s", p.Status.State)
				}
				if diff := cmp.Diff(want, actions(p)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				m.drop(m.pod("worker-2"))
				m.reconcileUntilStable()
				if p := m.decide(); len(p.Actions) > 0 {
					t.Errorf("nothing is left to do, got %v", p.Actions)
				}
			})
		}
	}
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
	m.reconcileUntilStable()
	if m.pod("worker-0") != nil || m.pod("master-0") == nil {
		t.Errorf("the Master's pod is to be left, and no other: %d are", len(m.in.Pods))
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
			if m.reconcileUntilStable(); len(m.in.Services) != 1 {
				t.Fatalf("the worker runs on, and may need the service: there are %d", len(m.in.Services))
			}
			m.evict(m.pod("worker-0"))
			if m.reconcileUntilStable(); len(m.in.Services) != 0 || m.pod("worker-0") == nil {
				t.Errorf("the last pod has failed, and stays: %d services, pod %v", len(m.in.Services), m.pod("worker-0") != nil)
			}
		})
	}
}
