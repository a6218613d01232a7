package plan

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// SetDefaults sets the defaults of a job in place: the number of replicas, the
// restart policy, the clean-up policy, the service mode, and the port of the main
// container.
func SetDefaults(k *jobkit.Kind, p *commonv1.RunPolicy, replicas map[commonv1.ReplicaType]*commonv1.ReplicaSpec) {
	if p.CleanPodPolicy == nil || *p.CleanPodPolicy == commonv1.CleanPodPolicyUndefined {
		p.CleanPodPolicy = &k.CleanPodPolicy
	}
	if p.ServiceMode == nil {
		p.ServiceMode = &k.ServiceMode
	}
	for t, spec := range replicas {
		if spec == nil {
			continue
		}
		setNumber(k.Role(t), spec)
		if spec.RestartPolicy == "" {
			spec.RestartPolicy = k.RestartPolicy
		}
		if role := k.Role(t); role != nil {
			setRoleDefaults(role, p, spec, replicas)
		}
		addPort(k, p, &spec.Template.Spec)
	}
}

// setNumber sets the number of replicas of a type, if the job does not say it.
func setNumber(role *jobkit.Role, spec *commonv1.ReplicaSpec) {
	if spec.Replicas != nil {
		return
	}
	spec.Replicas = new(int32(1))
	if role != nil && role.Default != nil {
		*spec.Replicas = *role.Default
	}
}

// setRoleDefaults fills in what a replica spec leaves open and the kind says of its type.
// What the user says of the whole job goes before what the author says of a type.
func setRoleDefaults(
	role *jobkit.Role, p *commonv1.RunPolicy, spec *commonv1.ReplicaSpec, replicas map[commonv1.ReplicaType]*commonv1.ReplicaSpec,
) {
	if spec.StartAfter == nil && role.StartAfter != nil && replicas[role.StartAfter.ReplicaType] != nil {
		spec.StartAfter = role.StartAfter
	}
	if spec.RestartScope == nil && p.RestartScope == nil && role.RestartScope != "" {
		spec.RestartScope = &role.RestartScope
	}
	if spec.BackoffLimit == nil {
		spec.BackoffLimit = role.BackoffLimit
	}
}

// SpellTypes gives replica types the spelling of the kind, in place. If two differ only in
// letter case, the second stays as it is, and Validate refuses it. This is for jobs of other
// controllers and versions that accepted any letter case. A new job with such a type is
// refused, because Kueue, kubectl and the scale subresource would not find it.
func SpellTypes(k *jobkit.Kind, replicas map[commonv1.ReplicaType]*commonv1.ReplicaSpec) {
	for _, t := range sortedTypes(replicas) {
		for _, known := range k.Types() {
			if _, taken := replicas[known]; !taken && strings.EqualFold(string(t), string(known)) {
				replicas[known] = replicas[t]
				delete(replicas, t)
			}
		}
	}
	for _, spec := range replicas {
		if spec != nil && spec.StartAfter != nil {
			spellStartAfter(k, spec)
		}
	}
}

// DropControllersLabels removes from pod templates the labels that the controller sets itself, in
// place. This is for jobs that were accepted before: training-operator v1 takes such labels, and
// overwrites them. In a new job Validate refuses them.
func DropControllersLabels(replicas map[commonv1.ReplicaType]*commonv1.ReplicaSpec) {
	for _, spec := range replicas {
		if spec == nil {
			continue
		}
		for _, label := range ControllersLabels() {
			delete(spec.Template.Labels, label)
		}
	}
}

// spellStartAfter does that for the type that another starts after.
func spellStartAfter(k *jobkit.Kind, spec *commonv1.ReplicaSpec) {
	for _, known := range k.Types() {
		if strings.EqualFold(string(known), string(spec.StartAfter.ReplicaType)) {
			spec.StartAfter = &commonv1.StartAfter{ReplicaType: known, State: spec.StartAfter.State}
		}
	}
}

// addPort adds the kind's port to the main container if it has no port of that name. On the network
// of a node, where the API server accepts no second port of a number, the one that has the number is
// taken for it (unless each port gets a number of its own).
func addPort(k *jobkit.Kind, policy *commonv1.RunPolicy, pod *corev1.PodSpec) {
	c := k.MainContainer(pod)
	if c == nil || k.PortName == "" ||
		slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == k.PortName }) {
		return
	}
	for i := range c.Ports {
		p := &c.Ports[i]
		same := p.ContainerPort == k.PortNumber && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP)
		if same && pod.HostNetwork && policy.HostPorts == nil {
			p.Name = cmp.Or(p.Name, k.PortName)
			return
		}
	}
	c.Ports = append(c.Ports, corev1.ContainerPort{Name: k.PortName, ContainerPort: k.PortNumber})
}
