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

// TestStatusChange: what only reports how far a job has come may wait to be written. Anything
// else is news.
func TestStatusChange(t *testing.T) {
	created := func(m *model) { m.reconcile() }
	written := func(m *model) { p := m.reconcile(); m.write(&p) }
	partly := func(m *model) { m.run(); m.pod("worker-3").Status.Phase = corev1.PodPending }
	tests := map[string]struct {
		reason string
		before func(*model) // what led to the pass
		want   plan.StatusChange
	}{
		"AtRest":       {reason: "nothing differs", before: func(m *model) { m.reconcileUntilStable() }, want: plan.StatusUnchanged},
		"New":          {reason: "that a job was accepted may wait for its pods", before: func(*model) {}, want: plan.StatusProgress},
		"RunsInPart":   {reason: "more pods are about to run", before: func(m *model) { written(m); partly(m) }, want: plan.StatusProgress},
		"MoreRun":      {reason: "only the counts differ", before: func(m *model) { written(m); partly(m); written(m); m.pod("worker-2").Status.Phase = corev1.PodPending }, want: plan.StatusCounts},
		"RunsInFull":   {reason: "no more of the same follows", before: func(m *model) { written(m); m.run() }, want: plan.StatusNews},
		"NewAndRuns":   {reason: "no more of the same follows", before: func(m *model) { created(m); m.run() }, want: plan.StatusNews},
		"Fails":        {reason: "a failure is counted before anything is done about it", before: func(m *model) { created(m); m.run(); m.evict(m.pod("worker-3")) }, want: plan.StatusNews},
		"Suspended":    {reason: "a suspension has no pods to wait for", before: func(m *model) { m.in.RunPolicy.Suspend = new(true) }, want: plan.StatusNews},
		"Edited":       {reason: "the generation is news", before: func(m *model) { written(m); m.in.Job.Generation++ }, want: plan.StatusNews},
		"Warned":       {reason: "a warning is emitted once, and the status shows that it was", before: func(m *model) { m.in.Warnings = []jobkit.Warning{{Reason: "Old", Message: "old"}} }, want: plan.StatusNews},
		"FirstInQueue": {reason: "a queue gives the quota of a job away whose status counts no active pod", before: func(m *model) { m.in.Job.Queued = true; created(m); partly(m) }, want: plan.StatusNews},
		"MoreInQueue": {reason: "how many are active beyond the first may wait", before: func(m *model) {
			m.in.Job.Queued = true
			created(m)
			partly(m)
			written(m)
			m.pod("worker-2").Status.Phase = corev1.PodPending
		}, want: plan.StatusCounts},
		"PendingInQueue": {reason: "a pod that does not run holds no quota", before: func(m *model) { m.in.Job.Queued = true; created(m) }, want: plan.StatusProgress},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(4))
			tc.before(m)
			if got := m.decide().StatusChange; got != tc.want {
				t.Errorf("%s: want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

// TestStartTime: a status that is written after the first pods says when they were created.
func TestStartTime(t *testing.T) {
	m := newModel(workers(2))
	m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(25))
	m.reconcile()
	m.pod("worker-1").CreationTimestamp = metav1.Time{} // as a fake API server makes them
	m.in.Now = epoch.Add(10 * time.Second)
	p := m.reconcile()
	if start := p.Status.StartTime; start == nil || !start.Time.Equal(epoch) || p.RequeueAfter != 15*time.Second {
		t.Errorf("the job began with its pods, at %s, and 15 s of its time are left; got %s and %s", epoch, start, p.RequeueAfter)
	}
}

// TestStatusOfWhatWasNotCreated: when a pod could not be created, the status does not wait for it.
func TestStatusOfWhatWasNotCreated(t *testing.T) {
	m := newModel(workers(2))
	p := m.decide()
	pods := []string{"job-worker-0", "job-worker-1"}
	for created, want := range map[int]plan.StatusChange{1: plan.StatusNews, 2: plan.StatusProgress} {
		r := plan.ExecutionResult{ServicesCreated: []string{"job"}, PodsCreated: pods[:created]}
		if s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, r); s.StatusChange != want {
			t.Errorf("%d pods created: want %d, got %d", created, want, s.StatusChange)
		}
		r.StatusWritten = true
		if s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, r); s.StatusChange != plan.StatusUnchanged {
			t.Errorf("%d pods created: what was written already is not written again, got %d", created, s.StatusChange)
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
			reason:  "a failed pod is counted as long as it exists",
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
			reason:  "a removed type has no pods",
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

// TestSurplusPodsOfAQueuedJob: a queue gives the quota of a suspended job away as soon as no pod of it
// is active, also if the job no longer wants the replicas of those that still run.
func TestSurplusPodsOfAQueuedJob(t *testing.T) {
	type counts map[commonv1.ReplicaType]int32
	for name, tc := range map[string]struct {
		reason string
		queued bool
		change func(*model)
		want   counts
		gone   counts
	}{
		"Scaled": {
			reason: "the queue suspends a job that was scaled down", queued: true,
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(1)); m.in.RunPolicy.Suspend = new(true) },
			want:   counts{master: 0, worker: 2}, gone: counts{master: 0, worker: 0},
		},
		"TypeRemoved": {
			reason: "or one that lost a type", queued: true,
			change: func(m *model) { delete(m.in.Replicas, worker); m.in.RunPolicy.Suspend = new(true) },
			want:   counts{master: 0, worker: 2}, gone: counts{master: 0, worker: 0},
		},
		"NoLabel": {
			reason: "whatever the pod's label says", queued: true,
			change: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.in.RunPolicy.Suspend = new(true)
				delete(m.pod("worker-1").Labels, commonv1.ReplicaTypeLabel)
			},
			want: counts{master: 1, worker: 1}, gone: counts{master: 0, worker: 0},
		},
		"GoesOn": {
			reason: "so it is while the job goes on", queued: true,
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(1)) },
			want:   counts{master: 0, worker: 2}, gone: counts{master: 0, worker: 0},
		},
		"NoQueue": {
			reason: "no one gives its room away, and active is at most replicas",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(1)); m.in.RunPolicy.Suspend = new(true) },
			want:   counts{master: 0, worker: 0}, gone: counts{master: 0, worker: 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 3}, func(m *model) { m.in.Job.Queued = tc.queued })
			m.after(time.Minute)
			tc.change(m)
			m.in.Job.Generation++
			m.drop(m.pod("master-0"))
			m.drop(m.pod("worker-0"))
			for _, p := range m.in.Pods {
				m.terminate(p) // which take their time
			}
			active := func() counts {
				got := counts{}
				for range 2 { // the same pods are counted once
					p := m.decide()
					m.write(&p)
					for t, rs := range p.Status.ReplicaStatuses {
						got[t] = rs.Active
					}
				}
				return got
			}
			if diff := cmp.Diff(tc.want, active()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			m.in.Pods = nil
			if diff := cmp.Diff(tc.gone, active()); diff != "" {
				t.Errorf("%s, until they are gone (-want +got):\n%s", tc.reason, diff)
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
		"StoppedThenDisrupted": {
			reason: "a new process does not know that the pod was stopped before its node was lost",
			change: func(m *model) {
				p := m.pod("worker-2")
				p.Status.Phase = corev1.PodFailed
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC"}}
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds, p.Finalizers = &metav1.Time{Time: m.in.Now}, new(int64), []string{"example.com/keep"}
			},
			want: commonv1.ReplicaStatus{Succeeded: 1, Failed: 1},
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

// TestTypeThatIsGone: of a type that an edit has removed nothing is counted any more, but what was
// counted of its restarts stays; a job that has ended keeps all.
func TestTypeThatIsGone(t *testing.T) {
	for name, finished := range map[string]bool{"Runs": false, "Finished": true} {
		m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, nil)
		rs := &commonv1.ReplicaStatus{Active: 1, Succeeded: 2, Failed: 3, SucceededIndexes: "0", Reclaimable: 1, Restarts: 4, Attempts: map[string]int32{"0": 4}}
		m.in.Status.ReplicaStatuses[master] = rs
		m.drop(m.pod("master-0"))
		delete(m.in.Replicas, master)
		want := &commonv1.ReplicaStatus{Restarts: 4, Attempts: map[string]int32{"0": 4}}
		if finished {
			markFailed(m)
			want = rs
		}
		if diff := cmp.Diff(want, m.decide().Status.ReplicaStatuses[master]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
