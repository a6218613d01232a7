package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

func TestSuspendAndResume(t *testing.T) {
	m := started(workers(2), func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(60)) })
	m.terminate(m.pod("worker-1"))
	m.in.Now = epoch.Add(50 * time.Second)
	m.in.RunPolicy.Suspend = new(true)
	p := m.reconcile()
	want := []string{"delete pod job-worker-0: the job is suspended", "delete service job: the job is suspended"}
	if diff := cmp.Diff(want, actions(p)); diff != "" {
		t.Errorf("what is being deleted is not deleted again (-want +got):\n%s", diff)
	}
	m.drop(m.pod("worker-1"))
	m.in.Now = m.in.Now.Add(2 * time.Second) // counts alone wait that long
	m.reconcileUntilStable()
	if p := m.decide(); p.RequeueAfter != 0 {
		t.Errorf("a suspended job has no deadline, got it requeued after %s", p.RequeueAfter)
	}

	m.in.Now = epoch.Add(time.Hour)
	m.in.RunPolicy.Suspend = new(false)
	p = m.reconcile()
	if len(p.Events) != 1 || p.Events[0].Warning || p.Events[0].Reason != "TestJobResumed" {
		t.Errorf("want one event about the resumption, got %v", p.Events)
	}
	if start := m.in.Status.StartTime; !start.Time.Equal(m.in.Now) || p.RequeueAfter != time.Minute {
		t.Errorf("the deadline counts active time only: start %s, requeued after %s", start, p.RequeueAfter)
	}
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobRunning || len(m.in.Pods) != 2 || len(m.in.Services) != 1 {
		t.Errorf("the job is %s with %d pods and %d services", m.in.Status.State, len(m.in.Pods), len(m.in.Services))
	}
}

// TestSuspendedFromTheStart: the time of a job that was never active has not begun.
func TestSuspendedFromTheStart(t *testing.T) {
	m := newModel(workers(1))
	m.in.RunPolicy.Suspend = new(true)
	m.reconcileUntilStable()
	if s := &m.in.Status; s.StartTime != nil || s.State != commonv1.JobSuspended || len(m.in.Pods)+len(m.in.Services) > 0 {
		t.Errorf("the job is %s since %v, with %d pods", s.State, s.StartTime, len(m.in.Pods))
	}
	m.in.Problem = "a mistake"
	m.in.RunPolicy.Suspend = new(false)
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobFailed {
		t.Errorf("a mistake that existed from the start fails the job, it is %s", m.in.Status.State)
	}
}

// TestMistakeWhileSuspended: a job that has run and is suspended can be fixed before
// it continues; until then nothing is in its way.
func TestMistakeWhileSuspended(t *testing.T) {
	m := started(workers(1), nil)
	m.in.RunPolicy.Suspend = new(true)
	m.in.Problem = "a mistake"
	m.reconcileUntilStable()
	if s := &m.in.Status; s.State != commonv1.JobSuspended || s.Condition(commonv1.JobStalled) != nil {
		t.Errorf("want Suspended, got %q", conditions(s))
	}
}

// TestFinishedIsFinal: nothing that is said of a finished job changes its end.
func TestFinishedIsFinal(t *testing.T) {
	for name, code := range map[string]int32{"Succeeded": 0, "Failed": 1} {
		for _, ttl := range []*int32{nil, new(int32(3600))} {
			m := started(workers(1), func(m *model) { m.in.RunPolicy.TTLSecondsAfterFinished = ttl })
			m.end(m.pod("worker-0"), code)
			m.reconcileUntilStable()
			want := conditions(&m.in.Status)
			m.in.RunPolicy.Suspend, m.in.Problem = new(true), "a mistake"
			m.in.Job.Generation++
			m.in.Now = m.in.Now.Add(time.Minute)
			m.reconcileUntilStable()
			if diff := cmp.Diff(want, conditions(&m.in.Status)); diff != "" {
				t.Errorf("%s, time to live %v (-want +got):\n%s", name, ttl != nil, diff)
			}
		}
	}
}
