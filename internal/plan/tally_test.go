package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestCountsAloneCanWait: counts change with every pod, and one write a second is
// enough; anything else is written at once.
func TestTally(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 6}, nil)
	m.end(m.pod("worker-0"), 0)
	m.end(m.pod("worker-1"), 1)
	m.terminate(m.pod("worker-2"))
	m.drop(m.pod("worker-3"))
	m.pod("worker-4").Status.Phase = corev1.PodPending
	m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"5": 1}
	for name, ready := range map[string]corev1.ConditionStatus{"master-0": corev1.ConditionTrue, "worker-1": corev1.ConditionTrue, "worker-5": corev1.ConditionTrue} {
		m.pod(name).Status.Conditions = append(m.pod(name).Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: ready})
	}
	got := plan.TallyOf(&m.in)
	want := &jobkit.Tally{Types: []jobkit.TypeTally{
		{Type: master, States: []jobkit.ReplicaState{jobkit.Active}, Pods: []bool{true}, Ready: []bool{true}},
		{Type: worker, States: []jobkit.ReplicaState{jobkit.Succeeded, jobkit.Failed, jobkit.Terminating, jobkit.Missing, jobkit.Pending, jobkit.Superseded}, Pods: []bool{true, true, true, false, true, true}, Ready: make([]bool, 6)},
	}}
	if diff := cmp.Diff(want, &got.Tally, cmpopts.IgnoreFields(jobkit.TypeTally{}, "Counts")); diff != "" {
		t.Errorf("each replica is in one state (-want +got):\n%s", diff)
	}
	for state, want := range map[jobkit.ReplicaState]int{jobkit.Active: 1, jobkit.Failed: 1, "Nonsense": 0} {
		if n := got.Count(state); n != want {
			t.Errorf("%d replicas are %s, got %d", want, state, n)
		}
	}
	if got.CountReady() != 1 || got.Of(master).CountReady() != 1 || got.Of(worker).CountReady() != 0 || got.Of("Chief").CountReady() != 0 {
		t.Errorf("what has ended or is superseded is not ready: %+v", got.Types)
	}
	if n := got.Of(worker).Count(jobkit.Active); n != 0 {
		t.Errorf("no worker is active, got %d", n)
	}
	if got.Of("Chief") != nil {
		t.Error("there is no Chief")
	}
}

// TestAttemptLabel: a strange attempt label makes a pod one of the first attempt.
func TestAttemptLabel(t *testing.T) {
	cases := map[string]struct {
		reason, label string
		attempt       int32 // that the status says
		want          jobkit.ReplicaState
	}{
		"Same":     {reason: "a pod of the attempt that the status says is the replica's", label: "1", attempt: 1, want: jobkit.Active},
		"Earlier":  {reason: "a pod of an earlier attempt is replaced", label: "0", attempt: 1, want: jobkit.Superseded},
		"Later":    {reason: "a stale status does not take a later pod for an earlier one", label: "2", attempt: 1, want: jobkit.Active},
		"Text":     {reason: "no number is 0", label: "x", attempt: 1, want: jobkit.Superseded},
		"Negative": {reason: "a negative number is 0", label: "-1", attempt: 0, want: jobkit.Active},
		"Large":    {reason: "an attempt that no replica reaches is accepted", label: "1073741824", attempt: 1, want: jobkit.Active},
		"TooLarge": {reason: "a higher one is not", label: "1073741825", attempt: 1, want: jobkit.Superseded},
		"Reached":  {reason: "unless the replica has reached it", label: "1073741825", attempt: 1<<30 + 1, want: jobkit.Active},
		"Overflow": {reason: "what is no int32 does not become one", label: "4294967295", attempt: 0, want: jobkit.Active},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = tc.label
			m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": tc.attempt}
			if got := plan.TallyOf(&m.in).Of(worker).States[0]; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

// TestAttemptOfAFailure: a label that is no attempt stands for the first one, in the record of a failure, too.
func TestAttemptOfAFailure(t *testing.T) {
	for label, tc := range map[string]struct {
		reason string
		want   int32
	}{
		"0":           {"the first", 0},
		"3":           {"what the label says", 3},
		"-5":          {"no attempt is negative", 0},
		"":            {"it says nothing", 0},
		"x":           {"it is no number", 0},
		"99999999999": {"it is too large", 0},
	} {
		m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
		m.pod("worker-0").Labels[commonv1.AttemptLabel] = label
		m.end(m.pod("worker-0"), 1)
		m.reconcile()
		if got := m.in.Status.Failures; len(got) != 1 || got[0].Attempt != tc.want {
			t.Errorf("%q: %s: want attempt %d, got %+v", label, tc.reason, tc.want, got)
		}
	}
}

// TestCountsOfSupersededPods: pods of an earlier attempt that ended by themselves are counted by
// their phase until they are gone; those that were stopped are not.
func TestCountsOfSupersededPods(t *testing.T) {
	m := started(workers(4), scope(commonv1.RestartScopeJob))
	m.end(m.pod("worker-0"), 0)
	m.end(m.pod("worker-1"), 1)
	m.terminate(m.pod("worker-2"))
	m.end(m.pod("worker-2"), 143)
	m.in.Status.Attempt = 1
	tally := plan.TallyOf(&m.in).Of(worker)
	got := []int32{tally.Counts.Succeeded, tally.Counts.Failed, tally.Counts.Active, int32(tally.Count(jobkit.Superseded))}
	if diff := cmp.Diff([]int32{1, 1, 1, 4}, got); diff != "" {
		t.Errorf("succeeded, failed, active, superseded (-want +got):\n%s", diff)
	}
}
