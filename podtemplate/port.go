package podtemplate

import corev1 "k8s.io/api/core/v1"

// Port is the number of the named port of the named container, or otherwise if the
// template has no such port.
func Port(template *corev1.PodTemplateSpec, container, port string, otherwise int32) int32 {
	if c := Container(template, container); c != nil {
		for i := range c.Ports {
			if c.Ports[i].Name == port {
				return c.Ports[i].ContainerPort
			}
		}
	}
	return otherwise
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
