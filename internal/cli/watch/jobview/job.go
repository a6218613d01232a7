package jobview

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// States that a job is in when its status names none.
const (
	// StateSubmitted is the state of a job that no operator has taken up yet.
	StateSubmitted = "Submitted"
	// StateDeleted is the state of a job that was deleted before it finished.
	StateDeleted = "Deleted"
)

// Job is one job as it was seen at one moment.
type Job struct {
	// Kind, Namespace and Name identify the job.
	Kind, Namespace, Name string
	// UID is what the cluster calls the job; empty if that is not known.
	UID types.UID
	// Created is when the API server stored the job.
	Created time.Time
	// Status is what the operator reports; zero if it has reported nothing.
	Status commonv1.JobStatus
	// StatusError says why the status could not be read; empty if it could.
	StatusError string
	// Pods are the job's pods, by name; nil if they may not be read.
	Pods []Pod
	// Gone means that the job no longer exists. The other fields are then
	// the last that was seen.
	Gone bool
	// Replicas are how many replicas of each type the job wants; nil if its form is not
	// known.
	Replicas map[commonv1.ReplicaType]int
	// Expect is the state that the job should end in. Default: empty, none given.
	Expect string
}

// Pod is what is shown of a pod.
type Pod struct {
	// Name of the pod, and what the cluster calls it.
	Name string
	UID  types.UID
	// Type of its replica, as the job spells it.
	Type commonv1.ReplicaType
	// Phase of the pod.
	Phase corev1.PodPhase
	// Restarts counts the restarts of its containers in place.
	Restarts int32
	// Problem says what is wrong with the pod; empty if nothing is known.
	Problem string
}

// Tally counts the replicas of a job by the phase of their pods.
type Tally struct{ Pending, Running, Succeeded, Failed int }

// Snapshot is all that is shown at one moment.
type Snapshot struct {
	// At is the moment.
	At time.Time
	// Jobs in the order in which they are shown.
	Jobs []Job
}

// FromObject reads a job of any kind that has a commonv1.JobStatus, and its pods.
// A nil slice of pods means that they may not be read. A status of another form
// is not an error: the job is shown without it and says so in StatusError.
func FromObject(object *unstructured.Unstructured, pods []*corev1.Pod) Job {
	job := Job{
		Kind:      object.GetKind(),
		Namespace: object.GetNamespace(),
		Name:      object.GetName(),
		UID:       object.GetUID(),
		Created:   object.GetCreationTimestamp().Time,
		Replicas:  replicasOf(object),
	}
	if status, ok := object.Object["status"].(map[string]any); ok {
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &job.Status)
		if err != nil {
			job.Status = commonv1.JobStatus{}
			job.StatusError = fmt.Sprintf("%s does not have the status of a job: %v", job.Kind, err)
		}
	}
	if pods != nil {
		job.Pods = make([]Pod, 0, len(pods))
	}
	for _, pod := range pods {
		job.Pods = append(job.Pods, fromPod(pod, job.Replicas))
	}
	slices.SortFunc(job.Pods, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	return job
}

// replicasOf reads how many replicas of each type a job wants; nil if that is not found.
func replicasOf(object *unstructured.Unstructured) map[commonv1.ReplicaType]int {
	var wanted map[commonv1.ReplicaType]int
	for name, spec := range ReplicaSpecs(object) {
		n, given, err := unstructured.NestedInt64(spec, "replicas")
		if err != nil || !given {
			n = 1
		}
		if wanted == nil {
			wanted = map[commonv1.ReplicaType]int{}
		}
		wanted[name] = int(n)
	}
	return wanted
}

// fromPod reads what is shown of a pod. types are the types that the job has.
func fromPod(pod *corev1.Pod, types map[commonv1.ReplicaType]int) Pod {
	shown := Pod{
		Name: pod.Name, UID: pod.UID, Phase: pod.Status.Phase, Problem: podProblem(pod),
		Type: commonv1.ReplicaType(pod.Labels[commonv1.ReplicaTypeLabel]),
	}
	for t := range types {
		if strings.EqualFold(string(t), string(shown.Type)) {
			shown.Type = t // the label is in lower case
		}
	}
	for _, container := range pod.Status.ContainerStatuses {
		shown.Restarts += container.RestartCount
	}
	return shown
}

// podProblem says what is wrong with a pod: it cannot be scheduled, or one of its
// containers cannot be started. It is empty for a pod that is merely starting.
func podProblem(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
			return "not scheduled: " + condition.Message
		}
	}
	all := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for _, container := range all {
		waiting := container.State.Waiting
		if waiting == nil {
			continue
		}
		switch waiting.Reason {
		case "", "ContainerCreating", "PodInitializing":
		default:
			return withMessage(waiting.Reason, waiting.Message)
		}
	}
	return ""
}

// withMessage joins a reason and its message, which may be empty.
func withMessage(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + message
}

// State is the job's state in one word: that of the status, or StateSubmitted or
// StateDeleted, which no status has.
func (j Job) State() string {
	outcome := j.Outcome()
	switch {
	case outcome == Succeeded, outcome == Failed:
		return string(outcome)
	case j.Gone:
		return StateDeleted
	case j.Status.State != "":
		return string(j.Status.State)
	}
	// kubeflow.org/v1 has no status.state; the last condition that is True names it.
	for _, condition := range slices.Backward(j.Status.Conditions) {
		if condition.Status == corev1.ConditionTrue {
			return string(condition.Type)
		}
	}
	return StateSubmitted
}

// TakenUp reports whether an operator has reacted to the job.
func (j Job) TakenUp() bool { return len(j.Status.Conditions) > 0 }

// Tally counts the job's replicas, of all types together.
func (j Job) Tally() Tally {
	var sum Tally
	for _, t := range j.Tallies() {
		sum.Pending += t.Pending
		sum.Running += t.Running
		sum.Succeeded += t.Succeeded
		sum.Failed += t.Failed
	}
	return sum
}

// Tallies counts the job's replicas, by type. Pods show the current state, and the status counts
// replicas that have ended and whose pods no longer exist. For a finished job it is more exact
// altogether: pods that were stopped did not fail, although their exit codes say so.
func (j Job) Tallies() map[commonv1.ReplicaType]Tally {
	reported := j.reported()
	if j.Pods == nil {
		return reported
	}
	tallies := map[commonv1.ReplicaType]Tally{}
	for _, pod := range j.Pods {
		t := tallies[pod.Type]
		switch pod.Phase {
		case corev1.PodRunning:
			t.Running++
		case corev1.PodSucceeded:
			t.Succeeded++
		case corev1.PodFailed:
			t.Failed++
		case corev1.PodPending, corev1.PodUnknown:
			t.Pending++
		default:
			t.Pending++
		}
		tallies[pod.Type] = t
	}
	switch {
	case j.Outcome() == Unfinished:
		for t, ended := range reported {
			if live := j.withGone(t, tallies[t], ended); live != (Tally{}) {
				tallies[t] = live
			}
		}
	case len(reported) > 0:
		for t, live := range tallies {
			live.Failed = 0
			tallies[t] = live
		}
		for t, ended := range reported {
			live := tallies[t]
			live.Succeeded, live.Failed = max(live.Succeeded, ended.Succeeded), ended.Failed
			tallies[t] = live
		}
	}
	return tallies
}

// withGone adds to the pods of a type the replicas that have ended and have none. The status can be older than the pods:
// it counts no replica that has one again.
func (j Job) withGone(t commonv1.ReplicaType, live, ended Tally) Tally {
	room := math.MaxInt
	if wanted, known := j.Replicas[t]; known {
		room = max(0, wanted-live.Pending-live.Running-live.Succeeded-live.Failed)
	}
	gone := min(room, max(0, ended.Succeeded-live.Succeeded))
	live.Succeeded += gone
	live.Failed += min(room-gone, max(0, ended.Failed-live.Failed))
	return live
}

// reported are the counts in the status, types without any left out.
func (j Job) reported() map[commonv1.ReplicaType]Tally {
	tallies := map[commonv1.ReplicaType]Tally{}
	for replicaType, replicas := range j.Status.ReplicaStatuses {
		if replicas == nil {
			continue
		}
		t := Tally{Running: int(replicas.Active), Succeeded: int(replicas.Succeeded), Failed: int(replicas.Failed)}
		if t != (Tally{}) {
			tallies[replicaType] = t
		}
	}
	return tallies
}

// Ignored is how many failures count against no limit, because a rule of the job's
// podFailurePolicy says so: restarts that Restarts leaves out.
func (j Job) Ignored() int {
	total := 0
	for _, replicas := range plan.UnpackStatus(j.Status).ReplicaStatuses {
		if replicas == nil {
			continue
		}
		for _, n := range replicas.IgnoredAttempts {
			total += int(n)
		}
	}
	return total
}

// Restarts is how often replicas of the job were restarted: what the status says
// or, where the kind does not count, the restarts of the existing containers.
func (j Job) Restarts() int {
	if j.Status.Restarts > 0 {
		return int(j.Status.Restarts)
	}
	total := 0
	for _, pod := range j.Pods {
		total += int(pod.Restarts)
	}
	return total
}

// Age is how long the job has existed, or had when it finished. It is never negative.
func (j Job) Age(now time.Time) time.Duration {
	end := now
	if j.Status.CompletionTime != nil {
		end = j.Status.CompletionTime.Time
	}
	return max(0, end.Sub(j.Created))
}

// Note is the one thing that the reader should know about the job now: why it failed, why
// it does not make progress, why it restarts. It is empty when nothing is wrong.
func (j Job) Note() string {
	switch j.Outcome() {
	case Failed:
		return j.message(commonv1.JobFailed)
	case Lost:
		return "it was deleted before it finished"
	case Succeeded:
		return ""
	case Unfinished:
	}
	if j.StatusError != "" {
		return j.StatusError
	}
	for _, t := range []commonv1.JobConditionType{commonv1.JobStalled, commonv1.JobHung} {
		if j.Status.IsTrue(t) {
			return j.message(t)
		}
	}
	for _, pod := range j.Pods {
		if pod.Problem != "" {
			return pod.Name + ": " + pod.Problem
		}
	}
	if j.Status.IsTrue(commonv1.JobRestarting) {
		return j.message(commonv1.JobRestarting)
	}
	return ""
}

// message is the message of a condition, its reason if it has none, or empty. It
// leaves out what the reader sees anyway: which job it is, and that it failed.
func (j Job) message(t commonv1.JobConditionType) string {
	condition := j.Status.Condition(t)
	if condition == nil {
		return ""
	}
	text := cmp.Or(condition.Message, condition.Reason)
	for _, known := range []string{
		j.Kind + " " + j.Namespace + "/" + j.Name + " ", j.Kind + " " + j.Name + " ", "job " + j.Name + " ",
		"has failed because ", "is failed because ", "is restarting because ",
	} {
		text = strings.TrimPrefix(text, known)
	}
	return text
}
