package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// roleServices keeps the services of the roles that have one.
func (d *decision) roleServices(have map[string]*corev1.Service) {
	for _, t := range d.in.types() {
		if d.in.roleService(t) != nil {
			want := CreateService{Name: d.in.Kind.RoleServiceName(d.in.Job.Name, t), Type: t, OfRole: true, Reason: "its role has one"}
			d.keepService(have[want.Name], want, modelOf(NewService(d.in, want)))
		}
	}
}

// wantsRoleService reports whether a service of this name is that of a role of the job.
func (d *decision) wantsRoleService(name string) bool {
	// It is asked for each service of a job, and few kinds have such roles.
	for i := range d.in.Kind.Roles {
		role := &d.in.Kind.Roles[i]
		if role.Service != nil && d.in.roleService(role.Type) != nil && name == d.in.Kind.RoleServiceName(d.in.Job.Name, role.Type) {
			return true
		}
	}
	return false
}

// roleService is what the kind says of the ordinary service of a type, nil if the job has none.
func (in *Input) roleService(t commonv1.ReplicaType) *jobkit.RoleService {
	if role := in.Kind.Role(t); role != nil && in.replicas(t) > 0 {
		return role.Service
	}
	return nil
}

// newRoleService makes the ordinary service of a role. Not ready replicas are left out of it,
// which is the default of services that do not say otherwise.
func newRoleService(in *Input, a CreateService) *corev1.Service {
	says, labels := in.Kind.Role(a.Type).Service, typeLabels(in.Kind, in.Job.Name, a.Type)
	service := &corev1.Service{Spec: corev1.ServiceSpec{Type: cmp.Or(says.Type, corev1.ServiceTypeClusterIP), Selector: labels}}
	service.Name = a.Name
	Claim(in, service)
	service.Labels = withOwn(&in.Kind, nil, labels)
	if len(says.Ports) == 0 {
		service.Spec.Ports = in.ports(a.Type)
	}
	for _, p := range says.Ports {
		if p.TargetPort == (intstr.IntOrString{}) {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
			Name: p.Name, Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), Port: p.Port, TargetPort: p.TargetPort,
		})
	}
	in.targetByName(a.Type, service)
	return service
}

// validateRoleService checks the ordinary service of a role.
func validateRoleService(k *jobkit.Kind, r *jobkit.Role, path *field.Path) field.ErrorList {
	if r.Service == nil {
		return nil
	}
	var errs field.ErrorList
	if r.Service.Type != "" {
		errs = append(errs, oneOf(path.Child("Type"), &r.Service.Type,
			corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer)...)
	}
	for i := range k.Roles {
		if other := &k.Roles[i]; other.Unnumbered && strings.EqualFold(string(other.Type), string(r.Type)+"-svc") {
			errs = append(errs, field.Invalid(path, r.Type, fmt.Sprintf(
				"the service gets the name of the one that the pod of %s (Roles[%d]) can have: rename that type, or have it numbered", other.Type, i)))
		}
	}
	ports := path.Child("Ports")
	switch n := len(r.Service.Ports); {
	case n == 0 && k.PortName == "":
		return append(errs, field.Required(ports, "the main container need not have a port: name the ports, or set PortName of the kind"))
	case n > maxPorts:
		return append(errs, field.TooMany(ports, n, maxPorts))
	}
	for i := range r.Service.Ports {
		errs = append(errs, validateServicePort(r.Service.Ports, i, ports.Index(i))...)
	}
	return errs
}

// validateServicePort checks one port of the service of a role.
func validateServicePort(all []corev1.ServicePort, i int, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	p := all[i]
	protocol := func(p corev1.ServicePort) corev1.Protocol { return cmp.Or(p.Protocol, corev1.ProtocolTCP) }
	switch name := path.Child("Name"); {
	case p.Name == "" && len(all) > 1:
		errs = append(errs, field.Required(name, "there are several ports: name each"))
	case p.Name != "" && len(validation.IsDNS1123Label(p.Name)) > 0:
		errs = append(errs, field.Invalid(name, p.Name, "use 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends"))
	case slices.ContainsFunc(all[:i], func(o corev1.ServicePort) bool { return o.Name == p.Name }):
		errs = append(errs, field.Duplicate(name, p.Name))
	}
	if len(validation.IsValidPortNum(int(p.Port))) > 0 {
		errs = append(errs, field.Invalid(path.Child("Port"), p.Port, "must be from 1 to 65535"))
	} else if slices.ContainsFunc(all[:i], func(o corev1.ServicePort) bool { return o.Port == p.Port && protocol(o) == protocol(p) }) {
		errs = append(errs, field.Duplicate(path.Child("Port"), p.Port))
	}
	if p.Protocol != "" {
		errs = append(errs, oneOf(path.Child("Protocol"), &p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
	}
	if t := p.TargetPort; t.Type == intstr.String && len(validation.IsValidPortName(t.StrVal)) > 0 ||
		t.Type == intstr.Int && t.IntVal != 0 && len(validation.IsValidPortNum(int(t.IntVal))) > 0 {
		errs = append(errs, field.Invalid(path.Child("TargetPort"), t.String(), "must be from 1 to 65535, or the name of a container's port"))
	}
	if p.NodePort != 0 || p.AppProtocol != nil {
		errs = append(errs, field.Forbidden(path, "NodePort would be the same in every job, and AppProtocol is not kept: leave both empty"))
	}
	return errs
}
