// Package schedulers chooses a gang scheduler by its name, for flags and configuration files.
package schedulers

import (
	"cmp"

	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/coscheduling"
	"github.com/jobkit/jobkit/gang/kubernetes"
	"github.com/jobkit/jobkit/gang/volcano"
)

// None is the name for no gang scheduler; the empty name means the same.
const None = "none"

// Options are the options of all back ends. The zero value is ready for use.
type Options struct {
	// SchedulerName is the schedulerName of the pods. Default: the back end's own.
	SchedulerName string
	// Version is the version of the API of the back end "kubernetes"; see gang.Detect.
	// Default: v1beta1, which Kubernetes v1.37 serves.
	Version string
}

// ByName returns the back end "kubernetes", "volcano" or "coscheduling". Any other name is the
// schedulerName of a scheduler with the coscheduling plugin, as in training-operator v1. The
// result is nil for "none" and for the empty name.
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
