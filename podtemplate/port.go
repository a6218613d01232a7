package podtemplate

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Port is the number of the kind's port in a replica type of a job: that which the
// main container gives it, or else the kind's own.
func Port(kind jobkit.Kind, specs map[commonv1.ReplicaType]*commonv1.ReplicaSpec, t commonv1.ReplicaType) int32 {
	if spec := specs[t]; spec != nil {
		if c := Container(&spec.Template, kind.ContainerName); c != nil {
			for i := range c.Ports {
				if c.Ports[i].Name == kind.PortName {
					return c.Ports[i].ContainerPort
				}
			}
		}
	}
	return kind.PortNumber
}

// Container returns the named container of a template, to be changed in place, or
// nil.
func Container(template *corev1.PodTemplateSpec, name string) *corev1.Container {
	for i := range template.Spec.Containers {
		if template.Spec.Containers[i].Name == name {
			return &template.Spec.Containers[i]
		}
	}
	return nil
}
