package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestSidecars: what happens to a native sidecar does not affect the job, under any
// restart policy; what happens to any other init container is.
func TestSidecars(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	restarted := func(name string) func(*model) {
		return func(m *model) {
			m.pod("worker-0").Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "setup"}, {Name: "proxy"}, {Name: "log"},
			}
			for i := range 3 {
				if s := &m.pod("worker-0").Status.InitContainerStatuses[i]; s.Name == name {
					s.RestartCount = 1
				}
			}
		}
	}
	policies := []commonv1.RestartPolicy{
		commonv1.RestartPolicyNever, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyAlways, commonv1.RestartPolicyExitCode,
	}
	for name, tc := range map[string]struct {
		reason  string
		happens func(*model)
		state   commonv1.JobConditionType
		// restarts are those that are counted, exit the exit code that the job fails with.
		restarts, exit int32
	}{
		"Sidecar":       {"a sidecar that is restarted", restarted("proxy"), commonv1.JobRunning, 0, 0},
		"SecondSidecar": {"any of them", restarted("log"), commonv1.JobRunning, 0, 0},
		"InitContainer": {"an init container that is restarted exceeds the limit of 0", restarted("setup"), commonv1.JobFailed, 1, 0},
		"KilledWithThePod": {
			"the exit code is that of a container of the job, whatever its sidecars ended with", func(m *model) {
				pod := m.pod("worker-0")
				m.end(pod, 3)
				pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "proxy", State: corev1.ContainerState{
					Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, FinishedAt: metav1.NewTime(m.in.Now)},
				}}}
				pod.Status.ContainerStatuses[0].Name = "other"
			}, commonv1.JobFailed, 0, 3,
		},
		"EvictedWithASidecar": {
			"a pod that ended without an exit code of the job has none", func(m *model) {
				pod := m.pod("worker-0")
				m.evict(pod)
				pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "proxy", State: corev1.ContainerState{
					Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, FinishedAt: metav1.NewTime(m.in.Now)},
				}}}
			}, commonv1.JobFailed, 0, 0,
		},
	} {
		for _, policy := range policies {
			t.Run(name+"/"+string(policy), func(t *testing.T) {
				m := started(workers(1), func(m *model) {
					restartPolicy(policy)(m)
					m.in.RunPolicy.BackoffLimit = new(int32(0))
					m.in.Replicas[worker].Template.Spec.InitContainers = []corev1.Container{
						{Name: "setup"}, {Name: "proxy", RestartPolicy: &always}, {Name: "log", RestartPolicy: &always},
					}
				})
				tc.happens(m)
				m.reconcileUntilStable()
				s := &m.in.Status
				if s.State != tc.state {
					t.Errorf("%s: the job is %s: %q", tc.reason, s.State, conditions(s))
				}
				if got := s.ReplicaStatuses[worker].InPlaceRestarts["0"].Count; got != tc.restarts {
					t.Errorf("%s: %d restarts are counted, want %d", tc.reason, got, tc.restarts)
				}
				exit := int32(0)
				if len(s.Failures) > 0 && s.Failures[0].ExitCode != nil {
					exit = *s.Failures[0].ExitCode
				}
				if exit != tc.exit {
					t.Errorf("%s: exit code %d, want %d", tc.reason, exit, tc.exit)
				}
			})
		}
	}
}

// TestSidecarsAndRules: a rule of the pod failure policy asks a sidecar only by its name.
func TestSidecarsAndRules(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	for name, tc := range map[string]struct {
		reason    string
		container *string
		want      bool
	}{
		"Any":   {"a sidecar is ended with its pod", nil, false},
		"Named": {"unless it is asked for", new("proxy"), true},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				rule := onCodes(ignore, in, 137)
				rule.OnExitCodes.ContainerName = tc.container
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{rule}}
				m.in.Replicas[worker].Template.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: &always}}
			})
			m.end(m.pod("worker-0"), 130)
			m.pod("worker-0").Status.InitContainerStatuses = []corev1.ContainerStatus{{
				Name: "proxy", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137}},
			}}
			if p := m.reconcile(); (p.Restarts.Ignored == 1) != tc.want {
				t.Errorf("%s: %+v", tc.reason, p.Restarts)
			}
		})
	}
}

// TestStatusesWithoutSidecars: of a sidecar only that counts which keeps its pod from starting.
func TestStatusesWithoutSidecars(t *testing.T) {
	refused := func(name string, restarts int32) corev1.ContainerStatus {
		s := waitingStatus(name, "ErrImagePull", "")
		s.RestartCount = restarts
		return s
	}
	for name, tc := range map[string]struct {
		reason   string
		sidecars bool
		statuses []corev1.ContainerStatus
		want     []string
	}{
		"NoSidecars":   {"all count", false, []corev1.ContainerStatus{{Name: "setup"}, {Name: "proxy"}}, []string{"setup", "proxy"}},
		"Sidecars":     {"they do not", true, []corev1.ContainerStatus{{Name: "setup"}, {Name: "proxy"}, {Name: "log", RestartCount: 1}}, []string{"setup"}},
		"NeverStarted": {"the pod waits for it", true, []corev1.ContainerStatus{{Name: "setup"}, refused("proxy", 0)}, []string{"setup", "proxy"}},
		"StartedOnce":  {"the pod has started with it", true, []corev1.ContainerStatus{{Name: "setup"}, refused("proxy", 1)}, []string{"setup"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{
				{Name: "setup"}, {Name: "once", RestartPolicy: new(corev1.ContainerRestartPolicy("Never"))},
			}}}
			if tc.sidecars {
				always := corev1.ContainerRestartPolicyAlways
				pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: "proxy", RestartPolicy: &always}, corev1.Container{Name: "log", RestartPolicy: &always})
			}
			pod.Status.InitContainerStatuses = tc.statuses
			var got []string
			for _, s := range plan.WithoutSidecars(pod) {
				got = append(got, s.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
