package plan_test

import (
	"testing"
	"time"

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
				m.settle()
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
