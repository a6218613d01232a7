package plan_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// limited is a job with a start deadline of a minute, a moment before it passes.
func limited(n int32, change ...func(*model)) *model {
	m := newModel(workers(n))
	m.in.RunPolicy.StartDeadlineSeconds = new(int64(60))
	for _, f := range change {
		f(m)
	}
	m.reconcileUntilStable()
	return m
}

// managed labels pods as the webhook of Kueue does that gates them.
func managed(pods ...*corev1.Pod) {
	for _, p := range pods {
		p.Labels["kueue.x-k8s.io/managed"] = "true"
	}
}

// TestStartDeadline: a job of which a replica has not started in time fails, and says why.
func TestStartDeadline(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		before []func(*model)
		set    func(*model)
		want   string // how the message goes on; "" if the job does not fail
	}{
		"NoPodStarts": {
			"the cause is in the message", nil,
			func(m *model) { bound(m.pod("worker-0"), nil, waitingStatus("main", "ErrImagePull", "not found")) },
			`3 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60. ` +
				`The first of them is job-worker-0: image "train:1" of container main cannot be pulled: not found`,
		},
		"OnePodDoesNot": {
			"all must start", nil,
			func(m *model) { m.run(); m.pod("worker-1").Status.Phase = corev1.PodPending },
			"1 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60. " +
				"The first of them is job-worker-1: no scheduler takes it up",
		},
		"NoTime": {"it is not known since when a pod waits", nil, func(m *model) {
			m.run()
			m.pod("worker-1").Status.Phase = corev1.PodPending
			m.pod("worker-1").CreationTimestamp = metav1.Time{}
		}, ""},
		"SucceededAndGone": {"what has succeeded need not be there", nil, func(m *model) {
			m.run()
			m.end(m.pod("worker-1"), 0)
			m.reconcileUntilStable()
			m.drop(m.pod("worker-1"))
		}, ""},
		"Rebooted": {"a node that was rebooted runs the init containers of its pods again", nil, func(m *model) {
			m.run()
			p := m.pod("worker-1")
			p.Status.Phase = corev1.PodPending
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "setup", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 255, Reason: "Unknown"},
			}}}
		}, ""},
		"AllContainersRestart": {"a rule restarts all its containers", nil, func(m *model) {
			m.run()
			restarting := waitingStatus("main", "RestartingAllContainers", "")
			restarting.RestartCount, restarting.LastTerminationState.Terminated = 1, &corev1.ContainerStateTerminated{ExitCode: 137}
			m.pod("worker-1").Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{restarting}}
		}, ""},
		"OneContainerNeverRan": {"a container has crashed, another was never made", nil, func(m *model) {
			m.run()
			crashed := waitingStatus("helper", "CrashLoopBackOff", "")
			crashed.RestartCount = 3
			m.pod("worker-1").Status.Phase = corev1.PodPending
			bound(m.pod("worker-1"), nil, waitingStatus("main", "ErrImagePull", "not found"), crashed)
		}, `1 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60. ` +
			`The first of them is job-worker-1: image "train:1" of container main cannot be pulled: not found`},
		"AllStart":  {"nothing is late", nil, func(m *model) { m.run() }, ""},
		"OneIsOver": {"what ended has started", nil, func(m *model) { m.run(); m.end(m.pod("worker-1"), 0) }, ""},
		"Young": {"the time begins with the pod", nil, func(m *model) {
			m.pod("worker-0").CreationTimestamp = metav1.NewTime(epoch.Add(time.Second))
			m.run()
			m.pod("worker-0").Status.Phase = corev1.PodPending
		}, ""},
		"Elastic": {"as many as are needed have started", nil, func(m *model) {
			m.in.Rules.MinReplicas = map[commonv1.ReplicaType]int32{worker: 2}
			m.run()
			m.pod("worker-1").Status.Phase = corev1.PodPending
		}, ""},
		"ElasticToo": {"too few have", nil, func(m *model) { m.in.Rules.MinReplicas = map[commonv1.ReplicaType]int32{worker: 4} }, "3 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60. The first of them is job-worker-0: no scheduler takes it up"},
		"Gang":       {"a gang waits for room", nil, func(m *model) { m.in.Gang = &plan.Gang{} }, ""},
		"GangOnNodes": {
			"the time begins when it has room", nil,
			func(m *model) {
				m.in.Gang = &plan.Gang{}
				for _, p := range m.in.Pods {
					p.Spec.NodeName = "node-7"
					p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(epoch.Add(time.Second))}}
				}
			}, "",
		},
		"Gates":        {"a queue holds the pods back", nil, func(m *model) { gate(m, "example.com/quota", "worker-0", "worker-1", "worker-2") }, ""},
		"GatesRemoved": {"a queue gated pods whose template has no gate, and lets them go now", nil, func(m *model) { managed(m.in.Pods...) }, ""},
		"GatesRemovedOnNodes": {"the time begins when they get a node", nil, func(m *model) {
			managed(m.in.Pods...)
			for _, p := range m.in.Pods {
				p.Spec.NodeName = "node-7"
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(epoch.Add(time.Second))}}
			}
		}, ""},
		"Queued": {
			"a queue that holds the job back, not its pods, is over when they are created", nil,
			func(m *model) { m.in.Job.Queued = true },
			"3 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60. " +
				"The first of them is job-worker-0: no scheduler takes it up",
		},
		"Suspended": {"a suspended job does not start", nil, func(m *model) { m.in.RunPolicy.Suspend = new(true) }, ""},
		"NoLimit":   {"no one asked for it", nil, func(m *model) { m.in.RunPolicy.StartDeadlineSeconds = nil }, ""},
		"Replaced": {
			"a restart begins again",
			[]func(*model){restartPolicy(commonv1.RestartPolicyExitCode)},
			func(m *model) {
				m.run()
				m.in.Now = m.in.Now.Add(time.Hour)
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable()
			}, "",
		},
		"Stuck": {
			"the old pod does not go", nil,
			func(m *model) {
				m.run()
				m.terminate(m.pod("worker-0"))
				m.pod("worker-0").DeletionTimestamp = new(metav1.NewTime(epoch))
			},
			"1 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60.",
		},
		"ClockSetBack": {"nothing fails early", nil, func(m *model) { m.in.Now = epoch.Add(-time.Hour) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := limited(3, tc.before...)
			m.in.Now = epoch.Add(59 * time.Second)
			if p := m.decide(); p.Status.Finished() || p.RequeueAfter != time.Millisecond && p.RequeueAfter > time.Second {
				t.Errorf("%s: it is %s, again after %s", tc.reason, p.Status.State, p.RequeueAfter)
			}
			m.in.Now = epoch.Add(time.Minute)
			tc.set(m)
			m.reconcileUntilStable()
			got := ""
			if c := m.in.Status.Condition(commonv1.JobFailed); c != nil {
				got = strings.TrimPrefix(c.Reason+": "+c.Message, "TestJobStartDeadlineExceeded: TestJob ns/job has failed because ")
			}
			if got != tc.want {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

// TestStartDeadlineOfRefusedPods: pods that cannot be created count, as far as this process has
// tried for as long, and no longer.
func TestStartDeadlineOfRefusedPods(t *testing.T) {
	m := limited(1)
	m.drop(m.pod("worker-0"))
	create := plan.CreatePod{Name: "job-worker-0", Type: worker}
	m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{
		Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJobCreateRefused", LastTransitionTime: metav1.NewTime(epoch),
	})
	m.in.Now = epoch.Add(time.Hour)
	tried := func(since time.Duration) []plan.Tried {
		return []plan.Tried{{
			Obstruction: plan.Obstruction{Action: create, Obstacle: plan.Refused, Message: "quota"},
			Since:       m.in.Now.Add(-since), Again: m.in.Now.Add(time.Minute),
		}}
	}
	for since, want := range map[time.Duration]bool{59 * time.Second: false, time.Minute: true} {
		m.in.Tried = tried(since)
		if p := m.decide(); p.Status.Finished() != want {
			t.Errorf("refused for %s: the job has failed: %t, want %t", since, p.Status.Finished(), want)
		}
	}
	m.in.Tried = tried(time.Minute)
	m.in.Tried[0].Again = m.in.Now
	if p := m.decide(); !p.Status.Finished() {
		t.Error("refused for a minute and due again: a pass that tries again must not put the deadline off")
	}
	m.in.Tried, m.in.Gang = tried(time.Minute), &plan.Gang{Hold: true}
	if p := m.decide(); p.Status.Finished() {
		t.Error("what waits for the others of a gang would not be created if it were not refused")
	}
	stalled := m.in.Status.Condition(commonv1.JobStalled)
	m.in.Gang, stalled.Reason = &plan.Gang{}, "TestJobWaitingForGang"
	if p := m.decide(); p.Status.Finished() {
		t.Error("what has waited for the others of a gang since it was refused is tried first")
	}
	m.in.Tried, m.in.Gang, stalled.Reason = nil, nil, "TestJobCreateRefused"
	if p := m.decide(); p.Status.Finished() {
		t.Error("an operator that starts again tries first")
	}
	m.in.Tried, m.in.Status.ReplicaStatuses = tried(time.Minute), nil
	if p := m.decide(); p.Status.Finished() {
		t.Error("no replica is late as long as the status counts none")
	}
}

// TestStartDeadlineIsVerified: a cache may be old, so all pods are read before the job fails.
func TestStartDeadlineIsVerified(t *testing.T) {
	m := limited(2)
	m.in.Now = epoch.Add(time.Minute)
	if !plan.TallyOf(&m.in).InDoubt() {
		t.Error("the job is about to fail: its pods are to be read again")
	}
	m.run()
	if plan.TallyOf(&m.in).InDoubt() {
		t.Error("they have started")
	}
}

// TestStartDeadlineIsExact: whenever the operator reconciles, the job fails if and only if a pod that
// was created as long ago has not started.
func TestStartDeadlineIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(workers(rapid.Int32Range(1, 3).Draw(t, "workers")))
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.StartDeadlineSeconds = new(int64(60))
		m.reconcileUntilStable()
		for range 30 {
			m.in.Now = m.in.Now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
			if len(m.in.Pods) > 0 {
				p := m.in.Pods[rapid.IntRange(0, len(m.in.Pods)-1).Draw(t, "pod")]
				switch rapid.IntRange(0, 4).Draw(t, "what") {
				case 0, 1:
					p.Status.Phase = corev1.PodRunning
				case 2:
					if p.Status.Phase == corev1.PodRunning {
						m.end(p, 137)
					}
				case 3:
					m.drop(p)
				}
			}
			late := false
			for _, p := range m.in.Pods {
				late = late || p.Status.Phase == corev1.PodPending && !m.in.Now.Before(p.CreationTimestamp.Add(time.Minute))
			}
			m.reconcileUntilStable()
			if got := m.in.Status.IsTrue(commonv1.JobFailed); got != late {
				t.Fatalf("a pod is late: %t, the job has failed: %t, %q", late, got, conditions(&m.in.Status))
			}
			if late {
				return
			}
		}
	})
}

// TestStartDeadlineBeginsLater: the time of a replica whose pod is yet to be stopped, or whose
// obstacle came after a failure, has not begun before that.
func TestStartDeadlineBeginsLater(t *testing.T) {
	m := limited(2, restartPolicy(commonv1.RestartPolicyExitCode), scope(commonv1.RestartScopeJob))
	m.run()
	m.reconcileUntilStable()
	m.end(m.pod("worker-1"), 137)
	p := m.decide()
	m.write(&p) // counts it, and no more
	m.in.Now = epoch.Add(time.Hour)
	if p := m.decide(); p.Status.Finished() {
		t.Errorf("the pods are yet to be stopped: %q", conditions(&p.Status))
	}

	m = limited(1)
	m.drop(m.pod("worker-0"))
	m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{
		Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJobCreateRefused", LastTransitionTime: metav1.NewTime(epoch),
	})
	m.in.Now = epoch.Add(time.Hour)
	m.in.Tried = []plan.Tried{{
		Obstruction: plan.Obstruction{Action: plan.CreatePod{Name: "job-worker-0", Type: worker}, Obstacle: plan.Refused, Message: "quota"},
		Since:       epoch, Again: m.in.Now.Add(time.Minute),
	}}
	for ago, want := range map[time.Duration]bool{59 * time.Second: false, time.Minute: true} {
		m.in.Status.Failures = []commonv1.ReplicaFailure{{Type: worker, Time: metav1.NewTime(epoch)}, {Type: worker, Time: metav1.NewTime(m.in.Now.Add(-ago))}}
		if p := m.decide(); p.Status.Finished() != want {
			t.Errorf("it failed %s ago, and has failed for that: %t, want %t", ago, p.Status.Finished(), want)
		}
	}
}

// TestStartDeadlineIsNotLate: the next pass is at the deadline of the pod that has waited longest.
func TestStartDeadlineIsNotLate(t *testing.T) {
	m := limited(2)
	m.pod("worker-1").CreationTimestamp = metav1.NewTime(epoch.Add(-10 * time.Second))
	for age, want := range map[time.Duration]time.Duration{35 * time.Second: 15 * time.Second, 45 * time.Second: 5 * time.Second} {
		m.in.Now = epoch.Add(age)
		if p := m.decide(); p.RequeueAfter != want {
			t.Errorf("after %s: want a pass in %s, got %s", age, want, p.RequeueAfter)
		}
	}
}
