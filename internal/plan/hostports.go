package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/hostports"
)

// ReplicasOf makes the replicas of the job, which know each other's ports.
func (in *Input) ReplicasOf() func(t commonv1.ReplicaType, index, attempt int32) jobkit.Replica {
	parts := jobkit.JobParts{RunPolicy: &in.RunPolicy, ReplicaSpecs: in.Replicas}
	return parts.Replicas(in.Kind, &metav1.ObjectMeta{Name: in.Job.Name, UID: in.Job.UID})
}

// allocates reports whether the replicas of a type get ports of their own.
func (in *Input) allocates(t commonv1.ReplicaType) bool {
	p := in.RunPolicy.HostPorts
	return p != nil && *p == commonv1.HostPortsAllocate && in.Replicas[t].Template.Spec.HostNetwork
}

// hostPorts are the ports of a replica by container, nil if they are those of the template.
func (in *Input) hostPorts(t commonv1.ReplicaType, index int32) map[string][]corev1.ContainerPort {
	if !in.allocates(t) {
		return nil
	}
	return in.ReplicasOf()(t, index, 0).HostPorts(t, index)
}

// setHostPorts gives the containers of a pod their ports on the network of its node, and tells
// them. The names of services resolve there only with another DNS policy.
func setHostPorts(in *Input, a CreatePod, pod *corev1.Pod) {
	ports := in.hostPorts(a.Type, a.Index)
	if ports == nil {
		return
	}
	if pod.Spec.DNSPolicy == "" || pod.Spec.DNSPolicy == corev1.DNSClusterFirst {
		pod.Spec.DNSPolicy = corev1.DNSClusterFirstWithHostNet
	}
	template := in.Replicas[a.Type].Template.Spec.Containers
	for i := range template {
		at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == template[i].Name })
		if at < 0 {
			continue
		}
		c := &pod.Spec.Containers[at]
		c.Ports = slices.Clone(c.Ports) // The kind may have set the same ones in other pods.
		var told []corev1.EnvVar
		for n, own := range template[i].Ports {
			given := ports[template[i].Name][n].ContainerPort
			if j := slices.Index(c.Ports, own); j >= 0 {
				c.Ports[j].ContainerPort, c.Ports[j].HostPort = given, given
			}
			name := hostPortVariable(&own)
			if !slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name }) {
				told = append(told, corev1.EnvVar{Name: name, Value: strconv.Itoa(int(given))})
			}
		}
		c.Env = append(told, c.Env...) // The template's own variables can refer to them.
	}
}

// hostPortVariable is the variable that holds the number which a port got, by the name of the
// port, or by the number in the template if it has none.
func hostPortVariable(p *corev1.ContainerPort) string {
	if p.Name == "" {
		return "HOST_PORT_" + strconv.Itoa(int(p.ContainerPort))
	}
	return "HOST_PORT_" + strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))
}

// withOwnPorts leaves out types whose replicas each have other ports: the service of the whole
// job needs none for their names to resolve.
func (in *Input) withOwnPorts(types []commonv1.ReplicaType) []commonv1.ReplicaType {
	return slices.DeleteFunc(types, in.allocates)
}

// portsOfReplica are the ports of the main container of one replica.
func (in *Input) portsOfReplica(t commonv1.ReplicaType, index int32) []corev1.ServicePort {
	ports := in.hostPorts(t, index)
	if ports == nil {
		return in.ports(t)
	}
	var out []corev1.ServicePort
	for _, p := range ports[in.mainContainer(t)] {
		out = addServicePort(out, p)
	}
	return out
}

// targetByName has the ordinary service of a type lead to ports by their names, which have
// another number in each replica.
func (in *Input) targetByName(t commonv1.ReplicaType, s *corev1.Service) {
	c := in.Kind.MainContainer(&in.Replicas[t].Template.Spec)
	if c == nil || !in.allocates(t) {
		return
	}
	for i := range s.Spec.Ports {
		target := &s.Spec.Ports[i].TargetPort
		for _, p := range c.Ports {
			if p.Name != "" && *target == intstr.FromInt32(p.ContainerPort) {
				*target = intstr.FromString(p.Name)
			}
		}
	}
}

// validateHostPorts checks that there are ports to allocate, and enough of them.
func validateHostPorts(in *Input, path *field.Path) field.ErrorList {
	p, at := &in.RunPolicy, path.Child("hostPorts")
	if p.HostPorts == nil {
		if p.HostPortRange != nil {
			return field.ErrorList{field.Invalid(path.Child("hostPortRange"), *p.HostPortRange, "it says nothing without hostPorts: add that, or remove it")}
		}
		return nil
	}
	if errs := oneOf(at, p.HostPorts, commonv1.HostPortsAllocate); len(errs) > 0 {
		return errs
	}
	first, last := hostports.Range(p)
	if first < 1 || last > 65535 || first > last {
		return field.ErrorList{field.Invalid(path.Child("hostPortRange"), *p.HostPortRange, "first and last must be from 1 to 65535, and first not more than last")}
	}
	var most, each int64
	for _, t := range in.types() {
		if !in.allocates(t) {
			continue
		}
		most = max(most, int64(in.replicas(t)))
		containers := in.Replicas[t].Template.Spec.Containers
		for i := range containers {
			each += int64(len(containers[i].Ports))
		}
	}
	switch size := int64(last) - int64(first) + 1; {
	case each == 0:
		return field.ErrorList{field.Invalid(at, *p.HostPorts,
			"no container of a template with hostNetwork has a port: add hostNetwork and ports, or remove hostPorts")}
	case most*each > size:
		return field.ErrorList{field.Invalid(path.Child("hostPortRange"), fmt.Sprintf("%d-%d", first, last), fmt.Sprintf(
			"has %d ports, but up to %d replicas of each type with %d ports need %d: widen it, or use fewer replicas", size, most, each, most*each))}
	}
	return nil
}
