package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// failure is why a pod failed.
type failure struct {
	// exitCode is that of the decisive container, 0 if none ended with an error.
	exitCode int32
	// reason is the pod's own reason (Evicted, NodeLost, DeadlineExceeded), or the
	// container's (OOMKilled, Error).
	reason string
	// message is the container's termination message, or the pod's own.
	message string
	// infrastructure is true when the pod failed for a reason outside its
	// containers: it was evicted or preempted, or its node was lost.
	infrastructure bool
	// hung is true when the pod has not failed by itself, but shows no progress.
	hung bool
	// disrupted is true when it was evicted, preempted or drained, or its node was lost.
	disrupted bool
	// ran is how long the pod ran.
	ran time.Duration
	// at is when it failed, and never later than now.
	at time.Time
}

// failureOf reads the cause from a failed pod, as it is known at the given time. The
// container that the kind names decides; if it did not end with an error, the first
// other one that did.
func failureOf(pod *corev1.Pod, container string, now time.Time) failure {
	f := failure{reason: pod.Status.Reason, message: pod.Status.Message, at: failedAt(pod, now)}
	if start, end := pod.Status.StartTime, finishedAt(pod); start != nil && end.After(start.Time) {
		f.ran = end.Sub(start.Time) // by the clock of the node, both
	}
	if c := disruption(pod); c != nil {
		// The exit codes of its containers then have no meaning.
		f.infrastructure, f.disrupted = true, true
		f.reason, f.message = cmp.Or(f.reason, c.Reason), cmp.Or(f.message, c.Message)
		return f
	}
	if c := culprit(pod, container); c != nil {
		f.exitCode = c.State.Terminated.ExitCode
		f.message = cmp.Or(f.message, c.State.Terminated.Message)
		if f.reason == "" {
			f.reason = c.State.Terminated.Reason
		}
	}
	f.disrupted = endedFromOutside(pod)
	f.infrastructure = f.exitCode == 0 || f.disrupted
	return f
}

// String describes the cause in a few words that do not change between passes.
func (f failure) String() string {
	switch {
	case f.exitCode == 0 && f.reason == "":
		return "no exit code"
	case f.exitCode == 0:
		return f.reason
	case f.reason == "" || f.reason == "Error":
		return fmt.Sprintf("exit code %d", f.exitCode)
	default:
		return fmt.Sprintf("exit code %d, %s", f.exitCode, f.reason)
	}
}

// retryable reports whether a restart policy allows another attempt.
func (f failure) retryable(p commonv1.RestartPolicy) bool {
	switch p {
	case commonv1.RestartPolicyAlways, commonv1.RestartPolicyOnFailure:
		return true
	case commonv1.RestartPolicyExitCode:
		return f.infrastructure || RetryableExitCode(f.exitCode)
	case commonv1.RestartPolicyNever:
		return false
	default:
		return false
	}
}

// RetryableExitCode reports whether the restart policy ExitCode retries a container
// that ended with this code: 128 to 255 mean an end by a signal and are retried; 1 to 127
// mean an error of the program and are not.
func RetryableExitCode(code int32) bool {
	return code >= 128 && code <= 255
}

// endedFromOutside reports whether a pod failed for a reason outside its containers, by the
// pod's reason as older kubelets write it.
func endedFromOutside(pod *corev1.Pod) bool {
	switch pod.Status.Reason {
	case "Evicted", "NodeLost", "Preempting", "Preempted", "Shutdown", "NodeShutdown", "Terminated", "NodeAffinity":
		return true
	}
	return false
}

// culprit is the container that decides the cause, or nil if none ended with an error.
func culprit(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	return culpritOf(pod, container, func(c *corev1.ContainerStatus) *corev1.ContainerStateTerminated { return c.State.Terminated })
}

// lastCulprit is the container that decides the cause of a restart in place.
func lastCulprit(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	return culpritOf(pod, container, func(c *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
		return c.LastTerminationState.Terminated
	})
}

// culpritOf is the container of the given name if that ended with an error, or else the
// first other one that did.
func culpritOf(
	pod *corev1.Pod, container string, end func(*corev1.ContainerStatus) *corev1.ContainerStateTerminated,
) *corev1.ContainerStatus {
	var first *corev1.ContainerStatus
	own := ownStatuses(pod)
	for _, list := range slices.Backward(own[:]) {
		for i := range list {
			c := &list[i]
			if t := end(c); t == nil || t.ExitCode == 0 {
				continue
			}
			if c.Name == container {
				return c
			}
			if first == nil {
				first = c
			}
		}
	}
	return first
}

// failedAt is when a pod failed, as far as that is known: when it was disrupted or its
// end was reported, or else the time of its node, within possible bounds. It is never later
// than now.
func failedAt(pod *corev1.Pod, now time.Time) time.Time {
	at := reportedAt(pod)
	if c := disruption(pod); c != nil && c.Reason != corev1.PodReasonTerminationByKubelet {
		at = c.LastTransitionTime.Time
	}
	if at.IsZero() {
		at = later(finishedAt(pod), pod.CreationTimestamp.Time)
	}
	if at.After(now) {
		return now
	}
	return at
}

// finishedAt is when the last container of a pod ended, by the clock of its node; if that
// is unknown, when the pod's last condition changed.
func finishedAt(pod *corev1.Pod) time.Time {
	var at metav1.Time
	for _, list := range ownStatuses(pod) {
		for i := range list {
			if t := list[i].State.Terminated; t != nil && t.FinishedAt.After(at.Time) {
				at = t.FinishedAt
			}
		}
	}
	if !at.IsZero() {
		return at.Time
	}
	for i := range pod.Status.Conditions {
		if t := pod.Status.Conditions[i].LastTransitionTime; t.After(at.Time) {
			at = t
		}
	}
	if at.IsZero() {
		at = pod.CreationTimestamp
	}
	return at.Time
}

// restartsInPlace is how often the containers of a pod were restarted in place, without its
// sidecars.
func restartsInPlace(pod *corev1.Pod) int32 {
	var n int32
	for _, list := range ownStatuses(pod) {
		for i := range list {
			n += restartsOf(&list[i])
		}
	}
	return n
}

// restartsOf is how often a container was restarted in place. A kubelet that finds no trace of a
// container, often in a pod that is evicted, counts a restart at once. It is one when the container
// runs again; where the pod ends instead, that end counts.
func restartsOf(c *corev1.ContainerStatus) int32 {
	ended := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
	if c.RestartCount > 0 && c.State.Running == nil && ended != nil && ended.Reason == "ContainerStatusUnknown" {
		return c.RestartCount - 1
	}
	return c.RestartCount
}
