// Package kubernetes is the adapter for Kubernetes' own scheduler. It uses a Workload and a
// PodGroup of scheduling.k8s.io. The cluster needs the feature gate GenericWorkload.
package kubernetes

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/internal/podgroup"
)

// Name is the name of the back end.
const Name = "kubernetes"

// template is the name of the one pod group template of a Workload.
const template = "gang"

// Scheduler is the back end.
type Scheduler struct {
	// SchedulerName is that of the pods. Default: Kubernetes' default scheduler.
	SchedulerName string
	// Version is that of the API, one of Versions. Default: v1beta1.
	Version string
}

// leaves reports whether a template is left as it is: it names another scheduler, or a group
// that the user made.
func (s Scheduler) leaves(t *corev1.PodTemplateSpec) bool {
	return t.Spec.SchedulingGroup != nil || gang.Foreign(t, cmp.Or(s.SchedulerName, corev1.DefaultSchedulerName))
}

// String is the name by which package schedulers chooses the back end.
func (Scheduler) String() string { return Name }

// Kinds implements gang.Scheduler.
func (s Scheduler) Kinds() []jobkit.Object {
	if s.typed() {
		return []jobkit.Object{&schedulingv1beta1.Workload{}, &schedulingv1beta1.PodGroup{}}
	}
	var out []jobkit.Object
	for _, kind := range kindsOf(s.Version) {
		out = append(out, podgroup.Empty(kind))
	}
	return out
}

// Objects implements gang.Scheduler.
func (s Scheduler) Objects(job *gang.Job) []jobkit.Object {
	job = job.Without(s.leaves)
	if job.Total() == 0 {
		return nil
	}
	name := job.GroupName()
	policy := schedulingv1beta1.PodGroupSchedulingPolicy{Gang: &schedulingv1beta1.GangSchedulingPolicy{MinCount: job.MinMember()}}
	var mode *schedulingv1beta1.DisruptionMode
	if job.Whole {
		mode = &schedulingv1beta1.DisruptionMode{All: &schedulingv1beta1.AllDisruptionMode{}}
	}
	gv, _ := schema.ParseGroupVersion(job.APIVersion) // one without a group has the empty one
	return s.express(
		&schedulingv1beta1.Workload{
			ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: name},
			Spec: schedulingv1beta1.WorkloadSpec{
				ControllerRef: &schedulingv1beta1.TypedLocalObjectReference{APIGroup: gv.Group, Kind: job.Kind, Name: job.Name},
				PodGroupTemplates: []schedulingv1beta1.PodGroupTemplate{{
					Name: template, SchedulingPolicy: policy, DisruptionMode: mode, PriorityClassName: job.PriorityClass(),
				}},
			},
		},
		&schedulingv1beta1.PodGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: name},
			Spec: schedulingv1beta1.PodGroupSpec{
				WorkloadRef:      &schedulingv1beta1.WorkloadReference{WorkloadName: name, TemplateName: template},
				SchedulingPolicy: *policy.DeepCopy(), DisruptionMode: mode.DeepCopy(), PriorityClassName: job.PriorityClass(),
			},
		},
	)
}

// Patch implements gang.Scheduler. In the API only the size of a group can change; in
// Kubernetes v1.36 nothing can.
func (s Scheduler) Patch(wanted, found jobkit.Object) map[string]any {
	if s.fixed() {
		return nil
	}
	return patchSize(specOf(wanted), specOf(found))
}

// Join implements gang.Scheduler. All pods of a group must have the group's priority, so a
// template that names no priority class gets the group's.
func (s Scheduler) Join(job *gang.Job, _ commonv1.ReplicaType, template *corev1.PodTemplateSpec) bool {
	if s.leaves(template) {
		return false
	}
	template.Spec.SchedulerName = cmp.Or(s.SchedulerName, template.Spec.SchedulerName)
	if template.Spec.Priority == nil && template.Spec.PriorityClassName == "" {
		template.Spec.PriorityClassName = job.Policy.PriorityClass
	}
	name := job.GroupName()
	template.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &name}
	return true
}

// State implements gang.Scheduler. The scheduler needs the pods before it decides. The group
// has a condition until it was scheduled once; from then on the pods have.
func (s Scheduler) State(job *gang.Job, found []jobkit.Object) gang.State {
	for _, o := range found {
		conditions, size := stateOf(o)
		if size == 0 || o.GetName() != job.GroupName() {
			continue
		}
		if most := job.Without(s.leaves).MinMember(); s.fixed() && size > int64(most) {
			return gang.State{Since: o.GetCreationTimestamp().Time, Why: fmt.Sprintf(
				"PodGroup %s needs %d pods, the job has %d left to schedule, and %s of the API does not let a group change: suspend and resume the job",
				o.GetName(), size, most, s.Version)}
		}
		c := meta.FindStatusCondition(conditions, s.initiallyScheduled())
		if c == nil || c.Status != metav1.ConditionFalse {
			return gang.State{}
		}
		return gang.State{Why: cmp.Or(c.Message, c.Reason), Since: c.LastTransitionTime.Time}
	}
	return gang.State{}
}
