package plan

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// jobServices creates the services that are missing, and keeps the others in step
// with the job.
func jobServices(d *decision) bool {
	have := make(map[string]*corev1.Service, len(d.in.Services))
	for _, s := range d.in.Services {
		have[s.Name] = s
	}
	for _, want := range d.wantedServices() {
		s := have[want.Name]
		switch {
		case s == nil:
			d.act(want)
		case s.DeletionTimestamp == nil && !sameService(s, NewService(d.in, want)):
			want.Reason = "its ports or its selector are not those of the job"
			d.act(UpdateService{CreateService: want, UID: s.UID, Version: s.ResourceVersion})
		}
	}
	return false
}

// sameService tells whether a service has the selector and the ports that it should
// have. What the API server or others add to it does not matter.
func sameService(s, want *corev1.Service) bool {
	return equality.Semantic.DeepEqual(s.Spec.Selector, want.Spec.Selector) &&
		slices.EqualFunc(s.Spec.Ports, want.Spec.Ports, func(a, b corev1.ServicePort) bool {
			return a.Name == b.Name && a.Protocol == b.Protocol && a.Port == b.Port && a.TargetPort == b.TargetPort
		})
}

// wantedServices are the services of the job by its service mode.
func (d *decision) wantedServices() []CreateService {
	switch d.in.serviceMode() {
	case commonv1.ServiceModePerReplica:
		var out []CreateService
		d.tally.each(func(s *slot) {
			out = append(out, CreateService{
				Name: s.name, Type: s.typ, Index: s.index,
				Reason: "each replica has one",
			})
		})
		return out
	case commonv1.ServiceModePerJob:
		return []CreateService{{Name: d.in.Job.Name, Reason: "the job has one"}}
	case commonv1.ServiceModeNone:
		return nil
	default:
		return nil
	}
}
