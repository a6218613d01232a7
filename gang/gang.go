// Package gang has the pods of a job scheduled together or not at all.
//
// Kubernetes alone places pods one by one, so that two jobs which each need more than
// half of the room can take half each and wait forever. A gang scheduler prevents
// that. Several exist, each with objects of its own; a [Scheduler] speaks to one of
// them. A new one is a type that implements it and passes gangtest.Exercise.
//
// This package holds what all of them have in common, and imports none. They are in the
// packages below it; package schedulers chooses one by its name.
package gang

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Scheduler is one gang scheduler. Its methods are pure functions, and are called from
// several goroutines at once. One that implements fmt.Stringer is called so in messages,
// others by their type.
type Scheduler interface {
	// Kinds returns an empty object of each kind that stands for groups of pods. It is
	// called at set-up. A kind whose Go type the scheme does not know is unstructured, and
	// any other may be; the objects of the other methods are then so too.
	Kinds() []jobkit.Object
	// Objects returns the objects that a job should have, in the order in which they are
	// to be created, or none if no replica is a member. Owner and labels of the job are
	// set afterwards.
	Objects(job *Job) []jobkit.Object
	// Patch returns the merge patch, without metadata, that makes an existing
	// object match what is wanted, or nil if it does or the scheduler's API does not let it
	// change. It must leave alone what others have set. It must change neither object.
	Patch(wanted, found jobkit.Object) map[string]any
	// Join makes a pod template that of a member of the job's group. A template that
	// names another scheduler is left as it is; the result is then false. Maps and
	// pointers in the template may be shared: they are to be replaced, not changed.
	Join(job *Job, t commonv1.ReplicaType, template *corev1.PodTemplateSpec) bool
	// State says what the existing objects of the group say of it.
	State(job *Job, found []jobkit.Object) State
}

// Detector is a [Scheduler] whose API exists in several versions.
type Detector interface {
	// Detect returns the scheduler for the version that the cluster serves. If the cluster
	// serves none, or the version was chosen by hand, it is the same scheduler.
	Detect(mapper meta.RESTMapper) (Scheduler, error)
}

// Detect returns the scheduler for the version of its API that the cluster serves, if it
// is a [Detector], and else the scheduler itself.
func Detect(mapper meta.RESTMapper, s Scheduler) (Scheduler, error) { //nolint:ireturn // which one it is, the argument decides
	if d, ok := s.(Detector); ok {
		return d.Detect(mapper)
	}
	return s, nil
}

// NotServed reports whether an error says that the API server does not know a kind.
func NotServed(err error) bool {
	var kind *meta.NoKindMatchError
	var resource *meta.NoResourceMatchError
	return errors.As(err, &kind) || errors.As(err, &resource)
}
