package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestVerdict: what an author's own code says goes in place of the rules.
func TestVerdict(t *testing.T) {
	const created = "Created=True TestJobCreated: TestJob job is created."
	ranUntil := "Running=False TestJobRunning: TestJob ns/job is running."
	cases := map[string]struct {
		reason  string
		happens func(*model)
		verdict jobkit.Outcome
		want    []string
		left    int // pods that are left
	}{
		"Silent": {
			reason:  "a verdict that says nothing keeps a job going whose rules are met, and that does not run by it",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) },
			want: []string{created, "Stalled=True TestJobOperatorError: TestJob ns/job cannot end: all its replicas have succeeded, " +
				"but EvaluateStatus() says neither that the job has succeeded nor that it has failed: this is a bug of the operator, please report it"}, left: 2,
		},
		"SilentWhileOneRuns": {
			reason:  "it may wait for the last one",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0) },
			want:    []string{created}, left: 2,
		},
		"RunningWithoutPods": {
			reason:  "a verdict that says that the job runs has decided",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) },
			verdict: jobkit.Outcome{Running: true},
			want:    []string{created, "Running=True TestJobRunning: TestJob ns/job is running."}, left: 2,
		},
		"RunsNoMore": {
			reason:  "nor does a job whose replicas run; nothing of it restarts",
			happens: func(*model) {},
			want:    []string{created}, left: 2,
		},
		"Succeeded": {
			reason:  "success ends the job although no replica has ended, and cleans up",
			verdict: jobkit.Outcome{Succeeded: true},
			want:    []string{created, ranUntil, "Succeeded=True TestJobSucceeded: TestJob ns/job successfully completed."},
		},
		"SucceededInItsWords": {
			reason:  "the message is the verdict's, if it has one",
			verdict: jobkit.Outcome{Succeeded: true, Message: "Converged."},
			want:    []string{created, ranUntil, "Succeeded=True TestJobSucceeded: Converged."},
		},
		"Failed": {
			reason:  "failure ends the job, and cleans up",
			verdict: jobkit.Outcome{Failed: true},
			want:    []string{created, ranUntil, "Failed=True TestJobFailed: TestJob ns/job has failed."},
		},
		"FailedInItsWords": {
			reason:  "the message is the verdict's, if it has one",
			verdict: jobkit.Outcome{Failed: true, Message: "Diverged."},
			want:    []string{created, ranUntil, "Failed=True TestJobFailed: Diverged."},
		},
		"Both": {
			reason:  "success goes first",
			verdict: jobkit.Outcome{Succeeded: true, Failed: true},
			want:    []string{created, ranUntil, "Succeeded=True TestJobSucceeded: TestJob ns/job successfully completed."},
		},
		"Running": {
			reason:  "the verdict's message is that of Running too",
			verdict: jobkit.Outcome{Running: true, Message: "Epoch 3."},
			want:    []string{created, "Running=True TestJobRunning: Epoch 3."}, left: 2,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) { m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll) })
			if tc.happens != nil {
				tc.happens(m)
			}
			p := plan.Decide(&m.in, plan.TallyOf(&m.in), &tc.verdict)
			for _, a := range p.Actions {
				m.apply(a)
			}
			if diff := cmp.Diff(tc.want, conditions(&p.Status)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if len(m.in.Pods) != tc.left {
				t.Errorf("%s: %d pods are left, want %d", tc.reason, len(m.in.Pods), tc.left)
			}
		})
	}
}

// TestVerdictSaysNotRunning: pods that run do not make a job Running of which its
// author says that it does not run yet.
func TestVerdictSaysNotRunning(t *testing.T) {
	m := newModel(workers(1))
	m.settle()
	m.run()
	p := plan.Decide(&m.in, plan.TallyOf(&m.in), &jobkit.Outcome{})
	if p.Status.State != commonv1.JobCreated {
		t.Errorf("want Created, got %s", p.Status.State)
	}
}
