package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// onCodes is a rule on exit codes.
func onCodes(action commonv1.PodFailurePolicyAction, op batchv1.PodFailurePolicyOnExitCodesOperator, codes ...int32) commonv1.PodFailurePolicyRule {
	return commonv1.PodFailurePolicyRule{
		Action:      action,
		OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: op, Values: codes},
	}
}

// onDisruption is a rule on pods that were evicted or preempted.
func onDisruption(action commonv1.PodFailurePolicyAction) commonv1.PodFailurePolicyRule {
	return commonv1.PodFailurePolicyRule{
		Action:          action,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget}},
	}
}

const (
	failJob    = commonv1.PodFailurePolicyActionFailJob
	ignore     = commonv1.PodFailurePolicyActionIgnore
	countIt    = commonv1.PodFailurePolicyActionCount
	restartJob = commonv1.PodFailurePolicyActionRestartJob
	in         = batchv1.PodFailurePolicyOnExitCodesOpIn
	notIn      = batchv1.PodFailurePolicyOnExitCodesOpNotIn
)

func TestPodFailurePolicy(t *testing.T) {
	end := func(code int32) func(*model) { return func(m *model) { m.end(m.pod("worker-0"), code) } }
	forMaster := onCodes(failJob, in, 3)
	forMaster.ReplicaTypes = []commonv1.ReplicaType{master}
	forSidecar := onCodes(failJob, in, 137)
	forSidecar.OnExitCodes.ContainerName = new("sidecar")
	type outcome struct {
		State    commonv1.JobConditionType
		Restarts int32
		Attempts map[string]int32
		Attempt  int32
	}
	tests := map[string]struct {
		reason  string
		policy  commonv1.RestartPolicy
		scope   commonv1.RestartScope
		rules   []commonv1.PodFailurePolicyRule
		happens func(*model)
		want    outcome
	}{
		"NoRuleMet": {
			reason: "where no rule is met the restart policy decides",
			policy: commonv1.RestartPolicyExitCode, rules: []commonv1.PodFailurePolicyRule{onCodes(failJob, in, 3)},
			happens: end(137), want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
		"FailJob": {
			reason: "FailJob ends a job that the restart policy would restart",
			policy: commonv1.RestartPolicyExitCode, rules: []commonv1.PodFailurePolicyRule{onCodes(failJob, in, 137)},
			happens: end(137), want: outcome{State: commonv1.JobFailed},
		},
		"Ignore": {
			reason: "Ignore restarts the replica, even under Never, and does not count it",
			policy: commonv1.RestartPolicyNever, rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)},
			happens: func(m *model) { m.evict(m.pod("worker-0")) },
			want:    outcome{State: commonv1.JobRestarting, Attempts: map[string]int32{"0": 1}},
		},
		"Count": {
			reason: "Count restarts the replica, even under Never, and counts it",
			policy: commonv1.RestartPolicyNever, rules: []commonv1.PodFailurePolicyRule{onCodes(countIt, in, 3)},
			happens: end(3), want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
		"RestartJob": {
			reason: "RestartJob restarts every replica, whatever the restart scope, and counts it once",
			policy: commonv1.RestartPolicyNever, rules: []commonv1.PodFailurePolicyRule{onCodes(restartJob, notIn, 3)},
			happens: func(m *model) { m.end(m.pod("worker-0"), 4); m.end(m.pod("worker-1"), 5) },
			want:    outcome{State: commonv1.JobRestarting, Restarts: 1, Attempt: 1},
		},
		"IgnoreWholeJob": {
			reason: "Ignore with restart scope Job restarts every replica and does not count it",
			policy: commonv1.RestartPolicyNever, scope: commonv1.RestartScopeJob, rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)},
			happens: func(m *model) { m.evict(m.pod("worker-0")) },
			want:    outcome{State: commonv1.JobRestarting, Attempt: 1},
		},
		"FirstRule": {
			reason: "the first rule that is met decides",
			policy: commonv1.RestartPolicyNever, rules: []commonv1.PodFailurePolicyRule{onCodes(countIt, in, 3), onCodes(failJob, in, 3)},
			happens: end(3), want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
		"NotIn": {
			reason: "NotIn is not met by a code that is listed",
			policy: commonv1.RestartPolicyExitCode, rules: []commonv1.PodFailurePolicyRule{onCodes(failJob, notIn, 137)},
			happens: end(137), want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
		"NotInZero": {
			reason: "every container that ends with an error has another code than 0",
			policy: commonv1.RestartPolicyNever, rules: []commonv1.PodFailurePolicyRule{onCodes(countIt, notIn, 0)},
			happens: end(1), want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
		"OtherType": {
			reason: "a rule for another replica type is not met",
			policy: commonv1.RestartPolicyNever, rules: []commonv1.PodFailurePolicyRule{forMaster, onCodes(countIt, in, 3)},
			happens: end(3), want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
		"OtherContainer": {
			reason: "a rule for another container is not met",
			policy: commonv1.RestartPolicyExitCode, rules: []commonv1.PodFailurePolicyRule{forSidecar},
			happens: end(137), want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
		"ConditionFalse": {
			reason: "a condition that is False does not meet a rule that asks for True, which is the default",
			policy: commonv1.RestartPolicyExitCode, rules: []commonv1.PodFailurePolicyRule{onDisruption(failJob)},
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.pod("worker-0").Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse}}
			},
			want: outcome{State: commonv1.JobRestarting, Restarts: 1, Attempts: map[string]int32{"0": 1}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) {
				m.in.Replicas[worker].RestartPolicy = tc.policy
				if tc.scope != "" {
					m.in.RunPolicy.RestartScope = &tc.scope
				}
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: tc.rules}
			})
			tc.happens(m)
			m.reconcileUntilStable()
			s := &m.in.Status
			got := outcome{State: s.State, Restarts: s.Restarts, Attempts: s.ReplicaStatuses[worker].Attempts, Attempt: s.Attempt}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestOptionalReplicas: their failure is left alone as long as others continue.
func TestOptionalReplicas(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, func(m *model) {
		m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
		m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
	})
	m.end(m.pod("worker-0"), 1)
	m.reconcileUntilStable()
	if s := &m.in.Status; s.State != commonv1.JobRunning || s.Restarts != 0 || m.pod("worker-0") == nil {
		t.Errorf("a failed worker is left as it is and the job continues, got %s with %d restarts", s.State, s.Restarts)
	}
	m.end(m.pod("worker-1"), 1)
	m.end(m.pod("master-0"), 0)
	m.reconcileUntilStable()
	if s := &m.in.Status; s.State != commonv1.JobSucceeded {
		t.Errorf("the master decides: want Succeeded, got %s", s.State)
	}
}

// TestNoReplicaLeftThatCanSucceed: a job whose replicas may fail does not wait
// forever when all of them have ended.
func TestNoReplicaLeftThatCanSucceed(t *testing.T) {
	m := started(workers(2), func(m *model) { m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)} })
	m.end(m.pod("worker-0"), 1)
	m.reconcileUntilStable()
	m.end(m.pod("worker-1"), 0)
	m.reconcileUntilStable()
	want := []string{
		"Created=True TestJobCreated: TestJob job is created.",
		"Running=False TestJobRunning: TestJob ns/job is running.",
		"Failed=True TestJobFailed: TestJob ns/job has failed because 1 Worker replica(s) failed. First failure: pod job-worker-0, exit code 1, restart policy Never.",
	}
	if diff := cmp.Diff(want, conditions(&m.in.Status)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLastOptionalReplicaRestarts: one that is left alone does not fail the job while the last of the
// others is to restart: that may still succeed.
func TestLastOptionalReplicaRestarts(t *testing.T) {
	type outcome struct {
		State    commonv1.JobConditionType
		Restarts int32
		Attempts map[string]string
	}
	for name, tc := range map[string]struct {
		reason string
		scope  commonv1.RestartScope
		fails  func(*model)
		want   outcome
	}{
		"Killed": {
			"its exit code is retried", scopeReplica, func(m *model) { m.end(m.pod("worker-1"), 137) },
			outcome{commonv1.JobRestarting, 1, map[string]string{"worker-0": "0", "worker-1": "1"}},
		},
		"Preempted": {
			"a disruption is retried", scopeReplica, func(m *model) { m.disrupt(m.pod("worker-1"), preempted) },
			outcome{commonv1.JobRestarting, 1, map[string]string{"worker-0": "0", "worker-1": "1"}},
		},
		"Gang": {
			"the whole job restarts, with what was left alone", scopeJob, func(m *model) { m.end(m.pod("worker-1"), 137) },
			outcome{commonv1.JobRestarting, 1, map[string]string{"worker-0": "1", "worker-1": "1"}},
		},
		"Permanent": {
			"nothing is left that could succeed", scopeReplica, func(m *model) { m.end(m.pod("worker-1"), 2) },
			outcome{commonv1.JobFailed, 0, map[string]string{"worker-0": "0", "worker-1": "0"}},
		},
	} {
		for _, pass := range []string{"InOnePass", "InTwoPasses"} {
			t.Run(name+pass, func(t *testing.T) {
				m := started(workers(2), func(m *model) {
					restartPolicy(commonv1.RestartPolicyExitCode)(m)
					m.in.RunPolicy.RestartScope = &tc.scope
					m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
				})
				m.bind()
				m.end(m.pod("worker-0"), 1)
				if pass == "InTwoPasses" {
					m.reconcileUntilStable()
				}
				tc.fails(m)
				m.reconcileUntilStable()
				s := &m.in.Status
				if diff := cmp.Diff(tc.want, outcome{s.State, s.Restarts, attempts(m)}); diff != "" {
					t.Errorf("%s (-want +got):\n%s%q", tc.reason, diff, conditions(s))
				}
			})
		}
	}
}

// TestNothingStartsAfterWhatIsLeftAlone: what starts after a replica that has failed for good never starts. A
// job of which nothing else is left does not wait for it.
func TestNothingStartsAfterWhatIsLeftAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		state  commonv1.StartAfterState
		ends   func(*model)
		want   commonv1.JobConditionType
	}{
		"Succeeded": {"no worker is left to succeed", commonv1.StartAfterSucceeded, func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 1) }, commonv1.JobFailed},
		"Running":   {"nor one to run", commonv1.StartAfterRunning, func(m *model) { m.end(m.pod("worker-0"), 2); m.end(m.pod("worker-1"), 1) }, commonv1.JobFailed},
		"OneRuns":   {"a worker that runs may make the job succeed", commonv1.StartAfterSucceeded, func(m *model) { m.end(m.pod("worker-1"), 1) }, commonv1.JobRunning},
		"Restarts":  {"so may one that restarts", commonv1.StartAfterSucceeded, func(m *model) { m.end(m.pod("worker-0"), 137); m.end(m.pod("worker-1"), 1) }, commonv1.JobRestarting},
		"Starts":    {"the master starts when all have succeeded", commonv1.StartAfterSucceeded, func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) }, commonv1.JobCreated},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
			restartPolicy(commonv1.RestartPolicyExitCode)(m)
			m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.All(master)}
			m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
			m.in.Replicas[master].StartAfter = &commonv1.StartAfter{ReplicaType: worker, State: tc.state}
			m.reconcileUntilStable()
			m.run()
			if tc.state == commonv1.StartAfterSucceeded {
				m.reconcileUntilStable() // Otherwise the master would start.
			}
			tc.ends(m)
			m.reconcileUntilStable()
			if s := &m.in.Status; s.State != tc.want {
				t.Errorf("%s: want %s, got %q", tc.reason, tc.want, conditions(s))
			}
		})
	}
}

func TestInvalidRunPolicies(t *testing.T) {
	both := onCodes(failJob, in, 1)
	both.OnPodConditions = onDisruption(failJob).OnPodConditions
	unknown := onCodes("Explode", "Near", 0)
	unknown.ReplicaTypes = []commonv1.ReplicaType{"Boss"}
	tests := map[string]struct {
		reason string
		policy commonv1.RunPolicy
		want   []string
	}{
		"Values": {
			reason: "values that no schema kept out are refused, each with the values that are known",
			policy: commonv1.RunPolicy{
				CleanPodPolicy: new(commonv1.CleanPodPolicy("x")), RestartScope: new(commonv1.RestartScope("x")),
				ServiceMode: new(commonv1.ServiceMode("x")), BackoffLimitPerReplica: new(int32(-1)),
			},
			want: []string{
				`spec.runPolicy.backoffLimitPerReplica: Invalid value: -1: must be 0 or more`,
				`spec.runPolicy.cleanPodPolicy: Unsupported value: "x": supported values: "All", "Running", "None"`,
				`spec.runPolicy.restartScope: Unsupported value: "x": supported values: "Replica", "Role", "Job"`,
				`spec.runPolicy.serviceMode: Unsupported value: "x": supported values: "PerReplica", "PerJob", "None"`,
			},
		},
		"NoRules": {
			reason: "a policy without rules is a mistake",
			policy: commonv1.RunPolicy{PodFailurePolicy: &commonv1.PodFailurePolicy{}},
			want: []string{
				"spec.runPolicy.podFailurePolicy.rules: Required value: a policy without rules has no effect: add a rule, or remove podFailurePolicy",
			},
		},
		"Both": {
			reason: "a rule is on exit codes or on conditions",
			policy: commonv1.RunPolicy{PodFailurePolicy: &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{both}}},
			want: []string{
				`spec.runPolicy.podFailurePolicy.rules[0]: Invalid value: "FailJob": needs exactly one of onExitCodes and onPodConditions: remove one, or add one`,
			},
		},
		"Unknown": {
			reason: "words that mean nothing are refused",
			policy: commonv1.RunPolicy{PodFailurePolicy: &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{unknown}}},
			want: []string{
				`spec.runPolicy.podFailurePolicy.rules[0].action: Unsupported value: "Explode": supported values: "FailJob", "Ignore", "Count", "RestartJob"`,
				`spec.runPolicy.podFailurePolicy.rules[0].replicaTypes[0]: Unsupported value: "Boss": supported values: "Master", "Worker"`,
				`spec.runPolicy.podFailurePolicy.rules[0].onExitCodes.operator: Unsupported value: "Near": supported values: "In", "NotIn"`,
				`spec.runPolicy.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: 0 is not a failure: remove it`,
			},
		},
		"NotInZero": {
			reason: "NotIn 0 is every failure, as in batch/v1",
			policy: commonv1.RunPolicy{PodFailurePolicy: &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(failJob, notIn, 0)}}},
		},
		"InZero": {
			reason: "0 is no failure, wherever it is listed",
			policy: commonv1.RunPolicy{PodFailurePolicy: &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(failJob, in, 3, 0)}}},
			want:   []string{`spec.runPolicy.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: 0 is not a failure: remove it`},
		},
		"NoCodes": {
			reason: "a rule on exit codes names some",
			policy: commonv1.RunPolicy{PodFailurePolicy: &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(failJob, in)}}},
			want: []string{
				"spec.runPolicy.podFailurePolicy.rules[0].onExitCodes.values: Required value: add the exit codes that the rule is for",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.RunPolicy = tc.policy
			var got []string
			for _, err := range plan.Validate(&m.in) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestExitCodesOfOtherContainers: a rule sees every container that ended with an
// error, and no other.
func TestExitCodesOfOtherContainers(t *testing.T) {
	runs := corev1.ContainerStatus{Name: "sidecar", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	cases := map[string]struct {
		reason string
		rule   commonv1.PodFailurePolicyRule
		status corev1.PodStatus
		want   commonv1.JobConditionType
	}{
		"InitContainer": {
			reason: "an init container counts", rule: onCodes(countIt, in, 3), want: commonv1.JobRestarting,
			status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{terminated("init", 3)}},
		},
		"EndedWell": {
			reason: "a container that exited with 0 is not a failure, in whatever list", rule: onCodes(failJob, notIn, 137), want: commonv1.JobRestarting,
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{terminated("sidecar", 0), terminated("main", 137)}},
		},
		"StillRuns": {
			reason: "nor is one that runs", rule: onCodes(failJob, notIn, 137), want: commonv1.JobRestarting,
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{runs, terminated("main", 137)}},
		},
		"CodeOne": {
			reason: "1 is a code like others", rule: onCodes(countIt, in, 1), want: commonv1.JobRestarting,
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{terminated("main", 1)}},
		},
		"Windows": {
			reason: "so is a negative one, which Windows has", rule: onCodes(countIt, in, -1), want: commonv1.JobRestarting,
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{terminated("main", -1)}},
		},
		"ConditionOther": {
			reason: "a condition that is asked for as False is met by False",
			rule: commonv1.PodFailurePolicyRule{Action: countIt, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
				{Type: "Ready", Status: corev1.ConditionFalse},
			}},
			want: commonv1.JobRestarting,
			status: corev1.PodStatus{
				Conditions:        []corev1.PodCondition{{Type: "Ready", Status: corev1.ConditionFalse}},
				ContainerStatuses: []corev1.ContainerStatus{terminated("main", 1)},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
			m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{tc.rule}}
			tc.status.Phase = corev1.PodFailed
			m.pod("worker-0").Status = tc.status
			p := m.decide()
			if p.Status.State != tc.want {
				t.Errorf("%s: want %s, got %q", tc.reason, tc.want, conditions(&p.Status))
			}
		})
	}
}
