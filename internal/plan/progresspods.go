package plan

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/progress/protocol"
)

// addProgress gives a pod what it needs to report progress, as in Kubeflow Trainer: three
// environment variables, and one volume with a token and the certificates of the server. What the template sets itself
// stays: a variable or a volume of the same name, and what is mounted at the same path.
func addProgress(in *Input, pod *corev1.Pod) {
	p := in.RunPolicy.ProgressPolicy
	if p == nil || in.lacksProgressServer() {
		return
	}
	pod.Annotations = maps.Clone(pod.Annotations)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	source := p.Source
	if source == "" {
		source = commonv1.ProgressSourceReport
	}
	pod.Annotations[commonv1.ProgressAnnotation] = string(source)
	if in.byReadiness() {
		return
	}
	pod.Annotations[commonv1.ProgressCAAnnotation] = in.Progress.CA
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == protocol.VolumeName }) {
		pod.Spec.Volumes = append(slices.Clone(pod.Spec.Volumes), in.Progress.volume())
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			in.Progress.addTo(&list[i])
		}
	}
}

// CanReport reports whether a pod was given what it needs to report progress. One that is older than
// the policy that asks for reports was not, nor was one that an operator without a server made.
func CanReport(pod *corev1.Pod) bool {
	return pod.Annotations[commonv1.ProgressAnnotation] == string(commonv1.ProgressSourceReport)
}

// volume holds the token and the certificates.
func (p *Progress) volume() corev1.Volume {
	return corev1.Volume{Name: protocol.VolumeName, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: p.Audience, ExpirationSeconds: new(int64(protocol.TokenSeconds)), Path: protocol.TokenFile,
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     protocol.CAFile,
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['" + commonv1.ProgressCAAnnotation + "']"},
			}}}},
		},
	}}}
}

// addTo adds the variables and the mount to a container.
func (p *Progress) addTo(c *corev1.Container) {
	if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == protocol.MountPath }) {
		mount := corev1.VolumeMount{Name: protocol.VolumeName, MountPath: protocol.MountPath, ReadOnly: true}
		c.VolumeMounts = append(slices.Clone(c.VolumeMounts), mount)
	}
	env := slices.Clone(c.Env)
	for _, v := range []corev1.EnvVar{
		{Name: protocol.EnvURL, Value: p.URL},
		{Name: protocol.EnvCA, Value: protocol.MountPath + "/" + protocol.CAFile},
		{Name: protocol.EnvToken, Value: protocol.MountPath + "/" + protocol.TokenFile},
	} {
		if !slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == v.Name }) {
			env = append(env, v)
		}
	}
	c.Env = env
}
