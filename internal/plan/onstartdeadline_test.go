package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// restartsLate has a job restart whose pods have not started in time.
func restartsLate(m *model) {
	m.in.RunPolicy.OnStartDeadline = new(commonv1.StartDeadlineRestartJob)
	for _, spec := range m.in.Replicas {
		spec.RestartPolicy = commonv1.RestartPolicyExitCode
	}
}

// outOfTime has a job's minute to start pass, n times.
func outOfTime(n int) func(*model) {
	return func(m *model) {
		for range n {
			m.in.Now = m.in.Now.Add(10 * time.Minute)
			m.reconcileUntilStable()
		}
	}
}

func TestOnStartDeadline(t *testing.T) {
	const late = "3 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60"
	for name, tc := range map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model)
		// want is the last condition, or what it begins with.
		want                           string
		restarts, jobRestarts, attempt int32
	}{
		"Once": {
			reason: "all restart together, which counts once", happens: outOfTime(1),
			want: "Restarting=True TestJobRestarting: TestJob job is restarting because " + late + ".", restarts: 1, jobRestarts: 1, attempt: 1,
		},
		"Again": {
			reason: "without a limit it may do so again", happens: outOfTime(3),
			want: "Restarting=True TestJobRestarting: TestJob job is restarting because " + late + ".", restarts: 3, jobRestarts: 3, attempt: 3,
		},
		"Starts": {
			reason: "when all have started that is over", happens: func(m *model) { outOfTime(1)(m); m.run(); m.reconcileUntilStable() },
			want: "Running=True", restarts: 1, jobRestarts: 1, attempt: 1,
		},
		"OneIsLate": {
			reason: "one is enough, and takes the others along",
			happens: func(m *model) {
				m.run()
				m.pod("worker-1").Status.Phase = corev1.PodPending
				outOfTime(1)(m)
				m.run()
				m.reconcileUntilStable()
			},
			want: "Running=True", restarts: 1, jobRestarts: 1, attempt: 1,
		},
		"MaxJobRestarts": {
			reason: "then the job fails", change: func(m *model) { m.in.RunPolicy.MaxJobRestarts = new(int32(1)) }, happens: outOfTime(2),
			want: "Failed=True TestJobStartDeadlineExceeded: TestJob ns/job has failed because " + late +
				", and the job may not restart for that again: runPolicy.maxJobRestarts is 1. The first of them is job-worker-0: no scheduler takes it up",
			restarts: 1, jobRestarts: 1, attempt: 1,
		},
		"BackoffLimit": {
			reason: "it counts like other restarts", change: func(m *model) { m.in.RunPolicy.BackoffLimit = new(int32(1)) },
			happens: func(m *model) {
				m.run()
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable()
				outOfTime(1)(m)
			},
			want:     "Failed=True TestJobStartDeadlineExceeded: TestJob ns/job has failed because 1 of 3 pods have not started within the specified deadline: runPolicy.startDeadlineSeconds is 60, and it has reached the specified backoff limit: runPolicy.backoffLimit is 1.",
			restarts: 1,
		},
		"Window": {
			reason: "restarts of long ago do not count",
			change: func(m *model) {
				m.in.RunPolicy.BackoffLimit, m.in.RunPolicy.BackoffLimitWindowSeconds = new(int32(1)), new(int64(300))
			},
			happens: outOfTime(3),
			want:    "Restarting=True TestJobRestarting: TestJob job is restarting because " + late + ".", restarts: 3, jobRestarts: 3, attempt: 3,
		},
		"InWindow": {
			reason: "those of a while ago do",
			change: func(m *model) {
				m.in.RunPolicy.BackoffLimit, m.in.RunPolicy.BackoffLimitWindowSeconds = new(int32(1)), new(int64(3000))
			},
			happens: outOfTime(2),
			want: "Failed=True TestJobStartDeadlineExceeded: TestJob ns/job has failed because " + late +
				", and it has reached the specified backoff limit: runPolicy.backoffLimit is 1 in 3000 seconds (backoffLimitWindowSeconds).",
			restarts: 1, jobRestarts: 1, attempt: 1,
		},
		"LimitOfTheRole": {
			reason: "it counts for the type of the first that is late", change: func(m *model) { m.in.Replicas[worker].BackoffLimit = new(int32(1)) }, happens: outOfTime(2),
			want: "Failed=True TestJobStartDeadlineExceeded: TestJob ns/job has failed because " + late +
				", and Worker has reached its backoff limit: testReplicaSpecs[Worker].backoffLimit is 1.",
			restarts: 1, jobRestarts: 1, attempt: 1,
		},
		"StuckPod": {
			reason: "a restart would wait for the same pod to go",
			happens: func(m *model) {
				m.run()
				m.reconcileUntilStable()
				m.terminate(m.pod("worker-0"))
				m.pod("worker-0").DeletionTimestamp = new(metav1.NewTime(epoch))
				outOfTime(1)(m)
			},
			want: "Failed=True TestJobStartDeadlineExceeded: TestJob ns/job has failed because 1 of 3 pods have not started within the specified deadline: " +
				"runPolicy.startDeadlineSeconds is 60, and a restart of the job would wait for the same.",
		},
		"StuckPodOfAnEarlierAttempt": {
			reason: "so it is when the whole job restarts already",
			change: func(m *model) { m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
			happens: func(m *model) {
				m.run()
				m.reconcileUntilStable()
				m.end(m.pod("worker-1"), 137)
				p := m.decide()
				m.write(&p) // counts it, and no more
				m.terminate(m.pod("worker-0"))
				m.pod("worker-0").DeletionTimestamp = new(metav1.NewTime(epoch))
				outOfTime(1)(m)
			},
			want: "Failed=True TestJobStartDeadlineExceeded: TestJob ns/job has failed because 1 of 3 pods have not started within the specified deadline: " +
				"runPolicy.startDeadlineSeconds is 60, and a restart of the job would wait for the same.",
			restarts: 1, attempt: 1,
		},
		"FailJob": {
			reason: "as without the field", change: func(m *model) { m.in.RunPolicy.OnStartDeadline = new(commonv1.StartDeadlineFailJob) }, happens: outOfTime(1),
			want: "Failed=True TestJobStartDeadlineExceeded: TestJob ns/job has failed because " + late + ". The first of them is",
		},
	} {
		t.Run(name, func(t *testing.T) {
			changes := []func(*model){restartsLate}
			if tc.change != nil {
				changes = append(changes, tc.change)
			}
			m := limited(3, changes...)
			tc.happens(m)
			c := m.in.Status.Conditions[len(m.in.Status.Conditions)-1]
			if c.Type == commonv1.JobStalled {
				c = m.in.Status.Conditions[len(m.in.Status.Conditions)-2]
			}
			got := string(c.Type) + "=" + string(c.Status) + " " + c.Reason + ": " + c.Message
			s := &m.in.Status
			if !strings.HasPrefix(got, tc.want) || s.Restarts != tc.restarts || s.JobRestarts != tc.jobRestarts || s.Attempt != tc.attempt {
				t.Errorf("%s: got %d restarts, %d of the job, attempt %d, %q\nwant %d, %d, %d, %q", tc.reason,
					s.Restarts, s.JobRestarts, s.Attempt, got, tc.restarts, tc.jobRestarts, tc.attempt, tc.want)
			}
		})
	}
}

// TestRestartsForStartsSlowDown: pods of later attempts may take as long as the delay between
// restarts, so that a job that never starts does not keep the cluster busy.
func TestRestartsForStartsSlowDown(t *testing.T) {
	m := limited(1, restartsLate, func(m *model) { m.in.RunPolicy.StartDeadlineSeconds = new(int64(1)) })
	var took []time.Duration
	begun := m.in.Now
	for len(took) < 8 {
		attempt := m.in.Status.Attempt
		m.in.Now = m.in.Now.Add(time.Second)
		if m.reconcileUntilStable(); m.in.Status.Attempt > attempt {
			took, begun = append(took, m.in.Now.Sub(begun)), m.in.Now
		}
	}
	for i, want := range []float64{1, 10, 20, 40, 80, 160, 320, 600} {
		if took[i].Seconds() != want {
			t.Errorf("attempt %d had %s, want %.0fs", i, took[i], want)
		}
	}
}

// TestOneRestartAPass: what fails while pods are late is counted first, and the rest by the
// next pass.
func TestOneRestartAPass(t *testing.T) {
	m := limited(2, restartsLate)
	m.run()
	m.pod("worker-1").Status.Phase = corev1.PodPending
	m.in.Now = m.in.Now.Add(time.Hour)
	m.end(m.pod("worker-0"), 137)
	m.in.Status.ReplicaStatuses[master] = nil // another client may write that
	p := m.reconcile()
	if p.Status.Finished() || p.Status.Attempt != 0 || p.Status.Restarts != 1 || p.RequeueAfter != time.Millisecond {
		t.Errorf("the failure first: %+v, again after %s", p.Status, p.RequeueAfter)
	}
	deletes := map[string]int{}
	p = m.reconcile()
	if diff := cmp.Diff(plan.Restarts{Failed: 1}, p.Restarts); diff != "" {
		t.Errorf("it is one restart for the metrics (-want +got):\n%s", diff)
	}
	for _, a := range p.Actions {
		if d, ok := a.(plan.DeletePod); ok {
			deletes[d.Name]++
		}
	}
	if s := &m.in.Status; s.Attempt != 1 || s.Restarts != 2 || deletes["job-worker-1"] != 1 {
		t.Errorf("then the late pod: %+v, deletes %v", s, deletes)
	}
}

// TestOneRestartAPassOfAnyScope: so it is whatever has been restarted, of however many types.
func TestOneRestartAPassOfAnyScope(t *testing.T) {
	m := roles(scopeReplica, scopeRole)
	restartsLate(m)
	m.in.RunPolicy.StartDeadlineSeconds = new(int64(60))
	m.pod("master-1").Status.Phase = corev1.PodPending
	m.in.Now = m.in.Now.Add(time.Hour)
	m.end(m.pod("worker-0"), 137)
	m.end(m.pod("master-0"), 137)
	p := m.reconcile()
	if s := &p.Status; s.Finished() || s.Attempt != 0 || s.ReplicaStatuses[worker].Attempt != 1 || s.ReplicaStatuses[master].Attempts["0"] != 1 {
		t.Errorf("the failures first: %q, %+v", conditions(s), s)
	}
}

// TestLostAndLate: a job that restarts because a pod is gone does not restart once more for one
// that is late, which no limit would have counted.
func TestLostAndLate(t *testing.T) {
	m := limited(3, restartsLate, scope(commonv1.RestartScopeJob))
	m.bind()
	m.run()
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(time.Hour)
	m.drop(m.pod("worker-1"))
	m.pod("worker-2").Status.Phase = corev1.PodPending
	s := m.decide().Status
	if s.Attempt != 1 || s.Restarts != 0 || s.JobRestarts != 0 {
		t.Errorf("attempt %d, %d restarts, %d of the job: %q", s.Attempt, s.Restarts, s.JobRestarts, conditions(&s))
	}
}

func TestOnStartDeadlineThatIsNotValid(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		action commonv1.StartDeadlineAction
		limit  *int64
		want   string
	}{
		"Valid":   {"it is", commonv1.StartDeadlineRestartJob, new(int64(1)), ""},
		"Zero":    {"the default may be without any time", commonv1.StartDeadlineFailJob, new(int64(0)), ""},
		"NoLimit": {"it has no effect", commonv1.StartDeadlineRestartJob, nil, `spec.runPolicy.onStartDeadline: Invalid value: "RestartJob": it says nothing without startDeadlineSeconds: add that, or remove it`},
		"Unknown": {"there is no such action", "Restart", new(int64(1)), `spec.runPolicy.onStartDeadline: Unsupported value: "Restart": supported values: "FailJob", "RestartJob"`},
		"NoTime":  {"no pod starts in no time", commonv1.StartDeadlineRestartJob, new(int64(0)), "spec.runPolicy.startDeadlineSeconds: Invalid value: 0: with 0 the job would restart forever: use 1 or more, or set onStartDeadline to FailJob"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.RunPolicy.OnStartDeadline, m.in.RunPolicy.StartDeadlineSeconds = &tc.action, tc.limit
			got := ""
			if errs := plan.Validate(&m.in); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
