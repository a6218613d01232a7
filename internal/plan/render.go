package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// NewPod makes the pod of a replica from its template, which must not be used afterwards.
// What identifies the pod (name, labels, owner, restart policy) is set last: nothing in
// the template can override it.
func NewPod(in *Input, a CreatePod, template *corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{Spec: template.Spec}
	own := replicaLabels(in.Kind, in.Job.Name, a.Type, a.Index)
	own[commonv1.AttemptLabel] = strconv.Itoa(int(a.Attempt))
	if in.Rules.IsMaster(a.Type, a.Index) {
		own[commonv1.JobRoleLabel] = commonv1.JobRoleMaster
	}
	pod.ObjectMeta = metav1.ObjectMeta{
		Name: a.Name, Namespace: in.Job.Namespace,
		Labels: withOwn(&in.Kind, template.Labels, own), Annotations: template.Annotations, Finalizers: template.Finalizers,
		OwnerReferences: []metav1.OwnerReference{in.ownerReference()},
	}
	setRestartPolicy(in, a.Type, pod)
	addClaimVolumes(in, a.Type, pod)
	addProgress(in, pod)
	keepAway(in, pod, a.Avoid)
	setHostPorts(in, a, pod)
	if in.serviceMode() == commonv1.ServiceModePerJob {
		// Together with the job's headless service this makes <pod>.<job> resolve.
		pod.Spec.Hostname = cmp.Or(pod.Spec.Hostname, a.Name)
		pod.Spec.Subdomain = cmp.Or(pod.Spec.Subdomain, in.Job.Name)
	}
	return pod
}

// NewService makes a headless service: of one replica, or of the whole job; or the ordinary
// service of a role.
//
// Replicas connect to each other before they are ready, so the service of a job leads to those that
// are not. One of a replica does not, as in kubeflow.org/v1, unless readiness means progress, which
// a replica makes only when it has found the others.
func NewService(in *Input, a CreateService) *corev1.Service {
	if a.OfRole {
		return newRoleService(in, a)
	}
	labels := in.Kind.JobLabels(in.Job.Name)
	var ports []corev1.ServicePort
	if a.Type == "" {
		ports = in.ports(in.withOwnPorts(in.types())...)
	} else {
		labels = replicaLabels(in.Kind, in.Job.Name, a.Type, a.Index)
		ports = in.portsOfReplica(a.Type, a.Index)
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: a.Name, Namespace: in.Job.Namespace, Labels: withOwn(&in.Kind, nil, labels),
			OwnerReferences: []metav1.OwnerReference{in.ownerReference()},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP:                corev1.ClusterIPNone,
			Selector:                 labels,
			Ports:                    ports,
			PublishNotReadyAddresses: a.Type == "" || in.byReadiness(),
		},
	}
}

// ports are those of the main containers of the given types, in the order of the
// templates. A port that several types have is listed once.
func (in *Input) ports(types ...commonv1.ReplicaType) []corev1.ServicePort {
	var out []corev1.ServicePort
	for _, t := range types {
		if c := in.Kind.MainContainer(&in.Replicas[t].Template.Spec); c != nil {
			for _, p := range c.Ports {
				out = addServicePort(out, p)
			}
		}
	}
	return out
}

func addServicePort(ports []corev1.ServicePort, p corev1.ContainerPort) []corev1.ServicePort {
	protocol := cmp.Or(p.Protocol, corev1.ProtocolTCP)
	name := p.Name
	if name == "" {
		// The ports of a service must have names if there are several.
		name = fmt.Sprintf("port-%d-%c", p.ContainerPort, protocol[0]|' ')
	}
	if slices.ContainsFunc(ports, func(o corev1.ServicePort) bool {
		return o.Name == name || o.Port == p.ContainerPort && o.Protocol == protocol
	}) {
		return ports
	}
	return append(ports, corev1.ServicePort{
		Name: name, Protocol: protocol, Port: p.ContainerPort, TargetPort: intstr.FromInt32(p.ContainerPort),
	})
}

// withOwn are the labels of a template or an author's object and those of the job, which win. If
// the kind has a domain of its own, those of the library stand under it once more. Nothing here
// selects by that.
func withOwn(kind *jobkit.Kind, theirs, own map[string]string) map[string]string {
	labels := make(map[string]string, len(theirs)+len(own))
	maps.Copy(labels, theirs)
	maps.Copy(labels, own)
	if kind.LabelDomain == "" {
		return labels
	}
	for _, key := range ControllersLabels() {
		if value, ok := labels[key]; ok {
			labels[kind.LabelDomain+"/"+strings.TrimPrefix(key, commonv1.LabelPrefix)] = value
		}
	}
	return labels
}

// Claim makes an object one of the job's: in its namespace, with its labels, owned
// by it. Other labels of the object stay.
func Claim(in *Input, o metav1.Object) {
	o.SetNamespace(in.Job.Namespace)
	o.SetLabels(withOwn(&in.Kind, o.GetLabels(), in.Kind.JobLabels(in.Job.Name)))
	o.SetOwnerReferences([]metav1.OwnerReference{in.ownerReference()})
}

// OwnLabels are the labels that mark an object as the job's. An existing object that the job
// owns and that lacks them gets them. The attempt of a pod is not among them: without the
// label a pod is of the first attempt.
func OwnLabels(wanted metav1.Object) map[string]string {
	labels := map[string]string{}
	for _, key := range ControllersLabels() {
		if value, ok := wanted.GetLabels()[key]; ok && key != commonv1.AttemptLabel && key != commonv1.PodGroupLabel {
			labels[key] = value
		}
	}
	return labels
}

// HasJobLabels reports whether an object has the labels by which objects of the job are found.
func HasJobLabels(in *Input, o metav1.Object) bool {
	have := o.GetLabels()
	for key, value := range in.Kind.JobLabels(in.Job.Name) {
		if have[key] != value {
			return false
		}
	}
	return true
}

// ownerReference makes the job the owner of an object, so that the garbage
// collector deletes the object with it.
func (in *Input) ownerReference() metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{
		APIVersion: in.Kind.APIVersion, Kind: in.Kind.Name, Name: in.Job.Name, UID: in.Job.UID,
		Controller: &yes, BlockOwnerDeletion: &yes,
	}
}
