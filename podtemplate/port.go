package podtemplate

import corev1 "k8s.io/api/core/v1"

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
