package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Action is one thing for the shell to do: CreatePod, DeletePod, CreateService,
// DeleteService or DeleteJob. The set is closed.
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
	Reason  string
}

// DeletePod deletes one pod, on condition that it has this UID.
type DeletePod struct {
	Name string
	UID  types.UID
	// Force deletes it without waiting for its node.
	Force  bool
	Reason string
}

// CreateService creates a headless service: of one replica, or of the whole job
// if Type is empty.
type CreateService struct {
	Name   string
	Type   commonv1.ReplicaType
	Index  int32
	Reason string
}

// DeleteService deletes one service, on condition that it has this UID.
type DeleteService struct {
	Name   string
	UID    types.UID
	Reason string
}

// DeleteJob deletes the job itself, on condition that it is the one that was
// observed. What it owns goes with it.
type DeleteJob struct {
	Reason string
}

func (CreatePod) action()     {}
func (DeletePod) action()     {}
func (CreateService) action() {}
func (DeleteService) action() {}
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

func (a DeleteService) String() string { return fmt.Sprintf("delete service %s: %s", a.Name, a.Reason) }
func (a DeleteJob) String() string     { return fmt.Sprintf("delete the job: %s", a.Reason) }

// Event is something that happened once and that people should know.
type Event struct {
	// Warning tells a warning from a normal event.
	Warning bool
	// Reason is a word for machines, Message is for people.
	Reason, Message string
}

func (e Event) String() string {
	kind := "normal"
	if e.Warning {
		kind = "warning"
	}
	return fmt.Sprintf("%s event %s: %s", kind, e.Reason, e.Message)
}
