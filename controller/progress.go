package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
	"github.com/jobkit/jobkit/internal/progress/protocol"
)

// ProgressServer is the server that receives reports of progress from the pods of jobs
// (runPolicy.progressPolicy) and writes them to status.trainerStatus, as [ProgressFieldOwner].
// The controller gives pods what they need to reach it, and judges by the reports which jobs
// hang.
type ProgressServer struct {
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
	// Serve is called once at set-up, if it is not nil: the server is to take reports for jobs of
	// this kind, too.
	Serve func(ProgressJobs) error
}

// ProgressFieldOwner is the field owner of the server's writes: they are not those of another
// controller that runs the same jobs.
const ProgressFieldOwner = protocol.FieldOwner

// progressOf is what a job needs to know of the server; nil if there is none.
func (c *JobController[J]) progressOf(job J) *plan.Progress {
	if c.Progress == nil {
		return nil
	}
	at := protocol.Address{Resource: c.set.resource, Namespace: job.GetNamespace(), Name: job.GetName(), UID: job.GetUID()}
	p := &plan.Progress{URL: c.Progress.URL + at.Path(), Audience: at.Audience()}
	if c.Progress.CABundle != nil {
		p.CA = c.Progress.CABundle()
	}
	if c.Progress.UpSince != nil {
		p.UpSince = c.Progress.UpSince()
	}
	return p
}

// resourceOf is the resource of a kind, by the mapper of a manager if there is one.
func resourceOf(gvk schema.GroupVersionKind, mapper meta.RESTMapper) schema.GroupVersionResource {
	if mapper != nil {
		if m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version); err == nil {
			return m.Resource
		}
	}
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	return plural
}

// withoutReports keeps changes of a job from causing a reconcile that are only a new report of
// progress. The reconciler looks at the last report when it could be too old.
func (c *JobController[J]) withoutReports() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, isJob := e.ObjectOld.(J)
		is, isJobToo := e.ObjectNew.(J)
		return !isJob || !isJobToo || !c.onlyReport(was, is)
	}}
}

// onlyReport reports whether two versions of a job differ in the last report alone.
func (c *JobController[J]) onlyReport(was, is J) bool {
	before, after := fieldAt[commonv1.JobStatus](was, c.set.statusAt), fieldAt[commonv1.JobStatus](is, c.set.statusAt)
	if before == nil || after == nil || was.GetGeneration() != is.GetGeneration() || was.GetUID() != is.GetUID() ||
		equality.Semantic.DeepEqual(before.TrainerStatus, after.TrainerStatus) {
		return false
	}
	old, ok := was.DeepCopyObject().(J)
	if !ok {
		return false
	}
	fieldAt[commonv1.JobStatus](old, c.set.statusAt).TrainerStatus = after.TrainerStatus
	old.SetResourceVersion(is.GetResourceVersion())
	old.SetManagedFields(is.GetManagedFields())
	return equality.Semantic.DeepEqual(client.Object(old), client.Object(is))
}
