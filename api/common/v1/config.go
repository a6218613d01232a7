package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// JobControllerConfiguration configures a job controller. Its zero value is
// ready for use.
type JobControllerConfiguration struct {
	// EnableGangScheduling has the pods of a job scheduled together or not at all.
	// Default: false.
	EnableGangScheduling bool

	// GangSchedulerName says who does that: "kubernetes" (Kubernetes' own scheduler),
	// "volcano", "coscheduling", or the schedulerName of a scheduler that has the
	// coscheduling plugin. It counts only if EnableGangScheduling is true.
	// Default: "kubernetes".
	GangSchedulerName string

	// ReconcilerSyncLoopPeriod looks at every job again after this time, even if
	// nothing happened. Nothing needs it: every timer of a job is set by itself.
	// Default: 0, never.
	ReconcilerSyncLoopPeriod metav1.Duration

	// MaxConcurrentReconciles is how many jobs are worked on at the same time.
	// Default: 64.
	MaxConcurrentReconciles int

	// MaxParallelWrites is how many pods and services of one job are created or
	// deleted at the same time, after a slow start of 8, 32, 128 and so on.
	// Default: 64.
	MaxParallelWrites int
}
