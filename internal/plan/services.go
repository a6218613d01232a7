package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// syncServices creates the services that are missing, and updates those that differ from
// what the job needs.
func syncServices(d *decision) bool {
	have := make(map[string]*corev1.Service, len(d.in.Services))
	for _, s := range d.in.Services {
		have[s.Name] = s
	}
	switch d.in.serviceMode() {
	case commonv1.ServiceModePerReplica:
		for i := range d.tally.byType {
			d.replicaServices(&d.tally.byType[i], have)
		}
	case commonv1.ServiceModePerJob:
		want := CreateService{Name: d.in.Job.Name, Reason: "the job has one"}
		d.keepService(have[want.Name], want, NewService(d.in, want))
	case commonv1.ServiceModeNone:
	}
	d.roleServices(have)
	return false
}

// replicaServices keeps a service for each replica of a type. Those of one type differ only
// in their index, so one model is enough to compare them.
func (d *decision) replicaServices(t *typeTally, have map[string]*corev1.Service) {
	model, each := NewService(d.in, CreateService{Type: t.Type}), d.in.allocates(t.Type)
	for i := range t.replicas {
		s := &t.replicas[i]
		if each { // Their ports differ, too.
			model = NewService(d.in, CreateService{Type: t.Type, Index: s.index})
		}
		d.keepService(have[s.name], CreateService{Name: s.name, Type: s.typ, Index: s.index, Reason: "each replica has one"}, model)
	}
}

// keepService creates a service, or updates the existing one.
func (d *decision) keepService(s *corev1.Service, want CreateService, model *corev1.Service) {
	switch {
	case s == nil:
		d.act(want)
	case s.DeletionTimestamp == nil && !sameService(s, model, want.Index):
		want.Reason = "its ports or its selector are not those of the job"
		d.act(UpdateService{CreateService: want, UID: s.UID, Version: s.ResourceVersion})
	}
}

// sameService reports whether a service has the selector and the ports of a model, with the
// index of its own replica, and its type, if the model has one. What the API server or other
// clients add does not matter.
func sameService(s, model *corev1.Service, index int32) bool {
	return (model.Spec.Type == "" || s.Spec.Type == model.Spec.Type) && sameSelector(s.Spec.Selector, model.Spec.Selector, index) &&
		slices.EqualFunc(ShortPorts(s.Spec.Ports), ShortPorts(model.Spec.Ports), func(a, b corev1.ServicePort) bool {
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

func sameSelector(selector, model map[string]string, index int32) bool {
	if len(selector) != len(model) {
		return false
	}
	for label, want := range model {
		if label != commonv1.ReplicaIndexLabel && selector[label] != want {
			return false
		}
	}
	_, ofReplica := model[commonv1.ReplicaIndexLabel]
	var digits [10]byte // compared in place, the number needs no allocation
	return !ofReplica || selector[commonv1.ReplicaIndexLabel] == string(strconv.AppendInt(digits[:0], int64(index), 10))
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
