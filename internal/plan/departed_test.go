package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestIsNews: what the last state of a pod that is gone says beyond that it is missing.
func TestIsNews(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		happens func(*model, *corev1.Pod)
		want    bool
	}{
		"Runs":           {reason: "it ran, and then it was gone", happens: func(*model, *corev1.Pod) {}},
		"Deleted":        {reason: "someone deleted it", happens: func(m *model, p *corev1.Pod) { m.terminate(p) }},
		"Stopped":        {reason: "it ended because someone deleted it", happens: func(m *model, p *corev1.Pod) { m.terminate(p); m.after(time.Second); m.end(p, 137) }},
		"Succeeded":      {reason: "it was done", happens: func(m *model, p *corev1.Pod) { m.end(p, 0) }, want: true},
		"Failed":         {reason: "it failed", happens: func(m *model, p *corev1.Pod) { m.end(p, 1) }, want: true},
		"FailedDeleted":  {reason: "it had failed before someone deleted it", happens: func(m *model, p *corev1.Pod) { m.end(p, 1); m.after(time.Second); m.terminate(p) }, want: true},
		"Disrupted":      {reason: "it was disrupted, and had not ended when it was last seen", happens: func(m *model, p *corev1.Pod) { m.disrupt(p, preempted) }, want: true},
		"DisruptedEnded": {reason: "it was disrupted, and ended for that", happens: func(m *model, p *corev1.Pod) { m.evict(p) }, want: true},
		"DeletedDisrupted": {reason: "it was deleted before", happens: func(m *model, p *corev1.Pod) {
			m.terminate(p)
			m.after(time.Minute)
			m.disrupt(p, collected)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.bind()
			p := m.pod("worker-0")
			tc.happens(m, p)
			if got := plan.IsNews(p); got != tc.want {
				t.Errorf("%s: got %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

// TestDeparted: the last state of a pod that is gone counts as that of one that exists, once.
func TestDeparted(t *testing.T) {
	type outcome struct {
		State     commonv1.JobConditionType
		Restarts  int32
		Attempt   int32 // of worker-1
		Failures  int
		Succeeded string
		Records   bool
		Actions   []string
	}
	const creates = "create pod job-worker-1 (attempt 0): replica 1 of Worker is missing"
	departs := func(m *model) *corev1.Pod {
		p := m.pod("worker-1")
		m.drop(p)
		m.in.Departed = []*corev1.Pod{p}
		return p
	}
	// departTwice has the pod depart, counts that, and makes the one of the next attempt, which departs too.
	departTwice := func(m *model) (old, now *corev1.Pod) {
		old = departs(m)
		m.end(old, 137)
		m.in.Status = m.decide().Status
		now = old.DeepCopy()
		now.UID, now.Labels[commonv1.AttemptLabel] = "another", "1"
		return old, now
	}
	for name, tc := range map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model)
		want    outcome
	}{
		"Failed": {
			reason: "its failure counts, and no one can delete it", happens: func(m *model) { m.end(departs(m), 137) },
			want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempt: 1, Failures: 1, Records: true, Actions: []string{}},
		},
		"Counted": {
			reason: "the next pass does not count it again, and goes on",
			happens: func(m *model) {
				m.end(departs(m), 137)
				m.in.Status = m.decide().Status
			},
			want: outcome{
				State: commonv1.JobRestarting, Restarts: 1, Attempt: 1, Failures: 1, Records: true,
				Actions: []string{"create pod job-worker-1 (attempt 1): replica 1 of Worker is missing"},
			},
		},
		"Succeeded": {
			reason: "what was done is done", happens: func(m *model) { m.end(departs(m), 0) },
			want: outcome{State: commonv1.JobRunning, Succeeded: "1", Records: true, Actions: []string{}},
		},
		"SucceededOnRecord": {
			reason: "the status says so already",
			happens: func(m *model) {
				m.end(departs(m), 0)
				m.in.Status = m.decide().Status
			},
			want: outcome{State: commonv1.JobRunning, Succeeded: "1", Records: true, Actions: []string{}},
		},
		"OlderView": {
			reason: "the cache still shows it running",
			happens: func(m *model) {
				p := m.pod("worker-1").DeepCopy()
				m.end(p, 137)
				m.in.Departed = []*corev1.Pod{p}
			},
			want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempt: 1, Failures: 1, Records: true, Actions: []string{}},
		},
		"Replaced": {
			reason: "the pod that took its place decides",
			happens: func(m *model) {
				p := m.pod("worker-1").DeepCopy()
				m.end(p, 137)
				m.in.Departed, m.pod("worker-1").UID = []*corev1.Pod{p}, "another"
			},
			want: outcome{State: commonv1.JobRunning, Records: true, Actions: []string{}},
		},
		"TwoOfOneName": {
			reason: "both are gone before a pass: that of the present attempt decides",
			happens: func(m *model) {
				old, now := departTwice(m)
				m.in.Departed = []*corev1.Pod{old, now}
			},
			want: outcome{State: commonv1.JobRestarting, Restarts: 2, Attempt: 2, Failures: 2, Records: true, Actions: []string{}},
		},
		"TwoOfOneNameTheOtherWayRound": {
			reason: "as before: they come in the order of their UIDs",
			happens: func(m *model) {
				old, now := departTwice(m)
				m.in.Departed = []*corev1.Pod{now, old}
			},
			want: outcome{State: commonv1.JobRestarting, Restarts: 2, Attempt: 2, Failures: 2, Records: true, Actions: []string{}},
		},
		"TwoOfOneAttempt": {
			reason: "the last one decides: what ended the one before was no failure",
			happens: func(m *model) {
				last := departs(m)
				before := last.DeepCopy()
				before.UID, before.CreationTimestamp = "another", metav1.NewTime(last.CreationTimestamp.Add(-time.Second))
				m.end(before, 0)
				m.end(last, 137)
				m.in.Departed = []*corev1.Pod{before, last}
			},
			want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempt: 1, Failures: 1, Records: true, Actions: []string{}},
		},
		"TwoOfOneSecond": {
			reason: "nothing says which was the last: the first of their order decides, in every pass",
			happens: func(m *model) {
				first := departs(m)
				other := first.DeepCopy()
				other.UID = "another"
				m.end(first, 137)
				m.end(other, 0)
				m.in.Departed = []*corev1.Pod{first, other}
			},
			want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempt: 1, Failures: 1, Records: true, Actions: []string{}},
		},
		"Surplus": {
			reason: "no replica of the job had that pod",
			happens: func(m *model) {
				p := departs(m)
				m.end(p, 137)
				p.Name = "job-worker-7"
			},
			want: outcome{State: commonv1.JobRunning, Records: true, Actions: []string{creates}},
		},
		"TooEarly": {
			reason: "it is not known yet what the failure means", change: scope(scopeJob), happens: func(m *model) { m.end(departs(m), 1) },
			want: outcome{State: commonv1.JobRunning, Actions: []string{}},
		},
		"InvalidEdit": {
			reason: "the specification cannot be trusted", happens: func(m *model) { m.end(departs(m), 137); m.in.Problem = "nonsense" },
			want: outcome{State: commonv1.JobStalled, Actions: []string{}},
		},
		"OperatorError": {
			reason: "the operator's own code fails", happens: func(m *model) { m.end(departs(m), 137); m.in.OperatorError = "panic: x" },
			want: outcome{State: commonv1.JobStalled, Actions: []string{}},
		},
		"ManagedByAnother": {
			reason:  "nothing of such a job is to be known, and what is kept of its pods would stay as long as it does",
			happens: func(m *model) { m.end(departs(m), 137); m.in.RunPolicy.ManagedBy = new("example.com/other") },
			want:    outcome{State: commonv1.JobRunning, Records: true, Actions: []string{}},
		},
		"Finished": {
			reason:  "of a job that has ended nothing more is to be known",
			happens: func(m *model) { m.end(departs(m), 137); markFailed(m); m.in.OperatorError = "panic: x" },
			want:    outcome{State: commonv1.JobFailed, Records: true, Actions: []string{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			m.in.RunPolicy.ServiceMode, m.in.RunPolicy.CleanPodPolicy = new(commonv1.ServiceModeNone), new(commonv1.CleanPodPolicyNone)
			restartPolicy(commonv1.RestartPolicyExitCode)(m)
			if tc.change != nil {
				tc.change(m)
			}
			m.reconcileUntilStable()
			m.bind()
			m.run()
			m.reconcileUntilStable()
			m.after(time.Minute)
			tc.happens(m)
			p := m.decide()
			rs := p.Status.ReplicaStatuses[worker]
			got := outcome{p.Status.State, p.Status.Restarts, rs.Attempts["1"], len(p.Status.Failures), rs.SucceededIndexes, p.RecordsEnds, actions(p)}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s%q", tc.reason, diff, conditions(&p.Status))
			}
		})
	}
}

// TestDepartedOffTheRecord: the counts of two processes are the same, although only one knows of a pod that
// failed and is gone, as long as no record of that tells the other. Otherwise they would correct each other.
func TestDepartedOffTheRecord(t *testing.T) {
	m := newModel(workers(2))
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	restartPolicy(commonv1.RestartPolicyExitCode)(m)
	m.reconcileUntilStable()
	m.bind()
	m.run()
	m.reconcileUntilStable()
	p := m.pod("worker-1")
	m.end(p, 137)
	m.drop(p)
	m.in.Problem = "nonsense" // Of such a job no failure is recorded.
	unaware := m.decide().Status
	m.in.Departed = []*corev1.Pod{p}
	if diff := cmp.Diff(unaware.ReplicaStatuses, m.decide().Status.ReplicaStatuses); diff != "" {
		t.Errorf("the process that saw the pod go counts otherwise (-other +it):\n%s", diff)
	}
}
