package plan_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestEndlessTimes: very long times neither overflow nor end a job.
func TestEndlessTimes(t *testing.T) {
	m := started(workers(1), func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(math.MaxInt64)) })
	if p := m.decide(); m.in.Status.State != commonv1.JobRunning || p.RequeueAfter < 292*365*24*time.Hour {
		t.Errorf("the job is %s, and is requeued after %s", m.in.Status.State, p.RequeueAfter)
	}
	m = started(workers(1), func(m *model) { m.in.RunPolicy.TTLSecondsAfterFinished = new(int32(math.MaxInt32)) })
	m.end(m.pod("worker-0"), 0)
	m.reconcileUntilStable()
	if p := m.decide(); len(p.Actions) > 0 || p.RequeueAfter != math.MaxInt32*time.Second {
		t.Errorf("want it requeued after %d s, got %v, again after %s", math.MaxInt32, p.Actions, p.RequeueAfter)
	}
}

// TestNegativeTimes: a negative number is a mistake, and no time that has passed. What says so must stay
// readable, and what runs must go on.
func TestNegativeTimes(t *testing.T) {
	type outcome struct {
		Last    string
		Actions []string
		Deleted bool
		Pods    int
	}
	const invalid = " TestJobFailedValidation: TestJob ns/job is not valid: spec.runPolicy."
	ttl := func(m *model) { m.in.RunPolicy.TTLSecondsAfterFinished = new(int32(-1)) }
	for name, tc := range map[string]struct {
		reason  string
		begun   bool
		happens func(*model)
		want    outcome
	}{
		"TTL": {
			"the condition names the field and the fix, so the job stays", false, ttl,
			outcome{Last: "Failed=True" + invalid + "ttlSecondsAfterFinished: Invalid value: -1: must be 0 or more"},
		},
		"TTLOfAJobThatRuns": {
			"what runs continues: how long the job stays matters at its end", true, ttl,
			outcome{Last: "Running=True TestJobRunning: TestJob ns/job is running.", Pods: 1},
		},
		"TTLOfAJobThatEnded": {
			"so a job that has succeeded is not deleted", true, func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.reconcileUntilStable()
				ttl(m)
			},
			outcome{Last: "Succeeded=True TestJobSucceeded: TestJob ns/job successfully completed.", Pods: 1},
		},
		"DeadlineOfAJobThatRuns": {
			"it does not fail", true, func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(-1)) },
			outcome{Last: "Stalled=True" + invalid + "activeDeadlineSeconds: Invalid value: -1: must be 0 or more", Pods: 1},
		},
		"ForceOfAPodThatStops": {
			"it has its grace period", true, func(m *model) {
				m.terminate(m.pod("worker-0"))
				m.in.RunPolicy.ForceDeleteAfterSeconds = new(int64(-60))
			},
			outcome{Last: "Stalled=True" + invalid + "forceDeleteAfterSeconds: Invalid value: -60: must be 0 or more", Pods: 1},
		},
		"DeadlineOfAnOperatorThatFails": {
			"nor while the operator's own code fails", true, func(m *model) {
				m.in.RunPolicy.ActiveDeadlineSeconds, m.in.OperatorError = new(int64(-1)), "a bug"
			}, outcome{Last: "Stalled=True TestJobOperatorError: TestJob ns/job cannot continue: a bug", Pods: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			if tc.begun {
				m = started(workers(1), nil)
				m.bind()
			}
			tc.happens(m)
			m.in.Job.Generation++
			m.reconcileUntilStable()
			all := conditions(&m.in.Status)
			got := outcome{Last: all[len(all)-1], Deleted: m.in.Job.Deleted, Pods: len(m.in.Pods)}
			if left := actions(m.decide()); len(left) > 0 {
				got.Actions = left
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNearestDeadline: of several times the job is requeued for the nearest.
func TestNearestDeadline(t *testing.T) {
	m := started(workers(2), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(3600))
	})
	if p := m.decide(); p.RequeueAfter != time.Hour {
		t.Errorf("the deadline is in an hour, got %s", p.RequeueAfter)
	}
	rs := m.in.Status.ReplicaStatuses[worker]
	rs.Attempts = map[string]int32{"0": 1, "1": 4} // the next attempts wait for 10 s and 80 s
	for _, name := range []string{"worker-0", "worker-1"} {
		m.pod(name).Labels[commonv1.AttemptLabel] = itoa(int(rs.Attempts[name[len("worker-"):]]))
		m.end(m.pod(name), 137)
	}
	if p := m.reconcile(); p.RequeueAfter != 10*time.Second || len(p.Actions) > 0 {
		t.Errorf("the restart of worker 0 is in 10 s, got %s, %v", p.RequeueAfter, p.Actions)
	}
	m.in.Now = m.in.Now.Add(10*time.Second - time.Nanosecond)
	if p := m.decide(); p.RequeueAfter != time.Millisecond {
		t.Errorf("no requeue follows at once, which would be a busy loop: got %s", p.RequeueAfter)
	}
}
