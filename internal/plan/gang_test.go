package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

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
				t.Errorf("a job that fails cleans up in the same look, %d pods are left", len(m.in.Pods))
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
	m.leave(m.pod("worker-2"))
	m.end(m.pod("worker-0"), 137)
	m.settle()
	if len(m.in.Pods) != 1 || m.pod("worker-2") == nil {
		t.Fatalf("only the pod that takes its time is left, got %d pods", len(m.in.Pods))
	}
	m.drop(m.pod("worker-2"))
	m.settle()
	for _, name := range []string{"worker-0", "worker-1", "worker-2"} {
		if p := m.pod(name); p == nil || p.Labels[commonv1.AttemptLabel] != "1" {
			t.Errorf("%s is to be of attempt 1, got %v", name, p)
		}
	}
	if m.in.Status.Attempt != 1 || m.in.Status.Restarts != 1 {
		t.Errorf("one restart of the whole job, got %+v", m.in.Status)
	}
}

// TestWhoIsWaitedFor: a failed pod that waits for its delay keeps others from being
// created if it is one of a gang that starts again, and not if it is replaced alone.
func TestWhoIsWaitedFor(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*model)
		label  string
		waits  bool
	}{
		"Alone": {
			reason: "its own restart is no affair of others", label: "3",
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
			m.settle()
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
	m.settle()
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
