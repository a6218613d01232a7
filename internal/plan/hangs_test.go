package plan_test

import (
	"strings"
	"testing"
	"time"

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
		"OptionalFailed": {"nor does one that may fail", report, func(m *model) {
			m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyNever
		}, func(m *model) {
			goesOn(m)
			m.end(m.pod("worker-1"), 1)
		}, 59 * second, "job-master-0"},
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

// TestHangsAreLookedFor: reports cause no pass, so one is planned in which a hang may be found.
func TestHangsAreLookedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		source  commonv1.ProgressSource
		change  func(*model)
		happens func(*model)
		want    time.Duration
	}{
		"Young":          {"when the report will be too old", report, nil, func(*model) {}, 60 * time.Second},
		"OnlyStart":      {"after the only timeout there is", report, onlyStart, func(m *model) { m.in.Progress.UpSince = time.Time{} }, 600 * time.Second},
		"OnlyStall":      {"the server may come back, of which the job hears nothing", report, onlyStall, func(m *model) { m.in.Progress.UpSince = time.Time{} }, 60 * time.Second},
		"ServerAway":     {"after the shorter of the two", report, nil, func(m *model) { m.in.Progress.UpSince = time.Time{} }, 60 * time.Second},
		"SetBack":        {"by the new clock, or else none would be for an hour", readiness, nil, func(m *model) { m.turns("worker-1", corev1.ConditionFalse); m.after(-time.Hour) }, 60 * time.Second},
		"Hung":           {"one that is known is looked at again, but not at once", readiness, nil, func(m *model) { m.turns("worker-1", corev1.ConditionFalse); m.later(5 * time.Minute) }, 60 * time.Second},
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
