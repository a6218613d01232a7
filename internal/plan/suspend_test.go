package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
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
}

// TestMistakeFromTheStart: suspended or not, a job that was never valid fails at once.
func TestMistakeFromTheStart(t *testing.T) {
	for _, suspended := range []bool{true, false} {
		m := newModel(workers(1))
		m.in.Problem, m.in.RunPolicy.Suspend = "a mistake", &suspended
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobFailed {
			t.Errorf("suspended %t: the job is %s", suspended, m.in.Status.State)
		}
	}
}

// TestMistakeInTheQueue checks known-bugs row 258: a job that was accepted, and waits suspended in a
// queue, does not fail by a mistake that came later, with an edit or with a stricter version of the operator.
func TestMistakeInTheQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		breaks func(*plan.Input, bool)
	}{
		"Invalid":    {"a field has a value that is not allowed", func(in *plan.Input, on bool) { in.Problem = map[bool]string{true: "a mistake"}[on] }},
		"Unreadable": {"a field cannot be decoded", func(in *plan.Input, on bool) { in.Unreadable = map[bool]string{true: "a mistake"}[on] }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.RunPolicy.Suspend = new(true)
			m.reconcileUntilStable()
			tc.breaks(&m.in, true)
			m.reconcileUntilStable()
			m.in.RunPolicy.Suspend = new(false)
			m.reconcileUntilStable()
			if s := &m.in.Status; s.State != commonv1.JobStalled || len(m.in.Pods) > 0 {
				t.Errorf("%s: the job is %s with %d pods, it can still be fixed: %q", tc.reason, s.State, len(m.in.Pods), conditions(s))
			}
			tc.breaks(&m.in, false)
			m.reconcileUntilStable()
			m.run()
			m.reconcileUntilStable()
			if s := &m.in.Status; s.State != commonv1.JobRunning {
				t.Errorf("%s: once fixed, the job is %s: %q", tc.reason, s.State, conditions(s))
			}
		})
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

// TestSucceededBeforeTheResume: a success of before the suspension says nothing of the run that was
// resumed, in which its replica runs again.
func TestSucceededBeforeTheResume(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		// stays is what is left of the pod when the job is resumed, and until is when it goes.
		stays func(*model, *corev1.Pod)
		until func(*model, *corev1.Pod)
		doubt bool
	}{
		"Finalizer": {
			reason: "a finalizer keeps the pod that was deleted (a log collector, or Kueue's)",
			stays:  (*model).terminate, until: (*model).drop,
		},
		"Departed": {
			reason: "the last that was seen of it comes after the resume",
			stays:  (*model).terminate, until: func(m *model, p *corev1.Pod) {
				m.drop(p)
				m.in.Departed = []*corev1.Pod{p}
			},
		},
		"StaleCache": {
			reason: "the cache of another process is behind: the pods are read again", doubt: true,
			stays: func(*model, *corev1.Pod) {}, until: (*model).drop,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, func(m *model) {
				m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyOnFailure
			})
			m.after(2 * time.Second)
			old := m.pod("worker-1")
			m.end(old, 0)
			m.in.RunPolicy.Suspend = new(true)
			m.in.Job.Generation++
			m.reconcileUntilStable()
			m.after(2 * time.Second)
			m.reconcileUntilStable()
			tc.stays(m, old)
			m.in.Pods = append(m.in.Pods, old)
			m.in.RunPolicy.Suspend = new(false)
			m.in.Job.Generation++
			for pass := range 3 {
				tally := plan.TallyOf(&m.in)
				if tally.InDoubt() != tc.doubt {
					t.Fatalf("%s: in doubt in pass %d: %t", tc.reason, pass, tally.InDoubt())
				}
				if tc.doubt {
					tc.until(m, old) // as the API server shows it
					break
				}
				p := m.reconcile()
				m.write(&p)
			}
			if !tc.doubt {
				tc.until(m, old)
			}
			m.after(2 * time.Second)
			m.reconcileUntilStable()
			m.in.Departed = nil
			m.reconcileUntilStable()
			rs := m.in.Status.ReplicaStatuses[worker]
			if p := m.pod("worker-1"); p == nil || p == old || rs.SucceededIndexes != "" || m.in.Status.Restarts != 0 || len(rs.Attempts) > 0 {
				t.Errorf("%s: Worker 1 of the resumed job has pod %v, succeededIndexes is %q, restarts %d, attempts %v",
					tc.reason, p != nil, rs.SucceededIndexes, m.in.Status.Restarts, rs.Attempts)
			}
		})
	}
}

// TestSucceededAfterTheResume: what succeeds after the resume is recorded, also if its pod is deleted.
func TestSucceededAfterTheResume(t *testing.T) {
	m := started(workers(2), func(m *model) { m.in.RunPolicy.Suspend = new(true) })
	m.after(time.Minute)
	m.in.RunPolicy.Suspend = new(false)
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	m.after(time.Minute)
	m.end(m.pod("worker-1"), 0)
	m.after(2 * time.Second)
	m.terminate(m.pod("worker-1"))
	if plan.TallyOf(&m.in).InDoubt() {
		t.Error("it is in doubt about a pod of after the resume")
	}
	m.reconcileUntilStable()
	if got := m.in.Status.ReplicaStatuses[worker].SucceededIndexes; got != "1" {
		t.Errorf("succeededIndexes is %q, want 1", got)
	}
}
