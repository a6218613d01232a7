package podtemplate

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// anyUser is the user of a container whose pod must not run as root and names no user: the one of
// images without a user of their own, such as the operator's.
const anyUser int64 = 65532

// Restrict gives a container that an operator adds to a pod what the Pod Security Standard
// "restricted" asks of a container, if the pod's own containers all have it. So a pod that fulfils
// the standard still does, and is admitted where a namespace enforces it. To other pods it does
// nothing, nor to a container that has a security context.
//
// If the pod names no user, or root, the container runs as the user of the pod's first container, by
// default as 65532: the kubelet does not start a container that must not run as root and would.
func Restrict(c *corev1.Container, pod *corev1.PodSpec) {
	if c.SecurityContext != nil || len(pod.Containers) == 0 {
		return
	}
	whole := cmp.Or(pod.SecurityContext, &corev1.PodSecurityContext{})
	for i := range pod.Containers {
		if !restricted(whole, pod.Containers[i].SecurityContext) {
			return
		}
	}
	own := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	first := pod.Containers[0].SecurityContext
	if !isTrue(whole.RunAsNonRoot) {
		own.RunAsNonRoot = new(true)
	}
	if !confined(whole.SeccompProfile) {
		own.SeccompProfile = first.SeccompProfile.DeepCopy()
	}
	if !isUser(whole.RunAsUser) {
		own.RunAsUser, own.RunAsGroup = new(anyUser), first.RunAsGroup
		if isUser(first.RunAsUser) {
			own.RunAsUser = new(*first.RunAsUser)
		}
	}
	c.SecurityContext = own
}

// restricted reports whether a container has what it must have, by itself or from its pod.
func restricted(pod *corev1.PodSecurityContext, c *corev1.SecurityContext) bool {
	if c == nil || c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || c.Capabilities == nil || isTrue(c.Privileged) {
		return false
	}
	nonRoot := cmp.Or(c.RunAsNonRoot, pod.RunAsNonRoot)
	seccomp := cmp.Or(c.SeccompProfile, pod.SeccompProfile)
	return isTrue(nonRoot) && confined(seccomp) && slices.Contains(c.Capabilities.Drop, "ALL")
}

func confined(p *corev1.SeccompProfile) bool {
	return p != nil && (p.Type == corev1.SeccompProfileTypeRuntimeDefault || p.Type == corev1.SeccompProfileTypeLocalhost)
}

// isUser reports whether a user is named, and is not root.
func isUser(id *int64) bool { return id != nil && *id != 0 }

func isTrue(b *bool) bool { return b != nil && *b }
