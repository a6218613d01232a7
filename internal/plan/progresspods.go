package plan

import (
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// What the containers of a job that reports progress get, as in Kubeflow Trainer: three
// environment variables, and one volume with a token and the certificates of the server.
const (
	progressVolume   = "kubeflow-trainer-token"
	progressDir      = "/var/run/secrets/kubeflow/trainer"
	progressToken    = "token"
	progressCA       = "ca.crt"
	progressURLEnv   = "KUBEFLOW_TRAINER_SERVER_URL"
	progressCAEnv    = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
	progressTokenEnv = "KUBEFLOW_TRAINER_SERVER_TOKEN"
	// progressTokenSeconds is how long a token is valid. The kubelet renews it before that.
	progressTokenSeconds = 3600
)

// ProgressAddress is where the pods of one job send their reports.
type ProgressAddress struct {
	Resource        schema.GroupVersionResource
	Namespace, Name string
	UID             types.UID
}

// Path is that of the URL.
func (a ProgressAddress) Path() string {
	return "/apis/" + a.job() + "/status"
}

// Audience is that of the tokens: a token is of use for this one job alone, and not for a later
// one of its name.
func (a ProgressAddress) Audience() string { return a.job() + "/" + string(a.UID) }

func (a ProgressAddress) job() string {
	return path.Join(a.Resource.Group, a.Resource.Version, "namespaces", a.Namespace, a.Resource.Resource, a.Name)
}

// addProgress gives a pod what it needs to report progress. What the template sets itself
// stays: a variable or a volume of the same name, and what is mounted at the same path.
func addProgress(in *Input, pod *corev1.Pod) {
	p := in.RunPolicy.ProgressPolicy
	if p == nil {
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
	if in.byReadiness() || in.Progress == nil {
		return
	}
	pod.Annotations[commonv1.ProgressCAAnnotation] = in.Progress.CA
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == progressVolume }) {
		pod.Spec.Volumes = append(slices.Clone(pod.Spec.Volumes), in.Progress.volume())
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			in.Progress.addTo(&list[i])
		}
	}
}

// volume holds the token and the certificates.
func (p *Progress) volume() corev1.Volume {
	return corev1.Volume{Name: progressVolume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: p.Audience, ExpirationSeconds: new(int64(progressTokenSeconds)), Path: progressToken,
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     progressCA,
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['" + commonv1.ProgressCAAnnotation + "']"},
			}}}},
		},
	}}}
}

// addTo adds the variables and the mount to a container.
func (p *Progress) addTo(c *corev1.Container) {
	if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == progressDir }) {
		c.VolumeMounts = append(slices.Clone(c.VolumeMounts), corev1.VolumeMount{Name: progressVolume, MountPath: progressDir, ReadOnly: true})
	}
	env := slices.Clone(c.Env)
	for _, v := range []corev1.EnvVar{
		{Name: progressURLEnv, Value: p.URL},
		{Name: progressCAEnv, Value: progressDir + "/" + progressCA},
		{Name: progressTokenEnv, Value: progressDir + "/" + progressToken},
	} {
		if !slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == v.Name }) {
			env = append(env, v)
		}
	}
	c.Env = env
}
