package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestRules: what the states of replicas make of a job with one Master and two Workers.
func TestRules(t *testing.T) {
	const ok, runs, waits = corev1.PodSucceeded, corev1.PodRunning, corev1.PodPending
	rules := func(rs ...jobkit.SuccessRule) jobkit.Rules { return jobkit.Rules{Success: rs} }
	cases := map[string]struct {
		reason string
		rules  jobkit.Rules
		phases map[string]corev1.PodPhase // Running where none is given
		want   commonv1.JobConditionType
	}{
		"DefaultAll": {
			reason: "without rules the job has succeeded when all replicas of all types have",
			phases: map[string]corev1.PodPhase{"master-0": ok, "worker-0": ok, "worker-1": ok}, want: commonv1.JobSucceeded,
		},
		"DefaultOneType": {
			reason: "and not when those of one type have",
			phases: map[string]corev1.PodPhase{"worker-0": ok, "worker-1": ok}, want: commonv1.JobRunning,
		},
		"AllOf": {
			reason: "AllOf holds when every selected replica has succeeded", rules: rules(jobkit.AllOf(jobkit.All(worker))),
			phases: map[string]corev1.PodPhase{"worker-0": ok, "worker-1": ok}, want: commonv1.JobSucceeded,
		},
		"AllOfSome": {
			reason: "and not when some have", rules: rules(jobkit.AllOf(jobkit.All(worker))),
			phases: map[string]corev1.PodPhase{"master-0": ok, "worker-1": ok}, want: commonv1.JobRunning,
		},
		"AllOfNothing": {
			reason: "a rule that selects no replica of the job does not hold", rules: rules(jobkit.AllOf(jobkit.All("Chief"))),
			phases: map[string]corev1.PodPhase{"worker-1": ok}, want: commonv1.JobRunning,
		},
		"RulesAndDefault": {
			reason: "rules go in place of the default, even where that holds", rules: rules(jobkit.AllOf(jobkit.All("Chief"))),
			phases: map[string]corev1.PodPhase{"master-0": ok, "worker-0": ok, "worker-1": ok}, want: commonv1.JobStalled,
		},
		"IndexBelowZero": {
			reason: "there is no such replica, and it does not stand for all", rules: rules(jobkit.AllOf(jobkit.Index(worker, -1))),
			phases: map[string]corev1.PodPhase{"worker-0": ok, "worker-1": ok}, want: commonv1.JobRunning,
		},
		"AnyOf": {
			reason: "AnyOf holds when one selected replica has succeeded", rules: rules(jobkit.AnyOf(jobkit.All(worker))),
			phases: map[string]corev1.PodPhase{"worker-1": ok}, want: commonv1.JobSucceeded,
		},
		"AnyOfOthers": {
			reason: "and not when another has", rules: rules(jobkit.AnyOf(jobkit.All(worker))),
			phases: map[string]corev1.PodPhase{"master-0": ok}, want: commonv1.JobRunning,
		},
		"Index": {
			reason: "one replica can decide", rules: rules(jobkit.AllOf(jobkit.Index(worker, 1))),
			phases: map[string]corev1.PodPhase{"worker-1": ok}, want: commonv1.JobSucceeded,
		},
		"OtherIndex": {
			reason: "and then no other does", rules: rules(jobkit.AllOf(jobkit.Index(worker, 1))),
			phases: map[string]corev1.PodPhase{"worker-0": ok}, want: commonv1.JobRunning,
		},
		"Alternatives": {
			reason: "one rule that holds is enough", rules: rules(jobkit.AllOf(jobkit.All("Chief")), jobkit.AllOf(jobkit.All(master))),
			phases: map[string]corev1.PodPhase{"master-0": ok}, want: commonv1.JobSucceeded,
		},
		"RunningDefault": {
			reason: "without rules one replica that runs is enough",
			phases: map[string]corev1.PodPhase{"master-0": waits, "worker-0": waits}, want: commonv1.JobRunning,
		},
		"RunningSelected": {
			reason: "with rules one that is selected must run", rules: jobkit.Rules{Running: []jobkit.ReplicaSelector{jobkit.All(master)}},
			phases: map[string]corev1.PodPhase{"master-0": runs, "worker-0": waits, "worker-1": waits}, want: commonv1.JobRunning,
		},
		"RunningOthers": {
			reason: "and others that run are not enough", rules: jobkit.Rules{Running: []jobkit.ReplicaSelector{jobkit.All(master)}},
			phases: map[string]corev1.PodPhase{"master-0": waits}, want: commonv1.JobCreated,
		},
		"NothingRuns": {
			reason: "a job of which nothing runs yet is only created",
			phases: map[string]corev1.PodPhase{"master-0": waits, "worker-0": waits, "worker-1": waits}, want: commonv1.JobCreated,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
			m.in.Rules = tc.rules
			m.settle()
			for _, name := range []string{"master-0", "worker-0", "worker-1"} {
				m.pod(name).Status.Phase = runs
				if phase := tc.phases[name]; phase != "" {
					m.pod(name).Status.Phase = phase
				}
			}
			if got := m.decide().Status.State; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

// TestWordingOfAFailure: the kind's own reason is for replicas that failed, not for
// limits that were reached.
func TestWordingOfAFailure(t *testing.T) {
	cases := map[string]struct {
		reason, want string
		change       func(*model)
	}{
		"Replica":  {reason: "a replica ended the job", change: func(*model) {}, want: "JobRunFailed"},
		"LeftOver": {reason: "replicas that may fail did", change: func(m *model) { m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)} }, want: "JobRunFailed"},
		"Limit": {
			reason: "a limit ended the job", want: "TestJobFailed",
			change: func(m *model) { restartPolicy("OnFailure")(m); m.in.RunPolicy.BackoffLimit = new(int32(0)) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), func(m *model) {
				m.in.Rules.Messages.FailedReason = "JobRunFailed"
				tc.change(m)
			})
			m.end(m.pod("worker-0"), 1)
			p := m.decide()
			if c := p.Status.Condition(commonv1.JobFailed); c == nil || c.Reason != tc.want {
				t.Errorf("%s: want %s, got %+v", tc.reason, tc.want, c)
			}
		})
	}
}

func TestWordingByName(t *testing.T) {
	want := jobkit.Messages{
		Running: "RunJob a is running.", Succeeded: "RunJob a is successfully completed.",
		Restarting: "RunJob a is restarting", Failed: "RunJob a is failed",
	}
	if diff := cmp.Diff(want, jobkit.UnqualifiedMessages("RunJob", "a")); diff != "" {
		t.Errorf("clients know these by heart (-want +got):\n%s", diff)
	}
}
