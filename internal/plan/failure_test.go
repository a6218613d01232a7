package plan_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

func terminated(name string, code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(epoch)},
	}}
}

// TestWhatARestartPolicyRetries states the restart policies: which failures each of
// them retries.
func TestWhatARestartPolicyRetries(t *testing.T) {
	exit := func(code int32) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{terminated("main", code)}}
	}
	evicted := corev1.PodStatus{Reason: "Evicted"}
	cases := map[string]struct {
		reason string
		status corev1.PodStatus
		retry  map[commonv1.RestartPolicy]bool
	}{
		"Permanent": {
			reason: "1 to 127 are errors of the program",
			status: exit(1), retry: map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true},
		},
		"LastPermanent": {
			reason: "127 is the last permanent code",
			status: exit(127), retry: map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true},
		},
		"FirstRetryable": {
			reason: "128 is the first retryable code",
			status: exit(128), retry: map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true, "ExitCode": true},
		},
		"Segfault": {
			reason: "139 is a signal, as every code above 127",
			status: exit(139), retry: map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true, "ExitCode": true},
		},
		"Evicted": {
			reason: "a pod without an exit code failed for reasons of the infrastructure",
			status: evicted, retry: map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true, "ExitCode": true},
		},
		"PreemptedWithAPermanentCode": {
			reason: "what a container says when it is being ended from outside does not count",
			status: corev1.PodStatus{
				Conditions:        []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
				ContainerStatuses: []corev1.ContainerStatus{terminated("main", 1)},
			},
			retry: map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true, "ExitCode": true},
		},
		"SidecarFailedToo": {
			reason: "the main container decides, not the first one that failed",
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{terminated("sidecar", 1), terminated("main", 137)}},
			retry:  map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true, "ExitCode": true},
		},
		"OnlyTheInitContainerFailed": {
			reason: "where the main container never ran, the init container decides",
			status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{terminated("init", 1)}},
			retry:  map[commonv1.RestartPolicy]bool{"Always": true, "OnFailure": true},
		},
	}
	for name, tc := range cases {
		for _, policy := range []commonv1.RestartPolicy{"Always", "OnFailure", "ExitCode", "Never"} {
			t.Run(name+"/"+string(policy), func(t *testing.T) {
				m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
				m.in.Replicas[worker].RestartPolicy = policy
				m.settle()
				m.run()
				m.settle()
				tc.status.Phase = corev1.PodFailed
				m.pod("worker-0").Status = tc.status
				m.reconcile()
				want := commonv1.JobFailed
				if tc.retry[policy] {
					want = commonv1.JobRestarting
				}
				if m.in.Status.State != want {
					t.Errorf("%s: want %s, got %s", tc.reason, want, m.in.Status.State)
				}
			})
		}
	}
}

func TestRestartDelay(t *testing.T) {
	cases := map[string]struct {
		reason string
		failed int           // how often the replica has failed before
		ran    time.Duration // how long the attempt ran that fails now
		want   time.Duration
	}{
		"First":     {reason: "the first restart is at once", failed: 0, ran: time.Second, want: 0},
		"Second":    {reason: "then after 10 s", failed: 1, ran: time.Second, want: 10 * time.Second},
		"Third":     {reason: "doubled each time", failed: 2, ran: time.Second, want: 20 * time.Second},
		"Sixth":     {reason: "and again", failed: 5, ran: time.Second, want: 160 * time.Second},
		"Fiftieth":  {reason: "up to 10 minutes", failed: 50, ran: time.Second, want: 10 * time.Minute},
		"RanLonger": {reason: "a replica that ran for long is no crash loop", failed: 5, ran: time.Hour, want: 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 1})
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
			m.settle()
			m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": int32(tc.failed)}
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = itoa(tc.failed)
			m.run()
			m.in.Now = m.in.Now.Add(tc.ran)
			m.end(m.pod("worker-0"), 137)
			p := m.reconcile()
			if tc.want == 0 {
				if len(p.Actions) != 1 {
					t.Errorf("%s: the failed pod is to be deleted at once, got %v, again after %s", tc.reason, p.Actions, p.RequeueAfter)
				}
				return
			}
			if len(p.Actions) > 0 || p.RequeueAfter != tc.want {
				t.Errorf("%s: want another look after %s, got %v, again after %s", tc.reason, tc.want, p.Actions, p.RequeueAfter)
			}
		})
	}
}
