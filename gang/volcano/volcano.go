// Package volcano is the adapter for Volcano. It uses PodGroups of
// scheduling.volcano.sh/v1beta1.
package volcano

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/internal/podgroup"
)

// Name is that of the back end, and of Volcano's scheduler by default.
const Name = "volcano"

// Annotations by which Volcano knows the group and the task of a pod.
const (
	groupAnnotation = "scheduling.k8s.io/group-name"
	taskAnnotation  = "volcano.sh/task-spec"
)

// phases in which Volcano has not admitted a group.
const (
	phaseNew     = ""
	phasePending = "Pending"
)

func podGroup() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "scheduling.volcano.sh", Version: "v1beta1", Kind: "PodGroup"}
}

// Scheduler is the back end.
type Scheduler struct {
	// SchedulerName is that of the pods. Default: "volcano".
	SchedulerName string
}

func (s Scheduler) name() string { return cmp.Or(s.SchedulerName, Name) }

func (s Scheduler) leaves(t *corev1.PodTemplateSpec) bool { return gang.Foreign(t, s.name()) }

// String is the name by which package schedulers chooses the back end.
func (Scheduler) String() string { return Name }

// Kinds implements gang.Scheduler.
func (Scheduler) Kinds() []jobkit.Object { return []jobkit.Object{podgroup.Empty(podGroup())} }

// Objects implements gang.Scheduler.
func (s Scheduler) Objects(job *gang.Job) []jobkit.Object {
	job = job.Without(s.leaves)
	if job.Total() == 0 {
		return nil
	}
	job.Done = job.Gone // Volcano counts the pods that have ended well, as long as they exist.
	return []jobkit.Object{podgroup.New(podGroup(), job, map[string]any{
		"queue":             job.Policy.Queue,
		"priorityClassName": job.Policy.PriorityClass,
	})}
}

// Patch implements gang.Scheduler.
func (Scheduler) Patch(wanted, found jobkit.Object) map[string]any {
	return podgroup.Patch(wanted, found)
}

// Join implements gang.Scheduler.
func (s Scheduler) Join(job *gang.Job, t commonv1.ReplicaType, template *corev1.PodTemplateSpec) bool {
	if s.leaves(template) {
		return false
	}
	template.Spec.SchedulerName = s.name()
	gang.SetAnnotation(template, groupAnnotation, job.GroupName())
	gang.SetAnnotation(template, taskAnnotation, strings.ToLower(string(t)))
	return true
}

// State implements gang.Scheduler. Volcano admits a group to its queue before pods may
// exist: the phase is then Inqueue.
func (s Scheduler) State(job *gang.Job, found []jobkit.Object) gang.State {
	g := podgroup.Find(job, found)
	if g == nil {
		return gang.State{Hold: true}
	}
	phase := podgroup.Phase(g)
	state := gang.State{Hold: phase == phaseNew || phase == phasePending, Since: g.GetCreationTimestamp().Time}
	message, since, unschedulable := podgroup.Condition(g, "Unschedulable")
	_, scheduled, isScheduled := podgroup.Condition(g, "Scheduled")
	queue := cmp.Or(job.Policy.Queue, "default")
	switch {
	// Volcano leaves a condition True when the next one becomes so: the newer one counts.
	case unschedulable && (state.Hold || phase != "Running" && (!isScheduled || scheduled.Before(since))):
		state.Why, state.Since = message, since
	case phase == phaseNew:
		// Volcano ignores groups of a queue that does not exist, and reports nothing.
		state.Why = fmt.Sprintf("the scheduler %q has not looked at PodGroup %s yet: make sure that its queue %q exists, and that Volcano runs",
			s.name(), g.GetName(), queue)
	case state.Hold:
		state.Why = fmt.Sprintf("PodGroup %s is Pending: queue %q has no room for it yet, or is closed", g.GetName(), queue)
	}
	return state
}
