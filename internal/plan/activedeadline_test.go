package plan_test

import (
	"math"
	"testing"
	"time"

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
