package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestAcceptedJobGoesOn: a job that runs, of training-operator v1, of an earlier version or after it was
// scaled, is not stalled for what is refused in a new job only because it would never start, never end, or
// not do what its user expects.
func TestAcceptedJobGoesOn(t *testing.T) {
	gang := func(p commonv1.SchedulingPolicy) func(*model) {
		return func(m *model) { m.in.Gang, m.in.RunPolicy.SchedulingPolicy = &plan.Gang{}, &p }
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
	}{
		"Name": {
			reason: "known-bugs row 280: a name does not change, and the pods of a job that v1 began have theirs",
			change: func(m *model) { m.in.Job.Name = strings.Repeat("a", 60) },
		},
		"NameThatIsNoLabel": {reason: "the same", change: func(m *model) { m.in.Job.Name = "1st.job" }},
		"BelowMinAvailable": {
			reason: "known-bugs row 282: a job that is scaled below its minimum needs all of its pods, and no more",
			change: gang(commonv1.SchedulingPolicy{MinAvailable: new(int32(3))}),
		},
		"NoMinAvailable": {
			reason: "v1 takes 0 for a gang that may start at once, and this one has",
			change: gang(commonv1.SchedulingPolicy{MinAvailable: new(int32(0))}),
		},
		"NegativeTimeout": {
			reason: "the gang scheduler of v1 has read it already",
			change: gang(commonv1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(-1))}),
		},
		"NegativeTTL": {
			reason: "v1 runs such a job; how long it stays when it has ended is no reason to stop it",
			change: func(m *model) { m.in.RunPolicy.TTLSecondsAfterFinished = new(int32(-1)) },
		},
		"CleanPodPolicy": {
			reason: "v1 has no list of policies; this one matters only at the end, and then the pods stay",
			change: func(m *model) { m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicy("all")) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			tc.change(m)
			if got := mistakes(m); len(got) == 0 {
				t.Error("in a new job it is a mistake")
			}
			m.in.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobCreated, Status: "True"}}
			if diff := cmp.Diff([]string(nil), mistakes(m)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			m.reconcileUntilStable()
			m.run()
			m.reconcileUntilStable()
			if m.in.Status.State != commonv1.JobRunning {
				t.Errorf("%s: the job is %s by %v", tc.reason, m.in.Status.State, conditions(&m.in.Status))
			}
		})
	}
}

// TestAcceptedJobStalls: what says nothing about how to go on stalls a job that runs.
func TestAcceptedJobStalls(t *testing.T) {
	for name, change := range map[string]func(*model){
		"NegativeReplicas": func(m *model) { m.in.Replicas[worker].Replicas = new(int32(-1)) },
		"TooManyReplicas":  func(m *model) { m.in.Replicas[worker].Replicas = new(int32(2_000_000_000)) },
		"UnknownType":      func(m *model) { m.in.Replicas["Boss"] = m.in.Replicas[worker] },
		"NoContainer":      func(m *model) { m.in.Replicas[worker].Template.Spec.Containers = nil },
		"RestartPolicy":    func(m *model) { m.in.Replicas[worker].RestartPolicy = "onFailure" },
		"NegativeDeadline": func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(-1)) },
		"NegativeLimit":    func(m *model) { m.in.RunPolicy.BackoffLimit = new(int32(-1)) },
		// To scale the job would delete the replica whose success is to end it.
		"SuccessOfMore":   successPolicy(successRule(worker, "", 3)),
		"SuccessOfOthers": successPolicy(successRule(worker, "2", 0)),
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			m.reconcileUntilStable()
			m.run()
			m.reconcileUntilStable()
			change(m)
			m.reconcileUntilStable()
			if m.in.Status.State != commonv1.JobStalled || len(m.in.Pods) != 2 {
				t.Errorf("the job is %s with %d pods, by %v", m.in.Status.State, len(m.in.Pods), conditions(&m.in.Status))
			}
		})
	}
}

// TestNameWithoutServices: pods alone may have names that are longer than those of services, and other
// letters in them.
func TestNameWithoutServices(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		mode   commonv1.ServiceMode
		job    string
		want   []string
	}{
		"Longest": {reason: "known-bugs row 280: a label of each pod has the name, and 63 characters", mode: commonv1.ServiceModeNone, job: strings.Repeat("a", 63)},
		"TooLong": {
			reason: "one more is too many", mode: commonv1.ServiceModeNone, job: strings.Repeat("a", 64),
			want: []string{`metadata.name: Invalid value: "` + strings.Repeat("a", 64) + `": is too long: it has 64 characters and is the value of a label, which can have 63: use a name of at most 63 characters`},
		},
		"Letters":  {reason: "pods can have such names, and labels such values", mode: commonv1.ServiceModeNone, job: "1st.job"},
		"Services": {reason: "a service of each pod has its name", mode: commonv1.ServiceModePerReplica, job: "1st.job", want: []string{noLabel}},
		"Service":  {reason: "the service of the job has that of the job", mode: commonv1.ServiceModePerJob, job: "1st.job", want: []string{noLabel}},
	} {
		m := newModel(workers(1))
		m.in.RunPolicy.ServiceMode, m.in.Job.Name = &tc.mode, tc.job
		if diff := cmp.Diff(tc.want, mistakes(m)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
}

const noLabel = `metadata.name: Invalid value: "1st.job": must start with a lower-case letter, hold lower-case letters, digits and '-' only, ` +
	`and end with a letter or digit, because the pods and services are named after it: choose another name`
