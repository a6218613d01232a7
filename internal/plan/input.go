package plan

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Input is everything that a plan depends on. The functions of this package never change
// it.
type Input struct {
	// Kind is what is true of every job of the kind.
	Kind jobkit.Kind
	// Job identifies the job.
	Job Job
	// RunPolicy and Replicas are the job's specification, with defaults set
	// (see SetDefaults).
	RunPolicy commonv1.RunPolicy
	Replicas  map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	// Rules define when the job is running and when it has succeeded.
	Rules jobkit.Rules
	// Problem is a mistake in the job that the kind's own validation found, or "".
	Problem string
	// OperatorError is how the kind's own code failed, or "". If it is set, the results of
	// that code are not known, and policies that depend on them do not run.
	OperatorError string
	// Unreadable is why the job cannot be decoded, or "". Only the metadata of such a job,
	// its status and its manager are known: RunPolicy and Replicas have no meaning.
	Unreadable string
	// Halted is set when little more than the status of the job is known, because the kind's
	// own code failed too early, or the operator may not read the rest. Then only Halt applies.
	Halted Obstacle
	// HaltedWhy says how that happened, and how to fix it.
	HaltedWhy string
	// Warnings are those of the kind about the job, for when it is accepted.
	Warnings []jobkit.Warning
	// KindStatus is what the shell writes besides Status: the kind's own part of it, nil if that
	// does not change. Plans do not depend on it.
	KindStatus any
	// Status is the job's status as it was read.
	Status commonv1.JobStatus
	// Pods and Services are those whose controller is the job, by UID. They must not
	// contain pods and services of other owners.
	Pods     []*corev1.Pod
	Services []*corev1.Service
	// ForceDeleted are those of Pods that are deleted by force although their metadata, which says
	// when their deletion was requested first, has a grace period.
	ForceDeleted map[types.UID]bool
	// Departed are the last states of pods of the job that are gone, and whose end no pass has
	// recorded (see [IsNews]). None of them has the name of one of Pods, unless it is the same.
	Departed []*corev1.Pod
	// VolumeClaims are the volume claims of the job: those whose controller is the job, and
	// those without a controller that carry its labels.
	VolumeClaims []*corev1.PersistentVolumeClaim
	// Uncached is true when some of them are pending writes of the shell, which the cache
	// does not show yet.
	Uncached bool
	// Objects are the other objects that the kind wants for the job, and those of
	// their kinds that the job has.
	Objects []Object
	// Gang is what the gang scheduler reports, nil if the pods are scheduled one by one.
	Gang *Gang
	// Progress is the server that receives reports of progress, nil if the operator has none.
	Progress *Progress
	// FoundPods are those of SuspectPods that exist although they are not among Pods.
	FoundPods map[string]bool
	// DeadNodes are those of SuspectNodes that are gone or out of service.
	DeadNodes map[string]bool
	// Tried are the actions that met an obstacle in an earlier pass over the current
	// specification, as far as the shell knows, and are not to be retried yet.
	Tried []Tried
	// Backoff is the delay between restarts of the same replica.
	Backoff Backoff
	// Now is the time of the observation.
	Now time.Time
}

// Job identifies a job.
type Job struct {
	Namespace, Name string
	UID             types.UID
	Generation      int64
	// Created is when it was created; zero if that is unknown.
	Created time.Time
	// Deleted is true when the job has a deletion timestamp.
	Deleted bool
	// Queued is true when the job is in a queue (of Kueue, for example), which gives its
	// quota to others as soon as the status counts no pod of it as active.
	Queued bool
}

// queuePrefix is that of the labels and annotations of Kueue.
const queuePrefix = "kueue.x-k8s.io/"

// managedByQueue is the label of pods that Kueue holds back one by one, with a gate that it adds.
const managedByQueue = queuePrefix + "managed"

// Queued reports whether a job is in a queue, by the labels or annotations of the job or of
// one of its pod templates. A job that Kueue runs without a queue's name on the job has those
// of its workload in its templates.
func Queued(job metav1.Object, specs map[commonv1.ReplicaType]*commonv1.ReplicaSpec) bool {
	marks := []map[string]string{job.GetLabels(), job.GetAnnotations()}
	for _, spec := range specs {
		if spec != nil {
			marks = append(marks, spec.Template.Labels, spec.Template.Annotations)
		}
	}
	for _, m := range marks {
		for key := range m {
			if strings.HasPrefix(key, queuePrefix) {
				return true
			}
		}
	}
	return false
}

// Backoff is the delay between a failure and the next restart of the same
// replica. The first restart has no delay, the second is after Base, and each later one
// after twice as long, up to Max. A replica that ran for longer than Max is restarted
// without delay.
type Backoff struct {
	Base, Max time.Duration
}

// DefaultBackoff is that of batch/v1 Job: 10 seconds to 10 minutes.
func DefaultBackoff() Backoff {
	return Backoff{Base: 10 * time.Second, Max: 10 * time.Minute}
}

// types lists the replica types that the job has, in the kind's order.
func (in *Input) types() []commonv1.ReplicaType {
	out := make([]commonv1.ReplicaType, 0, len(in.Replicas))
	for _, t := range in.Kind.Types() {
		if in.Replicas[t] != nil {
			out = append(out, t)
		}
	}
	return out
}

// replicas is how many replicas of a type the job wants.
func (in *Input) replicas(t commonv1.ReplicaType) int32 { return jobkit.Count(in.Replicas, t) }

// mainContainer is the name of the main container of a replica type.
func (in *Input) mainContainer(t commonv1.ReplicaType) string {
	if c := in.Kind.MainContainer(&in.Replicas[t].Template.Spec); c != nil {
		return c.Name
	}
	return in.Kind.ContainerName
}

// nowInSeconds is the time of the observation as the API stores it, in whole seconds.
func (in *Input) nowInSeconds() metav1.Time {
	return metav1.NewTime(in.Now.Truncate(time.Second))
}

// start is the start time of a job whose status has none yet: that of its first pod, or now.
func (in *Input) start() metav1.Time {
	if first := in.FirstPod(); !first.IsZero() && first.Before(in.Now) {
		return metav1.NewTime(first)
	}
	return in.nowInSeconds()
}

// FirstPod is when the first pod was created; zero if that is unknown.
func (in *Input) FirstPod() time.Time {
	var first time.Time
	for _, pod := range in.Pods {
		first = earliest(first, pod.CreationTimestamp.Time)
	}
	return first
}

// earliest is the earlier of two times, where zero is unknown.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// begun reports whether the job was active before. Its status may not say so yet.
func (in *Input) begun() bool { return in.Status.StartTime != nil || len(in.Pods) > 0 }

// accepted reports whether an earlier pass found no mistake in the job. A job that waits suspended in a
// queue was accepted and has not begun.
func (in *Input) accepted() bool {
	return in.begun() || in.Status.Condition(commonv1.JobCreated) != nil
}

// TakenOver reports whether another operator ran the job until now: its status was not
// written by this library, which writes the state with every condition.
func (in *Input) TakenOver() bool {
	return in.Status.Condition(commonv1.JobCreated) != nil && in.Status.State == ""
}

func (in *Input) cleanPodPolicy() commonv1.CleanPodPolicy {
	if p := in.RunPolicy.CleanPodPolicy; p != nil && *p != commonv1.CleanPodPolicyUndefined {
		return *p
	}
	return commonv1.CleanPodPolicyNone
}

func (in *Input) restartScope() commonv1.RestartScope {
	if s := in.RunPolicy.RestartScope; s != nil {
		return *s
	}
	return commonv1.RestartScopeReplica
}

// scopeOf is how much restarts when a replica of a type fails.
func (in *Input) scopeOf(t commonv1.ReplicaType) commonv1.RestartScope {
	if spec := in.Replicas[t]; spec != nil && spec.RestartScope != nil {
		return *spec.RestartScope
	}
	return in.restartScope()
}

// anyScope reports whether a type of the job has one of some restart scopes.
func (in *Input) anyScope(scopes ...commonv1.RestartScope) bool {
	if slices.Contains(scopes, in.restartScope()) {
		return true
	}
	for _, spec := range in.Replicas {
		if spec != nil && spec.RestartScope != nil && slices.Contains(scopes, *spec.RestartScope) {
			return true
		}
	}
	return false
}

// RestartsWhole reports whether each failure that is retried restarts the whole job.
func (in *Input) RestartsWhole() bool {
	for t := range in.Replicas {
		if in.scopeOf(t) != commonv1.RestartScopeJob {
			return false
		}
	}
	return len(in.Replicas) > 0
}

func (in *Input) serviceMode() commonv1.ServiceMode {
	if m := in.RunPolicy.ServiceMode; m != nil {
		return *m
	}
	return commonv1.ServiceModePerJob
}

func (in *Input) suspended() bool {
	return in.RunPolicy.Suspend != nil && *in.RunPolicy.Suspend
}

// foreignManager reports whether another controller runs the job.
func (in *Input) foreignManager() bool {
	m := in.RunPolicy.ManagedBy
	return m != nil && *m != "" && *m != commonv1.ManagedByTrainingOperator
}

// notNegative is a number that may be set, nil if it is negative. That is a mistake, which is reported
// elsewhere, and no time that has passed: the policies that go before that report must not act on it.
func notNegative[T int32 | int64](n *T) *T {
	if n != nil && *n < 0 {
		return nil
	}
	return n
}

// seconds is a number of seconds as a duration, without overflow.
func seconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(n, most)) * time.Second
}
