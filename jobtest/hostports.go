package jobtest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// hostPortsOf are the ports that a pod needs of its node.
func hostPortsOf(pod *corev1.Pod) []int32 {
	var out []int32
	for i := range pod.Spec.Containers {
		for _, p := range pod.Spec.Containers[i].Ports {
			if p.HostPort != 0 {
				out = append(out, p.HostPort)
			}
		}
	}
	return out
}

// portsFree reports whether no pod on a node has a port that another pod needs: as the
// scheduler has it, those count that have not ended.
func (k *kubelet) portsFree(pod *corev1.Pod, node string) bool {
	need := hostPortsOf(pod)
	if len(need) == 0 {
		return true
	}
	for _, o := range k.pods.objects {
		other, ok := o.(*corev1.Pod)
		if ok && other.Spec.NodeName == node && other.UID != pod.UID && !ended(other) &&
			slices.ContainsFunc(hostPortsOf(other), func(p int32) bool { return slices.Contains(need, p) }) {
			return false
		}
	}
	return true
}

// hasFreePorts reports whether one of the nodes that fit a pod has the ports that it needs.
// Where no node fits, ports are not the reason.
func (k *kubelet) hasFreePorts(pod *corev1.Pod) bool {
	if len(hostPortsOf(pod)) == 0 {
		return true
	}
	fitting := k.fitting(pod)
	return len(fitting) == 0 || slices.ContainsFunc(fitting, func(n string) bool { return k.portsFree(pod, n) })
}

// checkHostPorts checks the ports of a new pod of a job that allocates them: those of the range,
// the same for the container and its node, none that another replica of the job has, and those
// that the replica always had.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkHostPorts(op call, job client.Object) {
	pod, ok := op.object.(*corev1.Pod)
	parts := m.w.parts(job)
	if !ok || parts.RunPolicy == nil || parts.RunPolicy.HostPorts == nil {
		return
	}
	t, _, wanted := m.replica(job, pod)
	if !wanted || !parts.ReplicaSpecs[t].Template.Spec.HostNetwork {
		return
	}
	first, last := int32(20_000), int32(29_999)
	if r := parts.RunPolicy.HostPortRange; r != nil {
		first, last = r.First, r.Last
	}
	for i := range pod.Spec.Containers {
		for _, p := range pod.Spec.Containers[i].Ports {
			if p.HostPort != p.ContainerPort || p.HostPort < first || p.HostPort > last {
				m.w.violatef("host ports", "pod %s is created with port %d of its node, %d of its container, the range is %d to %d", pod.Name, p.HostPort, p.ContainerPort, first, last)
			}
		}
	}
	own, counts := hostPortsOf(pod), map[commonv1.ReplicaType]int{}
	pods := m.ledger(job.GetUID()).pods
	counts[t] = len(own)
	for _, other := range pods {
		of, _, _ := m.replica(job, other) // by its name: a user may write anything into its labels
		if n, known := counts[of]; known && n != len(hostPortsOf(other)) {
			return // An edit has changed how many ports the type has, and with that all numbers.
		}
		counts[of] = len(hostPortsOf(other))
	}
	for _, other := range pods {
		there := hostPortsOf(other)
		switch {
		case other.Name == pod.Name && metav1.IsControlledBy(other, job) && !slices.Equal(own, there):
			m.w.violatef("host ports", "pod %s has the ports %v, an earlier one of the replica had %v", pod.Name, own, there)
		case other.Name != pod.Name && slices.ContainsFunc(own, func(p int32) bool { return slices.Contains(there, p) }):
			m.w.violatef("host ports", "pod %s has the ports %v, pod %s of the job has %v", pod.Name, own, other.Name, there)
		}
	}
}
