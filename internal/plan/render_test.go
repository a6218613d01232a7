package plan_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func itoa(n int) string { return strconv.Itoa(n) }

var owner = metav1.OwnerReference{
	APIVersion: "kubeflow.org/v1", Kind: "TestJob", Name: "job", UID: "job-uid", Controller: new(true), BlockOwnerDeletion: new(true),
}

func TestNewPod(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 2})
	m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyOnFailure
	m.in.Rules.Master = []jobkit.ReplicaSelector{jobkit.Index(worker, 1)}
	// What a template, or SetClusterSpec, could try in order to take over a pod.
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Name: "mine", GenerateName: "mine-", Namespace: "elsewhere", UID: "mine",
			Labels:          map[string]string{"app": "a", commonv1.JobNameLabel: "other", commonv1.AttemptLabel: "9"},
			Annotations:     map[string]string{"note": "kept"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Mine", UID: "mine", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "main"}}},
	}
	got := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-1", Type: worker, Index: 1, Attempt: 2}, template)
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "job-worker-1", Namespace: "ns",
			Labels: map[string]string{
				"app":                                 "a",
				"training.kubeflow.org/job-name":      "job",
				"training.kubeflow.org/operator-name": "testjob-controller",
				"training.kubeflow.org/replica-type":  "worker",
				"training.kubeflow.org/replica-index": "1",
				"training.kubeflow.org/job-role":      "master",
				"training.kubeflow.org/attempt":       "2",
			},
			Annotations:     map[string]string{"note": "kept"},
			OwnerReferences: []metav1.OwnerReference{owner},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyOnFailure, Hostname: "job-worker-1", Subdomain: "job",
			Containers: []corev1.Container{{Name: "main"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nothing in a template overrides what identifies the pod (-want +got):\n%s", diff)
	}
}

func TestPodRestartPolicy(t *testing.T) {
	for policy, want := range map[commonv1.RestartPolicy]corev1.RestartPolicy{
		commonv1.RestartPolicyAlways:    corev1.RestartPolicyAlways,
		commonv1.RestartPolicyOnFailure: corev1.RestartPolicyOnFailure,
		commonv1.RestartPolicyNever:     corev1.RestartPolicyNever,
		commonv1.RestartPolicyExitCode:  corev1.RestartPolicyNever,
	} {
		m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
		m.in.Replicas[worker].RestartPolicy = policy
		m.reconcileUntilStable()
		if got := m.pod("worker-0").Spec.RestartPolicy; got != want {
			t.Errorf("%s: pods get %s, want %s", policy, got, want)
		}
		// Known-bugs row 96: one container that is restarted could not join the others.
		m = newModel(map[commonv1.ReplicaType]int32{worker: 1})
		m.in.Replicas[worker].RestartPolicy = policy
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
		m.reconcileUntilStable()
		if got := m.pod("worker-0").Spec.RestartPolicy; got != corev1.RestartPolicyNever {
			t.Errorf("%s: with restart scope Job a failure must come to the operator, but the pod gets %s", policy, got)
		}
	}
}

func TestNewService(t *testing.T) {
	ports := []corev1.ContainerPort{
		{Name: "grpc", ContainerPort: 2222},
		{ContainerPort: 53, Protocol: corev1.ProtocolUDP},
		{ContainerPort: 53},
		{Name: "again", ContainerPort: 2222},
	}
	want := []corev1.ServicePort{
		{Name: "grpc", Protocol: corev1.ProtocolTCP, Port: 2222, TargetPort: intstr.FromInt32(2222)},
		{Name: "port-53-u", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
		{Name: "port-53-t", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
	}
	cases := map[string]struct {
		reason string
		action plan.CreateService
		labels map[string]string
	}{
		"PerJob": {
			reason: "selects all pods of the job",
			action: plan.CreateService{Name: "job"},
			labels: map[string]string{commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller"},
		},
		"PerReplica": {
			reason: "selects the pod of the replica, of whatever attempt",
			action: plan.CreateService{Name: "job-worker-0", Type: worker},
			labels: map[string]string{
				commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller",
				commonv1.ReplicaTypeLabel: "worker", commonv1.ReplicaIndexLabel: "0",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
			m.in.Replicas[worker].Template.Spec.Containers[0].Ports = ports
			got := plan.NewService(&m.in, tc.action)
			if diff := cmp.Diff(want, got.Spec.Ports); diff != "" {
				t.Errorf("protocols count, ports without a name get one, none is listed twice (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.labels, got.Spec.Selector); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if got.Spec.ClusterIP != corev1.ClusterIPNone || !cmp.Equal(got.OwnerReferences, []metav1.OwnerReference{owner}) {
				t.Errorf("the service is to be headless and owned by the job: %+v", got)
			}
		})
	}
}

// TestLabelsInTheDomainOfTheKind: objects have the labels once more under the domain of the kind,
// whatever a template says of them, and nothing selects by those.
func TestLabelsInTheDomainOfTheKind(t *testing.T) {
	m := newModel(workers(1))
	m.in.Kind.LabelDomain = "sim.example.com"
	template := corev1.PodTemplateSpec{}
	template.Labels = map[string]string{"sim.example.com/job-name": "another", "sim.example.com/team": "red", commonv1.LabelPrefix + "team": "blue", commonv1.PodGroupLabel: "gang"}
	pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker, Attempt: 2}, &template)
	service := plan.NewService(&m.in, plan.CreateService{Name: "job", Type: worker})
	var object corev1.ConfigMap
	plan.Claim(&m.in, &object)
	for what, got := range map[string]map[string]string{"pod": pod.Labels, "service": service.Labels, "owned object": object.Labels} {
		if got["sim.example.com/job-name"] != "job" || got[commonv1.JobNameLabel] != "job" {
			t.Errorf("%s: %v", what, got)
		}
	}
	if pod.Labels["sim.example.com/pod-group"] != "gang" {
		t.Errorf("the group, which the gang's back end has put into the template, is among them: %v", pod.Labels)
	}
	if pod.Labels["sim.example.com/attempt"] != "2" || pod.Labels["sim.example.com/team"] != "red" || pod.Labels[commonv1.LabelPrefix+"team"] != "blue" {
		t.Errorf("the template's own labels stay, and the attempt is among them: %v", pod.Labels)
	}
	for key := range service.Spec.Selector {
		if !strings.HasPrefix(key, commonv1.LabelPrefix) {
			t.Errorf("the service selects by %s, which pods of an earlier version lack", key)
		}
	}
}

// TestContainersWithRestartPolicies: where one failure restarts several replicas, and where the status has no
// room to count that, a node restarts no container of a pod, whatever its template says, and the job warns of
// that once. Sidecars stay what they are, but none restarts the other containers.
func TestContainersWithRestartPolicies(t *testing.T) {
	always, onFailure := new(corev1.ContainerRestartPolicyAlways), new(corev1.ContainerRestartPolicyOnFailure)
	rules := []corev1.ContainerRestartRule{{
		Action:    corev1.ContainerRestartRuleActionRestart,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
	}}
	all := []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestartAllContainers, ExitCodes: rules[0].ExitCodes}}
	template := corev1.PodSpec{
		InitContainers: []corev1.Container{
			{Name: "proxy", RestartPolicy: always},
			{Name: "watch", RestartPolicy: always, RestartPolicyRules: all},
			{Name: "fetch", RestartPolicy: onFailure},
			{Name: "plain"},
		},
		Containers: []corev1.Container{{Name: "main", RestartPolicy: onFailure, RestartPolicyRules: rules}, {Name: "logs", RestartPolicy: always}},
	}
	cleared := corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "proxy", RestartPolicy: always}, {Name: "watch", RestartPolicy: always}, {Name: "fetch"}, {Name: "plain"}},
		Containers:     []corev1.Container{{Name: "main"}, {Name: "logs"}},
	}
	const warning = "The restartPolicy of container fetch, main, logs in the pod template of Worker is not used: %s the node restarts no container."
	const ofSidecar = "The restartPolicyRules of sidecar watch in the pod template of Worker are not used: %s the node restarts no other container."
	for name, tc := range map[string]struct {
		reason   string
		scope    commonv1.RestartScope
		replicas int32
		want     corev1.PodSpec
		why      string // as the warnings have it, "" if there are none
	}{
		"Job":     {"the failure must reach the operator", scopeJob, 2, cleared, "with restartScope Job"},
		"Role":    {"so it must of a role", scopeRole, 2, cleared, "with restartScope Role"},
		"Replica": {"the operator counts what the node restarts", scopeReplica, 2, template, ""},
		"Large":   {"the status has no room for that", scopeReplica, plan.MaxInPlace + 1, cleared, "in a job of more than 10000 replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(tc.replicas))
			m.in.Replicas[worker].RestartScope = &tc.scope
			m.in.Replicas[worker].Template.Spec = template
			pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, m.in.Replicas[worker].Template.DeepCopy())
			got := corev1.PodSpec{InitContainers: pod.Spec.InitContainers, Containers: pod.Spec.Containers}
			if diff := cmp.Diff(tc.want, got); diff != "" || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
				t.Errorf("%s: the pod's restart policy is %s (-want +got):\n%s", tc.reason, pod.Spec.RestartPolicy, diff)
			}
			var want []plan.Event
			if tc.why != "" {
				for _, message := range []string{warning, ofSidecar} {
					want = append(want, plan.Event{Warning: true, Reason: "SetPodTemplateRestartPolicy", Message: fmt.Sprintf(message, tc.why)})
				}
			}
			p := m.decide()
			if diff := cmp.Diff(want, p.Events); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			m.write(&p)
			if again := m.decide().Events; len(again) > 0 {
				t.Errorf("it warns once, got again %v", again)
			}
		})
	}
}
