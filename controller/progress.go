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
	if c.Progress.Unwritten != nil && !p.UpSince.IsZero() {
		if at := c.Progress.Unwritten(job.GetUID()); at.After(p.UpSince) {
			p.UpSince = at
		}
	}
	return p
}

// noteAsked notes since when a job is asked for reports. While its policy was removed, or went by
// readiness, the server refused those of its pods, so the silence of that time says nothing. That of
// before this process says nothing either, so no more needs to be known.
func (c *JobController[J]) noteAsked(in *plan.Input) {
	uid := in.Job.UID
	switch p := in.RunPolicy.ProgressPolicy; {
	case c.Progress == nil || in.Status.Finished():
	case p == nil || p.Source == commonv1.ProgressSourceReadiness:
		// Few jobs have pods that could report, and are not asked.
		if len(in.Pods) > 0 && plan.CanReport(in.Pods[0]) {
			c.set.asked.Add(uid, time.Time{})
		}
	default:
		since, known := c.set.asked.Get(uid)
		at, _ := since.(time.Time)
		if known && at.IsZero() {
			at = in.Now
			c.set.asked.Add(uid, at)
		}
		if up := &in.Progress.UpSince; !up.IsZero() && at.After(*up) {
			*up = at
		}
	}
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
