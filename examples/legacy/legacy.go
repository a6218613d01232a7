// Package legacy runs a controller that was written for github.com/kubeflow/common v0.4.7 on this
// library, as it is: Adapt makes of its 18 methods what the library asks for. It is a bridge for
// the time of a port (docs/authors/from-kubeflow-common.md), whose result is shorter.
package legacy

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// ReplicaSpecs are those of a job.
type ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec

// Used are the methods of the predecessor's ControllerInterface that the adapter calls. All are
// called with copies, from several goroutines, and may be called again at any time.
type Used interface { //nolint:interfacebloat // the predecessor's
	// ControllerName becomes Kind.OperatorName.
	ControllerName() string
	// GetAPIGroupVersionKind becomes Kind.Name and Kind.APIVersion.
	GetAPIGroupVersionKind() schema.GroupVersionKind
	// GetDefaultContainerName and GetDefaultContainerPortName become Kind.ContainerName and PortName.
	GetDefaultContainerName() string
	GetDefaultContainerPortName() string
	// SetClusterSpec becomes SetClusterSpec. Type and index are text, the type in lower case.
	SetClusterSpec(job any, template *corev1.PodTemplateSpec, rtype, index string) error
	// IsMasterRole becomes Rules.Master.
	IsMasterRole(replicas ReplicaSpecs, rtype commonv1.ReplicaType, index int) bool
	// UpdateJobStatus becomes EvaluateStatus. Of the conditions that it sets, Running and
	// Succeeded count. Failed and Restarting do not: the library restarts and fails jobs by exit
	// codes, restart policies and limits, and counts exactly.
	UpdateJobStatus(job any, replicas ReplicaSpecs, status *commonv1.JobStatus) error
}

// Unused are the others, which are never called: the library does what they did.
type Unused interface { //nolint:interfacebloat // the predecessor's
	GetAPIGroupVersion() schema.GroupVersion
	GetGroupNameLabelValue() string
	GetJobFromInformerCache(namespace, name string) (metav1.Object, error)
	GetJobFromAPIClient(namespace, name string) (metav1.Object, error)
	GetPodsForJob(job any) ([]*corev1.Pod, error)
	GetServicesForJob(job any) ([]*corev1.Service, error)
	DeleteJob(job any) error
	UpdateJobStatusInApiServer(job any, status *commonv1.JobStatus) error
	ReconcileJobs(job any, replicas ReplicaSpecs, status commonv1.JobStatus, policy *commonv1.RunPolicy) error
	ReconcilePods(
		job any, status *commonv1.JobStatus, pods []*corev1.Pod, rtype commonv1.ReplicaType, spec *commonv1.ReplicaSpec, replicas ReplicaSpecs,
	) error
	ReconcileServices(job metav1.Object, services []*corev1.Service, rtype commonv1.ReplicaType, spec *commonv1.ReplicaSpec) error
}

// ControllerInterface is the predecessor's: a controller that implements it is adapted unchanged.
type ControllerInterface interface {
	Used
	Unused
}

// Adapter is an old controller as the library sees it.
type Adapter[J jobkit.Object] struct {
	// Old is the controller.
	Old ControllerInterface
	// Own is what the predecessor never asked for: the roles, the JSON name of the replica specs,
	// the number of the port, the restart policy that the old defaulting set.
	Own jobkit.Kind
	// Locate points at the parts of a job. The old reconcile loop passed them to ReconcileJobs.
	Locate func(job J) jobkit.JobParts
}

// Kind is the author's, with what the old controller says, and a service for each replica.
func (a Adapter[J]) Kind() jobkit.Kind {
	kind, gvk := a.Own, a.Old.GetAPIGroupVersionKind()
	kind.Name, kind.APIVersion, kind.OperatorName = gvk.Kind, gvk.GroupVersion().String(), a.Old.ControllerName()
	kind.ContainerName, kind.PortName = a.Old.GetDefaultContainerName(), a.Old.GetDefaultContainerPortName()
	kind.ServiceMode = commonv1.ServiceModePerReplica
	return kind
}

// Parts points at what the library reads and writes.
func (a Adapter[J]) Parts(job J) jobkit.JobParts { return a.Locate(job) }

// Rules asks for each replica whether it is a master. Those that are make the job Running.
func (a Adapter[J]) Rules(job J) jobkit.Rules {
	var rules jobkit.Rules
	specs := a.Locate(job).ReplicaSpecs
	for _, role := range a.Own.Roles {
		for i := range jobkit.Count(specs, role.Type) {
			if a.Old.IsMasterRole(specs, role.Type, int(i)) {
				rules.Master = append(rules.Master, jobkit.Index(role.Type, i))
			}
		}
	}
	rules.Running = rules.Master
	return rules
}

// SetClusterSpec calls the old method with the words that it knows.
func (a Adapter[J]) SetClusterSpec(job J, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	rtype, index := strings.ToLower(string(r.Type())), strconv.Itoa(int(r.Index()))
	return a.Old.SetClusterSpec(job.DeepCopyObject(), template, rtype, index)
}

// EvaluateStatus shows the old method a status with the numbers of pods, and reads the conditions
// that it sets. Where it fails, the library's own rules decide.
func (a Adapter[J]) EvaluateStatus(job J, tally *jobkit.Tally) *jobkit.Outcome {
	status := &commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{}}
	for _, t := range tally.Types {
		counts := &commonv1.ReplicaStatus{}
		for _, state := range t.States {
			switch state {
			case jobkit.Active:
				counts.Active++
			case jobkit.Succeeded:
				counts.Succeeded++
			case jobkit.Failed:
				counts.Failed++
			default:
			}
		}
		status.ReplicaStatuses[t.Type] = counts
	}
	object := job.DeepCopyObject()
	copied, ok := object.(J)
	if !ok || a.Old.UpdateJobStatus(object, a.Locate(copied).ReplicaSpecs, status) != nil {
		return nil
	}
	out := &jobkit.Outcome{Succeeded: status.IsTrue(commonv1.JobSucceeded), Running: status.IsTrue(commonv1.JobRunning)}
	if out.Succeeded {
		out.Message = status.Condition(commonv1.JobSucceeded).Message
	}
	return out
}
