package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestBackoffLimitOfAGang: a restart of the whole job counts once, however many of
// its replicas failed.
func TestBackoffLimitOfAGang(t *testing.T) {
	cases := map[string]struct {
		reason string
		scope  commonv1.RestartScope
		limit  int32
		want   commonv1.JobConditionType
	}{
		"GangWithin":      {reason: "two failures are one restart", scope: commonv1.RestartScopeJob, limit: 1, want: commonv1.JobRestarting},
		"GangBeyond":      {reason: "which may be one too many", scope: commonv1.RestartScopeJob, limit: 0, want: commonv1.JobFailed},
		"ReplicasWithin":  {reason: "one by one they are two", scope: commonv1.RestartScopeReplica, limit: 2, want: commonv1.JobRestarting},
		"ReplicasBeyond":  {reason: "which may be one too many", scope: commonv1.RestartScopeReplica, limit: 1, want: commonv1.JobFailed},
		"ReplicasWayOver": {reason: "or two", scope: commonv1.RestartScopeReplica, limit: 0, want: commonv1.JobFailed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(3), func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.RunPolicy.RestartScope, m.in.RunPolicy.BackoffLimit = &tc.scope, &tc.limit
				m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll)
			})
			m.end(m.pod("worker-0"), 137)
			m.end(m.pod("worker-1"), 137)
			p := m.reconcile()
			if p.Status.State != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, p.Status.State)
			}
			if tc.want == commonv1.JobFailed && len(m.in.Pods) > 0 {
				t.Errorf("a job that fails cleans up in the same pass, %d pods are left", len(m.in.Pods))
			}
		})
	}
}

// TestNoReplicaMeetsOneOfTheOldGang: a gang starts again when all of the old is gone.
func TestNoReplicaMeetsOneOfTheOldGang(t *testing.T) {
	m := started(workers(3), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	})
	m.terminate(m.pod("worker-2"))
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	if len(m.in.Pods) != 1 || m.pod("worker-2") == nil {
		t.Fatalf("only the pod that takes its time is left, got %d pods", len(m.in.Pods))
	}
	m.drop(m.pod("worker-2"))
	m.reconcileUntilStable()
	for _, name := range []string{"worker-0", "worker-1", "worker-2"} {
		if p := m.pod(name); p == nil || p.Labels[commonv1.AttemptLabel] != "1" {
			t.Errorf("%s is to be of attempt 1, got %v", name, p)
		}
	}
	if m.in.Status.Attempt != 1 || m.in.Status.Restarts != 1 {
		t.Errorf("one restart of the whole job, got %+v", m.in.Status)
	}
}

// TestWaitForPeers: a failed pod that waits for its delay keeps others from being
// created if it is one of a gang that starts again, and not if it is replaced alone.
func TestWaitForPeers(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*model)
		label  string
		waits  bool
	}{
		"Alone": {
			reason: "its own restart does not affect others", label: "3",
			change: func(m *model) { m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": 3} },
		},
		"AloneInALaterGang": {
			reason: "nor in a job that was restarted as a whole before", label: "1",
			change: func(m *model) { m.in.Status.Attempt = 1 },
		},
		"Gang": {
			reason: "no replica of the new gang meets one of the old", label: "2", waits: true,
			change: func(m *model) {
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
				m.in.Status.Attempt = 2
			},
		},
		"GangByARule": {
			reason: "whatever makes the gang start again", label: "2", waits: true,
			change: func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(restartJob, in, 137)}}
				m.in.Status.Attempt = 2
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
			tc.change(m)
			m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{Type: commonv1.JobStalled, Status: corev1.ConditionTrue})
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = tc.label
			m.end(m.pod("worker-0"), 137)
			m.drop(m.pod("worker-1"))
			m.reconcileUntilStable()
			if p := m.pod("worker-0"); p == nil || p.Status.Phase != corev1.PodFailed {
				t.Fatal("worker 0 is to wait for its delay")
			}
			if waits := m.pod("worker-1") == nil; waits != tc.waits {
				t.Errorf("%s: worker 1 waits is %v", tc.reason, waits)
			}
			if m.in.Status.Condition(commonv1.JobStalled) != nil {
				t.Errorf("%s: nothing is to be created, so nothing is in the way of it", tc.reason)
			}
		})
	}
}

// TestGangWithoutAPod: a gang of which a pod is missing can start again.
func TestGangWithoutAPod(t *testing.T) {
	m := started(workers(2), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	})
	m.drop(m.pod("worker-1"))
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	if m.in.Status.Attempt != 1 || len(m.in.Pods) != 2 {
		t.Errorf("attempt %d with %d pods", m.in.Status.Attempt, len(m.in.Pods))
	}
}

// TestAttemptLabelAboveTheStatus: a pod that says it is of a later attempt than the
// status knows of is counted once, and is one of an earlier attempt from then on.
func TestAttemptLabelAboveTheStatus(t *testing.T) {
	cases := map[string]struct {
		reason   string
		whole    int32 // attempts of the whole job
		attempts map[string]int32
		label    string
		want     int32
	}{
		"Equal":        {reason: "the next attempt", attempts: map[string]int32{"0": 2}, label: "2", want: 3},
		"Above":        {reason: "above the pod's", attempts: map[string]int32{"0": 2}, label: "7", want: 8},
		"NothingKnown": {reason: "also where the status knows of none", label: "4", want: 5},
		"Gang":         {reason: "attempts of the whole job are no attempts of the replica", whole: 2, attempts: map[string]int32{"0": 1}, label: "5", want: 4},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
			m.in.RunPolicy.BackoffLimitPerReplica = new(int32(9))
			m.in.Status.Attempt = tc.whole
			m.in.Status.ReplicaStatuses[worker].Attempts = tc.attempts
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = tc.label
			m.end(m.pod("worker-0"), 137)
			p := m.reconcile()
			rs := p.Status.ReplicaStatuses[worker]
			if diff := cmp.Diff(map[string]int32{"0": tc.want}, rs.Attempts); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if p.Status.Restarts != 1 {
				t.Errorf("%s: one restart, got %d", tc.reason, p.Status.Restarts)
			}
			was := tc.attempts["0"]
			if counted := rs.Attempts["0"] - rs.IgnoredAttempts["0"] - was; counted != 1 {
				t.Errorf("%s: one restart counts against the limit of the replica, got %d", tc.reason, counted)
			}
			if tc.label == "2" && rs.IgnoredAttempts != nil {
				t.Errorf("%s: nothing is ignored, got %v", tc.reason, rs.IgnoredAttempts)
			}
			if s := plan.TallyOf(&m.in).Of(worker).States; len(m.in.Pods) > 0 && s[0] != jobkit.Superseded {
				t.Errorf("%s: the pod is replaced, got %s", tc.reason, s[0])
			}
		})
	}
}

// TestBackoffOfAnOperator: the delay is the operator's to choose.
func TestBackoffOfAnOperator(t *testing.T) {
	cases := map[string]struct {
		reason  string
		backoff plan.Backoff
		attempt int
		ran     time.Duration
		want    time.Duration
	}{
		"None":       {reason: "without a base there is no delay", backoff: plan.Backoff{Max: time.Hour}, attempt: 50},
		"Tiny":       {reason: "any base is one", backoff: plan.Backoff{Base: time.Second, Max: time.Hour}, attempt: 1, want: time.Second},
		"Bounded":    {reason: "no delay is longer than Max", backoff: plan.Backoff{Base: time.Minute, Max: 90 * time.Second}, attempt: 2, want: 90 * time.Second},
		"BaseOver":   {reason: "not even the first", backoff: plan.Backoff{Base: time.Hour, Max: time.Minute}, attempt: 1, want: time.Minute},
		"Overflow":   {reason: "doubling does not overflow", backoff: plan.Backoff{Base: 1 << 40, Max: time.Hour}, attempt: 30, want: time.Hour},
		"ManyTimes":  {reason: "however often", backoff: plan.Backoff{Base: 1, Max: time.Hour}, attempt: 100, want: time.Hour},
		"RanForMax":  {reason: "a replica that ran for just Max may be in a crash loop", backoff: plan.Backoff{Base: time.Second, Max: time.Minute}, attempt: 1, ran: time.Minute, want: time.Second},
		"RanForMore": {reason: "one that ran for longer is not", backoff: plan.Backoff{Base: time.Second, Max: time.Minute}, attempt: 1, ran: time.Minute + 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
			m.in.Backoff = tc.backoff
			m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": int32(tc.attempt)}
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = itoa(tc.attempt)
			m.in.Now = m.in.Now.Add(tc.ran)
			m.end(m.pod("worker-0"), 137)
			p := m.reconcile()
			if p.RequeueAfter != tc.want || (len(p.Actions) == 0) != (tc.want > 0) {
				t.Errorf("%s: want a delay of %s, got %s and %v", tc.reason, tc.want, p.RequeueAfter, p.Actions)
			}
		})
	}
}

// TestReplicasOfSeveralTypes: messages name each type once, with its number.
func TestReplicasOfSeveralTypes(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 3}, func(m *model) {
		for _, spec := range m.in.Replicas {
			spec.RestartPolicy = commonv1.RestartPolicyExitCode
		}
	})
	for _, name := range []string{"master-0", "worker-0", "worker-2"} {
		m.end(m.pod(name), 137)
	}
	p := m.decide()
	want := "TestJob job is restarting because 1 Master, 2 Worker replica(s) failed."
	if got := p.Status.Condition(commonv1.JobRestarting).Message; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

const waitsMessage = "Stalled=True TestJobWaitingForGang: TestJob ns/job waits "

// TestHeldGang: no pod and no service before the scheduler wants to see pods, no write
// while it does not, and a condition only if that takes long (rows 28 and 66).
func TestHeldGang(t *testing.T) {
	m := newModel(workers(3))
	m.in.Gang = &plan.Gang{Hold: true, Why: "the queue is full", Since: m.in.Now}
	m.reconcileUntilStable()
	if len(m.in.Pods)+len(m.in.Services) > 0 {
		t.Fatalf("held back, but %d pods and %d services were created", len(m.in.Pods), len(m.in.Services))
	}
	p := m.decide()
	if p.StatusChange != plan.StatusUnchanged || p.RequeueAfter != 10*time.Second {
		t.Errorf("it is requeued when its patience ends, got %s", p.RequeueAfter)
	}
	m.in.Now = m.in.Now.Add(10 * time.Second)
	m.reconcileUntilStable()
	want := []string{"Created=True TestJobCreated: TestJob job is created.", waitsMessage + "until all its pods can start together: the queue is full"}
	if diff := cmp.Diff(want, conditions(&m.in.Status)); diff != "" {
		t.Errorf("it says why it waits (-want +got):\n%s", diff)
	}
	for range 100 {
		m.in.Now = m.in.Now.Add(time.Minute)
		if p := m.decide(); p.StatusChange != plan.StatusUnchanged || len(p.Actions) > 0 || p.RequeueAfter > 0 {
			t.Fatalf("a job that waits asks for nothing, got %+v", p)
		}
	}
	m.in.Gang = &plan.Gang{}
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
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
	m.reconcileUntilStable()
	if len(m.in.Pods) != 3 {
		t.Errorf("the missing pod was not created: %d pods", len(m.in.Pods))
	}
	m = started(workers(3), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	})
	m.in.Gang = hold
	m.end(m.pod("worker-1"), 137)
	m.reconcileUntilStable()
	if len(m.in.Pods) != 0 {
		t.Errorf("a gang that restarts waits to be admitted again: %d pods", len(m.in.Pods))
	}
	m.in.Gang = &plan.Gang{}
	m.reconcileUntilStable()
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
	m.reconcileUntilStable()
	unschedulable(m, "worker-0", "the group is too large")
	unschedulable(m, "worker-1", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
	m.in.Gang = &plan.Gang{Why: "the group is too large", Since: m.in.Now}
	pass := func(after time.Duration) string {
		m.in.Now = m.in.Now.Add(after)
		m.reconcileUntilStable()
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
		{"a moment is not worth a report", func() {}, 9 * time.Second, ""},
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
		if got := pass(step.after); got != step.want {
			t.Errorf("%s: want %q, got %q", step.reason, step.want, got)
		}
	}
}

// TestAnotherReasonGoesFirst: what keeps pods from being created is reported before that
// the others wait for them, and the two do not take turns.
func TestAnotherReasonGoesFirst(t *testing.T) {
	m := newModel(workers(2))
	m.in.Gang = &plan.Gang{}
	m.reconcileUntilStable()
	unschedulable(m, "worker-0", "no room")
	m.drop(m.pod("worker-1"))
	m.in.Status = concludeWith(m, plan.CreatePod{Name: "job-worker-1", Type: worker}, plan.Refused).Status
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
		"NoGang":  {"without a gang scheduler it is not read", 4, false, false},
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
	scaled := newModel(workers(3))
	scaled.in.Gang = &plan.Gang{}
	scaled.in.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{MinAvailable: new(int32(3))}
	scaled.reconcileUntilStable()
	scaled.in.Replicas[worker].Replicas = new(int32(2))
	if p := scaled.decide(); !slices.ContainsFunc(p.Actions, func(a plan.Action) bool { _, ok := a.(plan.DeletePod); return ok }) {
		t.Errorf("a job that runs has fewer replicas than minAvailable now, and none is removed: %v", conditions(&p.Status))
	}
	m := newModel(workers(3))
	m.in.Gang = &plan.Gang{}
	m.in.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(-1))}
	if errs := plan.Validate(&m.in); len(errs) != 1 {
		t.Errorf("a negative time is not valid, got %v", errs)
	}
}

// TestAnotherReasonToBeStalled: a job that was stalled for another reason, and is now
// because its gang waits, was stalled all the time.
func TestAnotherReasonToBeStalled(t *testing.T) {
	m := newModel(workers(1))
	m.in.Gang = &plan.Gang{}
	m.reconcileUntilStable()
	unschedulable(m, "worker-0", "0/3 nodes are available")
	since := metav1.NewTime(m.in.Now)
	m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{
		Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJobQuotaExceeded", Message: "no more pods",
		LastUpdateTime: since, LastTransitionTime: since,
	})
	m.in.Now = m.in.Now.Add(time.Minute)
	m.reconcileUntilStable()
	c := m.in.Status.Condition(commonv1.JobStalled)
	if c == nil || c.Reason != "TestJobWaitingForGang" || !c.LastTransitionTime.Equal(&since) {
		t.Errorf("want it to be stalled since %v because its gang waits, got %+v", since, c)
	}
}

// TestGangThatIsHeldSilently: a scheduler that says nothing has nothing to report.
func TestGangThatIsHeldSilently(t *testing.T) {
	for why, want := range map[string]string{"": "", "the queue is full": "TestJob ns/job waits until all its pods can start together: the queue is full"} {
		m := newModel(workers(2))
		m.in.Gang = &plan.Gang{Hold: true, Why: why, Since: m.in.Now}
		m.reconcileUntilStable()
		m.after(time.Hour)
		m.reconcileUntilStable()
		got := ""
		if c := m.in.Status.Condition(commonv1.JobStalled); c != nil {
			got = c.Message
		}
		if got != want || len(m.in.Pods) > 0 {
			t.Errorf("want %q, got %q, with %d pods", want, got, len(m.in.Pods))
		}
	}
}

// TestGangWaitsForItsObjects: as long as objects of the job are being created the job does not say
// that it waits for the scheduler, which may wait for these.
func TestGangWaitsForItsObjects(t *testing.T) {
	m := newModel(workers(2))
	m.in.Gang = &plan.Gang{Hold: true, Why: "no room", Since: m.in.Now.Add(-time.Hour)}
	object := plan.Object{Kind: "ConfigMap", Name: "a", Wanted: &corev1.ConfigMap{}}
	for uid, want := range map[types.UID]bool{"": false, "uid": true} {
		object.UID = uid
		m.in.Objects = []plan.Object{object}
		p := m.decide()
		if got := p.Status.IsTrue(commonv1.JobStalled); got != want {
			t.Errorf("the object exists: %t, it says that it waits: %t, %v", uid != "", got, actions(p))
		}
	}
}

// TestGangWaits: a gang that is not held back waits only as far as it has pods without a node; one
// that has pods is not held back, whatever the scheduler reports.
func TestGangWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		reason      string
		hold, exist bool
		want        string
	}{
		"NotHeld": {reason: "no pod waits, and it is created now"},
		"Held":    {reason: "no pod may be created", hold: true, want: "TestJob ns/job waits until all its pods can start together: no room"},
		"HasPods": {reason: "its pods wait", exist: true, want: "TestJob ns/job waits for 2 of 2 pods to fit: no room"},
		"Both":    {reason: "its pods wait, although it is held", hold: true, exist: true, want: "TestJob ns/job waits for 2 of 2 pods to fit: no room"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			if tc.exist {
				m.reconcileUntilStable()
			}
			m.in.Now = m.in.Now.Add(time.Hour)
			m.in.Gang = &plan.Gang{Hold: tc.hold, Why: "no room", Since: epoch}
			got, p := "", m.decide()
			if c := p.Status.Condition(commonv1.JobStalled); c != nil {
				got = c.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
