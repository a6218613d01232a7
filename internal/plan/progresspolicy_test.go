package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

const (
	report    = commonv1.ProgressSourceReport
	readiness = commonv1.ProgressSourceReadiness
)

// watched gives a job a progress policy: a minute to stall, ten to start.
func watched(source commonv1.ProgressSource, action commonv1.ProgressAction) func(*model) {
	return func(m *model) {
		m.in.RunPolicy.ProgressPolicy = &commonv1.ProgressPolicy{
			Source: source, Action: action, StallTimeoutSeconds: new(int64(60)), StartTimeoutSeconds: new(int64(600)),
		}
		m.in.Progress = &plan.Progress{URL: "https://operator/x", Audience: "x/uid", CA: "PEM", UpSince: epoch.Add(-time.Hour)}
	}
}

// runs starts the pods that are pending, as a real kubelet does: its statuses have times.
func (m *model) runs() {
	for _, p := range m.in.Pods {
		if p.Status.Phase != corev1.PodPending || p.DeletionTimestamp != nil {
			continue
		}
		now := metav1.NewTime(m.in.Now.Add(m.nodesAhead))
		p.Spec.NodeName = "node-7"
		p.Status.Phase, p.Status.StartTime = corev1.PodRunning, &now
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: now}}
		m.report(p)
	}
	m.reconcileUntilStable()
}

// turns changes whether a pod is ready.
func (m *model) turns(name string, to corev1.ConditionStatus) {
	p := m.pod(name)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: to, LastTransitionTime: metav1.NewTime(m.in.Now.Add(m.nodesAhead))}}
	m.report(p)
	m.reconcileUntilStable()
}

// reports has a pod send a report, and the server write it.
func (m *model) reports(name string, percent int32) {
	p := m.pod(name)
	m.in.Status.TrainerStatus = &commonv1.TrainerStatus{
		ProgressPercentage: &percent, ReceivedTime: &metav1.MicroTime{Time: m.in.Now},
		Reporter: &commonv1.TrainerReporter{Pod: p.Name, PodUID: p.UID},
	}
}

// later lets time pass, and reconciles.
func (m *model) later(d time.Duration) {
	m.after(d)
	m.reconcileUntilStable()
}

// hungJob is a job of a master and two workers, which all run and are ready, and of which the
// master has reported.
func hungJob(change ...func(*model)) *model {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
	for _, f := range change {
		f(m)
	}
	m.reconcileUntilStable()
	m.runs()
	return m
}

// goesOn makes all pods ready, and has the master report.
func goesOn(m *model) {
	m.after(10 * time.Second)
	for _, name := range []string{"master-0", "worker-0", "worker-1"} {
		m.turns(name, corev1.ConditionTrue)
	}
	m.reports("master-0", 10)
	m.reconcileUntilStable()
}

// TestHangs: what is a hang and what is not, and when.
func TestHangs(t *testing.T) {
	const second = time.Second
	cases := map[string]struct {
		reason string
		source commonv1.ProgressSource
		change func(*model)
		// happens ends in the moment before which nothing hangs.
		happens func(*model)
		// hangs is how the message goes on two seconds after that; "" if nothing hangs at all.
		hangs string
	}{
		"Silent": {
			"the last report is too old", report, nil,
			func(m *model) { goesOn(m); m.later(60*second - 1) },
			"pod job-master-0 on node node-7 has reported no progress for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"Reports": {"it is young again", report, nil, func(m *model) { goesOn(m); m.after(59 * second); m.reports("master-0", 11); m.later(50 * second) }, ""},
		"NeverReported": {
			"there was none in time", report, nil, func(m *model) { m.later(600 * second) },
			"pod job-master-0 on node node-7 has reported no progress within 600 seconds of its start (runPolicy.progressPolicy.startTimeoutSeconds).",
		},
		"Done":          {"after 100 percent none is expected", report, nil, func(m *model) { goesOn(m); m.reports("master-0", 100); m.later(time.Hour) }, ""},
		"ReporterEnded": {"nor of a replica that has succeeded", report, masterRuns, func(m *model) { goesOn(m); m.end(m.pod("master-0"), 0); m.later(time.Hour) }, ""},
		"ServerAway":    {"no report can come", report, nil, func(m *model) { goesOn(m); m.in.Progress.UpSince = time.Time{}; m.later(time.Hour) }, ""},
		"ServerBack": {
			"the time begins when one can", report, nil,
			func(m *model) {
				goesOn(m)
				m.after(time.Hour)
				m.in.Progress.UpSince = m.in.Now
				m.later(60*second - 1)
			},
			"pod job-master-0 on node node-7 has reported no progress for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"NoServer": {"the operator has none", report, nil, func(m *model) { goesOn(m); m.in.Progress = nil; m.later(time.Hour) }, ""},
		"SetBack":  {"a report of the future is young", report, nil, func(m *model) { goesOn(m); m.later(-time.Hour); m.later(59 * time.Minute) }, ""},
		"OldPod":   {"a report of a pod that was replaced shows nothing", report, func(m *model) { m.in.RunPolicy.ProgressPolicy.StartTimeoutSeconds = nil }, func(m *model) { goesOn(m); m.in.Status.TrainerStatus.Reporter.PodUID = "old"; m.later(time.Hour) }, ""},
		"OthersOld": {"the replica that reported before is expected to report", report, nil, func(m *model) {
			goesOn(m)
			m.reports("worker-1", 10)
			m.in.Status.TrainerStatus.Reporter.PodUID = "old"
			m.later(590 * second)
		}, "pod job-worker-1 on node node-7 has reported no progress within 600 seconds of its start (runPolicy.progressPolicy.startTimeoutSeconds)."},
		"ScaledDown": {
			"the program goes on without the replica that reported", report, nil,
			func(m *model) {
				goesOn(m)
				m.after(time.Hour)
				m.reports("worker-1", 50)
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.reconcileUntilStable()
				m.later(60*second - 1)
			},
			"pod job-master-0 on node node-7 has reported no progress for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"ReporterReplaced": {
			"the replica that reported was restarted, and succeeded without another report: the others are still to go on", report,
			func(m *model) {
				masterRuns(m)
				m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
			},
			func(m *model) {
				goesOn(m)
				m.after(time.Hour)
				m.reports("worker-1", 50)
				m.killed("worker-1")
				m.end(m.pod("worker-1"), 0)
				m.reconcileUntilStable()
				m.drop(m.pod("worker-1"))
				m.later(60*second - 1)
			},
			"pod job-master-0 on node node-7 has reported no progress for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"ReporterEndedAndRemoved": {"nor of one that has succeeded and whose pod is gone", report, nil, func(m *model) {
			goesOn(m)
			m.reports("worker-1", 50)
			m.end(m.pod("worker-1"), 0)
			m.reconcileUntilStable()
			m.drop(m.pod("worker-1"))
			m.later(time.Hour)
		}, ""},
		"OneWaits": {"the others wait for it", report, nil, func(m *model) {
			goesOn(m)
			m.pod("worker-1").Status.Phase = corev1.PodPending
			m.later(time.Hour)
		}, ""},
		"OneCrashes": {"the node restarts its container", report, nil, func(m *model) {
			goesOn(m)
			m.pod("worker-1").Status.ContainerStatuses[0] = waitingStatus("main", "CrashLoopBackOff", "")
			m.later(time.Hour)
		}, ""},
		"ElasticWaits": {
			"those that it needs run", report, func(m *model) { m.in.Rules.MinReplicas = map[commonv1.ReplicaType]int32{worker: 1} },
			func(m *model) {
				goesOn(m)
				m.pod("worker-1").Status.Phase = corev1.PodPending
				m.later(60*second - 1)
			},
			"pod job-master-0 on node node-7 has reported no progress for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"Suspended": {"it has no pods that run", report, nil, func(m *model) { goesOn(m); m.in.RunPolicy.Suspend = new(true); m.later(time.Hour) }, ""},
		"Unready": {
			"a replica is no longer ready", readiness, nil,
			func(m *model) { goesOn(m); m.turns("worker-1", corev1.ConditionFalse); m.later(60 * second) },
			"pod job-worker-1 on node node-7 was not ready for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"ReadyAgain": {"it is ready again", readiness, nil, func(m *model) {
			goesOn(m)
			m.turns("worker-1", corev1.ConditionFalse)
			m.later(59 * second)
			m.turns("worker-1", corev1.ConditionTrue)
			m.later(time.Hour)
		}, ""},
		"NeverReady": {
			"it never was", readiness, nil, func(m *model) { m.later(600 * second) },
			"pod job-master-0 on node node-7 was not ready within 600 seconds of its start (runPolicy.progressPolicy.startTimeoutSeconds).",
		},
		"NodeAhead": {
			"the clock of its node decides nothing", readiness, func(m *model) { m.nodesAhead = time.Hour },
			func(m *model) { goesOn(m); m.turns("worker-1", corev1.ConditionFalse); m.later(60 * second) },
			"pod job-worker-1 on node node-7 was not ready for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"NodeBehind": {
			"the clock of its node decides nothing", readiness, func(m *model) { m.nodesAhead = -time.Hour },
			func(m *model) { goesOn(m); m.turns("worker-1", corev1.ConditionFalse); m.later(60 * second) },
			"pod job-worker-1 on node node-7 was not ready for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"NodeSetBack": {
			"its clock was set back while it was ready", readiness, nil,
			func(m *model) {
				goesOn(m)
				m.after(time.Hour)
				m.nodesAhead = -30 * time.Minute
				m.turns("worker-1", corev1.ConditionFalse)
				m.later(60 * second)
			},
			"pod job-worker-1 on node node-7 was not ready for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"NodeLost": {
			"the control plane says that it is not ready, later than its kubelet wrote last", readiness, nil,
			func(m *model) {
				goesOn(m)
				m.after(time.Hour)
				p := m.pod("worker-1")
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(m.in.Now)}}
				p.ManagedFields = append(p.ManagedFields, metav1.ManagedFieldsEntry{
					Manager: "kube-controller-manager", Subresource: "status", Time: new(metav1.NewTime(m.in.Now)), FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{}}}`),
				})
				m.reconcileUntilStable()
				m.later(60 * second)
			},
			"pod job-worker-1 on node node-7 was not ready for more than 60 seconds (runPolicy.progressPolicy.stallTimeoutSeconds).",
		},
		"NoTimeout": {"no one asked for it", readiness, func(m *model) { m.in.RunPolicy.ProgressPolicy.StallTimeoutSeconds = nil }, func(m *model) {
			goesOn(m)
			m.turns("worker-1", corev1.ConditionFalse)
			m.later(time.Hour)
		}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			changes := []func(*model){watched(tc.source, "")}
			if tc.change != nil {
				changes = append(changes, tc.change)
			}
			m := hungJob(changes...)
			tc.happens(m)
			if m.in.Status.IsTrue(commonv1.JobHung) {
				t.Errorf("%s: it hangs too early: %q", tc.reason, m.in.Status.Condition(commonv1.JobHung).Message)
			}
			if p := m.decide(); tc.hangs != "" && (p.RequeueAfter <= 0 || p.RequeueAfter > time.Second) {
				t.Errorf("%s: it is requeued after %s, want at most a second", tc.reason, p.RequeueAfter)
			}
			m.later(time.Second + time.Millisecond)
			got := ""
			if c := m.in.Status.Condition(commonv1.JobHung); m.in.Status.IsTrue(commonv1.JobHung) {
				got = c.Message
			}
			want := ""
			if tc.hangs != "" {
				want = "TestJob ns/job hangs: " + tc.hangs
			}
			if got != want {
				t.Errorf("%s:\nwant %q\n got %q", tc.reason, want, got)
			}
			if tc.hangs != "" && m.in.Status.Condition(commonv1.JobStalled) == nil && m.in.Status.State != commonv1.JobHung {
				t.Errorf("%s: the state is %s", tc.reason, m.in.Status.State)
			}
		})
	}
}

// TestHungConditionEnds: it ends by itself, and does not flap.
func TestHungConditionEnds(t *testing.T) {
	m := hungJob(watched(report, ""))
	goesOn(m)
	m.later(60 * time.Second)
	if !m.in.Status.IsTrue(commonv1.JobHung) {
		t.Fatal("a job without reports for so long does not hang")
	}
	changes, was := 0, true
	for range 600 {
		m.after(time.Second)
		if m.in.Now.Sub(epoch)%(61*time.Second) == 0 {
			m.reports("master-0", 20) // always a second too late
		}
		m.reconcileUntilStable()
		if is := m.in.Status.IsTrue(commonv1.JobHung); is != was {
			changes, was = changes+1, is
		}
	}
	if changes > 20 {
		t.Errorf("in 10 minutes the condition changed %d times", changes)
	}
	m.reports("master-0", 30)
	m.later(hungSteady - 2*time.Second)
	m.reports("master-0", 31)
	m.later(3 * time.Second)
	if m.in.Status.Condition(commonv1.JobHung) != nil {
		t.Error("it goes on, and still hangs")
	}
}

const hungSteady = time.Minute

// TestHangActions: a hang is a failure, with the same limits and scopes.
func TestHangActions(t *testing.T) {
	unready := func(m *model) { goesOn(m); m.turns("worker-1", corev1.ConditionFalse); m.later(61 * time.Second) }
	cases := map[string]struct {
		reason  string
		source  commonv1.ProgressSource
		action  commonv1.ProgressAction
		change  func(*model)
		happens func(*model)
		// restarted are the pods that were replaced, restarts is the count, and says is what the
		// conditions Restarting or Failed say.
		restarted []string
		restarts  int32
		says      string
		hung      int32 // of the plan's restarts by cause
	}{
		"RestartReplica": {
			"the one that hangs", readiness, commonv1.ProgressActionRestartReplica, nil, unready,
			[]string{"job-worker-1"},
			1, "TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) hung.", 1,
		},
		"RestartPolicyNever": {
			"it says nothing of a program that has not ended", readiness, commonv1.ProgressActionRestartReplica, restartPolicy(commonv1.RestartPolicyNever), unready,
			[]string{"job-worker-1"},
			1, "TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) hung.", 1,
		},
		"Silent": {
			"the one that reported", report, commonv1.ProgressActionRestartReplica, nil, func(m *model) { goesOn(m); m.later(60 * time.Second) },
			[]string{"job-master-0"},
			1, "TestJobRestarting: TestJob job is restarting because 1 Master replica(s) hung.", 1,
		},
		"ScopeJob": {
			"all of them", readiness, commonv1.ProgressActionRestartReplica, func(m *model) { m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) }, unready,
			[]string{"job-master-0", "job-worker-0", "job-worker-1"},
			1, "TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) hung.", 1,
		},
		"ScopeRole": {
			"its role", readiness, commonv1.ProgressActionRestartReplica, func(m *model) { m.in.Replicas[worker].RestartScope = new(commonv1.RestartScopeRole) }, unready,
			[]string{"job-worker-0", "job-worker-1"},
			1, "TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) hung.", 1,
		},
		"RestartJob": {
			"all of them", readiness, commonv1.ProgressActionRestartJob, nil, unready,
			[]string{"job-master-0", "job-worker-0", "job-worker-1"},
			1, "TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) hung.", 1,
		},
		"FailJob": {
			"the job", readiness, commonv1.ProgressActionFailJob, nil, unready, nil, 0,
			"TestJobHung: TestJob ns/job has failed because 1 Worker replica(s) hung. First failure: pod job-worker-1, Hung, runPolicy.progressPolicy says FailJob.", 0,
		},
		"BackoffLimit": {
			"it has no restarts left", readiness, commonv1.ProgressActionRestartReplica, func(m *model) { m.in.RunPolicy.BackoffLimit = new(int32(0)) }, unready, nil, 0,
			"TestJobFailed: TestJob ns/job has failed because it has reached the specified backoff limit: runPolicy.backoffLimit is 0. " +
				"First failure: pod job-worker-1, Hung, runPolicy.progressPolicy says RestartReplica.", 0,
		},
		"PerReplica": {
			"the replica has none", readiness, commonv1.ProgressActionRestartReplica, func(m *model) { m.in.RunPolicy.BackoffLimitPerReplica = new(int32(0)) }, unready, nil, 0,
			"TestJobFailed: TestJob ns/job has failed because replica 1 of Worker has reached its backoff limit: runPolicy.backoffLimitPerReplica is 0. " +
				"First failure: pod job-worker-1, Hung, runPolicy.progressPolicy says RestartReplica.", 0,
		},
		"Window": {
			"restarts count in a window", readiness, commonv1.ProgressActionRestartReplica, func(m *model) {
				m.in.RunPolicy.BackoffLimit, m.in.RunPolicy.BackoffLimitWindowSeconds = new(int32(1)), new(int64(10))
			}, unready, []string{"job-worker-1"}, 1, "TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) hung.", 1,
		},
		"Rule": {
			"a rule about a condition of the pod goes first", readiness, commonv1.ProgressActionRestartReplica, func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{
					{Action: commonv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpNotIn, Values: []int32{1}}},
					{Action: commonv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}},
				}}
			}, unready, []string{"job-worker-1"}, 0, "TestJobRestarting: TestJob job is restarting because 1 Worker replica(s) hung.", 0,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			changes := []func(*model){restartPolicy(commonv1.RestartPolicyOnFailure), watched(tc.source, tc.action)}
			if tc.change != nil {
				changes = append(changes, tc.change)
			}
			m := hungJob(changes...)
			old := map[string]bool{}
			for _, p := range m.in.Pods {
				old[string(p.UID)] = true
			}
			tc.happens(m)
			var restarted []string
			for _, p := range m.in.Pods {
				if !old[string(p.UID)] {
					restarted = append(restarted, p.Name)
				}
			}
			slices.Sort(restarted)
			if diff := cmp.Diff(tc.restarted, restarted); diff != "" {
				t.Errorf("%s: these pods were replaced (-want +got):\n%s", tc.reason, diff)
			}
			if m.in.Status.Restarts != tc.restarts || m.hung != tc.hung {
				t.Errorf("%s: restarts are %d, %d of them for a hang, want %d and %d", tc.reason, m.in.Status.Restarts, m.hung, tc.restarts, tc.hung)
			}
			if all := strings.Join(conditions(&m.in.Status), "\n"); !strings.Contains(all, tc.says) {
				t.Errorf("%s: want %q among\n%s", tc.reason, tc.says, all)
			}
			if n := len(m.in.Status.Failures); n != 1 {
				t.Fatalf("the status records %d failures, want 1", n)
			}
			if f := m.in.Status.Failures[0]; f.Reason != "Hung" || f.Node != "node-7" || f.Message == "" || (tc.source == report) != (f.LastReportTime != nil) {
				t.Errorf("%s: the record of the failure is %+v", tc.reason, f)
			}
			m.runs()
			m.later(time.Second)
			if m.in.Status.Restarts != tc.restarts {
				t.Errorf("%s: it was counted again: %d", tc.reason, m.in.Status.Restarts)
			}
		})
	}
}

// TestHangIsVerified: a hang that the cache shows is in doubt until the pods were read from the
// API server, and one that is reported is not.
func TestHangIsVerified(t *testing.T) {
	m := hungJob(watched(readiness, ""))
	goesOn(m)
	m.turns("worker-1", corev1.ConditionFalse)
	m.after(59 * time.Second)
	if plan.TallyOf(&m.in).InDoubt() {
		t.Error("nothing hangs yet, and the pods are read")
	}
	m.after(2 * time.Second)
	if !plan.TallyOf(&m.in).InDoubt() {
		t.Error("a hang is believed without reading the API server")
	}
	m.reconcileUntilStable()
	if plan.TallyOf(&m.in).InDoubt() {
		t.Error("a hang that is reported is read again and again")
	}
}

// TestNoProgressServer: the job says that no report can come, once.
func TestNoProgressServer(t *testing.T) {
	m := hungJob(watched("", ""), func(m *model) { m.in.Progress = nil })
	first := newModel(workers(1))
	watched("", "")(first)
	first.in.Progress = nil
	told := slices.ContainsFunc(first.decide().Events, func(e plan.Event) bool {
		return e.Warning && e.Reason == "TestJobNoProgressServer" && strings.HasPrefix(e.Message, "This operator receives no reports of progress")
	})
	if !told {
		t.Error("a warning tells it as soon as it is known")
	}
	c := m.in.Status.Condition(commonv1.JobHung)
	if c == nil || c.Status != corev1.ConditionUnknown || c.Reason != "TestJobNoProgressServer" || m.in.Status.State != commonv1.JobRunning {
		t.Fatalf("the condition is %v, the state %s", c, m.in.Status.State)
	}
	if p := m.decide(); len(p.Events) > 0 || p.StatusChange != plan.StatusUnchanged {
		t.Errorf("it says so again: %v", p.Events)
	}
	watched("", "")(m)
	m.reconcileUntilStable()
	if c := m.in.Status.Condition(commonv1.JobHung); c == nil || c.Reason != "TestJobPodsCannotReport" {
		t.Errorf("the server exists, but the pods do not know it, and the condition is %v", c)
	}
	m.in.Pods = nil
	m.reconcileUntilStable()
	m.runs()
	if c := m.in.Status.Condition(commonv1.JobHung); c != nil {
		t.Errorf("the server exists, and so do pods that know it, and the condition is %v", c)
	}
}

// TestHangProperties: of a job whose last report or readiness changes at any times, nothing is
// ever restarted before its time, and each hang counts once.
func TestHangProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		source := rapid.SampledFrom([]commonv1.ProgressSource{report, readiness}).Draw(rt, "source")
		m := hungJob(watched(source, commonv1.ProgressActionRestartReplica), func(m *model) {
			m.nodesAhead = time.Duration(rapid.IntRange(-600, 600).Draw(rt, "nodesAhead")) * time.Second
		})
		goesOn(m)
		alive := m.in.Now
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			was, pods := m.in.Status.Restarts, len(m.in.Status.Failures)
			m.after(time.Duration(rapid.IntRange(1, 40_000).Draw(rt, "ms")) * time.Millisecond)
			m.reconcileUntilStable()
			silent := m.in.Now.Sub(alive)
			switch gained := m.in.Status.Restarts - was; {
			case gained > 1 || gained > 0 && silent < time.Minute:
				rt.Fatalf("%d restarts after %s of silence", gained, silent)
			case gained == 0 && silent >= 61*time.Second:
				rt.Fatalf("no restart after %s of silence", silent)
			case gained > 0:
				if len(m.in.Status.Failures) == pods && pods < commonv1.MaxFailures {
					rt.Fatal("the restart is not recorded")
				}
				m.runs()
				goesOn(m)
				alive = m.in.Now
				continue
			}
			if rapid.Bool().Draw(rt, "lives") && source == report {
				m.reports("master-0", 50)
				alive = m.in.Now
			} else if source == readiness {
				ready := podReady(m.pod("master-0"))
				if to := rapid.SampledFrom([]corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse}).Draw(rt, "ready"); to != ready {
					m.turns("master-0", to)
				}
				if podReady(m.pod("master-0")) == corev1.ConditionTrue || ready == corev1.ConditionTrue {
					alive = m.in.Now
				}
			}
		}
	})
}

func podReady(p *corev1.Pod) corev1.ConditionStatus {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status
		}
	}
	return ""
}

// TestProgressPods: the containers get three variables and one volume, but what the template has
// of its own stays.
func TestProgressPods(t *testing.T) {
	m := newModel(workers(1))
	watched("", "")(m)
	template := &m.in.Replicas[worker].Template
	template.Spec.Containers = append(template.Spec.Containers, corev1.Container{
		Name: "own", Env: []corev1.EnvVar{{Name: "KUBEFLOW_TRAINER_SERVER_URL", Value: "mine"}},
		VolumeMounts: []corev1.VolumeMount{{Name: "mine", MountPath: "/var/run/secrets/kubeflow/trainer"}},
	})
	pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, template.DeepCopy())
	if diff := cmp.Diff([]corev1.EnvVar{
		{Name: "KUBEFLOW_TRAINER_SERVER_URL", Value: "https://operator/x"},
		{Name: "KUBEFLOW_TRAINER_SERVER_CA_CERT", Value: "/var/run/secrets/kubeflow/trainer/ca.crt"},
		{Name: "KUBEFLOW_TRAINER_SERVER_TOKEN", Value: "/var/run/secrets/kubeflow/trainer/token"},
	}, pod.Spec.Containers[0].Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if own := pod.Spec.Containers[1]; own.Env[0].Value != "mine" || len(own.Env) != 3 || len(own.VolumeMounts) != 1 {
		t.Errorf("the container with variables and a mount of its own has %v and %v", own.Env, own.VolumeMounts)
	}
	if diff := cmp.Diff([]corev1.VolumeMount{{Name: "kubeflow-trainer-token", MountPath: "/var/run/secrets/kubeflow/trainer", ReadOnly: true}}, pod.Spec.Containers[0].VolumeMounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.Volume{{Name: "kubeflow-trainer-token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "x/uid", ExpirationSeconds: new(int64(3600)), Path: "token"}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
			Path: "ca.crt", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['training.kubeflow.org/progress-ca']"},
		}}}},
	}}}}}, pod.Spec.Volumes); diff != "" {
		t.Errorf("the volume has the token, and the certificates of the annotation (-want +got):\n%s", diff)
	}
	if pod.Annotations[commonv1.ProgressCAAnnotation] != "PEM" || pod.Annotations[commonv1.ProgressAnnotation] != "Report" {
		t.Errorf("the annotations are %v", pod.Annotations)
	}
	shared := template.DeepCopy()
	shared.Annotations, shared.Spec.InitContainers = map[string]string{"a": "b"}, []corev1.Container{{Name: "setup"}}
	pod = plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, shared)
	if setup := pod.Spec.InitContainers[0]; len(setup.Env) != 3 || len(setup.VolumeMounts) != 1 {
		t.Errorf("an init container may report, too: %v and %v", setup.Env, setup.VolumeMounts)
	}
	if diff := cmp.Diff(map[string]string{"a": "b"}, shared.Annotations); diff != "" || pod.Annotations["a"] != "b" {
		t.Errorf("a map that may be shared is not changed (-want +got):\n%s", diff)
	}
	with := template.DeepCopy()
	with.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "kubeflow-trainer-token"}}
	if diff := cmp.Diff(with.DeepCopy().Spec.Volumes, plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, with).Spec.Volumes); diff != "" {
		t.Errorf("a volume of that name stays as it is (-want +got):\n%s", diff)
	}
	with.Spec.Volumes = with.Spec.Volumes[:1]
	if got := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, with).Spec.Volumes; len(got) != 2 {
		t.Errorf("another one stays, too: %v", got)
	}
	m.in.RunPolicy.ProgressPolicy.Source = readiness
	if pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, template.DeepCopy()); len(pod.Spec.Volumes) > 0 || len(pod.Spec.Containers[0].Env) > 0 {
		t.Errorf("a job that reports nothing has %v", pod.Spec.Volumes)
	}
}

// TestValidateProgress: for kinds whose CRD does not check it.
func TestValidateProgress(t *testing.T) {
	for name, tc := range map[string]struct {
		policy commonv1.ProgressPolicy
		want   string
	}{
		"ReportsOnly":   {commonv1.ProgressPolicy{}, ""},
		"All":           {commonv1.ProgressPolicy{Source: readiness, Action: commonv1.ProgressActionFailJob, StallTimeoutSeconds: new(int64(10))}, ""},
		"ShortStall":    {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(9))}, "spec.runPolicy.progressPolicy.stallTimeoutSeconds: Invalid value: 9: must be from 10 to 31536000"},
		"ShortReport":   {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(29))}, "spec.runPolicy.progressPolicy.stallTimeoutSeconds: Invalid value: 29: must be at least 30 with source Report, because the status may be 12.5 seconds behind the last report: raise it, or set source to Readiness"},
		"NamedReport":   {commonv1.ProgressPolicy{Source: report, StallTimeoutSeconds: new(int64(10))}, "spec.runPolicy.progressPolicy.stallTimeoutSeconds: Invalid value: 10: must be at least 30 with source Report"},
		"OkReport":      {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(30)), StartTimeoutSeconds: new(int64(10))}, ""},
		"Least":         {commonv1.ProgressPolicy{Source: readiness, StallTimeoutSeconds: new(int64(10)), StartTimeoutSeconds: new(int64(10))}, ""},
		"Most":          {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(31536000)), StartTimeoutSeconds: new(int64(31536000))}, ""},
		"ReportSource":  {commonv1.ProgressPolicy{Source: report}, ""},
		"OnlyStart":     {commonv1.ProgressPolicy{Source: readiness, Action: commonv1.ProgressActionFailJob, StartTimeoutSeconds: new(int64(10))}, ""},
		"ShortStart":    {commonv1.ProgressPolicy{StartTimeoutSeconds: new(int64(9))}, "spec.runPolicy.progressPolicy.startTimeoutSeconds: Invalid value: 9: must be from 10 to 31536000"},
		"LongStall":     {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(31536001))}, "spec.runPolicy.progressPolicy.stallTimeoutSeconds: Invalid value: 31536001: must be from 10 to 31536000"},
		"LongStart":     {commonv1.ProgressPolicy{StartTimeoutSeconds: new(int64(31536001))}, "spec.runPolicy.progressPolicy.startTimeoutSeconds: Invalid value: 31536001: must be from 10 to 31536000"},
		"NoTimeout":     {commonv1.ProgressPolicy{Source: readiness}, "spec.runPolicy.progressPolicy.source: Invalid value: \"Readiness\": it says nothing without a timeout"},
		"Action":        {commonv1.ProgressPolicy{Action: commonv1.ProgressActionFailJob}, "spec.runPolicy.progressPolicy.action: Invalid value: \"FailJob\": it says nothing without a timeout"},
		"UnknownSource": {commonv1.ProgressPolicy{Source: "Logs"}, "spec.runPolicy.progressPolicy.source: Unsupported value: \"Logs\""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.RunPolicy.ProgressPolicy = &tc.policy
			errs := plan.Validate(&m.in)
			if got := errs.ToAggregate(); tc.want == "" && got != nil || tc.want != "" && (got == nil || !strings.Contains(got.Error(), tc.want)) {
				t.Errorf("want %q, got %v", tc.want, got)
			}
		})
	}
}

// TestKeptEntries: what a cache keeps of a pod says the same as the pod.
func TestKeptEntries(t *testing.T) {
	m := hungJob(watched(readiness, commonv1.ProgressActionRestartReplica))
	goesOn(m)
	m.turns("worker-1", corev1.ConditionFalse)
	for _, p := range m.in.Pods {
		p.ManagedFields = plan.KeptEntries(p)
	}
	m.later(59 * time.Second)
	if m.in.Status.Restarts != 0 {
		t.Error("it was restarted too early")
	}
	m.later(2 * time.Second)
	if m.in.Status.Restarts != 1 {
		t.Errorf("it was restarted %d times", m.in.Status.Restarts)
	}
}
