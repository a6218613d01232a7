package plan

import corev1 "k8s.io/api/core/v1"

// Sidecars are the native sidecars of a pod: init containers that the kubelet keeps
// running, whatever the restart policy of the pod, and stops when the others have ended.
// How they end and how often they are restarted does not affect the job.
func Sidecars(pod *corev1.Pod) []*corev1.Container {
	var out []*corev1.Container
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; isSidecar(c) {
			out = append(out, c)
		}
	}
	return out
}

// isSidecar reports whether an init container is a native sidecar.
func isSidecar(init *corev1.Container) bool {
	return init.RestartPolicy != nil && *init.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// WithoutSidecars returns the statuses of the init containers of a pod but for its sidecars. One
// that cannot start stays, because it keeps the pod from starting: it has not run, so nothing of
// it counts.
func WithoutSidecars(pod *corev1.Pod) []corev1.ContainerStatus {
	sidecars := Sidecars(pod)
	if len(sidecars) == 0 {
		return pod.Status.InitContainerStatuses
	}
	var inits []corev1.ContainerStatus
	for _, s := range pod.Status.InitContainerStatuses {
		if !named(sidecars, s.Name) || s.RestartCount == 0 && Refuses(&s) {
			inits = append(inits, s)
		}
	}
	return inits
}

// ownStatuses are the statuses of the containers of a pod whose end and whose restarts
// count: all but those of its sidecars, the init containers first.
func ownStatuses(pod *corev1.Pod) [2][]corev1.ContainerStatus {
	return [2][]corev1.ContainerStatus{WithoutSidecars(pod), pod.Status.ContainerStatuses}
}

func named(list []*corev1.Container, name string) bool {
	for _, c := range list {
		if c.Name == name {
			return true
		}
	}
	return false
}
