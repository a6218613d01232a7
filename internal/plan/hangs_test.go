package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// onlyStall and onlyStart leave a job one of the two timeouts.
func onlyStall(m *model) { m.in.RunPolicy.ProgressPolicy.StartTimeoutSeconds = nil }
func onlyStart(m *model) { m.in.RunPolicy.ProgressPolicy.StallTimeoutSeconds = nil }

// unread takes from all pods the record of who wrote them when, as old servers have none.
func unread(m *model) {
	for _, p := range m.in.Pods {
		p.ManagedFields = nil
	}
}

// onFailure leaves it to the nodes to restart containers.
func onFailure(m *model) { restartPolicy(commonv1.RestartPolicyOnFailure)(m) }

// againInPlace has the node of the Master restart its container, which failed.
func (m *model) againInPlace() {
	p := m.pod("master-0")
	now := metav1.NewTime(m.in.Now)
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "main", RestartCount: restartCount(p) + 1,
		State:                corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: now}},
	}}
	m.report(p)
	m.reconcileUntilStable()
}

// TestWhichReplicaHangs: of which replica a sign of progress is missing, and from when on.
func TestWhichReplicaHangs(t *testing.T) {
	const second = time.Second
	for name, tc := range map[string]struct {
		reason  string
		source  commonv1.ProgressSource
		change  func(*model)
		happens func(*model)
		// from is how long after that nothing hangs yet, and a second later it does; a job without
		// a name does not hang in an hour.
		from time.Duration
		pod  string
	}{
		"OnlyStall": {"one timeout is enough", report, onlyStall, goesOn, 59 * second, "job-master-0"},
		"OnlyStart": {"so is the other", report, onlyStart, func(*model) {}, 600 * second, "job-master-0"},
		"NoPolicy":  {"no one watches over it, though the operator has a server", report, func(m *model) { m.in.RunPolicy.ProgressPolicy = nil }, goesOn, 0, ""},
		"Earliest": {"the first that hung caused what followed", readiness, nil, func(m *model) {
			goesOn(m)
			m.turns("worker-1", corev1.ConditionFalse)
			m.after(30 * second)
			m.turns("master-0", corev1.ConditionFalse)
		}, 30 * second, "job-worker-1"},
		"AlmostDone": {"before 100 percent another report is expected", report, nil, func(m *model) { goesOn(m); m.reports("master-0", 99) }, 59 * second, "job-master-0"},
		"OthersSucceeded": {"a replica that has done its part does not stop the others", report, masterRuns, func(m *model) {
			goesOn(m)
			m.end(m.pod("worker-1"), 0)
		}, 59 * second, "job-master-0"},
		"SucceededSince": {"one that began again and has succeeded took the others with it", report, masterRuns, func(m *model) {
			goesOn(m)
			m.after(30 * second)
			began := metav1.NewTime(m.in.Now)
			m.end(m.pod("worker-1"), 0)
			m.pod("worker-1").Status.ContainerStatuses[0].State.Terminated.StartedAt = began
		}, 60 * second, "job-master-0"},
		"OptionalFailed": {"nor does one that may fail", report, func(m *model) {
			m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyNever
		}, func(m *model) {
			goesOn(m)
			m.end(m.pod("worker-1"), 1)
		}, 59 * second, "job-master-0"},
		"ReporterFailed": {"the one that reported has failed for good: the others report from now on", report, func(m *model) {
			m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyNever
		}, func(m *model) {
			goesOn(m)
			m.reports("worker-1", 50)
			m.end(m.pod("worker-1"), 1)
			m.reconcileUntilStable()
		}, 59 * second, "job-master-0"},
		"ReporterFailedKnownLate": {"when it ended is known late, so when it began is known badly; but it had begun when it reported", report, func(m *model) {
			onlyStall(m)
			m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyNever
		}, func(m *model) {
			goesOn(m)
			m.reports("worker-1", 50)
			m.after(2 * second)
			began := m.pod("worker-1").Status.ContainerStatuses[0].State.Running.StartedAt
			m.end(m.pod("worker-1"), 1)
			m.pod("worker-1").Status.ContainerStatuses[0].State.Terminated.StartedAt = began
			m.after(14 * second)
			m.report(m.pod("worker-1"))
			m.reconcileUntilStable()
		}, 43 * second, "job-master-0"},
		"OptionalFailedSince": {"one that began again took the others with it, and may fail", report, func(m *model) {
			m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyNever
		}, func(m *model) {
			goesOn(m)
			m.after(30 * second)
			began := metav1.NewTime(m.in.Now)
			m.end(m.pod("worker-1"), 1)
			m.pod("worker-1").Status.ContainerStatuses[0].State.Terminated.StartedAt = began
		}, 60 * second, "job-master-0"},
		"OptionalDisruptedSince": {"so may one that is disrupted and still runs", report, func(m *model) {
			m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyNever
		}, func(m *model) {
			goesOn(m)
			m.after(30 * second)
			p := m.pod("worker-1")
			p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(m.in.Now)
			m.evict(p)
			p.Status.Phase = corev1.PodRunning
		}, 60 * second, "job-master-0"},
		"RequiredFailed": {"one that may not is restarted first", report, restartPolicy(commonv1.RestartPolicyOnFailure), func(m *model) {
			goesOn(m)
			m.end(m.pod("worker-1"), 1)
		}, 0, ""},
		"Decides": {"the replica by which the job counts as running has rank 0", report, func(m *model) {
			m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.All(worker)}
		}, func(*model) {}, 600 * second, "job-worker-0"},
		"NoneDecides": {"or else the first that runs", report, func(m *model) {
			masterRuns(m)
			m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.All(master)}
		}, func(m *model) { m.end(m.pod("master-0"), 0); m.reconcileUntilStable() }, 600 * second, "job-worker-0"},
		"ContainerBegan": {"init containers and images took their time before", report, nil, func(m *model) {
			m.after(300 * second)
			for _, p := range m.in.Pods {
				p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(m.in.Now)
				m.report(p)
			}
		}, 600 * second, "job-master-0"},
		"BeganAgain": {"the reporter crashed, its node restarted it in place, and it loads its checkpoint", report, onFailure, func(m *model) {
			goesOn(m)
			m.after(30 * second)
			m.againInPlace()
		}, 600 * second, "job-master-0"},
		"BeganAgainAfterDone": {"it crashed after 100 percent: a report of the new process is expected", report, onFailure, func(m *model) {
			goesOn(m)
			m.reports("master-0", 100)
			m.after(30 * second)
			m.againInPlace()
		}, 600 * second, "job-master-0"},
		"BeganAgainAndReports": {"the new process goes on", report, onFailure, func(m *model) {
			goesOn(m)
			m.againInPlace()
			m.after(30 * second)
			m.reports("master-0", 10)
		}, 59 * second, "job-master-0"},
		"BeganAgainAndDone": {"the new process has reported 100 percent", report, onFailure, func(m *model) {
			goesOn(m)
			m.againInPlace()
			m.after(30 * second)
			m.reports("master-0", 100)
		}, 0, ""},
		"NoContainerTime": {"the pod's start is all that is known", report, nil, func(m *model) {
			m.after(300 * second)
			for _, p := range m.in.Pods {
				p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.Time{}
				p.Status.StartTime, p.ManagedFields = new(metav1.NewTime(m.in.Now)), nil
			}
		}, 600 * second, "job-master-0"},
		"NoTime": {"or that it was created", report, nil, func(m *model) {
			m.after(300 * second)
			for _, p := range m.in.Pods {
				p.Status.ContainerStatuses, p.Status.StartTime, p.ManagedFields = nil, nil, nil
			}
		}, 300 * second, "job-master-0"},
		"Unread": {"the node's clock is all there is", readiness, nil, func(m *model) { goesOn(m); m.turns("worker-1", corev1.ConditionFalse); unread(m) }, 60 * second, "job-worker-1"},
		"OtherContainer": {"what another container does says nothing of the main one", readiness, nil, func(m *model) {
			goesOn(m)
			p := m.pod("worker-1")
			p.Status.ContainerStatuses = append([]corev1.ContainerStatus{waitingStatus("logs", "ErrImagePull", "")}, p.Status.ContainerStatuses...)
			m.turns("worker-1", corev1.ConditionFalse)
		}, 60 * second, "job-worker-1"},
		"UnreadAhead": {"a time to come has not been", readiness, nil, func(m *model) {
			goesOn(m)
			m.nodesAhead = 2 * time.Hour
			m.turns("worker-1", corev1.ConditionFalse)
			unread(m)
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			changes := []func(*model){watched(tc.source, "")}
			if tc.change != nil {
				changes = append(changes, tc.change)
			}
			m := hungJob(changes...)
			tc.happens(m)
			if tc.pod == "" {
				tc.from = time.Hour
			}
			m.later(tc.from)
			if c := m.in.Status.Condition(commonv1.JobHung); c != nil {
				t.Errorf("%s: it hangs too early: %s", tc.reason, c.Message)
			}
			m.later(time.Second + time.Millisecond)
			got := ""
			if c := m.in.Status.Condition(commonv1.JobHung); c != nil {
				got = c.Message
			}
			if want := "TestJob ns/job hangs: pod " + tc.pod + " on"; tc.pod != "" && !strings.HasPrefix(got, want) || tc.pod == "" && got != "" {
				t.Errorf("%s: want %q, got %q", tc.reason, want, got)
			}
		})
	}
}

// TestFirstOfSeveralHangs: an operator that was down finds several at once, and names the first by
// time.
func TestFirstOfSeveralHangs(t *testing.T) {
	m := hungJob(watched(readiness, ""))
	goesOn(m)
	m.turns("worker-1", corev1.ConditionFalse)
	m.after(10 * time.Second)
	m.turns("master-0", corev1.ConditionFalse)
	m.later(time.Hour)
	c := m.in.Status.Condition(commonv1.JobHung)
	if want := "TestJob ns/job hangs: pod job-worker-1 on"; c == nil || !strings.HasPrefix(c.Message, want) {
		t.Errorf("want %q, got %+v", want, c)
	}
}

// TestHangIsNoConsequence: a hang that is to fail the job does, whatever else failed at that time.
func TestHangIsNoConsequence(t *testing.T) {
	m := hungJob(watched(readiness, commonv1.ProgressActionFailJob), scope(commonv1.RestartScopeJob), restartPolicy(commonv1.RestartPolicyExitCode))
	goesOn(m)
	m.turns("worker-1", corev1.ConditionFalse)
	m.after(61 * time.Second)
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	if c := m.in.Status.Condition(commonv1.JobFailed); c == nil || c.Reason != "TestJobHung" {
		t.Errorf("the policy says FailJob: %q", conditions(&m.in.Status))
	}
}

// TestHangsAreLookedFor: reports cause no pass, so one is planned in which a hang may be found.
func TestHangsAreLookedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		source  commonv1.ProgressSource
		change  func(*model)
		happens func(*model)
		want    time.Duration
	}{
		"Young":      {"when the report will be too old", report, nil, func(*model) {}, 60 * time.Second},
		"OnlyStart":  {"after the only timeout there is", report, onlyStart, func(m *model) { m.in.Progress.UpSince = time.Time{} }, 600 * time.Second},
		"OnlyStall":  {"the server may come back, of which the job hears nothing", report, onlyStall, func(m *model) { m.in.Progress.UpSince = time.Time{} }, 60 * time.Second},
		"ServerAway": {"after the shorter of the two", report, nil, func(m *model) { m.in.Progress.UpSince = time.Time{} }, 60 * time.Second},
		"SetBack":    {"by the new clock, or else none would be for an hour", readiness, nil, func(m *model) { m.turns("worker-1", corev1.ConditionFalse); m.after(-time.Hour) }, 60 * time.Second},
		"Hung":       {"one that is known is reconsidered, but not at once", readiness, nil, func(m *model) { m.turns("worker-1", corev1.ConditionFalse); m.later(5 * time.Minute) }, 60 * time.Second},
		"HungShort": {"sooner if little time is enough", readiness, func(m *model) { m.in.RunPolicy.ProgressPolicy.StallTimeoutSeconds = new(int64(10)) }, func(m *model) {
			m.turns("worker-1", corev1.ConditionFalse)
			m.later(5 * time.Minute)
		}, 10 * time.Second},
		"HungLong": {"but in a minute however much time it has", readiness, func(m *model) { m.in.RunPolicy.ProgressPolicy.StallTimeoutSeconds = new(int64(200)) }, func(m *model) {
			m.turns("worker-1", corev1.ConditionFalse)
			m.later(5 * time.Minute)
		}, 60 * time.Second},
		"NeverReady": {"so it is if it never was", readiness, onlyStart, func(m *model) {
			p := m.pod("worker-1")
			p.Status.Conditions[0].Status, p.Status.Conditions[0].LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(epoch)
			m.later(20 * time.Minute)
		}, 60 * time.Second},
		"GoesOn": {"the condition that stays for a minute ends then", readiness, nil, func(m *model) {
			m.turns("worker-1", corev1.ConditionFalse)
			m.later(61 * time.Second)
			m.after(10 * time.Second)
			m.turns("worker-1", corev1.ConditionTrue)
		}, 50 * time.Second},
		"ReadyThenNever": {"nothing is missing", readiness, nil, func(*model) {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			changes := []func(*model){watched(tc.source, "")}
			if tc.change != nil {
				changes = append(changes, tc.change)
			}
			m := hungJob(changes...)
			goesOn(m)
			tc.happens(m)
			if got := m.decide().RequeueAfter; got != tc.want {
				t.Errorf("%s: requeued after %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

// TestHangsOfJobsThatAreOver: nothing follows, so the API server is not asked.
func TestHangsOfJobsThatAreOver(t *testing.T) {
	for name, change := range map[string]func(*model){
		"Suspended": func(m *model) { m.in.RunPolicy.Suspend = new(true) },
		"Finished":  markFailed,
		"Deleted":   func(m *model) { m.in.Job.Deleted = true },
	} {
		t.Run(name, func(t *testing.T) {
			m := hungJob(watched(readiness, commonv1.ProgressActionRestartReplica))
			goesOn(m)
			m.turns("worker-1", corev1.ConditionFalse)
			m.after(time.Hour)
			if !plan.TallyOf(&m.in).InDoubt() {
				t.Fatal("a replica that is not ready for an hour does not hang")
			}
			change(m)
			if plan.TallyOf(&m.in).InDoubt() {
				t.Error("a hang is verified of which nothing follows")
			}
		})
	}
}

// TestHungIsTaken: what ends the condition at once, and who has none.
func TestHungIsTaken(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		hung   bool
	}{
		"Hangs":         {"it still does", func(*model) {}, true},
		"PolicyRemoved": {"no one watches over it any more", func(m *model) { m.in.RunPolicy.ProgressPolicy = nil }, false},
		"NoTimeout":     {"nor without a limit", func(m *model) { onlyStall(m); onlyStart(m); m.in.RunPolicy.ProgressPolicy.Source = report }, false},
		"Acted":         {"what is restarted is not only reported", func(m *model) { m.in.RunPolicy.ProgressPolicy.Action = commonv1.ProgressActionRestartReplica }, false},
		"Restarts": {"with all others it restarts for another reason", func(m *model) {
			m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			m.end(m.pod("worker-0"), 137)
		}, false},
		"NoServer": {"who goes by readiness needs no server", func(m *model) { m.in.Progress = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := hungJob(watched(readiness, ""), restartPolicy(commonv1.RestartPolicyExitCode))
			goesOn(m)
			m.turns("worker-1", corev1.ConditionFalse)
			m.later(61 * time.Second)
			if !m.in.Status.IsTrue(commonv1.JobHung) {
				t.Fatal("it does not hang")
			}
			tc.change(m)
			p := m.decide()
			if hung := p.Status.Condition(commonv1.JobHung) != nil; hung != tc.hung {
				t.Errorf("%s: the condition exists: %t", tc.reason, hung)
			}
		})
	}
}

// TestRulesAboutHangs: the first rule about a condition that the pod has decides, and what it
// decides is in the message. A rule about exit codes says nothing of a program that runs.
func TestRulesAboutHangs(t *testing.T) {
	notReady := func(action commonv1.PodFailurePolicyAction) commonv1.PodFailurePolicyRule {
		return commonv1.PodFailurePolicyRule{Action: action, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}
	}
	for name, tc := range map[string]struct {
		reason string
		rules  []commonv1.PodFailurePolicyRule
		want   string
	}{
		"ExitCodes": {"the progress policy decides", []commonv1.PodFailurePolicyRule{onCodes(ignore, in, 1)}, "runPolicy.progressPolicy says FailJob."},
		"First":     {"the rule does", []commonv1.PodFailurePolicyRule{notReady(commonv1.PodFailurePolicyActionFailJob)}, "rule 0 of runPolicy.podFailurePolicy says FailJob."},
		"Second":    {"any of them", []commonv1.PodFailurePolicyRule{onCodes(ignore, in, 1), notReady(commonv1.PodFailurePolicyActionFailJob)}, "rule 1 of runPolicy.podFailurePolicy says FailJob."},
		"Other":     {"a condition that it does not have", []commonv1.PodFailurePolicyRule{onDisruption(ignore)}, "runPolicy.progressPolicy says FailJob."},
		"Count":     {"it says to restart it", []commonv1.PodFailurePolicyRule{notReady(commonv1.PodFailurePolicyActionCount)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := hungJob(watched(readiness, commonv1.ProgressActionFailJob), func(m *model) { m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: tc.rules} })
			goesOn(m)
			m.turns("worker-1", corev1.ConditionFalse)
			m.later(61 * time.Second)
			got := ""
			if c := m.in.Status.Condition(commonv1.JobFailed); c != nil {
				got = c.Message
			}
			if tc.want == "" && (got != "" || m.in.Status.Restarts != 1) || !strings.HasSuffix(got, tc.want) {
				t.Errorf("%s: want %q, got %q, %d restarts", tc.reason, tc.want, got, m.in.Status.Restarts)
			}
		})
	}
}

// TestHungPodsDelayNoOthers: a pod that hung and is replaced alone takes a while to stop; others
// that are missing do not wait for it, unless a restart of the whole job may have superseded it.
func TestHungPodsDelayNoOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   bool
	}{
		"Alone":  {"it is replaced alone", func(*model) {}, true},
		"Budget": {"a replica may restart the job, and never has", func(m *model) { restartsJob(3, nil)(m) }, true},
		"Before": {"the job has restarted, and how long ago no count says", func(m *model) {
			m.in.Status.Attempt = 1
			m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Attempts: map[string]int32{"1": 1}}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := hungJob(watched(readiness, commonv1.ProgressActionRestartReplica), tc.change)
			goesOn(m)
			m.turns("worker-1", corev1.ConditionFalse)
			m.after(61 * time.Second)
			p := m.decide()
			m.write(&p) // counts it, and no more
			m.drop(m.pod("master-0"))
			created := slices.ContainsFunc(actions(m.decide()), func(a string) bool { return strings.HasPrefix(a, "create pod job-master-0 ") })
			if created != tc.want || m.in.Status.Restarts != 1 {
				t.Errorf("%s: the master is created: %t, restarts: %d", tc.reason, created, m.in.Status.Restarts)
			}
		})
	}
}

// TestLastReportOfAHang: the record of a hang has what was reported last.
func TestLastReportOfAHang(t *testing.T) {
	m := hungJob(watched(report, commonv1.ProgressActionRestartReplica))
	goesOn(m)
	m.after(500 * time.Millisecond)
	m.reports("master-0", 42)
	m.later(61 * time.Second)
	if len(m.in.Status.Failures) != 1 {
		t.Fatalf("%d failures", len(m.in.Status.Failures))
	}
	f := m.in.Status.Failures[0]
	if f.ProgressPercentage == nil || *f.ProgressPercentage != 42 || f.LastReportTime == nil || !f.LastReportTime.Equal(new(metav1.NewTime(epoch.Add(10*time.Second)))) {
		t.Errorf("the record is %+v", f)
	}
}

// TestReportsAreAskedForLater: pods that were created before reports were asked for have no means to
// send any, so nothing follows from their silence, and the job says so. With those that take their
// place it begins.
func TestReportsAreAskedForLater(t *testing.T) {
	replace := func(m *model, names ...string) {
		for _, name := range names {
			m.end(m.pod(name), 137)
		}
		m.reconcileUntilStable()
		m.runs()
	}
	asked := watched("", commonv1.ProgressActionFailJob)
	for name, tc := range map[string]struct {
		reason  string
		before  func(*model)
		happens func(*model)
		// muted is whether the job says that its pods cannot report, and fails whether it then
		// hangs when its start has taken too long.
		muted, fails bool
	}{
		"PolicyAdded":   {"the pods have run for hours without it", func(*model) {}, asked, true, false},
		"FromReadiness": {"the pods have no token", watched(readiness, commonv1.ProgressActionFailJob), asked, true, false},
		"ServerAdded":   {"an operator without a server made the pods", func(m *model) { asked(m); m.in.Progress = nil }, asked, true, false},
		"PodsReplaced": {"the new pods can report", func(*model) {}, func(m *model) {
			asked(m)
			replace(m, "master-0", "worker-0", "worker-1")
		}, false, true},
		"AnotherReplaced": {"the one that is to report cannot", func(*model) {}, func(m *model) {
			asked(m)
			replace(m, "worker-1")
		}, true, false},
		"AnotherReports": {"one that was replaced reports", func(*model) {}, func(m *model) {
			asked(m)
			replace(m, "worker-1")
			m.after(10 * time.Second)
			m.reports("worker-1", 10)
			m.reconcileUntilStable()
		}, false, true},
		"OnlyReports": {"a job that only reports is not watched", func(*model) {}, func(m *model) {
			asked(m)
			m.in.RunPolicy.ProgressPolicy = &commonv1.ProgressPolicy{}
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := hungJob(tc.before, func(m *model) {
				for _, spec := range m.in.Replicas {
					spec.RestartPolicy = commonv1.RestartPolicyExitCode
				}
			})
			for _, name := range []string{"master-0", "worker-0", "worker-1"} {
				m.turns(name, corev1.ConditionTrue)
			}
			m.after(2 * time.Hour)
			m.reconcileUntilStable()
			tc.happens(m)
			m.in.Job.Generation++
			m.reconcileUntilStable()
			c := m.in.Status.Condition(commonv1.JobHung)
			muted := c != nil && c.Status == corev1.ConditionUnknown && c.Reason == "TestJobPodsCannotReport"
			if muted != tc.muted || m.in.Status.Finished() {
				t.Errorf("%s: the condition Hung is %+v, the others %q", tc.reason, c, conditions(&m.in.Status))
			}
			if p := m.decide(); len(p.Events) > 0 || p.StatusChange != plan.StatusUnchanged {
				t.Errorf("%s: it says so again: %v", tc.reason, p.Events)
			}
			m.later(time.Hour)
			if got := m.in.Status.Finished(); got != tc.fails {
				t.Errorf("%s: it has failed: %t, state %s", tc.reason, got, m.in.Status.State)
			}
		})
	}
}
