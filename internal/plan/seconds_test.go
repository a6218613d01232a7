package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// secondsOf writes the seconds of a job in one line.
func secondsOf(s *commonv1.JobStatus) string {
	if s.Seconds == nil {
		return ""
	}
	var out []string
	add := func(name string, n int64) {
		if n != 0 {
			out = append(out, fmt.Sprintf("%s %d", name, n))
		}
	}
	add("waiting", s.Seconds.Waiting)
	add("starting", s.Seconds.Starting)
	add("running", s.Seconds.Running)
	for _, cause := range commonv1.RestartCauses() {
		add("restarting "+string(cause), s.Seconds.Restarting.Of(cause))
	}
	add("hung", s.Seconds.Hung)
	add("suspended", s.Seconds.Suspended)
	if s.Seconds.RestartCause != "" {
		out = append(out, "because "+string(s.Seconds.RestartCause))
	}
	return strings.Join(append(out, "until "+s.Seconds.Since.Sub(epoch).String()), ", ")
}

// total is the sum of all seconds.
func total(s *commonv1.JobSeconds) int64 {
	n := s.Waiting + s.Starting + s.Running + s.Hung + s.Suspended
	for _, cause := range commonv1.RestartCauses() {
		n += s.Restarting.Of(cause)
	}
	return n
}

// after lets time pass, then something happen, and then the operator reconcile.
func after(n int, what func(*model)) func(*model) {
	return func(m *model) {
		m.in.Now = m.in.Now.Add(time.Duration(n) * time.Second)
		what(m)
		m.reconcileUntilStable()
	}
}

// place gives all pods their nodes, now.
func place(m *model) {
	for _, p := range m.in.Pods {
		if p.Spec.NodeName == "" {
			p.Spec.NodeName = "node"
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(m.in.Now)}}
		}
	}
}

func fails(m *model) { m.end(m.pod("worker-0"), 137) }

func ends(m *model) {
	for _, p := range m.in.Pods {
		m.end(p, 0)
	}
}

func suspends(v bool) func(*model) { return func(m *model) { m.in.RunPolicy.Suspend = &v } }

func nothing(*model) {}

func hangs(m *model) {
	m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{Type: "Hung", Status: corev1.ConditionTrue})
}

// TestSeconds: each second of a job's life is counted once, in the state that it was in.
func TestSeconds(t *testing.T) {
	runs := []func(*model){after(5, place), after(7, (*model).run)}
	var gone *corev1.Pod
	then := func(more ...func(*model)) []func(*model) { return append(append([]func(*model){}, runs...), more...) }
	for name, tc := range map[string]struct {
		reason string
		events []func(*model)
		want   string
	}{
		"New":     {"it waits since its creation, 3 s ago", nil, "until -3s"},
		"Placed":  {"that its pods have nodes is not worth a write", []func(*model){after(5, place)}, "until -3s"},
		"Runs":    {"until the last pod had a node it waited, then it started", runs, "waiting 8, starting 7, until 12s"},
		"Ends":    {"it ran until it ended", then(after(100, ends)), "waiting 8, starting 7, running 100, until 1m52s"},
		"Rests":   {"no pass adds anything while it runs", then(after(100, nothing), after(100, nothing)), "waiting 8, starting 7, until 12s"},
		"Fails":   {"a restart is one of its cause", then(after(100, fails), after(10, place), after(20, (*model).run)), "waiting 8, starting 7, running 100, restarting Failed 30, until 2m22s"},
		"Drained": {"also of a drain", then(after(100, func(m *model) { m.evict(m.pod("worker-0")) }), after(10, place), after(20, (*model).run)), "waiting 8, starting 7, running 100, restarting Disrupted 30, until 2m22s"},
		"Deleted": {"and of a deletion", then(after(100, func(m *model) { m.drop(m.pod("worker-0")) }), after(30, (*model).run)), "waiting 8, starting 7, running 100, restarting Deleted 30, until 2m22s"},
		"Restarting": {
			"the cause is that of the first failure", then(after(100, fails), after(10, func(m *model) { m.run(); m.evict(m.pod("worker-0")) })),
			"waiting 8, starting 7, running 100, because Failed, until 1m52s",
		},
		"Late": {
			"an operator that was down goes by when the failure was reported",
			then(func(m *model) {
				m.in.Now = m.in.Now.Add(100 * time.Second)
				m.end(m.pod("worker-0"), 137)
			}, after(50, nothing), after(30, (*model).run)),
			"waiting 8, starting 7, running 100, restarting Failed 80, until 3m12s",
		},
		"ReportedBefore": {
			"a failure that was reported before the job ran is one of a job that ran, and goes by when it began to",
			then(after(20, func(m *model) {
				now := m.in.Now
				m.in.Now = epoch.Add(11 * time.Second)
				fails(m)
				m.in.Now = now
			})),
			"waiting 8, starting 7, because Failed, until 12s",
		},
		"Unreadable": {"a job that cannot be read, and has pods, is not accepted", then(after(20, func(m *model) {
			m.in.Status, m.in.Unreadable = commonv1.JobStatus{}, "nonsense"
		})), ""},
		"ReadAgain": {"its time begins with its creation once it is", then(after(20, func(m *model) {
			m.in.Status, m.in.Unreadable = commonv1.JobStatus{}, "nonsense"
		}), after(10, func(m *model) { m.in.Unreadable = "" })), "waiting 8, starting 37, until 42s"},
		"UnreadableFromTheStart": {"a job that cannot be read and has none ends", []func(*model){func(m *model) {
			m.in.Status, m.in.Pods, m.in.Unreadable = commonv1.JobStatus{}, nil, "nonsense"
		}, after(5, nothing)}, "waiting 8, until 5s"},
		"Suspended": {
			"time in a queue", then(after(100, suspends(true)), after(1000, suspends(false)), after(10, place), after(5, (*model).run)),
			"waiting 18, starting 12, running 100, suspended 1000, until 18m47s",
		},
		"FailedWhenSuspended": {
			"the time in a queue is that, although a failure of before it is counted after it", then(after(100, func(m *model) {
				fails(m)
				gone = m.pod("worker-0").DeepCopy()
				suspends(true)(m)
			}), after(1000, func(m *model) {
				m.in.Departed = []*corev1.Pod{gone}
				suspends(false)(m)
				m.in.Status = m.decide().Status
				m.in.Departed = nil
			})),
			"waiting 8, starting 7, running 100, suspended 1000, because Failed, until 18m32s",
		},
		"Hung":     {"a hang", then(hangs, after(100, suspends(true))), "waiting 8, starting 7, hung 100, until 1m52s"},
		"SetBack":  {"a clock that is set back adds nothing", then(after(-1000, ends)), "waiting 8, starting 7, until -16m28s"},
		"SetBack2": {"and the time goes on from there", then(after(-1000, fails), after(30, (*model).run)), "waiting 8, starting 7, restarting Failed 30, until -15m58s"},
		"Unsure":   {"what the nodes' clocks say does not matter", []func(*model){func(m *model) { m.nodesAhead = time.Hour }, after(5, place), after(7, (*model).run)}, "waiting 8, starting 7, until 12s"},
		"NoNodes":  {"it ends before its pods have nodes", []func(*model){after(5, func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(1)) })}, "waiting 8, until 5s"},
		"Invalid":  {"it fails at once", []func(*model){func(m *model) { m.in.Status, m.in.Pods, m.in.Problem = commonv1.JobStatus{}, nil, "nonsense" }, after(5, nothing)}, "waiting 8, until 5s"},
		"Upgraded": {"what no one counted is not there", then(after(100, func(m *model) { m.in.Status.Seconds = nil }), after(10, fails), after(30, (*model).run)), "restarting Failed 30, until 2m32s"},
		"OldEnd":   {"a job that had ended has none", then(after(100, ends), after(1, func(m *model) { m.in.Status.Seconds = nil })), ""},
		"OldEndNews": {
			"nor has it when its pods are cleaned up", then(after(100, func(m *model) {
				m.in.RunPolicy.ActiveDeadlineSeconds, m.in.RunPolicy.CleanPodPolicy = new(int64(1)), new(commonv1.CleanPodPolicyNone)
			}), after(1, func(m *model) { m.in.Status.Seconds = nil; ends(m) })), "",
		},
		"Foreign": {"a cause that another client wrote is none that is known", then(after(100, fails), func(m *model) {
			m.in.Status.Seconds.RestartCause = "Odd"
		}, after(30, (*model).run)), "waiting 8, starting 7, running 100, restarting Deleted 30, until 2m22s"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			restartPolicy(commonv1.RestartPolicyExitCode)(m)
			m.in.Job.Created = epoch.Add(-3 * time.Second)
			m.reconcileUntilStable()
			for _, e := range tc.events {
				e(m)
			}
			if got := secondsOf(&m.in.Status); got != tc.want {
				t.Errorf("%s:\nwant %s\ngot  %s\n%s", tc.reason, tc.want, got, strings.Join(conditions(&m.in.Status), "\n"))
			}
		})
	}
}

// TestSecondsOfObstacles: a job that ends by what the API server says of its pods accounts for its time.
func TestSecondsOfObstacles(t *testing.T) {
	m := newModel(workers(1))
	m.in.Job.Created = epoch.Add(-3 * time.Second)
	p := m.decide()
	end := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{Obstructions: []plan.Obstruction{
		{Action: plan.CreatePod{Name: "job-worker-0", Type: worker}, Obstacle: plan.Invalid, Message: "no image"},
	}})
	if got := secondsOf(&end.Status); got != "waiting 3, until 0s" || !end.Status.Finished() {
		t.Errorf("the job is %s, its seconds are %s", end.Status.State, got)
	}
}

// checkSeconds: whatever happens, and whenever the operator reconciles, the seconds of a job add up to the
// time from its creation until the last change, and change only with its state. By the state before
// each write it is known what they are added to.
func checkSeconds(t *rapid.T, was, is *commonv1.JobStatus, now time.Time) {
	s, old := is.Seconds, was.Seconds
	if s == nil {
		t.Fatalf("a status without seconds: %q", conditions(is))
	}
	if old == nil {
		old = &commonv1.JobSeconds{Since: metav1.NewTime(epoch)}
	}
	if got, want := total(s), int64(s.Since.Sub(epoch)/time.Second); got != want || s.Since.After(now) {
		t.Fatalf("the seconds add up to %d at %d s: %s", got, want, secondsOf(is))
	}
	before := unstalled(was)
	if before == unstalled(is) && was.Seconds != nil && !cmp.Equal(old, s) {
		t.Fatalf("the job was %s and is so, but its seconds changed from %s to %s", before, secondsOf(was), secondsOf(is))
	}
	gained := map[commonv1.JobConditionType]int64{
		"": s.Waiting + s.Starting - old.Waiting - old.Starting, commonv1.JobRunning: s.Running - old.Running, commonv1.JobSuspended: s.Suspended - old.Suspended,
	}
	for _, cause := range commonv1.RestartCauses() {
		gained[commonv1.JobRestarting] += s.Restarting.Of(cause) - old.Restarting.Of(cause)
	}
	for state, n := range gained {
		in := before == state || state == "" && before == commonv1.JobCreated
		if n < 0 || n > 0 && !in {
			t.Fatalf("the job was %s, and gained %d s as %q: from %s to %s", before, n, state, secondsOf(was), secondsOf(is))
		}
	}
}

// unstalled is the last condition that is True, but for Stalled.
func unstalled(s *commonv1.JobStatus) commonv1.JobConditionType {
	for _, c := range slices.Backward(s.Conditions) {
		if c.Status == corev1.ConditionTrue && c.Type != commonv1.JobStalled {
			return c.Type
		}
	}
	return ""
}

// TestSecondsBegin: the time of a job begins when it was created, as far as that is known.
func TestSecondsBegin(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		created time.Time
		want    string
	}{
		"Created":  {"to the second", epoch.Add(-3500 * time.Millisecond), "until -4s"},
		"Unknown":  {"now", time.Time{}, "until 0s"},
		"InFuture": {"not later than now", epoch.Add(time.Hour), "until 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.Job.Created = tc.created
			m.reconcileUntilStable()
			if got := secondsOf(&m.in.Status); got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

// TestSecondsOfSome: a job starts when the last of its pods has a node. Until then it waits, unless
// it runs without the others, or these have succeeded and need none.
func TestSecondsOfSome(t *testing.T) {
	ends := func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(1)) }
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		events []func(*model)
		want   string
	}{
		"OneWaits": {"it waits for the other", nil, []func(*model){after(5, func(m *model) {
			place(m)
			m.pod("worker-1").Spec.NodeName = ""
		}), after(15, ends)}, "waiting 23, until 20s"},
		"OneIsGone": {"it waits for the other to be made again", nil, []func(*model){after(5, place), func(m *model) {
			m.after(15 * time.Second)
			m.drop(m.pod("worker-1"))
			ends(m)
			m.reconcile()
		}}, "waiting 23, until 20s"},
		"NoneWaits": {"both have nodes", nil, []func(*model){after(5, place), after(15, ends)}, "waiting 8, starting 15, until 20s"},
		"RunsWithout": {"it runs, and was ready for that", func(m *model) { m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.Index(worker, 0)} }, []func(*model){after(5, func(m *model) {
			place(m)
			m.pod("worker-1").Spec.NodeName = ""
		}), after(15, func(m *model) { m.pod("worker-0").Status.Phase = corev1.PodRunning })}, "waiting 8, starting 15, until 20s"},
		"OneSucceeded": {"the other needs no node any more", func(m *model) {
			m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.Index(worker, 0)}
			m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {SucceededIndexes: "1"}}
		}, []func(*model){after(5, place), after(15, ends)}, "waiting 8, starting 15, until 20s"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			restartPolicy(commonv1.RestartPolicyExitCode)(m)
			m.in.Job.Created = epoch.Add(-3 * time.Second)
			if tc.change != nil {
				tc.change(m)
			}
			m.reconcileUntilStable()
			for _, e := range tc.events {
				e(m)
			}
			if got := secondsOf(&m.in.Status); got != tc.want {
				t.Errorf("%s:\nwant %s\ngot  %s\n%s", tc.reason, tc.want, got, strings.Join(conditions(&m.in.Status), "\n"))
			}
		})
	}
}

// TestNodeFailures: the nodes of the failures that a pass counts, and the cause of the restart.
func TestNodeFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model)
		want    []plan.NodeFailure
		cause   commonv1.RestartCause
	}{
		"Failed":  {"its node", nil, func(m *model) { m.end(m.pod("worker-0"), 137) }, []plan.NodeFailure{{Node: "node-0", Cause: commonv1.RestartFailed}}, commonv1.RestartFailed},
		"Drained": {"of its cause", nil, func(m *model) { m.evict(m.pod("worker-1")) }, []plan.NodeFailure{{Node: "node-1", Cause: commonv1.RestartDisrupted}}, commonv1.RestartDisrupted},
		"Both": {"each of them, the first is the cause", nil, func(m *model) { m.evict(m.pod("worker-0")); m.after(time.Second); m.end(m.pod("worker-1"), 137) }, []plan.NodeFailure{
			{Node: "node-0", Cause: commonv1.RestartDisrupted}, {Node: "node-1", Cause: commonv1.RestartFailed},
		}, commonv1.RestartDisrupted},
		"Gang": {"what restarts together is one failure", scope(commonv1.RestartScopeJob), func(m *model) { m.end(m.pod("worker-1"), 137); m.after(time.Second); m.end(m.pod("worker-0"), 137) }, []plan.NodeFailure{
			{Node: "node-1", Cause: commonv1.RestartFailed},
		}, commonv1.RestartFailed},
		"NoNode": {"it had none", nil, func(m *model) { m.pod("worker-0").Spec.NodeName = ""; m.end(m.pod("worker-0"), 137) }, nil, commonv1.RestartFailed},
		"Budget": {"a container that failed too often in its place", restartsJob(0, nil), func(m *model) { m.restartInPlace(m.pod("worker-0")) }, nil, commonv1.RestartFailed},
		"Hung": {"its node, and the cause", watched(readiness, commonv1.ProgressActionRestartReplica), func(m *model) {
			m.turns("worker-0", corev1.ConditionFalse)
			m.after(time.Hour)
		}, []plan.NodeFailure{{Node: "node-0", Cause: commonv1.RestartHung}}, commonv1.RestartHung},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			restartPolicy(commonv1.RestartPolicyOnFailure)(m)
			if tc.change != nil {
				tc.change(m)
			}
			m.reconcileUntilStable()
			m.bindOwn()
			m.run()
			m.reconcileUntilStable()
			tc.happens(m)
			p := m.decide()
			if diff := cmp.Diff(tc.want, p.NodeFailures); diff != "" || p.Status.Seconds.RestartCause != tc.cause {
				t.Errorf("%s: because %s (-want +got):\n%s", tc.reason, p.Status.Seconds.RestartCause, diff)
			}
		})
	}
	// A hang is as old as it says, not as its pod's last report.
	m := hungJob(watched(readiness, commonv1.ProgressActionRestartReplica))
	goesOn(m)
	m.turns("worker-1", corev1.ConditionFalse)
	m.later(10 * time.Minute)
	if got := m.in.Status.Seconds.Since.Sub(epoch); got != 71*time.Second {
		t.Errorf("it restarts since %s, want 1m11s", got)
	}
}

// TestSecondsOfHangs: the time of restarts after hangs is one of its cause, and adds up.
func TestSecondsOfHangs(t *testing.T) {
	m := hungJob(watched(readiness, commonv1.ProgressActionRestartReplica))
	for _, step := range []struct {
		reason, want string
	}{
		{"it restarts from when the hang was one until all run", "running 71, restarting Hung 539, until 10m10s"},
		{"and again", "running 142, restarting Hung 1078, until 20m20s"},
	} {
		goesOn(m)
		m.turns("worker-1", corev1.ConditionFalse)
		m.later(10 * time.Minute)
		m.runs()
		if diff := cmp.Diff(step.want, secondsOf(&m.in.Status)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
	}
}

// TestSecondsBeginSuspended: a job that is created suspended is suspended since then.
func TestSecondsBeginSuspended(t *testing.T) {
	m := newModel(workers(1))
	m.in.Job.Created, m.in.RunPolicy.Suspend = epoch.Add(-time.Minute), new(true)
	m.reconcileUntilStable()
	after(30, suspends(false))(m)
	if got := secondsOf(&m.in.Status); got != "suspended 90, until 30s" {
		t.Errorf("want the time since its creation, got %s", got)
	}
}
