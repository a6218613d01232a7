package podtemplate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Restrict gives a container that an operator adds to a pod the restrictions of the pod's first
// container that has any: those that the restricted Pod Security Standard asks of each container.
// So a pod whose template fits a namespace still does. What allows more, such as capabilities that
// are added, is not taken over. A container with a security context of its own stays as it is.
func Restrict(c *corev1.Container, pod *corev1.PodSpec) {
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.SecurityContext != nil })
	if c.SecurityContext != nil || i < 0 {
		return
	}
	from, to := pod.Containers[i].SecurityContext.DeepCopy(), &corev1.SecurityContext{}
	to.RunAsNonRoot, to.RunAsUser, to.RunAsGroup, to.SeccompProfile = from.RunAsNonRoot, from.RunAsUser, from.RunAsGroup, from.SeccompProfile
	if from.AllowPrivilegeEscalation != nil && !*from.AllowPrivilegeEscalation {
		to.AllowPrivilegeEscalation = from.AllowPrivilegeEscalation
	}
	if from.Capabilities != nil && len(from.Capabilities.Drop) > 0 {
		to.Capabilities = &corev1.Capabilities{Drop: from.Capabilities.Drop}
	}
	if *to != (corev1.SecurityContext{}) {
		c.SecurityContext = to
	}
}
