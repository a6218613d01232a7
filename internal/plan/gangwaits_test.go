package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

const waitsMessage = "Stalled=True TestJobWaitingForGang: TestJob ns/job waits "

// TestHeldGang: no pod and no service before the scheduler wants to see pods, no write
// while it does not, and a condition only if that takes long (rows 28 and 66).
func TestHeldGang(t *testing.T) {
	m := newModel(workers(3))
	m.in.Gang = &plan.Gang{Hold: true, Why: "the queue is full", Since: m.in.Now}
	m.settle()
	if len(m.in.Pods)+len(m.in.Services) > 0 {
		t.Fatalf("held back, but %d pods and %d services were created", len(m.in.Pods), len(m.in.Services))
	}
	p := m.decide()
	if p.WriteStatus || p.RequeueAfter != 10*time.Second {
		t.Errorf("it looks again when its patience ends, got %s", p.RequeueAfter)
	}
	m.in.Now = m.in.Now.Add(10 * time.Second)
	m.settle()
	want := []string{"Created=True TestJobCreated: TestJob job is created.", waitsMessage + "until all its pods can start together: the queue is full"}
	if diff := cmp.Diff(want, conditions(&m.in.Status)); diff != "" {
		t.Errorf("it says why it waits (-want +got):\n%s", diff)
	}
	for range 100 {
		m.in.Now = m.in.Now.Add(time.Minute)
		if p := m.decide(); p.WriteStatus || len(p.Actions) > 0 || p.RequeueAfter > 0 {
			t.Fatalf("a job that waits asks for nothing, got %+v", p)
		}
	}
	m.in.Gang = &plan.Gang{}
	m.settle()
	m.run()
	m.settle()
	if s := m.in.Status; len(m.in.Pods) != 3 || s.State != commonv1.JobRunning || s.IsTrue(commonv1.JobStalled) {
		t.Errorf("admitted, it runs: %d pods, %v", len(m.in.Pods), conditions(&s))
	}
}

// TestGangThatRuns is row 66: a group that goes back to waiting does not keep missing
// pods of a gang that runs from being created. A gang of which nothing is left waits.
func TestGangThatRuns(t *testing.T) {
	hold := &plan.Gang{Hold: true, Why: "preempted", Since: epoch}
	m := started(workers(3), nil)
	m.in.Gang = hold
	m.drop(m.pod("worker-1"))
	m.settle()
	if len(m.in.Pods) != 3 {
		t.Errorf("the missing pod was not created: %d pods", len(m.in.Pods))
	}
	m = started(workers(3), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	})
	m.in.Gang = hold
	m.end(m.pod("worker-1"), 137)
	m.settle()
	if len(m.in.Pods) != 0 {
		t.Errorf("a gang that restarts waits to be admitted again: %d pods", len(m.in.Pods))
	}
	m.in.Gang = &plan.Gang{}
	m.settle()
	if len(m.in.Pods) != 3 || m.in.Status.Restarts != 1 {
		t.Errorf("it starts whole: %d pods, %d restarts", len(m.in.Pods), m.in.Status.Restarts)
	}
}

// unschedulable has the scheduler say that a pod does not fit.
func unschedulable(m *model, name, message string) {
	pod := m.pod(name)
	pod.Status.Phase, pod.Spec.NodeName = corev1.PodPending, ""
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: message, LastTransitionTime: metav1.NewTime(m.in.Now),
	}}
}

// TestWhyAGangWaits: the words are the scheduler's, and they are steady.
func TestWhyAGangWaits(t *testing.T) {
	m := newModel(workers(3))
	m.in.Gang = &plan.Gang{}
	m.settle()
	unschedulable(m, "worker-0", "the group is too large")
	unschedulable(m, "worker-1", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
	m.in.Gang = &plan.Gang{Why: "the group is too large", Since: m.in.Now}
	look := func(after time.Duration) string {
		m.in.Now = m.in.Now.Add(after)
		m.settle()
		c := m.in.Status.Condition(commonv1.JobStalled)
		if c == nil {
			return ""
		}
		return strings.TrimPrefix(c.Message, "TestJob ns/job waits for ")
	}
	for _, step := range []struct {
		reason string
		change func()
		after  time.Duration
		want   string
	}{
		{"a moment is nothing to tell of", func() {}, 9 * time.Second, ""},
		{"the pod's own reason, and the group's", func() {}, time.Second, "3 of 3 pods to fit: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu. the group is too large"},
		{"what the scheduler says at its next try waits", func() { unschedulable(m, "worker-1", "no") }, time.Second, "3 of 3 pods to fit: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu. the group is too large"},
		{"for a minute", func() {}, time.Minute, "3 of 3 pods to fit: no the group is too large"},
		{"a pod alone may say it", func() { m.in.Gang = &plan.Gang{} }, time.Minute, "3 of 3 pods to fit: the group is too large"},
		{"when all fit there is nothing to say", m.run, time.Second, ""},
	} {
		step.change()
		if step.reason == "when all fit there is nothing to say" {
			for _, p := range m.in.Pods {
				p.Spec.NodeName, p.Status.Conditions = "node", nil
			}
		}
		if got := look(step.after); got != step.want {
			t.Errorf("%s: want %q, got %q", step.reason, step.want, got)
		}
	}
}

// TestAnotherReasonGoesFirst: what keeps pods from being created is told before that
// the others wait for them, and the two do not take turns.
func TestAnotherReasonGoesFirst(t *testing.T) {
	m := newModel(workers(2))
	m.in.Gang = &plan.Gang{}
	m.settle()
	unschedulable(m, "worker-0", "no room")
	m.drop(m.pod("worker-1"))
	m.in.Status = settleWith(m, plan.CreatePod{Name: "job-worker-1", Type: worker}, plan.Refused).Status
	m.in.Now = m.in.Now.Add(time.Minute)
	if p := m.decide(); p.Status.Condition(commonv1.JobStalled).Reason != "TestJobCreateRefused" {
		t.Errorf("got %v", conditions(&p.Status))
	}
}

// TestSizeOfAGang is row 68.
func TestSizeOfAGang(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		min    int32
		gang   bool
		want   bool
	}{
		"TooMany": {"more than there are would never start", 4, true, true},
		"Zero":    {"none is no gang", 0, true, true},
		"All":     {"all is the default", 3, true, false},
		"One":     {"one is allowed", 1, true, false},
		"NoGang":  {"without a gang scheduler nobody reads it", 4, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(3))
			m.in.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{MinAvailable: &tc.min}
			if tc.gang {
				m.in.Gang = &plan.Gang{}
			}
			errs := plan.Validate(&m.in)
			if (len(errs) > 0) != tc.want || tc.want && !strings.Contains(errs.ToAggregate().Error(), "spec.runPolicy.schedulingPolicy.minAvailable") {
				t.Errorf("%s: got %v", tc.reason, errs)
			}
		})
	}
	m := newModel(workers(3))
	m.in.Gang = &plan.Gang{}
	m.in.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(-1))}
	if errs := plan.Validate(&m.in); len(errs) != 1 {
		t.Errorf("a negative time makes no sense, got %v", errs)
	}
}

// TestAnotherReasonToBeStalled: a job that was stalled for another reason, and is now
// because its gang waits, was stalled all the time.
func TestAnotherReasonToBeStalled(t *testing.T) {
	m := newModel(workers(1))
	m.in.Gang = &plan.Gang{}
	m.settle()
	unschedulable(m, "worker-0", "0/3 nodes are available")
	since := metav1.NewTime(m.in.Now)
	m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{
		Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJobQuotaExceeded", Message: "no more pods",
		LastUpdateTime: since, LastTransitionTime: since,
	})
	m.in.Now = m.in.Now.Add(time.Minute)
	m.settle()
	c := m.in.Status.Condition(commonv1.JobStalled)
	if c == nil || c.Reason != "TestJobWaitingForGang" || !c.LastTransitionTime.Equal(&since) {
		t.Errorf("want it to be stalled since %v because its gang waits, got %+v", since, c)
	}
}
