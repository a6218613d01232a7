package plan

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// RestartDue is when the failed pod of a replica makes room for its next attempt, and which
// attempt that is; false if the status, which must be unpacked, does not count the failure
// yet, or the pod has not failed. It is what the chain of policies does, for those who show
// what happens next.
func RestartDue(
	status *commonv1.JobStatus, pod *corev1.Pod, t commonv1.ReplicaType, index int32, backoff Backoff, now time.Time,
) (due time.Time, attempt int32, ok bool) {
	attempt = attemptOf(status, t, index)
	label, err := strconv.ParseInt(pod.Labels[commonv1.AttemptLabel], 10, 32)
	if err != nil || int32(label) >= attempt || pod.Status.Phase != corev1.PodFailed || pod.DeletionTimestamp != nil {
		return time.Time{}, 0, false
	}
	since := failedSince(status, pod, commonv1.ReplicaFailure{Type: t, Index: index, Attempt: int32(label)}, now)
	return since.Add(backoff.delay(attempt, failureOf(pod, "", now).ran)), attempt, true
}

// failedSince is when the delay of a replica's restart began: a time that is the same in
// every pass, and not in the future, whatever the clocks of the node and of the API server
// say. The time of the failure in the status is such a time. which names the failure.
func failedSince(status *commonv1.JobStatus, pod *corev1.Pod, which commonv1.ReplicaFailure, now time.Time) time.Time {
	if at := reportedAt(pod); !at.IsZero() && !at.After(now) {
		return at
	}
	for i := range slices.Backward(status.Failures) {
		f := &status.Failures[i]
		if f.Type == which.Type && f.Index == which.Index && f.Attempt == which.Attempt && !f.Time.After(now) {
			return f.Time.Time
		}
	}
	if at := finishedAt(pod); !at.After(now) {
		return later(at, pod.CreationTimestamp.Time)
	}
	return pod.CreationTimestamp.Time
}

// FailureWords describes why a pod failed in a few words, for example "exit code 137, OOMKilled".
func FailureWords(pod *corev1.Pod, now time.Time) string { return failureOf(pod, "", now).String() }

// EndedIndexes are those of n replicas that have succeeded, and those that have failed for good, by a
// status, which must be unpacked.
func EndedIndexes(rs *commonv1.ReplicaStatus, n int32) (succeeded, failed map[int32]bool) {
	return parseIndexes(rs.SucceededIndexes, n), parseIndexes(rs.FailedIndexes, n)
}
