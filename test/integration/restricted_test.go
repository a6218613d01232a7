//go:build integration

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestRestricted: in a namespace that enforces the Pod Security Standard "restricted", a job whose
// templates fulfil it succeeds. The tests of test/operator have that of the other kinds.
func TestRestricted(t *testing.T) {
	t.Parallel()
	ns := &corev1.Namespace{}
	ns.GenerateName, ns.Labels = "restricted-", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	create(t, ns)
	job := newJob(ns.Name, "job", replicas(1, "run-for", "1s"), replicas(2, "run-for", "1s"))
	for _, spec := range job.Spec.TestReplicaSpecs {
		pod := &spec.Template.Spec
		pod.SecurityContext = &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		pod.Containers[0].SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
	create(t, job)
	waitFor(t, job, commonv1.JobSucceeded)
}
