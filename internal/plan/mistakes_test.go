package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestEveryMistake: all mistakes are told, in an order that does not depend on chance.
func TestEveryMistake(t *testing.T) {
	const prefix = `spec.runPolicy.`
	cases := map[string]struct {
		reason string
		change func(*model)
		want   []string
	}{
		"UnknownTypes": {
			reason: "types in order",
			change: func(m *model) {
				for _, t := range []commonv1.ReplicaType{"F", "E", "D", "C", "B", "A"} {
					m.in.Replicas[t] = m.in.Replicas[worker]
				}
			},
			want: func() (all []string) {
				for _, t := range []string{"A", "B", "C", "D", "E", "F"} {
					all = append(all, `spec.testReplicaSpecs: Unsupported value: "`+t+`": supported values: "Master", "Worker"`)
				}
				return all
			}(),
		},
		"Labels": {
			reason: "labels in order",
			change: func(m *model) {
				m.in.Replicas[worker].Template.Labels = map[string]string{}
				for _, l := range []string{"d", "c", "b", "a"} {
					m.in.Replicas[worker].Template.Labels[commonv1.LabelPrefix+l] = "x"
				}
			},
			want: func() (all []string) {
				for _, l := range []string{"a", "b", "c", "d"} {
					all = append(all, `spec.testReplicaSpecs[Worker].template.metadata.labels[training.kubeflow.org/`+l+
						`]: Invalid value: "x": labels under training.kubeflow.org/ are set by the controller: remove it`)
				}
				return all
			}(),
		},
		"Numbers": {
			reason: "every number of the run policy",
			change: func(m *model) {
				p := &m.in.RunPolicy
				p.TTLSecondsAfterFinished, p.ActiveDeadlineSeconds, p.ForceDeleteAfterSeconds = new(int32(-1)), new(int64(-2)), new(int64(-3))
				p.BackoffLimit, p.BackoffLimitPerReplica = new(int32(-4)), new(int32(-5))
			},
			want: []string{
				prefix + `ttlSecondsAfterFinished: Invalid value: -1: must be 0 or more`,
				prefix + `activeDeadlineSeconds: Invalid value: -2: must be 0 or more`,
				prefix + `backoffLimit: Invalid value: -4: must be 0 or more`,
				prefix + `backoffLimitPerReplica: Invalid value: -5: must be 0 or more`,
				prefix + `forceDeleteAfterSeconds: Invalid value: -3: must be 0 or more`,
			},
		},
		"Zeros": {
			reason: "0 is fine everywhere",
			change: func(m *model) {
				p := &m.in.RunPolicy
				p.TTLSecondsAfterFinished, p.ActiveDeadlineSeconds, p.ForceDeleteAfterSeconds = new(int32(0)), new(int64(0)), new(int64(0))
				p.BackoffLimit, p.BackoffLimitPerReplica = new(int32(0)), new(int32(0))
			},
		},
		"LongNameThatIsNoLabel": {
			reason: "what is wrong with a name of 63 characters is its first",
			change: func(m *model) { m.in.Job.Name = "1" + strings.Repeat("a", 62) },
			want: []string{`metadata.name: Invalid value: "1` + strings.Repeat("a", 62) + `": must start with a lower-case letter, hold lower-case letters, ` +
				`digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name`},
		},
		"LongNames": {
			reason: "of names of one length the first is shown",
			change: func(m *model) {
				m.in.Replicas[master] = m.in.Replicas[worker]
				m.in.Job.Name = strings.Repeat("a", 55)
			},
			want: []string{`metadata.name: Invalid value: "` + strings.Repeat("a", 55) + `": is too long: ` + strings.Repeat("a", 55) +
				`-master-0 would be the name of a pod and a service and have 64 characters, 63 are allowed: use a name of at most 54 characters`},
		},
		"LongestNameBesideNone": {
			reason: "a type without replicas needs no longer name than one replica does",
			change: func(m *model) {
				m.in.Replicas[master] = m.in.Replicas[worker].DeepCopy()
				m.in.Replicas[master].Replicas = new(int32(0))
				m.in.Job.Name = strings.Repeat("a", 54)
			},
		},
		"NoContainers": {
			reason: "without containers there is none of the name",
			change: func(m *model) { m.in.Replicas[worker].Template.Spec.Containers = nil },
			want:   []string{`spec.testReplicaSpecs[Worker].template: Required value: there is no template: add one, with a container named "main"`},
		},
		"NoContainersInATemplate": {
			reason: "a template that says something else is one",
			change: func(m *model) {
				m.in.Replicas[worker].Template = corev1.PodTemplateSpec{Spec: corev1.PodSpec{HostNetwork: true}}
			},
			want: []string{`spec.testReplicaSpecs[Worker].template.spec.containers: Required value: there is no container: add a container named "main"`},
		},
		"NoContainersOfAnyName": {
			reason: "where any name will do, one is needed",
			change: func(m *model) {
				m.in.Kind.AnyContainer = true
				m.in.Replicas[worker].Template.Spec.Containers = nil
			},
			want: []string{`spec.testReplicaSpecs[Worker].template: Required value: there is no template: add one, with a container`},
		},
		"MostReplicas": {
			reason: "100000 are allowed",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(100_000)) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			tc.change(m)
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

// TestMistakeBeforeTheFirstStatus: a job that has pods was valid when they were created,
// though its status does not say so yet. The mistake came with an edit.
func TestMistakeBeforeTheFirstStatus(t *testing.T) {
	m := newModel(workers(1))
	if p := m.reconcile(); p.WriteStatus || len(m.in.Pods) != 1 {
		t.Fatalf("want a pod and no status yet, got %d, status written: %t", len(m.in.Pods), p.WriteStatus)
	}
	m.in.Problem = "a mistake"
	m.in.Job.Generation++
	m.reconcile()
	if m.in.Status.State != commonv1.JobStalled || len(m.in.Pods) != 1 {
		t.Errorf("want the job to be stalled and to keep its pod, it is %q and has %d", m.in.Status.State, len(m.in.Pods))
	}
}

// TestMistakeInAnEditStalls: what the outcome of a look says does not end that.
func TestMistakeInAnEditStalls(t *testing.T) {
	m := started(workers(1), nil)
	m.in.Problem = "a mistake"
	m.settle()
	s := plan.Conclude(&m.in, plan.TallyOf(&m.in), m.decide(), plan.ExecutionResult{})
	if s.Status.State != commonv1.JobStalled || s.WriteStatus {
		t.Errorf("the mistake is still there, but the job is %s", s.Status.State)
	}
}

// TestNothingIsCreatedByTheLookThatEndsAJob: whatever ends it is the last word.
func TestNothingIsCreatedByTheLookThatEndsAJob(t *testing.T) {
	cases := map[string]struct {
		change  func(*model)
		verdict *jobkit.Outcome
	}{
		"Verdict":  {change: func(*model) {}, verdict: &jobkit.Outcome{Failed: true}},
		"Success":  {change: func(*model) {}, verdict: &jobkit.Outcome{Succeeded: true}},
		"Deadline": {change: func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(0)) }},
		"Failure":  {change: func(m *model) { m.end(m.pod("worker-0"), 1) }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), nil)
			m.drop(m.pod("worker-1"))
			tc.change(m)
			p := plan.Decide(&m.in, plan.TallyOf(&m.in), tc.verdict)
			creates := slices.ContainsFunc(p.Actions, func(a plan.Action) bool { return strings.HasPrefix(a.String(), "create") })
			if !p.Status.Finished() || creates {
				t.Errorf("the job is %s, and wants %v", p.Status.State, p.Actions)
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
			reason: "a container that ended well is no failure, in whatever list", rule: onCodes(failJob, notIn, 137), want: commonv1.JobRestarting,
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

// TestPortsOfAService: a port is the same if all of it is.
func TestPortsOfAService(t *testing.T) {
	cases := map[string]func(*corev1.ServicePort){
		"Name":       func(p *corev1.ServicePort) { p.Name = "x" },
		"Protocol":   func(p *corev1.ServicePort) { p.Protocol = corev1.ProtocolUDP },
		"Port":       func(p *corev1.ServicePort) { p.Port++ },
		"TargetPort": func(p *corev1.ServicePort) { p.TargetPort.IntVal++ },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), func(m *model) {
				m.in.Replicas[worker].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "grpc", ContainerPort: 1}}
			})
			change(&m.in.Services[0].Spec.Ports[0])
			if p := m.decide(); len(p.Actions) != 1 {
				t.Errorf("the service is to be put right, got %v", p.Actions)
			}
		})
	}
}
