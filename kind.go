package jobkit

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// replicaSpecsField is the default of [Kind].ReplicaSpecsField.
const replicaSpecsField = "replicaSpecs"

// Kind is what is true of every job of a kind.
type Kind struct {
	// Name is the kind, for example "TestJob". It starts every condition reason.
	// Default: the job's kind in the scheme.
	Name string
	// APIVersion is the group and version, for example "kubeflow.org/v1".
	// Default: the job's in the scheme.
	APIVersion string
	// OperatorName is the value of the operator-name label. It must be unique in a
	// cluster. Default: the kind in lower case and "-controller".
	OperatorName string
	// LabelDomain is a domain of the kind's own, for example "sim.example.com": what the library
	// creates for a job then has its labels under this domain, too (sim.example.com/job-name and so
	// on, see package commonv1), for users to select by. Those under training.kubeflow.org/ stay: the
	// library and all that reads pods go by them. Objects that exist already keep the labels that they have.
	// Default: no other domain.
	LabelDomain string
	// Roles are the replica types of the kind, in the order in which they are
	// created and reported. Other types are refused. Required.
	Roles []Role
	// Framework is the kind's name in metrics. Default: the kind in lower case,
	// without "job".
	Framework string
	// ReplicaSpecsField is where a job has the map of its replica specs: the JSON path below spec,
	// such as "testReplicaSpecs" or "cluster.replicaSpecs". Messages and the rules of the CRD name
	// it. A kind whose replica specs are no map sets [Role].Field. Default: "replicaSpecs".
	ReplicaSpecsField string
	// ContainerName is the container that every replica must have: its exit code
	// is the replica's, and its ports are the services'. Required.
	ContainerName string
	// AnyContainer accepts replicas without a container of that name: their first
	// container is then used instead. Default: false.
	AnyContainer bool
	// PortName and PortNumber are added to that container when it has no port of
	// that name. Default: none is added.
	PortName   string
	PortNumber int32
	// RestartPolicy is that of replicas that set none. Default: Never.
	RestartPolicy commonv1.RestartPolicy
	// CleanPodPolicy is that of jobs that set none. Default: None.
	CleanPodPolicy commonv1.CleanPodPolicy
	// ServiceMode is that of jobs that set none. Default: PerJob.
	ServiceMode commonv1.ServiceMode
	// VolumeClaims allows volumeClaimTemplates in jobs of the kind. The operator then needs
	// the verbs get, list, watch, create, patch and delete on persistentvolumeclaims.
	// Default: false, jobs that have them are not valid.
	VolumeClaims bool
}

// Role is one replica type of a kind, and how many replicas of it a job may have.
type Role struct {
	Type commonv1.ReplicaType
	// Field is where a job has the replica spec of the role, if that is no entry of a map: the JSON
	// path below spec, such as "driver", "cluster.driver", "workerGroups[0]" or, for an entry of a
	// list by one of its fields, "tasks[name=Driver]". Parts must take it from there. Default: the
	// entry of the type in the map at ReplicaSpecsField.
	Field string
	// Required is true when every job of the kind needs the type. Default: false.
	Required bool
	// Default is the number of replicas of a job that does not set it. Default: 1.
	Default *int32
	// Min and Max bound the number of replicas of a job that has the type.
	// Default: 0 and MaxReplicas.
	Min, Max int32
	// Unnumbered leaves the index out of the pod's name, which is then
	// <job>-<type>. Max must be 1.
	Unnumbered bool
	// RestartScope is that of replicas of jobs which name none, neither for the replicas nor
	// for the job. Default: Replica.
	RestartScope commonv1.RestartScope
	// BackoffLimit is that of replicas which name none. Default: no limit of their own.
	BackoffLimit *int32
	// StartAfter is that of replicas which name none, in jobs that have the type which it
	// names. Default: they wait for no other type. See [Rules].StartAfter for an order
	// that depends on the job.
	StartAfter *commonv1.StartAfter
	// Service is an ordinary service in front of the replicas of the role that are ready,
	// such as one for a dashboard, in jobs that have such replicas. It is named
	// [RoleServiceName], whatever the job's ServiceMode is, and deleted when the job is
	// suspended or has finished. Default: none.
	Service *RoleService
}

// RoleService is an ordinary service of a role: it has an address of its own, and leads to
// those of its replicas that are ready. (Replicas reach each other by [Replica].Host, ready or
// not.)
type RoleService struct {
	// Type is ClusterIP, NodePort or LoadBalancer. Default: ClusterIP.
	Type corev1.ServiceType
	// Ports are those of the service, at most 16, by Name, Protocol, Port and TargetPort; other
	// fields must be empty. A Protocol is TCP by default, a TargetPort the Port itself.
	// Default: the ports of the role's main container; then the kind must have a PortName.
	Ports []corev1.ServicePort
}

// Role returns the role of a replica type, or nil if the kind does not have it.
func (k *Kind) Role(t commonv1.ReplicaType) *Role {
	for i := range k.Roles {
		if k.Roles[i].Type == t {
			return &k.Roles[i]
		}
	}
	return nil
}

// SpecPath is the field of a job that has the replica spec of a type, as all messages name it: give
// it to the errors of a [Validator].
func (k *Kind) SpecPath(t commonv1.ReplicaType) *field.Path {
	if role := k.Role(t); role != nil && role.Field != "" {
		return field.NewPath("spec", role.Field)
	}
	return field.NewPath("spec", cmp.Or(k.ReplicaSpecsField, replicaSpecsField)).Key(string(t))
}

// MainContainer returns the main container of a replica: the one named ContainerName. It
// may be changed in place. It is nil if none exists.
func (k *Kind) MainContainer(pod *corev1.PodSpec) *corev1.Container {
	for i := range pod.Containers {
		if pod.Containers[i].Name == k.ContainerName {
			return &pod.Containers[i]
		}
	}
	if k.AnyContainer && len(pod.Containers) > 0 {
		return &pod.Containers[0]
	}
	return nil
}

// Bounds returns the lowest and the highest number of replicas that a job may ask for.
func (r *Role) Bounds() (least, most int32) {
	if r.Max > 0 {
		return r.Min, r.Max
	}
	return r.Min, MaxReplicas
}

// PodName is the name of a replica's pod, and of its service where each replica
// has one.
func (k *Kind) PodName(job string, t commonv1.ReplicaType, index int32) string {
	if role := k.Role(t); role != nil && role.Unnumbered {
		return job + "-" + strings.ToLower(string(t))
	}
	return podName(job, t, index)
}

// Types lists the replica types of the kind.
func (k *Kind) Types() []commonv1.ReplicaType {
	out := make([]commonv1.ReplicaType, 0, len(k.Roles))
	for i := range k.Roles {
		out = append(out, k.Roles[i].Type)
	}
	return out
}

// operatorName is the operator's name, or "" if neither it nor the kind's name is known.
func (k *Kind) operatorName() string {
	if k.OperatorName != "" || k.Name == "" {
		return k.OperatorName
	}
	return strings.ToLower(k.Name) + "-controller"
}

// SetDefaults sets the defaults of the fields that are empty.
func (k *Kind) SetDefaults() {
	k.OperatorName = k.operatorName()
	if k.Framework == "" {
		lower := strings.ToLower(k.Name)
		k.Framework = cmp.Or(strings.TrimSuffix(lower, "job"), lower)
	}
	if k.ReplicaSpecsField == "" {
		k.ReplicaSpecsField = replicaSpecsField
	}
	if k.RestartPolicy == "" {
		k.RestartPolicy = commonv1.RestartPolicyNever
	}
	if k.CleanPodPolicy == "" {
		k.CleanPodPolicy = commonv1.CleanPodPolicyNone
	}
	if k.ServiceMode == "" {
		k.ServiceMode = commonv1.ServiceModePerJob
	}
}
