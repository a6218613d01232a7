package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// syncServices creates the services that are missing, and updates those that differ from
// what the job needs.
func syncServices(d *decision) bool {
	ofReplicas, have := d.servicesByName()
	switch d.in.serviceMode() {
	case commonv1.ServiceModePerReplica:
		for i := range d.tally.byType {
			d.replicaServices(&d.tally.byType[i], ofReplicas[i])
		}
	case commonv1.ServiceModePerJob:
		want := CreateService{Name: d.in.Job.Name, Reason: "the job has one"}
		d.keepService(have[want.Name], want, modelOf(NewService(d.in, want)))
	case commonv1.ServiceModeNone:
	}
	d.roleServices(have)
	return false
}

// servicesByName are the services of the job: those of replicas by type and index, and all others by
// name. There may be ten thousand of the first, which need no map. No role's service has the name of
// a replica's (see [validateRoleService]).
func (d *decision) servicesByName() (ofReplicas [][]*corev1.Service, others map[string]*corev1.Service) {
	others, perReplica := map[string]*corev1.Service{}, d.in.serviceMode() == commonv1.ServiceModePerReplica
	for i := range d.tally.byType {
		n := 0
		if perReplica {
			n = len(d.tally.byType[i].replicas)
		}
		ofReplicas = append(ofReplicas, make([]*corev1.Service, n))
	}
	for _, s := range d.in.Services {
		if i, index := d.tally.positionOf(s.Name); perReplica && i >= 0 {
			ofReplicas[i][index] = s
		} else {
			others[s.Name] = s
		}
	}
	return ofReplicas, others
}

// replicaServices keeps a service for each replica of a type; have are those that exist. Those of one
// type differ only in their index, so one model is enough to compare them.
func (d *decision) replicaServices(t *typeTally, have []*corev1.Service) {
	model, each := modelOf(NewService(d.in, CreateService{Type: t.Type})), d.in.allocates(t.Type)
	for i := range t.replicas {
		s := &t.replicas[i]
		if each { // Their ports differ, too.
			model = modelOf(NewService(d.in, CreateService{Type: t.Type, Index: s.index}))
		}
		d.keepService(have[i], CreateService{Name: s.name, Type: s.typ, Index: s.index, Reason: "each replica has one"}, model)
	}
}

// serviceModel is a service as a job wants it, to be compared with many.
type serviceModel struct {
	spec *corev1.ServiceSpec
	// selector is its selector, but for the index of a replica, which it has if ofReplica.
	selector  []selectorLabel
	ofReplica bool
}

type selectorLabel struct{ key, value string }

func modelOf(s *corev1.Service) *serviceModel {
	m := &serviceModel{spec: &s.Spec}
	for key, value := range s.Spec.Selector {
		if key == commonv1.ReplicaIndexLabel {
			m.ofReplica = true
		} else {
			m.selector = append(m.selector, selectorLabel{key, value})
		}
	}
	return m
}

// keepService creates a service, or updates the existing one.
func (d *decision) keepService(s *corev1.Service, want CreateService, model *serviceModel) {
	switch {
	case s == nil && len(want.Name) > validation.DNS1035LabelMaxLength:
		// No service can have this name, so the job is not a new one. It goes on without, as under v1.
		return
	case s == nil:
		d.act(want)
		return
	case s.DeletionTimestamp != nil:
		return
	case !sameService(s, model, want.Index):
		want.Reason = "its ports or its selector are not those of the job"
	case d.in.byReadiness() && model.spec.PublishNotReadyAddresses && !s.Spec.PublishNotReadyAddresses:
		want.Reason = "its replicas must be found before they are ready"
	default:
		return
	}
	d.act(UpdateService{CreateService: want, UID: s.UID, Version: s.ResourceVersion})
}

// sameService reports whether a service has the selector and the ports of a model, with the
// index of its own replica, and its type, if the model has one. What the API server or other
// clients add does not matter.
func sameService(s *corev1.Service, model *serviceModel, index int32) bool {
	return (model.spec.Type == "" || s.Spec.Type == model.spec.Type) && model.selects(s.Spec.Selector, index) &&
		slices.EqualFunc(ShortPorts(s.Spec.Ports), ShortPorts(model.spec.Ports), func(a, b corev1.ServicePort) bool {
			return a.Name == b.Name && a.Protocol == b.Protocol && a.Port == b.Port && a.TargetPort == b.TargetPort
		})
}

// maxPorts is how many ports of a service a cache holds at most.
const maxPorts = 16

// ShortPorts returns the ports of a service. Of more than a cache holds they are the first ones,
// and one that stands for the others: its name is a digest, longer than the name of a port can be.
func ShortPorts(ports []corev1.ServicePort) []corev1.ServicePort {
	if len(ports) <= maxPorts {
		return ports
	}
	out := make([]corev1.ServicePort, 0, maxPorts)
	for _, p := range ports[:maxPorts-1] {
		out = append(out, corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port, TargetPort: p.TargetPort})
	}
	others := sha256.New()
	for _, p := range ports[maxPorts-1:] {
		_, _ = fmt.Fprintf(others, "%q %q %d %d %q\n", p.Name, p.Protocol, p.Port, p.TargetPort.Type, p.TargetPort.String())
	}
	return append(out, corev1.ServicePort{Name: hex.EncodeToString(others.Sum(nil))})
}

// selects reports whether a selector is that of the model, with the index of a replica.
func (m *serviceModel) selects(selector map[string]string, index int32) bool {
	if len(selector) != len(m.spec.Selector) {
		return false
	}
	for _, want := range m.selector {
		if selector[want.key] != want.value {
			return false
		}
	}
	var digits [10]byte // compared in place, the number needs no allocation
	return !m.ofReplica || selector[commonv1.ReplicaIndexLabel] == string(strconv.AppendInt(digits[:0], int64(index), 10))
}

// wantsService reports whether the job has a service of this name by its service mode, or by
// one of its roles.
func (d *decision) wantsService(name string) bool {
	if d.wantsRoleService(name) {
		return true
	}
	switch d.in.serviceMode() {
	case commonv1.ServiceModePerReplica:
		return d.tally.replicaOf(name) != nil
	case commonv1.ServiceModePerJob:
		return name == d.in.Job.Name
	case commonv1.ServiceModeNone:
	}
	return false
}
