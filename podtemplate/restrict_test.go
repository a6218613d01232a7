package podtemplate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit/podtemplate"
)

func TestRestrict(t *testing.T) {
	t.Parallel()
	runtimeDefault := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	localhost := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("mine")}
	dropAll := &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
	least := func() *corev1.SecurityContext {
		return &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: dropAll.DeepCopy()}
	}
	own := func(change func(*corev1.SecurityContext)) *corev1.SecurityContext {
		c := least()
		change(c)
		return c
	}
	pod := &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(1000)), SeccompProfile: runtimeDefault}
	for name, tc := range map[string]struct {
		reason     string
		pod        *corev1.PodSecurityContext
		containers []*corev1.SecurityContext
		own, want  *corev1.SecurityContext
	}{
		"Nothing":   {reason: "the pod asks for nothing, so the container is as it was", containers: []*corev1.SecurityContext{nil}},
		"PodOnly":   {reason: "a container lacks what it must say itself: the standard is not fulfilled anyhow", pod: pod, containers: []*corev1.SecurityContext{nil}},
		"NotAll":    {reason: "one of two containers lacks it", pod: pod, containers: []*corev1.SecurityContext{least(), {}}},
		"Escalates": {reason: "escalation is allowed", pod: pod, containers: []*corev1.SecurityContext{own(func(c *corev1.SecurityContext) { c.AllowPrivilegeEscalation = new(true) })}},
		"Keeps":     {reason: "capabilities are kept", pod: pod, containers: []*corev1.SecurityContext{own(func(c *corev1.SecurityContext) { c.Capabilities.Drop = []corev1.Capability{"NET_RAW"} })}},
		"Root":      {reason: "it may be root", pod: &corev1.PodSecurityContext{SeccompProfile: runtimeDefault}, containers: []*corev1.SecurityContext{least()}},
		"RootItself": {
			reason: "the container says otherwise than the pod", pod: pod,
			containers: []*corev1.SecurityContext{own(func(c *corev1.SecurityContext) { c.RunAsNonRoot = new(false) })},
		},
		"Unconfined": {
			reason: "no seccomp profile", pod: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}},
			containers: []*corev1.SecurityContext{least()},
		},
		"Restricted": {reason: "the pod says the rest", pod: pod, containers: []*corev1.SecurityContext{least(), least()}, want: least()},
		"NoUser": {
			reason: "the image's user may be root, which the kubelet would not start", pod: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: runtimeDefault},
			containers: []*corev1.SecurityContext{least()}, want: own(func(c *corev1.SecurityContext) { c.RunAsUser = new(int64(65532)) }),
		},
		"ContainerOnly": {
			reason: "the container says all itself",
			containers: []*corev1.SecurityContext{own(func(c *corev1.SecurityContext) {
				c.RunAsNonRoot, c.RunAsUser, c.RunAsGroup, c.SeccompProfile = new(true), new(int64(7)), new(int64(8)), localhost
			})},
			want: own(func(c *corev1.SecurityContext) {
				c.RunAsNonRoot, c.RunAsUser, c.RunAsGroup, c.SeccompProfile = new(true), new(int64(7)), new(int64(8)), localhost
			}),
		},
		"RootOfThePod": {
			reason:     "the pod's user is root, and its containers have users of their own",
			pod:        &corev1.PodSecurityContext{RunAsUser: new(int64(0)), RunAsNonRoot: new(true), SeccompProfile: runtimeDefault},
			containers: []*corev1.SecurityContext{own(func(c *corev1.SecurityContext) { c.RunAsUser = new(int64(7)) })},
			want:       own(func(c *corev1.SecurityContext) { c.RunAsUser = new(int64(7)) }),
		},
		"RootOfBoth": {
			reason:     "neither names a user that may run",
			pod:        &corev1.PodSecurityContext{RunAsUser: new(int64(0)), RunAsNonRoot: new(true), SeccompProfile: runtimeDefault},
			containers: []*corev1.SecurityContext{own(func(c *corev1.SecurityContext) { c.RunAsUser = new(int64(0)) })},
			want:       own(func(c *corev1.SecurityContext) { c.RunAsUser = new(int64(65532)) }),
		},
		"More": {
			reason: "what else the container has is its own", pod: pod,
			containers: []*corev1.SecurityContext{own(func(c *corev1.SecurityContext) {
				c.ReadOnlyRootFilesystem, c.Capabilities.Add = new(true), []corev1.Capability{"NET_BIND_SERVICE"}
			})},
			want: least(),
		},
		"Own": {
			reason: "the container has a security context", pod: pod, containers: []*corev1.SecurityContext{least()},
			own: &corev1.SecurityContext{RunAsUser: new(int64(1))}, want: &corev1.SecurityContext{RunAsUser: new(int64(1))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := &corev1.PodSpec{SecurityContext: tc.pod}
			for _, c := range tc.containers {
				spec.Containers = append(spec.Containers, corev1.Container{SecurityContext: c})
			}
			before := spec.DeepCopy()
			c := &corev1.Container{SecurityContext: tc.own}
			podtemplate.Restrict(c, spec)
			if diff := cmp.Diff(tc.want, c.SecurityContext); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before, spec); diff != "" {
				t.Errorf("the pod is changed:\n%s", diff)
			}
		})
	}
}
