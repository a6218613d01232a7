// Package gang has the pods of a job scheduled together or not at all.
//
// Kubernetes alone places pods one by one, so that two jobs which each need more than
// half of the room can take half each and wait for ever. A gang scheduler prevents
// that. Several exist, each with objects of its own; a [Scheduler] speaks to one of
// them. A new one is a type that implements it and passes gangtest.Exercise.
package gang

import (
	"cmp"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang/coscheduling"
	"github.com/jobkit/jobkit/gang/group"
	"github.com/jobkit/jobkit/gang/volcano"
	"github.com/jobkit/jobkit/gang/workload"
)

// Scheduler is one gang scheduler. Its methods are pure functions, and are called from
// several goroutines at once.
type Scheduler interface {
	// Kinds returns an empty object of each kind that stands for groups of pods. It is
	// called at set-up. A kind whose Go type the scheme does not know is unstructured, and
	// any other may be; the objects of the other methods are then so too.
	Kinds() []jobkit.Object
	// Objects returns the objects that a job shall have, in the order in which they are
	// to be created, or none if no replica is a member. Owner and labels of the job are
	// set afterwards.
	Objects(job *group.Job) []jobkit.Object
	// Patch returns the merge patch, without metadata, that makes an object which is
	// there say what is wanted, or nil if it does or the scheduler's API does not let it
	// change. It must leave alone what others have set. It must change neither object.
	Patch(wanted, found jobkit.Object) map[string]any
	// Join makes a pod template that of a member of the job's group. A template that
	// names another scheduler is left as it is; the result is then false. Maps and
	// pointers in the template may be shared: they are to be replaced, not changed.
	Join(job *group.Job, t commonv1.ReplicaType, template *corev1.PodTemplateSpec) bool
	// State says what the objects of the group that are there say of it.
	State(job *group.Job, found []jobkit.Object) group.State
}

// None is the name that stands for no gang scheduler, as the empty one does.
const None = "none"

// Options are the options of all back ends. The zero value is ready for use.
type Options struct {
	// SchedulerName is the schedulerName of the pods. Default: that of the back end.
	SchedulerName string
	// Version is that of the API of the back end "kubernetes"; see Detect. Default:
	// v1beta1, as Kubernetes v1.37 serves it.
	Version string
}

// Detect adds to the options the version of the back end's API that the cluster serves,
// where there are several. If it serves none, the options stay as they are; the kinds of
// the scheduler are then not served.
func Detect(mapper meta.RESTMapper, name string, o Options) (Options, error) {
	if name != workload.Name || o.Version != "" {
		return o, nil
	}
	for _, version := range workload.Versions() {
		served, err := workload.Served(version, func(kind schema.GroupVersionKind) (bool, error) {
			_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
			if NotServed(err) {
				return false, nil
			}
			return err == nil, err //nolint:wrapcheck // it is wrapped below
		})
		if err != nil {
			return o, fmt.Errorf("cannot find out which versions of %s the cluster serves: %w", schedulingv1.GroupName, err)
		}
		if served {
			o.Version = version
			return o, nil
		}
	}
	return o, nil
}

// ByName returns the scheduler of a name: "kubernetes", "volcano" or "coscheduling".
// Any other name is the schedulerName of a scheduler that has the coscheduling plugin,
// as in training-operator v1. The result is nil for "none" and for the empty name.
func ByName(name string, o Options) Scheduler { //nolint:ireturn // which one it is, the name decides
	switch name {
	case "", None:
		return nil
	case workload.Name:
		return workload.Scheduler{SchedulerName: o.SchedulerName, Version: o.Version}
	case volcano.Name:
		return volcano.Scheduler{SchedulerName: o.SchedulerName}
	case coscheduling.Name:
		return coscheduling.Scheduler{SchedulerName: o.SchedulerName}
	default:
		return coscheduling.Scheduler{SchedulerName: cmp.Or(o.SchedulerName, name)}
	}
}

// NotServed tells whether an error says that the API server does not know a kind.
func NotServed(err error) bool {
	var kind *meta.NoKindMatchError
	var resource *meta.NoResourceMatchError
	return errors.As(err, &kind) || errors.As(err, &resource)
}
