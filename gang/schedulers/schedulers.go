// Package schedulers chooses a gang scheduler by its name, for flags and configuration files.
package schedulers

import (
	"cmp"

	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/coscheduling"
	"github.com/jobkit/jobkit/gang/kubernetes"
	"github.com/jobkit/jobkit/gang/volcano"
)

// None is the name that stands for no gang scheduler, as the empty one does.
const None = "none"

// Options are the options of all back ends. The zero value is ready for use.
type Options struct {
	// SchedulerName is the schedulerName of the pods. Default: that of the back end.
	SchedulerName string
	// Version is that of the API of the back end "kubernetes"; see gang.Detect. Default:
	// v1beta1, as Kubernetes v1.37 serves it.
	Version string
}

// ByName returns the scheduler of a name: "kubernetes", "volcano" or "coscheduling".
// Any other name is the schedulerName of a scheduler that has the coscheduling plugin,
// as in training-operator v1. The result is nil for "none" and for the empty name.
func ByName(name string, o Options) gang.Scheduler { //nolint:ireturn // which one it is, the name decides
	switch name {
	case "", None:
		return nil
	case kubernetes.Name:
		return kubernetes.Scheduler{SchedulerName: o.SchedulerName, Version: o.Version}
	case volcano.Name:
		return volcano.Scheduler{SchedulerName: o.SchedulerName}
	case coscheduling.Name:
		return coscheduling.Scheduler{SchedulerName: o.SchedulerName}
	default:
		return coscheduling.Scheduler{SchedulerName: cmp.Or(o.SchedulerName, name)}
	}
}
