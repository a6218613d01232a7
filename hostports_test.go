package jobkit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestHostPorts: replicas know the ports of all others; jobs that do not ask for it have those
// of their templates.
func TestHostPorts(t *testing.T) {
	kind := jobkit.Kind{ContainerName: "main", PortName: "main", PortNumber: 99, Roles: []jobkit.Role{{Type: "Head"}, {Type: "Worker"}}}
	spec := func(host bool) *commonv1.ReplicaSpec {
		return &commonv1.ReplicaSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{HostNetwork: host, Containers: []corev1.Container{
			{Name: "main", Ports: []corev1.ContainerPort{{Name: "other", ContainerPort: 1}, {Name: "main", ContainerPort: 2}}},
		}}}}
	}
	ports := func(p *commonv1.RunPolicy) []int32 {
		r := jobkit.JobParts{
			RunPolicy: p, ReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Head": spec(false), "Worker": spec(true)},
		}.Replicas(kind, &metav1.ObjectMeta{Name: "j", UID: "uid"})("Worker", 1, 0)
		return []int32{r.Port("Head"), r.PortOf("Head", 3), r.Port("Worker"), r.PortOf("Worker", 1), r.PortOf("Worker", 2), int32(len(r.HostPorts("Worker", 0)["main"]))}
	}
	allocate := &commonv1.RunPolicy{HostPorts: new(commonv1.HostPortsAllocate), HostPortRange: &commonv1.HostPortRange{First: 100, Last: 104}}
	for name, tc := range map[string]struct {
		reason string
		policy *commonv1.RunPolicy
		want   []int32
	}{
		"Default":  {"as the templates say", &commonv1.RunPolicy{}, []int32{2, 2, 2, 2, 2, 0}},
		"NoPolicy": {"as the templates say", nil, []int32{2, 2, 2, 2, 2, 0}},
		"Allocate": {"two for each index, around the end of the range", allocate, []int32{2, 2, 102, 104, 101, 2}},
		"NotValid": {"a range without ports gives none", &commonv1.RunPolicy{HostPorts: allocate.HostPorts, HostPortRange: &commonv1.HostPortRange{First: 2, Last: 1}}, []int32{2, 2, 2, 2, 2, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ports(tc.policy)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
