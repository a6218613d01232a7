package plan_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestAuthorsOutcome: what an author's own code says goes in place of the rules.
func TestAuthorsOutcome(t *testing.T) {
	const created = "Created=True TestJobCreated: TestJob job is created."
	ranUntil := "Running=False TestJobRunning: TestJob ns/job is running."
	cases := map[string]struct {
		reason  string
		happens func(*model)
		outcome jobkit.Outcome
		want    []string
		left    int // pods that are left
	}{
		"Silent": {
			reason:  "a outcome that says nothing keeps a job running whose rules are met, and that does not run by it",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) },
			want: []string{created, "Stalled=True TestJobOperatorError: TestJob ns/job cannot end: all its replicas have succeeded, " +
				"but EvaluateStatus() reports neither success nor failure: this is a bug of the operator, please report it"}, left: 2,
		},
		"SilentWhileOneRuns": {
			reason:  "it may wait for the last one",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0) },
			want:    []string{created}, left: 2,
		},
		"RunningWithoutPods": {
			reason:  "a outcome that says that the job runs has decided",
			happens: func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) },
			outcome: jobkit.Outcome{Running: true},
			want:    []string{created, "Running=True TestJobRunning: TestJob ns/job is running."}, left: 2,
		},
		"RunsNoMore": {
			reason:  "nor does a job whose replicas run; nothing of it restarts",
			happens: func(*model) {},
			want:    []string{created}, left: 2,
		},
		"Succeeded": {
			reason:  "success ends the job although no replica has ended, and cleans up",
			outcome: jobkit.Outcome{Succeeded: true},
			want:    []string{created, ranUntil, "Succeeded=True TestJobSucceeded: TestJob ns/job successfully completed."},
		},
		"SucceededInItsWords": {
			reason:  "the message is the outcome's, if it has one",
			outcome: jobkit.Outcome{Succeeded: true, Message: "Converged."},
			want:    []string{created, ranUntil, "Succeeded=True TestJobSucceeded: Converged."},
		},
		"Failed": {
			reason:  "failure ends the job, and cleans up",
			outcome: jobkit.Outcome{Failed: true},
			want:    []string{created, ranUntil, "Failed=True TestJobFailed: TestJob ns/job has failed."},
		},
		"FailedInItsWords": {
			reason:  "the message is the outcome's, if it has one",
			outcome: jobkit.Outcome{Failed: true, Message: "Diverged."},
			want:    []string{created, ranUntil, "Failed=True TestJobFailed: Diverged."},
		},
		"SucceededForItsReason": {
			reason:  "so is the reason",
			outcome: jobkit.Outcome{Succeeded: true, Reason: "TestJobConverged", Message: "Converged."},
			want:    []string{created, ranUntil, "Succeeded=True TestJobConverged: Converged."},
		},
		"FailedForItsReason": {
			reason:  "of a failure as well",
			outcome: jobkit.Outcome{Failed: true, Reason: "TestJobDiverged"},
			want:    []string{created, ranUntil, "Failed=True TestJobDiverged: TestJob ns/job has failed."},
		},
		"Both": {
			reason:  "success goes first",
			outcome: jobkit.Outcome{Succeeded: true, Failed: true},
			want:    []string{created, ranUntil, "Succeeded=True TestJobSucceeded: TestJob ns/job successfully completed."},
		},
		"Running": {
			reason:  "the outcome's message is that of Running too",
			outcome: jobkit.Outcome{Running: true, Message: "Epoch 3."},
			want:    []string{created, "Running=True TestJobRunning: Epoch 3."}, left: 2,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) { m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll) })
			if tc.happens != nil {
				tc.happens(m)
			}
			p := plan.Decide(&m.in, plan.TallyOf(&m.in), &tc.outcome)
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

// TestOutcomeSaysNotRunning: pods that run do not make a job Running of which its
// author says that it does not run yet.
func TestOutcomeSaysNotRunning(t *testing.T) {
	m := newModel(workers(1))
	m.reconcileUntilStable()
	m.run()
	p := plan.Decide(&m.in, plan.TallyOf(&m.in), &jobkit.Outcome{})
	if p.Status.State != commonv1.JobCreated {
		t.Errorf("want Created, got %s", p.Status.State)
	}
}

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
			m.reconcileUntilStable()
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

// TestSuccessInAnOldView: a cache that goes back in time shows a replica running that has succeeded.
// The status stays as it is: nothing of what it counts, and no pod that a queue has taken back, comes
// again.
func TestSuccessInAnOldView(t *testing.T) {
	for name, phase := range map[string]corev1.PodPhase{"Running": corev1.PodRunning, "Pending": corev1.PodPending} {
		for _, finished := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, finished), func(t *testing.T) {
				m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, func(m *model) {
					queued(m)
					m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyNone)
					m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
				})
				m.end(m.pod("worker-0"), 0)
				if finished {
					m.end(m.pod("master-0"), 0)
				}
				m.reconcileUntilStable()
				was := m.in.Status.DeepCopy()
				if rs := was.ReplicaStatuses[worker]; rs.Succeeded != 1 || rs.Reclaimable != 1 || was.Finished() != finished {
					t.Fatalf("one worker has succeeded: %+v", rs)
				}
				p := m.pod("worker-0")
				p.Status.Phase, p.Status.ContainerStatuses, p.ManagedFields = phase, nil, nil
				for _, deleted := range []*metav1.Time{nil, new(metav1.NewTime(m.in.Now))} { // A request of our own that the view does not show.
					p.DeletionTimestamp = deleted
					got := m.decide()
					if diff := cmp.Diff(*was, got.Status); diff != "" || len(got.Actions) > 0 {
						t.Errorf("deleted %v: actions %v, status (-want +got):\n%s", deleted, got.Actions, diff)
					}
				}
			})
		}
	}
}

// TestSuccessInAViewOfAnOlderAttempt: a cache that goes back in time shows the pod of an earlier
// attempt of a replica that has succeeded since.
func TestSuccessInAViewOfAnOlderAttempt(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, func(m *model) {
		queued(m)
		m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
		m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
	})
	old := m.pod("worker-0").DeepCopy()
	m.killed("worker-0")
	m.end(m.pod("worker-0"), 0)
	m.reconcileUntilStable()
	was := m.in.Status.DeepCopy()
	if rs := was.ReplicaStatuses[worker]; rs.Succeeded != 1 || rs.Reclaimable != 1 || was.Restarts != 1 {
		t.Fatalf("one worker has succeeded at its second attempt: %+v", rs)
	}
	for _, phase := range []corev1.PodPhase{corev1.PodRunning, corev1.PodFailed} {
		old.Status.Phase = phase
		*m.pod("worker-0") = *old
		p := m.decide()
		if diff := cmp.Diff(*was, p.Status); diff != "" || len(p.Actions) > 0 {
			t.Errorf("%s: actions %v, status (-want +got):\n%s", phase, p.Actions, diff)
		}
	}
}
