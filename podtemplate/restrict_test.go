package podtemplate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit/podtemplate"
)

func TestRestrict(t *testing.T) {
	t.Parallel()
	type context = corev1.SecurityContext
	for name, tc := range map[string]struct {
		reason     string
		containers []*context
		own, want  *context
	}{
		"None": {reason: "a template without security contexts", containers: []*context{nil, nil}},
		"Restricted": {
			reason: "the first container that has one", containers: []*context{nil, {
				AllowPrivilegeEscalation: new(false), RunAsNonRoot: new(true), RunAsUser: new(int64(1000)),
				Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_BIND_SERVICE"}},
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}, ReadOnlyRootFilesystem: new(true),
			}, {RunAsUser: new(int64(7))}},
			want: &context{
				AllowPrivilegeEscalation: new(false), RunAsNonRoot: new(true), RunAsUser: new(int64(1000)),
				Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		},
		"Privileged": {
			reason: "privileges are not taken over", containers: []*context{{
				Privileged: new(true), AllowPrivilegeEscalation: new(true), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"IPC_LOCK"}},
			}},
		},
		"Own": {
			reason: "what the container says stays", containers: []*context{{RunAsUser: new(int64(1000))}},
			own: &context{RunAsUser: new(int64(65534))}, want: &context{RunAsUser: new(int64(65534))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.PodSpec{}
			for _, c := range tc.containers {
				pod.Containers = append(pod.Containers, corev1.Container{SecurityContext: c})
			}
			added := corev1.Container{SecurityContext: tc.own}
			podtemplate.Restrict(&added, pod)
			if diff := cmp.Diff(tc.want, added.SecurityContext); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
