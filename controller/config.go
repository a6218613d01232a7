package controller

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

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

	// MaxConcurrentReconciles is how many jobs are reconciled at the same time. Pods, services and
	// other objects are written for 16 of them, and for those that take longer than a second: those of one
	// namespace only as long as half of the workers are left for others.
	// Default: 64.
	MaxConcurrentReconciles int

	// MaxParallelWrites is how many pods and services of one job are created or
	// deleted at the same time, after a slow start of 8, 32, 128 and so on.
	// Default: 64.
	MaxParallelWrites int

	// Namespaces are those whose jobs are run. Name the same ones as in the
	// DefaultNamespaces of the manager's cache. Default: all.
	Namespaces []string

	// Readiness reports whether the controller sees all that it needs. Default: a new one (see
	// [JobController.Ready]), which is added to the manager's readiness probe under the kind in
	// lower case.
	Readiness *Readiness

	// AroundPass is called in place of each pass of the loop that SetupWithManager makes. It
	// serves traces. Default: nil, the pass is called directly.
	AroundPass AroundPass
}

// AroundPass is called in place of a pass over a job, and calls that itself, exactly once. The API
// calls of the pass have the context that it passes on. kind is that of the job.
type AroundPass func(
	ctx context.Context, kind string, job types.NamespacedName, pass func(context.Context) (reconcile.Result, error),
) (reconcile.Result, error)
