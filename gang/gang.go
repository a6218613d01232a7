// Package gang lets a gang scheduler place the pods of a job together or not at all.
//
// Kubernetes places pods one by one. Two jobs that each need more than half of the
// cluster can then take half each and wait forever. A gang scheduler prevents that.
// Several exist, and each has its own objects. A [Scheduler] is the adapter for one of
// them. To support another one, write a type that implements Scheduler and passes
// gangtest.Exercise.
//
// This package holds what all adapters have in common, and imports none of them. They are
// in the packages below it; package schedulers chooses one by name.
package gang

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Scheduler is the adapter for one gang scheduler. Its methods are pure functions and are
// called from several goroutines at once. If it implements fmt.Stringer, messages use that
// name; otherwise they use its type.
type Scheduler interface {
	// Kinds returns an empty object of each kind that the scheduler uses for groups of pods.
	// It is called at set-up. An object may be unstructured, and must be if the scheme does
	// not know its Go type. The other methods then return unstructured objects of that kind too.
	Kinds() []jobkit.Object
	// Objects returns the objects that a job should have, in the order in which they are
	// created. It returns none if no replica is a member. The library sets the job's owner
	// reference and labels afterwards.
	Objects(job *Job) []jobkit.Object
	// Patch returns the merge patch, without metadata, that makes an existing object match
	// what is wanted. It returns nil if the object matches already, or if the scheduler's API
	// does not allow the change. It must keep what others have set, and must not change its
	// arguments.
	Patch(wanted, found jobkit.Object) map[string]any
	// Join makes a pod template a member of the job's group. If the template names another
	// scheduler, Join leaves it as it is and returns false. Maps and pointers in the template
	// may be shared: replace them, do not change what they point to.
	Join(job *Job, t commonv1.ReplicaType, template *corev1.PodTemplateSpec) bool
	// State reports what the existing objects of the group say about it.
	State(job *Job, found []jobkit.Object) State
}

// Detector is a [Scheduler] whose API exists in several versions.
type Detector interface {
	// Detect returns the adapter for the version that the cluster serves. If the cluster
	// serves none, or the version was chosen by hand, it returns the adapter unchanged.
	Detect(mapper meta.RESTMapper) (Scheduler, error)
}

// Detect calls s.Detect if s is a [Detector]; otherwise it returns s.
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
