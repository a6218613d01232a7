// Package coscheduling is the adapter for the coscheduling plugin of scheduler-plugins. It
// uses PodGroups of scheduling.x-k8s.io/v1alpha1.
package coscheduling

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/internal/podgroup"
)

// Name is the name of the back end.
const Name = "coscheduling"

// DefaultSchedulerName is the name that the Helm chart of scheduler-plugins gives it.
const DefaultSchedulerName = "scheduler-plugins-scheduler"

// groupLabel is the label by which the plugin knows the group of a pod.
const groupLabel = "scheduling.x-k8s.io/pod-group"

func podGroup() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Kind: "PodGroup"}
}

// Scheduler is the back end.
type Scheduler struct {
	// SchedulerName is that of the pods. Default: DefaultSchedulerName.
	SchedulerName string
}

func (s Scheduler) name() string { return cmp.Or(s.SchedulerName, DefaultSchedulerName) }

func (s Scheduler) leaves(t *corev1.PodTemplateSpec) bool { return gang.Foreign(t, s.name()) }

// String is the name by which package schedulers chooses the back end.
func (s Scheduler) String() string { return cmp.Or(s.SchedulerName, Name) }

// Kinds implements gang.Scheduler.
func (Scheduler) Kinds() []jobkit.Object { return []jobkit.Object{podgroup.Empty(podGroup())} }

// Objects implements gang.Scheduler.
func (s Scheduler) Objects(job *gang.Job) []jobkit.Object {
	job = job.Without(s.leaves)
	if job.Total() == 0 {
		return nil
	}
	spec := map[string]any{}
	if seconds := job.Policy.ScheduleTimeoutSeconds; seconds != nil {
		spec["scheduleTimeoutSeconds"] = int64(*seconds)
	}
	return []jobkit.Object{podgroup.New(podGroup(), job, spec)}
}

// Patch implements gang.Scheduler.
func (Scheduler) Patch(wanted, found jobkit.Object) map[string]any {
	return podgroup.Patch(wanted, found)
}

// Join implements gang.Scheduler.
func (s Scheduler) Join(job *gang.Job, _ commonv1.ReplicaType, template *corev1.PodTemplateSpec) bool {
	if s.leaves(template) {
		return false
	}
	template.Spec.SchedulerName = s.name()
	gang.SetLabel(template, groupLabel, job.GroupName())
	return true
}

// State implements gang.Scheduler. The plugin needs the pods before it decides, and reports
// on them why they wait.
func (Scheduler) State(*gang.Job, []jobkit.Object) gang.State { return gang.State{} }
