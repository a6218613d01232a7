package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestProgressWaits: what only says how far a job has come is not written for each
// pod, and not before the pods of a small job. What is news does not wait.
func TestProgressWaits(t *testing.T) {
	created := func(m *model) { m.reconcile() }
	for name, tc := range map[string]struct {
		reason   string
		replicas int32
		before   func(*model) // what led to the look
		after    time.Duration
		write    bool
	}{
		"New": {
			reason: "a new job gets its pods first, and its status when they run", replicas: 4,
			before: func(*model) {}, after: time.Second,
		},
		"NewAndMore": {
			reason: "a second after its first pod a job says that it was created", replicas: 4,
			before: func(m *model) { created(m); m.in.Now = epoch.Add(time.Second) }, write: true,
		},
		"NewAndRuns": {
			reason: "once all pods run, nothing more is to be waited for", replicas: 4,
			before: func(m *model) { created(m); m.run() }, write: true,
		},
		"NewAndRunsInPart": {
			reason: "more pods are about to run", replicas: 4,
			before: func(m *model) { created(m); m.run(); m.pod("worker-3").Status.Phase = corev1.PodPending }, after: time.Second,
		},
		"NewAndRunsInPartInAQueue": {
			reason: "a queue gives the quota of a job away whose status counts no active pod", replicas: 4,
			before: func(m *model) {
				m.in.Job.Queued = true
				created(m)
				m.run()
				m.pod("worker-3").Status.Phase = corev1.PodPending
			}, write: true,
		},
		"MoreRunInAQueue": {
			reason: "how many are active beyond the first waits", replicas: 4,
			before: func(m *model) {
				m.in.Job.Queued = true
				created(m)
				m.pod("worker-0").Status.Phase = corev1.PodRunning
				m.reconcile()
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, after: 2 * time.Second,
		},
		"PodsOfAQueueArePending": {
			reason: "a pod that does not run holds no quota that the status could tell of", replicas: 4,
			before: func(m *model) { m.in.Job.Queued = true; created(m) }, after: time.Second,
		},
		"NewAndFails": {
			reason: "a failure is counted before anything is done about it", replicas: 4,
			before: func(m *model) { created(m); m.run(); m.evict(m.pod("worker-3")) }, write: true,
		},
		"NewAndSucceeds": {
			reason: "success is news", replicas: 1,
			before: func(m *model) { created(m); m.end(m.pod("worker-0"), 0) }, write: true,
		},
		"NewAndLarge": {
			reason: "the pods of a large job take a while, during which its user can see nothing else", replicas: 8,
			before: func(*model) {}, write: true,
		},
		"NewAndNotQuiteLarge": {
			reason: "seven pods and a service go out at once", replicas: 7,
			before: func(*model) {}, after: time.Second,
		},
		"NewAndSuspended": {
			reason: "there are no pods to wait for", replicas: 4,
			before: func(m *model) { m.in.RunPolicy.Suspend = new(true) }, write: true,
		},
		"NewWithWarning": {
			reason: "a warning is told once, which its status proves", replicas: 4,
			before: func(m *model) { m.in.Warnings = []jobkit.Warning{{Reason: "Old", Message: "old"}} }, write: true,
		},
		"CreatedAndRunsInPart": {
			reason: "at most one write a second", replicas: 4,
			before: func(m *model) {
				created(m)
				m.in.Now = epoch.Add(time.Second)
				m.reconcile()
				m.run()
				m.pod("worker-3").Status.Phase = corev1.PodPending
			}, after: 2 * time.Second,
		},
		"CreatedLongAgoAndRunsInPart": {
			reason: "the others are about to run too", replicas: 4,
			before: func(m *model) {
				created(m)
				m.in.Now = epoch.Add(time.Minute)
				m.reconcile()
				m.in.Now = epoch.Add(2 * time.Minute)
				m.run()
				m.pod("worker-3").Status.Phase = corev1.PodPending
				for i, pod := range []string{"worker-0", "worker-1", "worker-2"} {
					m.pod(pod).Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
						Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(m.in.Now.Add(time.Duration(i%2) * time.Second))},
					}}}
				}
			}, after: time.Second,
		},
		"ClockOfTheAPIServer": {
			reason: "it may be ahead: nothing waits for that", replicas: 4,
			before: func(m *model) { created(m); m.in.Now = epoch.Add(-time.Minute) }, write: true,
		},
		"CreatedAndRuns": {
			reason: "that all run does not wait", replicas: 4,
			before: func(m *model) { created(m); m.in.Now = epoch.Add(time.Second); m.reconcile(); m.run() }, write: true,
		},
		"WithoutPodsYet": {
			reason: "before a gang is admitted there are no pods to wait for", replicas: 4,
			before: func(m *model) {
				m.in.Gang = &plan.Gang{Hold: true}
				m.in.Objects = []plan.Object{{Kind: "PodGroup", Name: "job", Wanted: &corev1.ConfigMap{}}}
			}, write: true,
		},
		"StatusOfOthers": {
			reason: "a status that does not say when it was written, as kubeflow's may, does not wait", replicas: 4,
			before: func(m *model) {
				m.reconcileUntilStable()
				m.in.Status.LastReconcileTime = nil
				m.in.Now = epoch.Add(time.Minute)
				m.run()
				m.pod("worker-3").Status.Phase = corev1.PodPending
			}, write: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(tc.replicas))
			tc.before(m)
			p := m.decide()
			if p.WriteStatus != tc.write || p.StatusAfter != tc.after {
				t.Errorf("%s: want a write now: %t, or after %s; got %t, %s", tc.reason, tc.write, tc.after, p.WriteStatus, p.StatusAfter)
			}
		})
	}
}

// TestStartTime: a status that is written after the first pods says when they were created.
func TestStartTime(t *testing.T) {
	m := newModel(workers(2))
	m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(60))
	m.reconcile()
	m.pod("worker-1").CreationTimestamp = metav1.Time{} // as a fake API server makes them
	m.in.Now = epoch.Add(10 * time.Second)
	p := m.reconcile()
	if start := p.Status.StartTime; start == nil || !start.Time.Equal(epoch) || p.RequeueAfter != 50*time.Second {
		t.Errorf("the job began with its pods, at %s, and 50 s of its time are left; got %s and %s", epoch, start, p.RequeueAfter)
	}
}

// TestStatusOfWhatWasNotCreated: when a pod could not be created, the status does not wait for it.
func TestStatusOfWhatWasNotCreated(t *testing.T) {
	m := newModel(workers(2))
	p := m.decide()
	pods := []string{"job-worker-0", "job-worker-1"}
	for created, want := range map[int]time.Duration{1: 0, 2: time.Second} {
		s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{ServicesCreated: []string{"job"}, PodsCreated: pods[:created]})
		if s.WriteStatus != (want == 0) || s.StatusAfter != want {
			t.Errorf("%d pods created: got a write: %t, or after %s", created, s.WriteStatus, s.StatusAfter)
		}
	}
}

// TestQueued: Kueue leaves its mark on a job that it runs.
func TestQueued(t *testing.T) {
	mark := map[string]string{"kueue.x-k8s.io/anything": "x"}
	for name, tc := range map[string]struct {
		reason string
		set    func(*metav1.ObjectMeta, *commonv1.ReplicaSpec)
		want   bool
	}{
		"No": {"labels of others are none", func(o *metav1.ObjectMeta, _ *commonv1.ReplicaSpec) { o.Labels = map[string]string{"queue": "q"} }, false},
		"Queue": {"the name of a queue", func(o *metav1.ObjectMeta, _ *commonv1.ReplicaSpec) {
			o.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "q"}
		}, true},
		"Annotation": {"an annotation of the job", func(o *metav1.ObjectMeta, _ *commonv1.ReplicaSpec) { o.Annotations = mark }, true},
		"Workload":   {"what Kueue adds to templates when it admits them", func(_ *metav1.ObjectMeta, s *commonv1.ReplicaSpec) { s.Template.Annotations = mark }, true},
		"PodSet":     {"and the label of the pod set", func(_ *metav1.ObjectMeta, s *commonv1.ReplicaSpec) { s.Template.Labels = mark }, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.Replicas[master] = nil
			job := &metav1.ObjectMeta{}
			tc.set(job, m.in.Replicas[worker])
			if got := plan.Queued(job, m.in.Replicas); got != tc.want {
				t.Errorf("%s: got %t", tc.reason, got)
			}
		})
	}
}

// masterDecides makes the success of the Master that of the job.
func masterDecides(m *model) {
	m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
}

// TestCountsOfReplicas: what status.replicaStatuses says of the workers.
func TestCountsOfReplicas(t *testing.T) {
	type counts struct{ Active, Succeeded, Failed int32 }
	all := commonv1.CleanPodPolicyAll
	cases := map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model)
		want    counts
	}{
		"Pending": {
			reason:  "a pod that waits is none of the three",
			happens: func(m *model) { m.pod("worker-0").Status.Phase = corev1.PodPending },
			want:    counts{Active: 2},
		},
		"Ended": {
			reason:  "pods are counted by their phase",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0) },
			want:    counts{Active: 2, Succeeded: 1},
		},
		"FailedAndKept": {
			reason:  "a failed pod is counted as long as it is there",
			happens: func(m *model) { m.end(m.pod("worker-0"), 1); m.end(m.pod("worker-1"), 1) },
			want:    counts{Active: 1, Failed: 2},
		},
		"SuccessThenCleanUp": {
			reason: "what clean-up killed has not succeeded; what ended stays counted when its pod goes",
			change: func(m *model) { m.in.RunPolicy.CleanPodPolicy = &all },
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.reconcileUntilStable()
				m.end(m.pod("master-0"), 0)
			},
			want: counts{Succeeded: 1},
		},
		"SuccessThenStopped": {
			reason: "a pod that is stopped after the success shows an exit code before it goes, and has neither failed nor succeeded",
			happens: func(m *model) {
				m.end(m.pod("master-0"), 0)
				m.reconcileUntilStable()
				m.terminate(m.pod("worker-0"))
				m.end(m.pod("worker-0"), 143)
				m.terminate(m.pod("worker-1"))
				m.end(m.pod("worker-1"), 0)
				m.reconcileUntilStable()
			},
			want: counts{Active: 1},
		},
		"StoppedForARestart": {
			reason: "a replica that a restart of the whole job stops has not succeeded, whatever it exits with",
			change: func(m *model) {
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
			},
			happens: func(m *model) {
				for _, p := range []string{"worker-0", "worker-1", "master-0"} {
					m.terminate(m.pod(p)) // which take their time
				}
				m.end(m.pod("worker-2"), 137)
				m.reconcile()
				m.end(m.pod("worker-0"), 0)
			},
			want: counts{Active: 1},
		},
		"DisruptedAndExitsWithZero": {
			reason: "a pod that was drained has failed",
			happens: func(m *model) {
				m.disrupt(m.pod("worker-0"), evicted)
				m.terminate(m.pod("worker-0"))
				m.end(m.pod("worker-0"), 0)
			},
			want: counts{Active: 2, Failed: 1},
		},
		"SuccessThenFailed": {
			reason: "a pod that fails after the success did so",
			happens: func(m *model) {
				m.end(m.pod("master-0"), 0)
				m.reconcileUntilStable()
				m.end(m.pod("worker-0"), 1)
				m.reconcileUntilStable()
			},
			want: counts{Active: 2, Failed: 1},
		},
		"SuccessWithAFailure": {
			reason: "a failure that the success outweighed stays counted when its pod goes",
			change: func(m *model) {
				m.in.RunPolicy.CleanPodPolicy = &all
				m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			},
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.reconcileUntilStable()
				m.end(m.pod("master-0"), 0)
			},
			want: counts{Failed: 1},
		},
		"SuccessAndPodsRunOn": {
			reason:  "pods that run on after the success are active until they end",
			happens: func(m *model) { m.end(m.pod("master-0"), 0) },
			want:    counts{Active: 3},
		},
		"PodsStartAfterTheSuccess": {
			reason: "a pod that starts takes nothing from those that ended and are gone",
			happens: func(m *model) {
				m.pod("worker-1").Status.Phase = corev1.PodPending
				m.end(m.pod("worker-0"), 0)
				m.reconcileUntilStable()
				m.end(m.pod("master-0"), 0)
				m.reconcileUntilStable()
				m.in.Now = m.in.Now.Add(2 * time.Second)
				m.reconcileUntilStable()
				m.drop(m.pod("worker-0"))
				m.run()
			},
			want: counts{Active: 2, Succeeded: 1},
		},
		"FailureThenCleanUp": {
			reason: "what ran when the job failed was no success; what ended stays counted when its pod goes",
			change: func(m *model) { m.in.RunPolicy.CleanPodPolicy = &all },
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.end(m.pod("worker-1"), 1)
			},
			want: counts{Succeeded: 1, Failed: 1},
		},
		"FailureThenStopped": {
			reason: "a pod that is stopped after the failure shows an exit code before it goes, and did not fail",
			happens: func(m *model) {
				m.end(m.pod("worker-1"), 1)
				m.reconcileUntilStable()
				stopped := m.pod("worker-0")
				stopped.DeletionGracePeriodSeconds = new(int64(30))
				stopped.DeletionTimestamp = new(metav1.NewTime(m.in.Now.Add(30 * time.Second)))
				m.end(stopped, 143)
				m.reconcileUntilStable()
			},
			want: counts{Active: 1, Failed: 1},
		},
		"TypeRemoved": {
			reason:  "a type that the job has no more has no pods",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0); m.reconcileUntilStable(); delete(m.in.Replicas, worker) },
			want:    counts{},
		},
		"TypeRemovedAfterTheEnd": {
			reason: "an edit of a finished job takes nothing from its record",
			change: func(m *model) { m.in.RunPolicy.CleanPodPolicy = &all },
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.end(m.pod("master-0"), 0)
				m.reconcileUntilStable()
				m.in.Now = m.in.Now.Add(time.Minute)
				m.reconcileUntilStable()
				delete(m.in.Replicas, worker)
			},
			want: counts{Succeeded: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 3}, func(m *model) {
				masterDecides(m)
				if tc.change != nil {
					tc.change(m)
				}
			})
			tc.happens(m)
			for range 3 { // counts alone are written once a second
				m.reconcileUntilStable()
				m.in.Now = m.in.Now.Add(2 * time.Second)
			}
			rs := m.in.Status.ReplicaStatuses[worker]
			if diff := cmp.Diff(tc.want, counts{rs.Active, rs.Succeeded, rs.Failed}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if want := "training.kubeflow.org/job-name=job,training.kubeflow.org/operator-name=testjob-controller," +
				"training.kubeflow.org/replica-type=worker"; rs.Selector != want {
				t.Errorf("the scale subresource needs the selector, got %q", rs.Selector)
			}
			if rs := m.in.Status.ReplicaStatuses[master]; m.in.Status.State != commonv1.JobFailed && rs.Active+rs.Succeeded+rs.Failed != 1 {
				t.Errorf("%s: there is one Master all the time, got %+v", tc.reason, rs)
			}
		})
	}
}

// TestCountsOfAJobThatHasEnded: a view that is old, or a job that was scaled since,
// takes nothing from the record, and adds nothing to it.
func TestCountsOfAJobThatHasEnded(t *testing.T) {
	failed := started(workers(3), nil)
	failed.end(failed.pod("worker-0"), 1)
	failed.end(failed.pod("worker-1"), 0)
	failed.reconcileUntilStable()
	cases := map[string]struct {
		reason string
		change func(*model)
		want   commonv1.ReplicaStatus
	}{
		"OldView": {
			reason: "what failed does not run again",
			change: func(m *model) {
				for _, p := range m.in.Pods {
					p.Status = corev1.PodStatus{Phase: corev1.PodRunning}
				}
			},
			want: commonv1.ReplicaStatus{Active: 1, Succeeded: 1, Failed: 1},
		},
		"Scaled": {
			reason: "a number of replicas below what has ended makes no count negative",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(1)) },
			want:   commonv1.ReplicaStatus{Succeeded: 1, Failed: 1},
		},
		"StatusOfAnEarlierVersion": {
			reason: "counts without indexes are counts",
			change: func(m *model) {
				m.in.Pods = nil
				m.in.Status.ReplicaStatuses[worker].SucceededIndexes = ""
			},
			want: commonv1.ReplicaStatus{Succeeded: 1, Failed: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := model{in: failed.in}
			m.in.Status, m.in.Replicas, m.in.Pods = *failed.in.Status.DeepCopy(), map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}, nil
			m.in.Replicas[worker] = failed.in.Replicas[worker].DeepCopy()
			for _, p := range failed.in.Pods {
				m.in.Pods = append(m.in.Pods, p.DeepCopy())
			}
			tc.change(&m)
			p := m.decide()
			if rs := p.Status.ReplicaStatuses[worker]; rs.Active != tc.want.Active || rs.Succeeded != tc.want.Succeeded || rs.Failed != tc.want.Failed {
				t.Errorf("%s: got %d active, %d succeeded, %d failed", tc.reason, rs.Active, rs.Succeeded, rs.Failed)
			}
		})
	}
}
