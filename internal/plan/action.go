package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Action is one thing for the shell to do: create, update or delete a pod, a
// service, another object of the job, or the job. The set is closed.
type Action interface {
	fmt.Stringer
	action()
}

// CreatePod creates the pod of one replica. The name is derived from the job, so
// that a second create of the same replica is refused by the API server.
type CreatePod struct {
	Name    string
	Type    commonv1.ReplicaType
	Index   int32
	Attempt int32
	// Avoid are the names of the nodes that it avoids, separated by commas.
	Avoid  string
	Reason string
}

// DeletePod deletes one pod, on condition that it has this UID.
type DeletePod struct {
	Name string
	UID  types.UID
	// Version is the resource version that it must have, or empty: any.
	Version string
	// Force deletes it without waiting for its node.
	Force  bool
	Reason string
}

// CreateService creates a headless service: of one replica, or of the whole job
// if Type is empty. If OfRole is set it creates the ordinary service of a type instead.
type CreateService struct {
	Name   string
	Type   commonv1.ReplicaType
	Index  int32
	OfRole bool
	Reason string
}

// UpdateService gives a service the ports and the selector of NewService, on
// condition that it has this UID and this resource version.
type UpdateService struct {
	CreateService

	UID     types.UID
	Version string
}

// DeleteService deletes one service, on condition that it has this UID.
type DeleteService struct {
	Name   string
	UID    types.UID
	Reason string
}

// CreateObject creates another object of the job.
type CreateObject struct {
	Kind, Name string
	Object     runtime.Object
	// Shared is true if an existing object of that name is used as it is, whoever made it.
	Shared bool
	Reason string
}

// ExpectObject makes sure that an object which someone else makes exists. It changes nothing.
type ExpectObject struct {
	Kind, Name string
	Reason     string
}

// UpdateObject changes another object of the job by a JSON merge patch, on
// condition that it has this UID and this resource version.
type UpdateObject struct {
	Kind, Name string
	UID        types.UID
	Version    string
	Patch      map[string]any
	Reason     string
}

// DeleteObject deletes another object of the job, on condition that it has this UID.
type DeleteObject struct {
	Kind, Name string
	UID        types.UID
	Reason     string
}

// DeleteJob deletes the job itself, on condition that it is the one that was
// observed. What it owns goes with it.
type DeleteJob struct {
	Reason string
}

func (CreatePod) action()     {}
func (DeletePod) action()     {}
func (CreateService) action() {}
func (UpdateService) action() {}
func (DeleteService) action() {}
func (CreateObject) action()  {}
func (ExpectObject) action()  {}
func (UpdateObject) action()  {}
func (DeleteObject) action()  {}
func (DeleteJob) action()     {}

func (a CreatePod) String() string {
	return fmt.Sprintf("create pod %s (attempt %d): %s", a.Name, a.Attempt, a.Reason)
}

func (a DeletePod) String() string {
	if a.Force {
		return fmt.Sprintf("delete pod %s by force: %s", a.Name, a.Reason)
	}
	return fmt.Sprintf("delete pod %s: %s", a.Name, a.Reason)
}

func (a CreateService) String() string { return fmt.Sprintf("create service %s: %s", a.Name, a.Reason) }

func (a UpdateService) String() string { return fmt.Sprintf("update service %s: %s", a.Name, a.Reason) }

func (a DeleteService) String() string { return fmt.Sprintf("delete service %s: %s", a.Name, a.Reason) }

func (a CreateObject) String() string {
	return fmt.Sprintf("create %s %s: %s", a.Kind, a.Name, a.Reason)
}

func (a ExpectObject) String() string {
	return fmt.Sprintf("expect %s %s: %s", a.Kind, a.Name, a.Reason)
}

func (a UpdateObject) String() string {
	return fmt.Sprintf("update %s %s: %s", a.Kind, a.Name, a.Reason)
}

func (a DeleteObject) String() string {
	return fmt.Sprintf("delete %s %s: %s", a.Kind, a.Name, a.Reason)
}

func (a DeleteJob) String() string { return fmt.Sprintf("delete the job: %s", a.Reason) }

// Step groups the neighbouring actions of a plan that may be executed at the same time. If
// an action fails, the plan ends after its step, unless the step only deletes: later steps
// do not depend on deletes.
type Step int

// The steps.
const (
	StepCreate Step = iota
	StepUpdate
	StepDelete
	StepCreateObject
	StepCreateVolumeClaim
	StepExpectObject
	StepDeleteObject
	StepDeleteJob
)

// StepOf is the step that an action belongs to.
func StepOf(a Action) Step {
	switch a := a.(type) {
	case CreatePod, CreateService:
		return StepCreate
	case UpdateService, UpdateObject:
		return StepUpdate
	case DeletePod, DeleteService:
		return StepDelete
	case CreateObject:
		if a.Kind == VolumeClaimKind {
			return StepCreateVolumeClaim
		}
		return StepCreateObject
	case ExpectObject:
		return StepExpectObject
	case DeleteObject:
		return StepDeleteObject
	default:
		return StepDeleteJob
	}
}

// Together reports whether an action may be executed at the same time as the one before
// it. Objects of the kind are created one after the other: a later one may refer to an
// earlier one, which may turn out not to be the job's.
func Together(before, a Action) bool {
	return StepOf(before) == StepOf(a) && StepOf(a) != StepCreateObject
}

// Deletes reports whether the actions of a step delete something.
func (s Step) Deletes() bool { return s == StepDelete || s == StepDeleteObject || s == StepDeleteJob }

// Creates reports whether the actions of a step create something.
func (s Step) Creates() bool {
	return s == StepCreate || s == StepCreateObject || s == StepCreateVolumeClaim
}

// The verbs of actions in messages.
const (
	verbCreate = "create"
	verbUse    = "use"
	verbUpdate = "update"
	verbDelete = "delete"
)

func verbOf(a Action) string {
	switch step := StepOf(a); {
	case step.Creates():
		return verbCreate
	case step.Deletes():
		return verbDelete
	case step == StepExpectObject:
		return verbUse
	default:
		return verbUpdate
	}
}

// ObjectOf names what an action is about.
func ObjectOf(a Action) string {
	switch a := a.(type) {
	case CreatePod:
		return "pod " + a.Name
	case DeletePod:
		return "pod " + a.Name
	case CreateService:
		return "service " + a.Name
	case UpdateService:
		return "service " + a.Name
	case DeleteService:
		return "service " + a.Name
	case CreateObject:
		return a.Kind + " " + a.Name
	case ExpectObject:
		return a.Kind + " " + a.Name
	case UpdateObject:
		return a.Kind + " " + a.Name
	case DeleteObject:
		return a.Kind + " " + a.Name
	default:
		return "the job"
	}
}

func refTo(p *corev1.Pod) PodRef { return PodRef{Name: p.Name, UID: p.UID} }

// podOf is the pod that an action is about, empty if it is about something else.
func podOf(a Action) PodRef {
	switch a := a.(type) {
	case CreatePod:
		return PodRef{Name: a.Name}
	case DeletePod:
		return PodRef{Name: a.Name, UID: a.UID}
	default:
		return PodRef{}
	}
}

// Note cuts a message to the length that an event can have.
func Note(message string) string { return cutText(message, maxNote) }
