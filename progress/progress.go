// Package progress is what a controller and a server of progress reports know of each other. The
// server itself is package progress/server, another one can take its place.
package progress

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Server is the server that receives reports of progress from the pods of jobs
// (runPolicy.progressPolicy) and writes them to status.trainerStatus.
// The controller gives pods what they need to reach it, and judges by the reports which jobs
// hang.
type Server struct {
	// URL is where pods reach the server, without a path: https://host or https://host:port.
	URL string
	// CABundle returns the certificates, in PEM, by which pods know the server. Pods that are
	// created get them, and keep them for as long as they live.
	CABundle func() string
	// UpSince returns since when pods can reach the server without a break, as far as this
	// process knows: its start, or the end of the last outage. Zero means that they cannot
	// reach it now. Silence of jobs before that is no hang. Times are those of the
	// controller's clock.
	UpSince func() time.Time
	// Unwritten returns when the last report of a job came, if this process got it and could
	// not write it, for example because a policy of the job's namespace refuses that; otherwise
	// zero. Silence before that is no hang. It may be nil.
	Unwritten func(job types.UID) time.Time
	// Serve is called once at set-up, if it is not nil: the server is to take reports for jobs of
	// this kind, too.
	Serve func(Jobs) error
}

// Jobs are the jobs of one kind, as a server of progress reports reads them.
type Jobs struct {
	// GVK is the kind, Resource what URLs call it.
	GVK      schema.GroupVersionKind
	Resource schema.GroupVersionResource
	// Synced reports whether all jobs were read once.
	Synced func() bool
	// Get reads a job from the controller's cache, without a copy and without a request. It
	// returns false if the job is not there.
	Get func(types.NamespacedName) (Job, bool)
	// OnReport has a function called when the cache shows that the last report of a job has
	// changed, whoever wrote it. The function must return soon.
	OnReport func(func(types.NamespacedName, Job)) error
}

// Job is what a server of progress reports needs to know of a job.
type Job struct {
	// UID and ResourceVersion are those of the job that was read. A write of the last report has
	// them as its precondition, so that it never follows from a stale cache.
	UID             types.UID
	ResourceVersion string
	// Closed says why the job takes no reports. It is empty if the job takes them.
	Closed string
	// Last is the last report. It must not be changed.
	Last *commonv1.TrainerStatus
}
