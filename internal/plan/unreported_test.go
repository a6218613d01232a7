package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestOrderOfReports: kubelets report in any order how containers ended, and that their pods have
// failed a second later. Whichever report comes late, the job comes to the same end, for the same
// reason, with the same counts, and the status has each failure.
func TestOrderOfReports(t *testing.T) {
	type end struct {
		pod  string
		code int32
	}
	limits := func(ofMaster, ofWorker int32) func(*model) {
		return func(m *model) {
			m.in.Replicas[master].BackoffLimit, m.in.Replicas[worker].BackoffLimit = &ofMaster, &ofWorker
		}
	}
	const reached = "TestJob ns/job has failed because Master has reached its backoff limit: testReplicaSpecs[Master].backoffLimit is 0."
	failJobOn42 := func(m *model) {
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{
			onCodes(failJob, batchv1.PodFailurePolicyOnExitCodesOpIn, 42),
		}}
	}
	for name, tc := range map[string]struct {
		reason           string
		master, worker   commonv1.RestartScope
		change           func(*model)
		ends             []end // in the order of time, a tenth of a second apart
		failed           string
		job, ofM, ofW    int32
		attempt, ofRoleW int32
	}{
		"LimitOfTheCause": {
			reason: "a permanent failure is the consequence of one whose role has no restart left", master: scopeJob, worker: scopeJob,
			change: limits(0, 3), ends: []end{{"worker-1", 1}, {"master-0", 134}},
			failed: reached + " First failure: pod job-master-0, exit code 134, restart policy ExitCode.",
		},
		"WithinTheLimitOfTheCause": {
			reason: "the restart counts for the role of the cause", master: scopeJob, worker: scopeJob,
			change: limits(1, 0), ends: []end{{"worker-1", 1}, {"master-0", 134}}, job: 1, ofM: 1, attempt: 1,
		},
		"FirstOfTwo": {
			reason: "of two that restart the job the first counts", master: scopeJob, worker: scopeJob,
			change: limits(0, 3), ends: []end{{"master-1", 137}, {"worker-0", 137}},
			failed: reached + " First failure: pod job-master-1, exit code 137, restart policy ExitCode.",
		},
		"LimitOfTheJob": {
			reason: "the condition names the first failure", master: scopeJob, worker: scopeJob,
			change: func(m *model) { m.in.RunPolicy.BackoffLimit = new(int32(0)) }, ends: []end{{"master-1", 137}, {"worker-0", 143}},
			failed: "TestJob ns/job has failed because it has reached the specified backoff limit: runPolicy.backoffLimit is 0." +
				" First failure: pod job-master-1, exit code 137, restart policy ExitCode.",
		},
		"RuleThatFailsTheJob": {
			reason: "what a rule says of the first is not lost when its peers are reported before it", master: scopeJob, worker: scopeJob,
			change: failJobOn42, ends: []end{{"master-0", 42}, {"worker-0", 137}, {"worker-1", 1}},
			failed: "TestJob ns/job has failed because 1 Master replica(s) failed." +
				" First failure: pod job-master-0, exit code 42, rule 0 of runPolicy.podFailurePolicy says FailJob.",
		},
		"Role": {
			reason: "a role restarts once, whoever is reported first", master: scopeReplica, worker: scopeRole,
			change: limits(0, 1), ends: []end{{"worker-0", 137}, {"worker-1", 1}}, job: 1, ofW: 1, ofRoleW: 1,
		},
		"RoleBeyondItsLimit": {
			reason: "the limit of a role whose replicas restart together", master: scopeReplica, worker: scopeRole,
			change: limits(3, 0), ends: []end{{"worker-0", 137}, {"worker-1", 1}},
			failed: "TestJob ns/job has failed because Worker has reached its backoff limit: testReplicaSpecs[Worker].backoffLimit is 0." +
				" First failure: pod job-worker-0, exit code 137, restart policy ExitCode.",
		},
	} {
		for late := range 1<<len(tc.ends) - 1 {
			t.Run(fmt.Sprintf("%s/%0*b", name, len(tc.ends), late), func(t *testing.T) {
				m := roles(tc.master, tc.worker)
				tc.change(m)
				m.in.Now = m.in.Now.Add(time.Minute)
				var want []string
				for i, e := range tc.ends {
					m.in.Now = m.in.Now.Add(100 * time.Millisecond)
					if late&(1<<i) != 0 {
						m.stopMain(m.pod(e.pod), e.code)
					} else {
						m.end(m.pod(e.pod), e.code)
					}
					want = append(want, fmt.Sprintf("%s %d", e.pod, e.code))
				}
				m.reconcileUntilStable()
				m.in.Now = m.in.Now.Add(1100 * time.Millisecond)
				for i, e := range tc.ends {
					if p := m.pod(e.pod); late&(1<<i) != 0 && p != nil && p.Labels[commonv1.AttemptLabel] == "0" {
						m.end(p, e.code)
					}
				}
				m.reconcileUntilStable()
				m.in.Now = m.in.Now.Add(3 * time.Second)
				m.reconcileUntilStable()

				s := &m.in.Status
				failed := ""
				if c := s.Condition(commonv1.JobFailed); c != nil {
					failed = c.Message
				}
				if diff := cmp.Diff(tc.failed, failed); diff != "" {
					t.Errorf("%s: why the job failed (-want +got):\n%s", tc.reason, diff)
				}
				counts := [5]int32{s.Restarts, s.ReplicaStatuses[master].Restarts, s.ReplicaStatuses[worker].Restarts, s.Attempt, s.ReplicaStatuses[worker].Attempt}
				if diff := cmp.Diff([5]int32{tc.job, tc.ofM, tc.ofW, tc.attempt, tc.ofRoleW}, counts); diff != "" {
					t.Errorf("%s: restarts, those of Master and Worker, attempt, that of Worker (-want +got):\n%s", tc.reason, diff)
				}
				var got []string
				for _, f := range s.Failures {
					got = append(got, fmt.Sprintf("%s-%d %d", strings.ToLower(string(f.Type)), f.Index, *f.ExitCode))
				}
				slices.Sort(want)
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: the record of failures (-want +got):\n%s", tc.reason, diff)
				}
				if failed == "" {
					return
				}
				for _, e := range tc.ends { // Its pod is kept, and with it the log.
					if p := m.pod(e.pod); strings.Contains(failed, "First failure: pod job-"+e.pod+",") && p == nil {
						t.Errorf("%s: the pod of the first failure is gone", tc.reason)
					}
				}
			})
		}
	}
}

// TestPodThatIsAboutToFail: a job that fails keeps the pod whose container has ended with an error
// until its report has come, or no longer can, as it keeps pods that have failed.
func TestPodThatIsAboutToFail(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		policy commonv1.CleanPodPolicy
		after  time.Duration
		report bool
		want   bool
	}{
		"Soon":     {"its report is on its way", commonv1.CleanPodPolicyRunning, 2900 * time.Millisecond, false, true},
		"Reported": {"it has failed", commonv1.CleanPodPolicyRunning, time.Hour, true, true},
		"Late":     {"another container of it runs on", commonv1.CleanPodPolicyRunning, 3 * time.Second, false, false},
		"All":      {"no pod is to stay", commonv1.CleanPodPolicyAll, 0, false, false},
		"None":     {"all are to stay", commonv1.CleanPodPolicyNone, time.Hour, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := roles(scopeReplica, scopeReplica)
			m.in.RunPolicy.CleanPodPolicy = &tc.policy
			restartPolicy(commonv1.RestartPolicyNever)(m)
			m.in.Now = m.in.Now.Add(time.Minute)
			m.stopMain(m.pod("worker-1"), 3)
			m.end(m.pod("worker-0"), 1)
			p := m.reconcile()
			if tc.want && tc.policy == commonv1.CleanPodPolicyRunning && p.RequeueAfter != 3*time.Second {
				t.Errorf("%s: want it requeued when no report can come any more, got after %s", tc.reason, p.RequeueAfter)
			}
			m.reconcileUntilStable()
			m.in.Now = m.in.Now.Add(tc.after)
			if tc.report {
				m.end(m.pod("worker-1"), 3)
			}
			m.reconcileUntilStable()
			if got := m.pod("worker-1") != nil; got != tc.want {
				t.Errorf("%s: want the pod to be there: %t, got %t", tc.reason, tc.want, got)
			}
			if f := m.in.Status.Failures; len(f) != 2 || f[1].Index != 1 {
				t.Errorf("%s: want both failures recorded, got %+v", tc.reason, f)
			}
		})
	}
}
