package gang

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Job is what a [Scheduler] gets to see of a job.
type Job struct {
	APIVersion, Kind, Namespace, Name string
	// Group is the name of the job's group if it differs from what GroupName makes. That is
	// so when another operator created the job's pods: their group cannot change.
	Group string
	// Annotations are those of the job, without what kubectl apply keeps there. A scheduler may
	// read settings in them for which its objects have no field. They must not be changed.
	Annotations map[string]string
	// Policy is the job's own scheduling policy; the zero value if it has none.
	Policy commonv1.SchedulingPolicy
	// Members are the replica types, in the kind's order.
	Members []Member
	// Done is the number of replicas that have succeeded, or failed for good while the job goes
	// on, and no longer need resources, while others still wait to be scheduled.
	Done int32
	// Gone is how many of Done no longer have a pod, or one that failed, so that no scheduler can
	// count them.
	Gone int32
	// Whole is true if the job restarts as a whole (restartScope: Job).
	Whole bool
}

// Member is one replica type of a job.
type Member struct {
	Type     commonv1.ReplicaType
	Replicas int32
	// Waiting is how many of them have no pod yet because they start after another type. The
	// scheduler must not wait for them: they wait for the pods that it is to schedule.
	Waiting int32
	// Done is how many of them are among the job's Done.
	Done int32
	// Template must not be changed.
	Template *corev1.PodTemplateSpec
	// Completed returns the template with what the operator adds to it. It must not be
	// changed either. The call is expensive, so make it only where the additions matter. Nil
	// means that the operator adds nothing.
	Completed func() *corev1.PodTemplateSpec
	// Priority is the value of the template's priority class.
	Priority int32
}

// requests are the resources that the scheduler reserves for a pod of the member.
func (m *Member) requests() corev1.ResourceList {
	if m.Completed != nil {
		return PodRequests(&m.Completed().Spec)
	}
	return PodRequests(&m.Template.Spec)
}

// State is what the objects of a group say.
type State struct {
	// Hold is true while no pod of the group may be created. It does not affect missing pods
	// of a group that runs already.
	Hold bool
	// Why is the reason why the group waits, in the scheduler's own words where it gives
	// any. It may be empty.
	Why string
	// Since is when it began to wait.
	Since time.Time
}

// GroupName is the name of the job's group. It contains the kind, so that jobs of two kinds
// with the same name never share a group. It fits into a label value.
func (j *Job) GroupName() string {
	if j.Group != "" {
		return j.Group
	}
	name := j.Name + "-" + strings.ToLower(j.Kind)
	if len(name) <= validation.LabelValueMaxLength {
		return name
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // a hash never fails
	suffix := fmt.Sprintf("-%08x", hash.Sum32())
	return strings.TrimRight(name[:validation.LabelValueMaxLength-len(suffix)], "-.") + suffix
}

// Without returns the job without the members that a back end leaves alone.
func (j *Job) Without(leaves func(*corev1.PodTemplateSpec) bool) *Job {
	out := *j
	out.Members = slices.DeleteFunc(slices.Clone(j.Members), func(m Member) bool { return leaves(m.Template) })
	return &out
}

// Total is how many pods the members have.
func (j *Job) Total() int32 {
	total := int32(0)
	for i := range j.Members {
		total += j.Members[i].Replicas
	}
	return total
}

// MinMember is how many pods must fit at the same time: the policy's minAvailable, or all pods
// that do not start after others of the job. It is at least 1, and at most the number of pods.
func (j *Job) MinMember() int32 {
	most := max(j.Total()-j.waiting()-j.Done, 1)
	if least := j.Policy.MinAvailable; least != nil {
		return max(min(*least, most), 1)
	}
	return most
}

// waiting is how many pods are not created yet because they start after others.
func (j *Job) waiting() int32 {
	n := int32(0)
	for i := range j.Members {
		n += j.Members[i].Waiting
	}
	return n
}

// PriorityClass is the priority class of the group: the policy's, or the one that all
// members name, or none.
func (j *Job) PriorityClass() string {
	if j.Policy.PriorityClass != "" || len(j.Members) == 0 {
		return j.Policy.PriorityClass
	}
	common := j.Members[0].Template.Spec.PriorityClassName
	for i := range j.Members {
		if j.Members[i].Template.Spec.PriorityClassName != common {
			return ""
		}
	}
	return common
}

// Foreign reports whether a template names a scheduler other than the given ones.
func Foreign(template *corev1.PodTemplateSpec, own ...string) bool {
	name := template.Spec.SchedulerName
	return name != "" && !slices.Contains(own, name)
}

// SetLabel sets a label of a template, whose map may be shared.
func SetLabel(template *corev1.PodTemplateSpec, key, value string) {
	template.Labels = with(template.Labels, key, value)
}

// SetAnnotation sets an annotation of a template, whose map may be shared.
func SetAnnotation(template *corev1.PodTemplateSpec, key, value string) {
	template.Annotations = with(template.Annotations, key, value)
}

func with(m map[string]string, key, value string) map[string]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	out[key] = value
	return out
}
