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

// TestExitsAreOneEvent: one event for one pod, as v1 words it, and one for a thousand;
// each names the pod, or the first.
func TestExitsAreOneEvent(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		fail   int32
		want   string
	}{
		"One":  {"as kubeflow.org/v1 words it", 1, "Pod: ns.job-worker-0 exited with code 130"},
		"Two":  {"both", 2, "2 pods exited with an error: job-worker-0 with code 130, job-worker-1 with code 131"},
		"Many": {"the first few", 1001, "1001 pods exited with an error: job-worker-0 with code 130, job-worker-1 with code 131, job-worker-2 with code 132 and 998 more"},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1001), restartPolicy(commonv1.RestartPolicyExitCode))
			for i := range tc.fail {
				m.end(m.pod("worker-"+itoa(int(i))), 130+i%3)
			}
			want := plan.Event{
				Warning: true, Reason: "ExitedWithCode", Message: tc.want,
				Pod: plan.PodRef{Name: "job-worker-0", UID: m.pod("worker-0").UID},
			}
			var got []plan.Event
			for _, e := range m.reconcile().Events {
				if e.Reason == "ExitedWithCode" {
					got = append(got, e)
				}
			}
			if diff := cmp.Diff([]plan.Event{want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRefusedPodIsNamed: the event that a pod could not be created is about that pod.
func TestRefusedPodIsNamed(t *testing.T) {
	m := newModel(workers(1))
	p := concludeWith(m, plan.CreatePod{Name: "job-worker-0", Type: worker}, plan.Refused)
	if len(p.Events) != 1 || p.Events[0].Pod.Name != "job-worker-0" {
		t.Errorf("want one event about job-worker-0, got %+v", p.Events)
	}
}

// TestReasonOfAFailure: the kind's own reason is for replicas that failed, not for
// limits that were reached.
func TestReasonOfAFailure(t *testing.T) {
	cases := map[string]struct {
		reason, want string
		change       func(*model)
	}{
		"Replica":  {reason: "a replica ended the job", change: func(*model) {}, want: "JobRunFailed"},
		"LeftOver": {reason: "replicas that may fail did", change: func(m *model) { m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)} }, want: "JobRunFailed"},
		"Limit": {
			reason: "a limit ended the job", want: "TestJobFailed",
			change: func(m *model) { restartPolicy("OnFailure")(m); m.in.RunPolicy.BackoffLimit = new(int32(0)) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), func(m *model) {
				m.in.Rules.Messages.FailedReason = "JobRunFailed"
				tc.change(m)
			})
			m.end(m.pod("worker-0"), 1)
			p := m.decide()
			if c := p.Status.Condition(commonv1.JobFailed); c == nil || c.Reason != tc.want {
				t.Errorf("%s: want %s, got %+v", tc.reason, tc.want, c)
			}
		})
	}
}

func TestFailuresAreRecorded(t *testing.T) {
	m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
	m.in.Now = epoch.Add(time.Minute)
	first := m.pod("worker-0")
	first.Spec.NodeName = "node-7"
	m.end(first, 137)
	first.Status.ContainerStatuses[0].State.Terminated.Reason = "OOMKilled"
	first.Status.ContainerStatuses[0].State.Terminated.Message = strings.Repeat("x", 1000)
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	m.in.Now = epoch.Add(2 * time.Minute)
	m.evict(m.pod("worker-1"))
	m.reconcileUntilStable()
	want := []commonv1.ReplicaFailure{
		{
			Time: metav1.NewTime(epoch.Add(time.Minute)), Type: worker, Index: 0, Node: "node-7",
			Reason: "OOMKilled", ExitCode: new(int32(137)), Message: strings.Repeat("x", 256),
		},
		{Time: metav1.NewTime(epoch.Add(2 * time.Minute)), Type: worker, Index: 1, Reason: "Evicted"},
	}
	if diff := cmp.Diff(want, m.in.Status.Failures); diff != "" {
		t.Errorf("each failure is recorded once, and survives its pod (-want +got):\n%s", diff)
	}
}

func TestLastFailuresAreKept(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
	for range commonv1.MaxFailures + 3 {
		m.end(m.pod("worker-0"), 137)
		m.reconcileUntilStable()
		m.in.Now = m.in.Now.Add(time.Hour)
		m.reconcileUntilStable()
		m.run()
		m.reconcileUntilStable()
	}
	got := m.in.Status.Failures
	if len(got) != commonv1.MaxFailures || got[len(got)-1].Attempt != commonv1.MaxFailures+2 {
		t.Errorf("want the last %d, got %+v", commonv1.MaxFailures, got)
	}
}

// TestRestartsInPlaceAreRecorded: known-bugs row 122. What a container ended with that
// its node restarted is in the status, once, at a time that is none to come.
func TestRestartsInPlaceAreRecorded(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
	m.in.Now = m.in.Now.Add(time.Minute)
	p := m.pod("worker-0")
	p.Spec.NodeName = "node-1"
	ends := func(code int32, reason string) {
		m.restartInPlace(p)
		p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: "why", FinishedAt: metav1.NewTime(m.in.Now.Add(time.Hour)),
		}
	}
	ends(137, "OOMKilled")
	m.reconcileUntilStable()
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(time.Minute)
	ends(0, "Completed") // restart policy Always would have it so
	m.reconcileUntilStable()
	want := []commonv1.ReplicaFailure{{
		Time: metav1.NewTime(epoch.Add(time.Minute)), Type: worker, Node: "node-1", Reason: "OOMKilled", ExitCode: new(int32(137)), Message: "why",
	}}
	if diff := cmp.Diff(want, m.in.Status.Failures); diff != "" || m.in.Status.Restarts != 2 {
		t.Errorf("each is recorded once, and what exited with 0 is not a failure; %d restarts (-want +got):\n%s", m.in.Status.Restarts, diff)
	}
}
