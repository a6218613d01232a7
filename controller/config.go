package controller

import (
	"time"

	"github.com/jobkit/jobkit/gang"
)

// Config configures a [JobController]. Its zero value is ready for use.
type Config struct {
	// GangScheduler has the pods of a job scheduled together or not at all. Package
	// gang/schedulers chooses one by its name. If it is a gang.Detector, set-up with a
	// manager chooses the version of its API that the cluster serves.
	// Default: nil, pods are scheduled one by one.
	GangScheduler gang.Scheduler

	// ResyncPeriod reconciles every job again after this time, even if nothing
	// happened. Nothing needs it: every timer of a job is set by itself.
	// Default: 0, never.
	ResyncPeriod time.Duration

	// MaxConcurrentReconciles is how many jobs are reconciled at the same time.
	// Default: 64.
	MaxConcurrentReconciles int

	// MaxParallelWrites is how many pods and services of one job are created or
	// deleted at the same time, after a slow start of 8, 32, 128 and so on.
	// Default: 64.
	MaxParallelWrites int
}
