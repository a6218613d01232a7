package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func terminated(name string, code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(epoch)},
	}}
}

// TestWhenADisruptionWas: a pod failed when it was disrupted, by the clock of the control plane, whenever its
// node wrote last.
func TestWhenADisruptionWas(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
	p := m.pod("worker-0")
	m.after(time.Minute)
	m.disrupt(p, preempted)
	at := m.in.Now
	m.after(-30 * time.Second)
	m.report(p)
	m.after(time.Hour)
	if got := m.decide().Status.Failures; len(got) != 1 || !got[0].Time.Time.Equal(at) {
		t.Errorf("want one failure, at %s, got %+v", at, got)
	}
}

// TestRetriesOfARestartPolicy states the restart policies: which failures each of
// them retries.
func TestRetriesOfARestartPolicy(t *testing.T) {
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
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
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

// endedAt is a container that ended with a code, some seconds after epoch.
func endedAt(name string, code int32, seconds int) corev1.ContainerStatus {
	c := terminated(name, code)
	c.State.Terminated.FinishedAt = metav1.NewTime(epoch.Add(time.Duration(seconds) * time.Second))
	return c
}

// TestCauseOfAFailure: what the status records of a failed pod.
func TestCauseOfAFailure(t *testing.T) {
	at := func(seconds int) metav1.Time { return metav1.NewTime(epoch.Add(time.Duration(seconds) * time.Second)) }
	withReason := endedAt("main", 137, 7)
	withReason.State.Terminated.Reason, withReason.State.Terminated.Message = "OOMKilled", "out of memory"
	cases := map[string]struct {
		reason string
		status corev1.PodStatus
		want   commonv1.ReplicaFailure
	}{
		"Container": {
			reason: "the container says why",
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{withReason}},
			want:   commonv1.ReplicaFailure{Time: at(7), Reason: "OOMKilled", ExitCode: new(int32(137)), Message: "out of memory"},
		},
		"Pod": {
			reason: "the pod's own word goes before the container's",
			status: corev1.PodStatus{Reason: "Evicted", Message: "low on disk", ContainerStatuses: []corev1.ContainerStatus{withReason}},
			want:   commonv1.ReplicaFailure{Time: at(7), Reason: "Evicted", ExitCode: new(int32(137)), Message: "low on disk"},
		},
		"LastToEnd": {
			reason: "a pod failed when its last container ended, whichever that is",
			status: corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{endedAt("init", 0, 1), endedAt("sidecar", 0, 9)},
				ContainerStatuses:     []corev1.ContainerStatus{endedAt("main", 130, 5), {Name: "never-ran"}},
				Conditions:            []corev1.PodCondition{{LastTransitionTime: at(99)}},
			},
			want: commonv1.ReplicaFailure{Time: at(9), ExitCode: new(int32(130))},
		},
		"Sidecar": {
			reason: "where the main container exited with 0, the first other one that did not decides",
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: "never-ran"}, endedAt("main", 0, 1), endedAt("first", 140, 2), endedAt("second", 150, 2),
			}},
			want: commonv1.ReplicaFailure{Time: at(2), ExitCode: new(int32(140))},
		},
		"NoContainer": {
			reason: "where no container says when, the last condition does",
			status: corev1.PodStatus{Reason: "NodeLost", Conditions: []corev1.PodCondition{
				{LastTransitionTime: at(3)}, {LastTransitionTime: at(8)}, {LastTransitionTime: at(5)},
			}},
			want: commonv1.ReplicaFailure{Time: at(8), Reason: "NodeLost"},
		},
		"Nothing": {
			reason: "where nothing says when, the pod's creation is the one time that is known",
			want:   commonv1.ReplicaFailure{Time: at(0)},
		},
		"Multibyte": {
			reason: "a message is not cut within a character",
			status: corev1.PodStatus{Message: "x" + strings.Repeat("ä", 200)},
			want:   commonv1.ReplicaFailure{Time: at(0), Message: "x" + strings.Repeat("ä", 127)},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
			m.in.Now = epoch.Add(time.Hour)
			tc.status.Phase = corev1.PodFailed
			m.pod("worker-0").Status = tc.status
			p := m.decide()
			tc.want.Type = worker
			if diff := cmp.Diff([]commonv1.ReplicaFailure{tc.want}, p.Status.Failures); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEndedFromOutside: a container that was ended from outside may say anything;
// its code is no error of the program.
func TestEndedFromOutside(t *testing.T) {
	disruption := func(typ corev1.PodConditionType, status corev1.ConditionStatus) corev1.PodStatus {
		return corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: typ, Status: status}}}
	}
	cases := map[string]struct {
		reason string
		status corev1.PodStatus
		retry  bool
	}{
		"NothingEnded":     {"a pod without an exit code failed by itself in no way", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main"}}}, true},
		"DisruptionTarget": {"Kubernetes says so by a condition", disruption(corev1.DisruptionTarget, corev1.ConditionTrue), true},
		"ConditionFalse":   {"one that is True", disruption(corev1.DisruptionTarget, corev1.ConditionFalse), false},
		"OtherCondition":   {"and of that type", disruption(corev1.PodScheduled, corev1.ConditionTrue), false},
		"DeadlineExceeded": {"a pod that took too long is up to the program", corev1.PodStatus{Reason: "DeadlineExceeded"}, false},
		"NoReason":         {"a pod that says nothing failed by itself", corev1.PodStatus{}, false},
	}
	for _, reason := range []string{"Evicted", "NodeLost", "Preempting", "Preempted", "Shutdown", "NodeShutdown", "Terminated", "NodeAffinity"} {
		cases[reason] = struct {
			reason string
			status corev1.PodStatus
			retry  bool
		}{"older kubelets say so by the pod's reason", corev1.PodStatus{Reason: reason}, true}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
			tc.status.Phase = corev1.PodFailed
			if tc.status.ContainerStatuses == nil {
				tc.status.ContainerStatuses = []corev1.ContainerStatus{terminated("main", 1)}
			}
			m.pod("worker-0").Status = tc.status
			want := commonv1.JobFailed
			if tc.retry {
				want = commonv1.JobRestarting
			}
			if got := m.decide().Status.State; got != want {
				t.Errorf("%s: want %s, got %s", tc.reason, want, got)
			}
		})
	}
}

// TestDeletedWhileItRan: a pod that a user deletes is Failed in the end, by the
// signal; that is no failure, unless it failed before.
func TestDeletedWhileItRan(t *testing.T) {
	cases := map[string]struct {
		reason  string
		happens func(m *model, p *corev1.Pod)
		want    jobkit.ReplicaState
	}{
		"EndedBySignal": {
			reason: "what ends after the request ended because of it", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) { m.terminate(p); m.end(p, 143) },
		},
		"FailedBefore": {
			reason: "what ended before the request failed by itself", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 1); m.in.Now = m.in.Now.Add(time.Second); m.terminate(p) },
		},
		"WithoutGracePeriod": {
			reason: "without a grace period the deletion time is that of the request", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 1); m.terminate(p); p.DeletionGracePeriodSeconds = nil },
		},
		"RemovedByTheNode": {
			reason: "the node removes what has stopped without grace, and the API server then sets the time of the deletion again", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.terminate(p)
				m.end(p, 143)
				m.in.Now = m.in.Now.Add(time.Second)
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: m.in.Now}, new(int64(0))
			},
		},
		"WithoutExitCode": {
			reason: "a pod without an exit code that ended before the request failed as well", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.end(p, 1)
				p.Status.ContainerStatuses = nil
				m.in.Now = m.in.Now.Add(time.Second)
				m.terminate(p)
			},
		},
		"Succeeded": {
			reason: "a pod that had succeeded before stays succeeded", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 0); m.in.Now = m.in.Now.Add(time.Second); m.terminate(p) },
		},
		"StoppedWithZero": {
			reason: "a program that handles the signal and exits with 0 has not succeeded", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) { m.terminate(p); m.in.Now = m.in.Now.Add(time.Second); m.end(p, 0) },
		},
		"InTheSameSecond": {
			reason: "times are whole seconds: if in doubt the pod was stopped", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) { m.end(p, 0); m.terminate(p) },
		},
		"SucceededRemembered": {
			reason: "what the status says has succeeded stays so", want: jobkit.Succeeded,
			happens: func(m *model, p *corev1.Pod) {
				m.end(p, 0)
				m.in.Status.ReplicaStatuses[worker].SucceededIndexes = "0"
				m.terminate(p)
			},
		},
		"NothingTellsWhenItEnded": {
			reason: "a cache without managed fields leaves it in doubt", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) {
				m.end(p, 0)
				p.ManagedFields = nil
				m.in.Now = m.in.Now.Add(time.Second)
				m.terminate(p)
			},
		},
		"ClockOfTheNodeBehind": {
			reason: "the clock of a node has no say: it says that the container ended before the request", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) { m.nodesAhead = -3 * time.Second; m.terminate(p); m.end(p, 143) },
		},
		"ClockOfTheNodeAhead": {
			reason: "the clock of a node has no say: it says that the container ended after the request", want: jobkit.Failed,
			happens: func(m *model, p *corev1.Pod) {
				m.nodesAhead = time.Hour
				m.end(p, 1)
				m.in.Now = m.in.Now.Add(time.Second)
				m.terminate(p)
			},
		},
		"StillRuns": {
			reason: "a pod that is being deleted does not count as running", want: jobkit.Terminating,
			happens: func(m *model, p *corev1.Pod) { m.terminate(p) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			tc.happens(m, m.pod("worker-0"))
			if got := plan.TallyOf(&m.in).Of(worker).States[0]; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

func TestRetryableExitCode(t *testing.T) {
	for code, want := range map[int32]bool{-1: false, 0: false, 1: false, 127: false, 128: true, 137: true, 255: true, 256: false} {
		if got := plan.RetryableExitCode(code); got != want {
			t.Errorf("%d: want %v, got %v", code, want, got)
		}
	}
}

// TestAnyContainerDecides: where any name will do, the first container's exit code is
// the replica's.
func TestAnyContainerDecides(t *testing.T) {
	for name, containers := range map[string][]corev1.Container{
		"One": {{Name: "app"}}, "Two": {{Name: "app"}, {Name: "sidecar"}}, "Named": {{Name: "sidecar"}, {Name: "main"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.Kind.AnyContainer = true
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
			m.in.Replicas[worker].Template.Spec.Containers = containers
			m.reconcileUntilStable()
			m.run()
			m.reconcileUntilStable()
			main := "app"
			if name == "Named" {
				main = "main"
			}
			m.pod("worker-0").Status = corev1.PodStatus{
				Phase:             corev1.PodFailed,
				ContainerStatuses: []corev1.ContainerStatus{terminated("sidecar", 1), terminated(main, 137)},
			}
			m.reconcileUntilStable()
			if m.in.Status.State != commonv1.JobRestarting {
				t.Errorf("137 of %s is retried: %q", main, conditions(&m.in.Status))
			}
		})
	}
}

// TestNoReasonToWait: where no failure can restart the others, a failure that ends the job does so
// at once, although others still run and rules say what other failures mean.
func TestNoReasonToWait(t *testing.T) {
	m := started(workers(2), func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
	})
	m.bind()
	m.end(m.pod("worker-0"), 1)
	if p := m.decide(); !p.Status.IsTrue(commonv1.JobFailed) {
		t.Errorf("nothing else can come: %q", conditions(&p.Status))
	}
}
