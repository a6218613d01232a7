package plan_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// mistakes are the errors of a model, one a line.
func mistakes(m *model) []string {
	var out []string
	for _, err := range plan.Validate(&m.in) {
		out = append(out, err.Error())
	}
	return out
}

// TestNumbersOfTheRunPolicy: 0 is a number of each field, -1 is not, and says which field it is.
func TestNumbersOfTheRunPolicy(t *testing.T) {
	for name, set := range map[string]func(p *commonv1.RunPolicy, n int32){
		"ttlSecondsAfterFinished": func(p *commonv1.RunPolicy, n int32) { p.TTLSecondsAfterFinished = &n },
		"activeDeadlineSeconds":   func(p *commonv1.RunPolicy, n int32) { p.ActiveDeadlineSeconds = new(int64(n)) },
		"startDeadlineSeconds":    func(p *commonv1.RunPolicy, n int32) { p.StartDeadlineSeconds = new(int64(n)) },
		"backoffLimit":            func(p *commonv1.RunPolicy, n int32) { p.BackoffLimit = &n },
		"backoffLimitPerReplica":  func(p *commonv1.RunPolicy, n int32) { p.BackoffLimitPerReplica = &n },
		"maxJobRestarts": func(p *commonv1.RunPolicy, n int32) {
			p.MaxJobRestarts, p.BackoffLimitPerReplica, p.OnBackoffLimitPerReplica = &n, new(int32(1)), new(commonv1.BackoffLimitPerReplicaRestartJob)
		},
		"forceDeleteAfterSeconds": func(p *commonv1.RunPolicy, n int32) { p.ForceDeleteAfterSeconds = new(int64(n)) },
	} {
		for n, want := range map[int32][]string{0: nil, -1: {"spec.runPolicy." + name + ": Invalid value: -1: must be 0 or more"}} {
			m := newModel(workers(1))
			set(&m.in.RunPolicy, n)
			if diff := cmp.Diff(want, mistakes(m)); diff != "" {
				t.Errorf("%s %d (-want +got):\n%s", name, n, diff)
			}
		}
	}
}

// wordOf makes a setter of one of a field's words.
func wordOf[T ~string](set func(*model, T)) func(*model, string) {
	return func(m *model, word string) { set(m, T(word)) }
}

// TestWordsOfFields: each word that a field may have is accepted, and another one is refused with
// a list of them.
func TestWordsOfFields(t *testing.T) {
	rule := func(m *model) *commonv1.PodFailurePolicyRule {
		r := commonv1.PodFailurePolicyRule{Action: ignore, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: "In", Values: []int32{7}}}
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{r}}
		return &m.in.RunPolicy.PodFailurePolicy.Rules[0]
	}
	const policy, ofWorker = "spec.runPolicy.", "spec.testReplicaSpecs[Worker]."
	for path, tc := range map[string]struct {
		words []string
		set   func(*model, string)
	}{
		policy + "cleanPodPolicy": {[]string{"All", "Running", "None"}, wordOf(func(m *model, w commonv1.CleanPodPolicy) { m.in.RunPolicy.CleanPodPolicy = &w })},
		policy + "restartScope":   {[]string{"Replica", "Role", "Job"}, wordOf(func(m *model, w commonv1.RestartScope) { m.in.RunPolicy.RestartScope = &w })},
		policy + "serviceMode":    {[]string{"PerReplica", "PerJob", "None"}, wordOf(func(m *model, w commonv1.ServiceMode) { m.in.RunPolicy.ServiceMode = &w })},
		policy + "onStartDeadline": {[]string{"FailJob", "RestartJob"}, wordOf(func(m *model, w commonv1.StartDeadlineAction) {
			m.in.RunPolicy.OnStartDeadline, m.in.RunPolicy.StartDeadlineSeconds = &w, new(int64(1))
		})},
		policy + "onBackoffLimitPerReplica": {[]string{"FailJob", "RestartJob"}, wordOf(func(m *model, w commonv1.BackoffLimitPerReplicaAction) {
			m.in.RunPolicy.OnBackoffLimitPerReplica, m.in.RunPolicy.BackoffLimitPerReplica = &w, new(int32(1))
		})},
		policy + "progressPolicy.source": {[]string{"Report", "Readiness"}, wordOf(func(m *model, w commonv1.ProgressSource) { watched(w, "")(m) })},
		policy + "progressPolicy.action": {[]string{"Report", "RestartReplica", "RestartJob", "FailJob"}, wordOf(func(m *model, w commonv1.ProgressAction) { watched("", w)(m) })},
		policy + "avoidNodes.mode":       {[]string{"Preferred", "Required"}, wordOf(func(m *model, w commonv1.AvoidNodesMode) { m.in.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{Mode: w} })},
		policy + "avoidNodes.causes[0]": {[]string{"Failed", "Disrupted", "Hung"}, wordOf(func(m *model, w commonv1.AvoidNodesCause) {
			m.in.RunPolicy.AvoidNodes = &commonv1.AvoidNodes{Causes: []commonv1.AvoidNodesCause{w}}
		})},
		policy + "podFailurePolicy.rules[0].action":               {[]string{"FailJob", "Ignore", "Count", "RestartJob"}, wordOf(func(m *model, w commonv1.PodFailurePolicyAction) { rule(m).Action = w })},
		policy + "podFailurePolicy.rules[0].replicaTypes[0]":      {[]string{"Master", "Worker"}, wordOf(func(m *model, w commonv1.ReplicaType) { rule(m).ReplicaTypes = []commonv1.ReplicaType{w} })},
		policy + "podFailurePolicy.rules[0].onExitCodes.operator": {[]string{"In", "NotIn"}, wordOf(func(m *model, w batchv1.PodFailurePolicyOnExitCodesOperator) { rule(m).OnExitCodes.Operator = w })},
		ofWorker + "restartPolicy":                                {[]string{"Always", "OnFailure", "Never", "ExitCode"}, wordOf(func(m *model, w commonv1.RestartPolicy) { m.in.Replicas[worker].RestartPolicy = w })},
		ofWorker + "restartScope":                                 {[]string{"Replica", "Role", "Job"}, wordOf(func(m *model, w commonv1.RestartScope) { m.in.Replicas[worker].RestartScope = &w })},
		ofWorker + "startAfter.state": {[]string{"Running", "Ready", "Succeeded"}, wordOf(func(m *model, w commonv1.StartAfterState) {
			m.in.Replicas[master] = m.in.Replicas[worker].DeepCopy()
			m.in.Replicas[worker].StartAfter = &commonv1.StartAfter{ReplicaType: master, State: w}
		})},
	} {
		quoted := make([]string, 0, len(tc.words))
		for _, word := range tc.words {
			m := newModel(workers(1))
			tc.set(m, word)
			if got := mistakes(m); len(got) > 0 {
				t.Errorf("%s may be %s: %q", path, word, got)
			}
			quoted = append(quoted, strconv.Quote(word))
		}
		m := newModel(workers(1))
		tc.set(m, "Odd")
		want := []string{path + `: Unsupported value: "Odd": supported values: ` + strings.Join(quoted, ", ")}
		if diff := cmp.Diff(want, mistakes(m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	m := newModel(workers(1))
	m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyUndefined)
	if got := mistakes(m); len(got) > 0 {
		t.Errorf("an empty cleanPodPolicy is that of the kind: %q", got)
	}
}

// TestBoundsOfAGang: the least and the most that a gang may wait for.
func TestBoundsOfAGang(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		policy commonv1.SchedulingPolicy
		change func(*model)
		want   []string
	}{
		"NoTimeout": {reason: "0 is without end", policy: commonv1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(0))}},
		"Negative": {
			reason: "no time is negative", policy: commonv1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(-1))},
			want: []string{"spec.runPolicy.schedulingPolicy.scheduleTimeoutSeconds: Invalid value: -1: must be 0 or more"},
		},
		"Beyond": {
			reason: "so many there are not", policy: commonv1.SchedulingPolicy{MinAvailable: new(int32(4))},
			want: []string{"spec.runPolicy.schedulingPolicy.minAvailable: Invalid value: 4: must be from 1 to 3, the number of replicas of the job: change one of the two, or remove it to wait for all"},
		},
		"ScaledToNone": {reason: "a job without replicas waits for none", policy: commonv1.SchedulingPolicy{MinAvailable: new(int32(3))}, change: func(m *model) {
			m.in.Replicas[worker].Replicas = new(int32(0))
			m.in.Status.StartTime = new(metav1.NewTime(epoch))
		}},
	} {
		m := newModel(workers(3))
		m.in.Gang, m.in.RunPolicy.SchedulingPolicy = &plan.Gang{}, &tc.policy
		if tc.change != nil {
			tc.change(m)
		}
		if diff := cmp.Diff(tc.want, mistakes(m)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
}

// TestWordsOfAKind: so it is with the words that an author may use.
func TestWordsOfAKind(t *testing.T) {
	for path, tc := range map[string]struct {
		words []string
		set   func(*jobkit.Kind, string)
	}{
		"RestartPolicy":         {[]string{"Always", "OnFailure", "Never", "ExitCode"}, func(k *jobkit.Kind, w string) { k.RestartPolicy = commonv1.RestartPolicy(w) }},
		"CleanPodPolicy":        {[]string{"All", "Running", "None"}, func(k *jobkit.Kind, w string) { k.CleanPodPolicy = commonv1.CleanPodPolicy(w) }},
		"ServiceMode":           {[]string{"PerReplica", "PerJob", "None"}, func(k *jobkit.Kind, w string) { k.ServiceMode = commonv1.ServiceMode(w) }},
		"Roles[1].RestartScope": {[]string{"Replica", "Role", "Job"}, func(k *jobkit.Kind, w string) { k.Roles[1].RestartScope = commonv1.RestartScope(w) }},
		"Roles[1].Service.Type": {[]string{"ClusterIP", "NodePort", "LoadBalancer"}, func(k *jobkit.Kind, w string) {
			k.Roles[1].Service = &jobkit.RoleService{Type: corev1.ServiceType(w), Ports: []corev1.ServicePort{{Port: 1}}}
		}},
		"Roles[1].Service.Ports[0].Protocol": {[]string{"TCP", "UDP", "SCTP"}, func(k *jobkit.Kind, w string) {
			k.Roles[1].Service = &jobkit.RoleService{Ports: []corev1.ServicePort{{Port: 1, Protocol: corev1.Protocol(w)}}}
		}},
		"Roles[1].StartAfter.State": {[]string{"Running", "Ready", "Succeeded"}, func(k *jobkit.Kind, w string) {
			k.Roles[1].StartAfter = &commonv1.StartAfter{ReplicaType: "Launcher", State: commonv1.StartAfterState(w)}
		}},
	} {
		for _, word := range tc.words {
			k := launcherKind()
			k.SetDefaults()
			tc.set(&k, word)
			if errs := plan.ValidateKind(&k); len(errs) > 0 {
				t.Errorf("%s may be %s: %v", path, word, errs)
			}
		}
		k := launcherKind()
		k.SetDefaults()
		tc.set(&k, "Odd")
		if errs := plan.ValidateKind(&k); len(errs) != 1 || errs[0].Field != path {
			t.Errorf("%s may not be Odd: %v", path, errs)
		}
	}
}
