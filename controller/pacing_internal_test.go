package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// pacedJob is a job whose status is written as the pacing says.
type pacedJob struct{ in plan.Input }

func newPacedJob(workers int32) *pacedJob {
	kind := jobkit.Kind{Name: "TestJob", APIVersion: "kubeflow.org/v1", Roles: []jobkit.Role{{Type: "Worker"}}, ContainerName: "main"}
	kind.SetDefaults()
	specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Worker": {
		Replicas: &workers, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "image"}}}},
	}}
	m := &pacedJob{in: plan.Input{
		Kind: kind, Job: plan.Job{Namespace: "ns", Name: "job", UID: "job-uid", Generation: 1}, Replicas: specs, Backoff: plan.DefaultBackoff(), Now: epoch,
	}}
	plan.SetDefaults(&m.in.Kind, &m.in.RunPolicy, m.in.Replicas)
	return m
}

func (m *pacedJob) decide() (plan.Plan, pace) {
	p := plan.Decide(&m.in, plan.TallyOf(&m.in), nil)
	return p, paceStatus(&m.in, &p)
}

// reconcile writes the status if it is due, and creates pods and services.
func (m *pacedJob) reconcile() {
	p, pace := m.decide()
	if pace.now {
		p.Status.LastReconcileTime = new(metav1.NewTime(m.in.Now))
		m.in.Status = p.Status
	}
	for _, a := range p.Actions {
		switch a := a.(type) {
		case plan.CreatePod:
			pod := plan.NewPod(&m.in, a, m.in.Replicas[a.Type].Template.DeepCopy())
			pod.CreationTimestamp, pod.Status.Phase = metav1.NewTime(m.in.Now), corev1.PodPending
			m.in.Pods = append(m.in.Pods, pod)
		case plan.CreateService:
			m.in.Services = append(m.in.Services, plan.NewService(&m.in, a))
		}
	}
}

func (m *pacedJob) pod(name string) *corev1.Pod {
	for _, p := range m.in.Pods {
		if strings.HasSuffix(p.Name, "-"+name) {
			return p
		}
	}
	return nil
}

func (m *pacedJob) run() {
	for _, p := range m.in.Pods {
		p.Status.Phase = corev1.PodRunning
	}
}

// TestProgressWaits: what only reports how far a job has come is not written for each
// pod, and not before the pods of a small job. News does not wait.
func TestProgressWaits(t *testing.T) {
	created := func(m *pacedJob) { m.reconcile() }
	tests := map[string]struct {
		reason   string
		replicas int32
		before   func(*pacedJob) // what led to the pass
		after    time.Duration
		write    bool
	}{
		"New": {
			reason: "a new job gets its pods first, and its status when they run", replicas: 4,
			before: func(*pacedJob) {}, after: time.Second,
		},
		"NewAndMore": {
			reason: "a second after its first pod a job says that it was created", replicas: 4,
			before: func(m *pacedJob) { created(m); m.in.Now = epoch.Add(time.Second) }, write: true,
		},
		"NewAndRuns": {
			reason: "once all pods run, nothing more is to be waited for", replicas: 4,
			before: func(m *pacedJob) { created(m); m.run() }, write: true,
		},
		"NewAndRunsInPart": {
			reason: "more pods are about to run", replicas: 4,
			before: func(m *pacedJob) { created(m); m.run(); m.pod("worker-3").Status.Phase = corev1.PodPending }, after: time.Second,
		},
		"NewAndRunsInPartInAQueue": {
			reason: "a queue gives the quota of a job away whose status counts no active pod", replicas: 4,
			before: func(m *pacedJob) {
				m.in.Job.Queued = true
				created(m)
				m.run()
				m.pod("worker-3").Status.Phase = corev1.PodPending
			}, write: true,
		},
		"MoreRunInAQueue": {
			reason: "how many are active beyond the first waits", replicas: 4,
			before: func(m *pacedJob) {
				m.in.Job.Queued = true
				created(m)
				m.pod("worker-0").Status.Phase = corev1.PodRunning
				m.reconcile()
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, after: 2 * time.Second,
		},
		"PodsOfAQueueArePending": {
			reason: "a pod that does not run holds no quota that the status could report", replicas: 4,
			before: func(m *pacedJob) { m.in.Job.Queued = true; created(m) }, after: time.Second,
		},
		"NewAndFails": {
			reason: "a failure is counted before anything is done about it", replicas: 4,
			before: func(m *pacedJob) {
				created(m)
				m.run()
				m.pod("worker-3").Status.Phase, m.pod("worker-3").Status.Reason = corev1.PodFailed, "Evicted"
			}, write: true,
		},
		"NewAndSucceeds": {
			reason: "success is news", replicas: 1,
			before: func(m *pacedJob) { created(m); m.pod("worker-0").Status.Phase = corev1.PodSucceeded }, write: true,
		},
		"NewAndLarge": {
			reason: "the pods of a large job take a while, during which its user can see nothing else", replicas: 8,
			before: func(*pacedJob) {}, write: true,
		},
		"NewAndNotQuiteLarge": {
			reason: "seven pods and a service go out at once", replicas: 7,
			before: func(*pacedJob) {}, after: time.Second,
		},
		"NewAndSuspended": {
			reason: "there are no pods to wait for", replicas: 4,
			before: func(m *pacedJob) { m.in.RunPolicy.Suspend = new(true) }, write: true,
		},
		"NewWithWarning": {
			reason: "a warning is emitted once, and the status shows that it was", replicas: 4,
			before: func(m *pacedJob) { m.in.Warnings = []jobkit.Warning{{Reason: "Old", Message: "old"}} }, write: true,
		},
		"CreatedAndRunsInPart": {
			reason: "at most one write a second", replicas: 4,
			before: func(m *pacedJob) {
				created(m)
				m.in.Now = epoch.Add(time.Second)
				m.reconcile()
				m.run()
				m.pod("worker-3").Status.Phase = corev1.PodPending
			}, after: 2 * time.Second,
		},
		"CreatedLongAgoAndRunsInPart": {
			reason: "the others are about to run too", replicas: 4,
			before: func(m *pacedJob) {
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
			before: func(m *pacedJob) { created(m); m.in.Now = epoch.Add(-time.Minute) }, write: true,
		},
		"CreatedAndRuns": {
			reason: "that all run does not wait", replicas: 4,
			before: func(m *pacedJob) { created(m); m.in.Now = epoch.Add(time.Second); m.reconcile(); m.run() }, write: true,
		},
		"WithoutPodsYet": {
			reason: "before a gang is admitted there are no pods to wait for", replicas: 4,
			before: func(m *pacedJob) {
				m.in.Gang = &plan.Gang{Hold: true}
				m.in.Objects = []plan.Object{{Kind: "PodGroup", Name: "job", Wanted: &corev1.ConfigMap{}}}
			}, write: true,
		},
		"StatusOfOthers": {
			reason: "a status that does not say when it was written, as kubeflow's may, does not wait", replicas: 4,
			before: func(m *pacedJob) {
				m.run()
				m.reconcile()
				m.in.Status.LastReconcileTime = nil
				m.in.Now = epoch.Add(time.Minute)
				m.run()
				m.pod("worker-3").Status.Phase = corev1.PodPending
			}, write: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := newPacedJob(tc.replicas)
			tc.before(m)
			if _, got := m.decide(); got.now != tc.write || got.after != tc.after {
				t.Errorf("%s: want a write now: %t, or after %s; got %t, %s", tc.reason, tc.write, tc.after, got.now, got.after)
			}
		})
	}
}
