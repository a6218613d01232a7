// Package old is a controller of BagJob in the style of kubeflow/common v0.4.7, with all of its
// methods. Only its imports of the types were replaced. Its informers, listers, work queue and
// the rest of its loop are left out: nothing calls them any more.
package old

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	bagv1 "github.com/jobkit/jobkit/examples/legacy/v1"
)

// Controller implements the predecessor's ControllerInterface.
type Controller struct{}

// ControllerName is the value of the operator-name label.
func (*Controller) ControllerName() string { return "bagjob-controller" }

// GetAPIGroupVersionKind is that of the kind.
func (*Controller) GetAPIGroupVersionKind() schema.GroupVersionKind {
	return bagv1.GroupVersion.WithKind(bagv1.Kind)
}

// GetAPIGroupVersion is that of the kind.
func (*Controller) GetAPIGroupVersion() schema.GroupVersion { return bagv1.GroupVersion }

// GetGroupNameLabelValue was the value of a label of v0.3.
func (*Controller) GetGroupNameLabelValue() string { return bagv1.GroupVersion.Group }

// GetDefaultContainerName is the main container.
func (*Controller) GetDefaultContainerName() string { return bagv1.ContainerName }

// GetDefaultContainerPortName is its port.
func (*Controller) GetDefaultContainerPortName() string { return bagv1.PortName }

// IsMasterRole reports whether a replica gets the label of the master.
func (*Controller) IsMasterRole(_ map[commonv1.ReplicaType]*commonv1.ReplicaSpec, rtype commonv1.ReplicaType, _ int) bool {
	return rtype == bagv1.Master
}

// SetClusterSpec tells each replica where the Master is, and which one it is itself.
func (*Controller) SetClusterSpec(job any, template *corev1.PodTemplateSpec, rtype, index string) error {
	bag, ok := job.(*bagv1.BagJob)
	if !ok {
		return fmt.Errorf("%v is not a BagJob", job)
	}
	master := strings.ToLower(bag.Name + "-" + string(bagv1.Master) + "-0")
	for i := range template.Spec.Containers {
		template.Spec.Containers[i].Env = append(template.Spec.Containers[i].Env,
			corev1.EnvVar{Name: "BAG_MASTER", Value: fmt.Sprintf("%s:%d", master, bagv1.Port)},
			corev1.EnvVar{Name: "BAG_SELF", Value: rtype + "-" + index})
	}
	return nil
}

// UpdateJobStatus decides by the Master.
func (*Controller) UpdateJobStatus(job any, replicas map[commonv1.ReplicaType]*commonv1.ReplicaSpec, status *commonv1.JobStatus) error {
	bag, ok := job.(*bagv1.BagJob)
	if !ok {
		return fmt.Errorf("%v is not a BagJob", job)
	}
	set := func(typ commonv1.JobConditionType, message string) {
		status.Conditions = append(status.Conditions, commonv1.JobCondition{Type: typ, Status: corev1.ConditionTrue, Message: message})
	}
	for rtype, counts := range status.ReplicaStatuses {
		if rtype != bagv1.Master || replicas[rtype] == nil {
			continue
		}
		if counts.Active > 0 {
			set(commonv1.JobRunning, "BagJob "+bag.Name+" is running.")
		}
		if counts.Succeeded > 0 {
			set(commonv1.JobSucceeded, "BagJob "+bag.Name+" is empty.")
		}
		if counts.Failed > 0 {
			set(commonv1.JobFailed, "BagJob "+bag.Name+" has failed.")
		}
	}
	return nil
}

var errNoLoop = errors.New("the old loop is gone")

// GetJobFromInformerCache read the job from a lister.
func (*Controller) GetJobFromInformerCache(_, _ string) (metav1.Object, error) { return nil, errNoLoop }

// GetJobFromAPIClient read the job from the API server.
func (*Controller) GetJobFromAPIClient(_, _ string) (metav1.Object, error) { return nil, errNoLoop }

// GetPodsForJob listed the pods by labels and claimed them.
func (*Controller) GetPodsForJob(any) ([]*corev1.Pod, error) { return nil, errNoLoop }

// GetServicesForJob did the same with services.
func (*Controller) GetServicesForJob(any) ([]*corev1.Service, error) { return nil, errNoLoop }

// DeleteJob deleted a job whose time to live was over.
func (*Controller) DeleteJob(any) error { return errNoLoop }

// UpdateJobStatusInApiServer wrote the status.
func (*Controller) UpdateJobStatusInApiServer(any, *commonv1.JobStatus) error { //nolint:revive // the predecessor's name
	return errNoLoop
}

// ReconcileJobs was that of the embedded JobController.
func (*Controller) ReconcileJobs(
	any, map[commonv1.ReplicaType]*commonv1.ReplicaSpec, commonv1.JobStatus, *commonv1.RunPolicy,
) error {
	return errNoLoop
}

// ReconcilePods was that of the embedded JobController.
func (*Controller) ReconcilePods(
	any, *commonv1.JobStatus, []*corev1.Pod, commonv1.ReplicaType, *commonv1.ReplicaSpec, map[commonv1.ReplicaType]*commonv1.ReplicaSpec,
) error {
	return errNoLoop
}

// ReconcileServices was that of the embedded JobController.
func (*Controller) ReconcileServices(metav1.Object, []*corev1.Service, commonv1.ReplicaType, *commonv1.ReplicaSpec) error {
	return errNoLoop
}
