package jobtest

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// balancerCleanup is the finalizer that keeps a service as long as it has a load balancer.
const balancerCleanup = "service.kubernetes.io/load-balancer-cleanup"

// balancerChanged takes in which services are being deleted and have a load balancer.
func (w *World) balancerChanged(c change) {
	if s, ok := c.object.(*corev1.Service); ok && c.verb == modified && s.DeletionTimestamp != nil && c.was.GetDeletionTimestamp() == nil &&
		slices.Contains(s.Finalizers, balancerCleanup) {
		w.balanced = append(w.balanced, client.ObjectKeyFromObject(s))
	}
}

// removeBalancer does what the controller of a cloud does: a service that is being deleted goes
// when its load balancer is gone.
func (w *World) removeBalancer() {
	key := w.balanced[0]
	w.balanced = w.balanced[1:]
	t := w.serviceTable()
	there := t.get(key)
	if there == nil {
		return
	}
	w.logf("cloud: removes the load balancer of service %s", key.Name)
	next := clone(there)
	next.SetFinalizers(slices.DeleteFunc(slices.Clone(there.GetFinalizers()), func(f string) bool { return f == balancerCleanup }))
	w.server.commit(t, there, next)
}

func (w *World) serviceTable() *table {
	return w.server.table(corev1.SchemeGroupVersion.WithKind("Service"))
}

// checkRoleServices adds the ordinary services of the roles of a job to those that it wants,
// and checks that those which exist lead to all ready pods of their role, and to no others.
func (m *monitor) checkRoleServices(job client.Object, services []client.Object, want map[string]bool) {
	for t, spec := range m.w.parts(job).ReplicaSpecs {
		role := m.kind.Role(t)
		if role == nil || role.Service == nil || wantedReplicas(spec) == 0 {
			continue
		}
		name := m.kind.RoleServiceName(job.GetName(), t)
		want[name] = true
		for _, o := range services {
			if s, ok := o.(*corev1.Service); ok && s.Name == name && !m.stuck(s) {
				m.checkRoleService(job, t, role.Service, s)
			}
		}
	}
}

func (m *monitor) checkRoleService(job client.Object, t commonv1.ReplicaType, says *jobkit.RoleService, s *corev1.Service) {
	if s.Spec.Type != says.Type && (says.Type != "" || s.Spec.Type != corev1.ServiceTypeClusterIP) ||
		s.Spec.PublishNotReadyAddresses || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
		m.w.violatef("role service", "service %s of job %s is not an ordinary one of type %s with ports: %+v", s.Name, job.GetName(), says.Type, s.Spec)
	}
	pods, _ := m.children(job)
	selects := labels.SelectorFromSet(s.Spec.Selector)
	for _, pod := range pods {
		typ, _, wanted := m.replica(job, pod)
		leads, known := selects.Matches(labels.Set(pod.Labels)), pod.Labels[commonv1.ReplicaTypeLabel] == strings.ToLower(string(typ))
		if wanted && known && leads != (typ == t) {
			m.w.violatef("role service", "service %s of job %s, for %s, and pod %s: it leads to it or not, but should not or should", s.Name, job.GetName(), t, pod.Name)
		}
	}
}
