package controller

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/progress"
)

// serveProgress tells the server of progress reports about the jobs of the kind.
func (c *JobController[J]) serveProgress(jobs *jobCache[J]) error {
	if c.Progress == nil || c.Progress.Serve == nil {
		return nil
	}
	return c.Progress.Serve(progress.Jobs{
		GVK: c.set.gvk, Resource: c.set.resource, Synced: jobs.informers.HasSynced,
		Get: func(key types.NamespacedName) (progress.Job, bool) {
			job, ok := jobs.peek(key)
			if !ok {
				return progress.Job{}, false
			}
			return c.progressJob(job), true
		},
		OnReport: func(f func(types.NamespacedName, progress.Job)) error {
			_, err := jobs.informers.AddEventHandler(toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(was, is any) {
				before, ok := was.(J)
				after, okToo := is.(J)
				if !ok || !okToo {
					return
				}
				job := c.progressJob(after)
				if !equality.Semantic.DeepEqual(c.progressJob(before).Last, job.Last) {
					f(client.ObjectKeyFromObject(after), job)
				}
			}})
			if err != nil {
				return fmt.Errorf("cannot watch the reports of kind %s: %w", c.set.gvk.Kind, err)
			}
			return nil
		},
	})
}

// progressJob is what the server needs to know of a job.
func (c *JobController[J]) progressJob(job J) progress.Job {
	parts := c.set.knownParts(job)
	out := progress.Job{UID: job.GetUID(), ResourceVersion: job.GetResourceVersion()}
	if parts.Status != nil {
		out.Last = parts.Status.TrainerStatus
	}
	switch {
	case parts.Status == nil || parts.RunPolicy == nil || parts.RunPolicy.ProgressPolicy == nil:
		out.Closed = "runPolicy.progressPolicy is not set"
	case parts.RunPolicy.ProgressPolicy.Source == commonv1.ProgressSourceReadiness:
		out.Closed = "runPolicy.progressPolicy.source is Readiness: use Report"
	case parts.Status.Finished():
		out.Closed = "the job has ended"
	case job.GetDeletionTimestamp() != nil:
		out.Closed = "the job is being deleted"
	}
	return out
}

// peek returns a job of the cache itself, which must not be changed.
func (c *jobCache[J]) peek(key types.NamespacedName) (J, bool) {
	for _, i := range c.informers {
		found, there, err := i.GetIndexer().GetByKey(key.String())
		if job, ok := found.(J); err == nil && there && ok {
			return job, true
		}
	}
	var none J
	return none, false
}
