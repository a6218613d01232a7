package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestRestartDue: what is shown of the next attempt is what the policies do.
func TestRestartDue(t *testing.T) {
	at := func(seconds int) metav1.Time { return metav1.NewTime(epoch.Add(time.Duration(seconds) * time.Second)) }
	failure := func(index, attempt int32, seconds int) commonv1.ReplicaFailure {
		return commonv1.ReplicaFailure{Type: worker, Index: index, Attempt: attempt, Time: at(seconds)}
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*commonv1.JobStatus, *corev1.Pod)
		// due is in seconds since the pod was created; -1 if there is no next attempt.
		due int
	}{
		"Second":     {"the attempt after the second begins 10 seconds after its end was reported", func(*commonv1.JobStatus, *corev1.Pod) {}, 60},
		"NotCounted": {"the status does not count the failure yet", func(s *commonv1.JobStatus, _ *corev1.Pod) { s.ReplicaStatuses[worker].Attempts["1"] = 1 }, -1},
		"OtherReplica": {"nor that of another replica", func(s *commonv1.JobStatus, _ *corev1.Pod) {
			s.ReplicaStatuses[worker].Attempts = map[string]int32{"0": 2}
		}, -1},
		"NoLabel":   {"the pod is of no attempt", func(_ *commonv1.JobStatus, p *corev1.Pod) { p.Labels = nil }, -1},
		"HugeLabel": {"no attempt has such a number", func(_ *commonv1.JobStatus, p *corev1.Pod) { p.Labels[commonv1.AttemptLabel] = "4294967295" }, -1},
		"Runs":      {"it has not failed", func(_ *commonv1.JobStatus, p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }, -1},
		"Goes":      {"the next attempt is on its way", func(_ *commonv1.JobStatus, p *corev1.Pod) { p.DeletionTimestamp = new(at(60)) }, -1},
		"RanLong":   {"what ran for longer than the longest delay is restarted at once", func(_ *commonv1.JobStatus, p *corev1.Pod) { p.Status.StartTime = new(at(-3600)) }, 50},
		"Recorded": {"without a report the record of the failure has a time", func(s *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			s.Failures = []commonv1.ReplicaFailure{failure(1, 1, 40), failure(0, 1, 41), failure(1, 0, 42)}
		}, 50},
		"RecordedTwice": {"the newest is that of this pod", func(s *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			s.Failures = []commonv1.ReplicaFailure{failure(1, 1, 30), failure(1, 1, 40)}
		}, 50},
		"RecordedOfAType": {"a failure of another type is not that of this pod", func(s *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			s.Failures = []commonv1.ReplicaFailure{{Type: master, Index: 1, Attempt: 1, Time: at(30)}}
		}, 55},
		"RecordedInFuture": {"a time to come is of no use", func(s *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			s.Failures = []commonv1.ReplicaFailure{failure(1, 1, 1000)}
		}, 55},
		"ReportedInFuture": {"nor is a report to come", func(_ *commonv1.JobStatus, p *corev1.Pod) { p.ManagedFields[0].Time = new(at(1000)) }, 55},
		"NodeAhead": {"nor is that of a node's clock; the pod exists since its creation", func(_ *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			p.Status.ContainerStatuses[0].State.Terminated.FinishedAt = at(400)
		}, 10},
		"NodeBehind": {"nothing ends before it was created", func(_ *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			p.Status.ContainerStatuses[0].State.Terminated.FinishedAt = at(-1000)
		}, 10},
		"Now": {"this very moment is not to come", func(_ *commonv1.JobStatus, p *corev1.Pod) { p.ManagedFields[0].Time = new(at(100)) }, 110},
		"RecordedNow": {"nor is it in a record", func(s *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			s.Failures = []commonv1.ReplicaFailure{failure(1, 1, 100)}
		}, 110},
		"EndedNow": {"nor by the clock of a node", func(_ *commonv1.JobStatus, p *corev1.Pod) {
			p.ManagedFields = nil
			p.Status.ContainerStatuses[0].State.Terminated.FinishedAt = at(100)
		}, 110},
	} {
		t.Run(name, func(t *testing.T) {
			status := &commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Attempts: map[string]int32{"1": 2}}}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				CreationTimestamp: at(0), Labels: map[string]string{commonv1.AttemptLabel: "1"},
				ManagedFields: []metav1.ManagedFieldsEntry{{Subresource: "status", Time: new(at(50))}},
			}}
			pod.Status.Phase, pod.Status.StartTime = corev1.PodFailed, new(at(1))
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", FinishedAt: at(45)},
			}}}
			tc.change(status, pod)
			due, attempt, ok := plan.RestartDue(status, pod, worker, 1, plan.DefaultBackoff(), epoch.Add(100*time.Second))
			got := -1
			if ok {
				got = int(due.Sub(epoch) / time.Second)
			}
			if got != tc.due || ok && attempt != 2 || !ok && (attempt != 0 || !due.IsZero()) {
				t.Errorf("%s: due after %d s, want %d; attempt %d", tc.reason, got, tc.due, attempt)
			}
			if words := plan.FailureWords(pod, epoch.Add(100*time.Second)); words != "exit code 137, OOMKilled" {
				t.Errorf("the failure is %q", words)
			}
		})
	}
}

func TestIndexesThatAJobStillWants(t *testing.T) {
	succeeded, failed := plan.EndedIndexes(&commonv1.ReplicaStatus{SucceededIndexes: "0,2-4", FailedIndexes: "1,5"}, 4)
	want := []map[int32]bool{{0: true, 2: true, 3: true}, {1: true}}
	if diff := cmp.Diff(want, []map[int32]bool{succeeded, failed}); diff != "" {
		t.Errorf("those that the job still wants (-want +got):\n%s", diff)
	}
}
