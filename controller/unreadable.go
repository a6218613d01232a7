package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// reconcileUnreadable reconciles a job that cannot be decoded: it says so in the status, and
// touches nothing else. The author's code, which expects a whole job, is not called.
func (c *JobController[J]) reconcileUnreadable(ctx context.Context, job J, why string) (reconcile.Result, error) {
	parts := c.set.knownParts(job)
	if parts.RunPolicy == nil || parts.Status == nil {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("cannot record in the status of %s %s that it cannot be decoded: %s",
			c.set.kind.Name, client.ObjectKeyFromObject(job), why))
	}
	in := &plan.Input{
		Kind:       c.set.kind,
		Job:        identify(job),
		RunPolicy:  commonv1.RunPolicy{ManagedBy: parts.RunPolicy.ManagedBy},
		Status:     *parts.Status,
		Unreadable: why,
		Now:        c.set.clock.Now(),
	}
	var err error
	if in.Pods, err = c.listPods(ctx, job); err != nil {
		return reconcile.Result{}, err
	}
	c.set.metrics.observeJob(in, c.set.pending.isJobDeleted)
	p := plan.Decide(in, plan.TallyOf(in), nil)
	if pace := paceStatus(in, &p); !pace.now {
		return requeueResult(p.RequeueAfter, pace.after), nil
	}
	current, err := c.writeStatusWith(ctx, unreadableStatus[J]{c}, job, in, &p)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !current {
		return reconcile.Result{RequeueAfter: c.set.pending.staleBackoff(job)}, nil
	}
	c.set.pending.resetStale(job)
	return reconcile.Result{}, nil
}

// unreadableStatus writes the status of a job that cannot be decoded, also in place of the
// author's own StatusWriter: it sends only the differences in the status, and decodes only the
// metadata of the answer.
type unreadableStatus[J client.Object] struct{ c *JobController[J] }

// WriteStatus implements StatusWriter.
func (w unreadableStatus[J]) WriteStatus(ctx context.Context, job J, status *commonv1.JobStatus) error {
	changed, ok := job.DeepCopyObject().(J)
	if !ok {
		return fmt.Errorf("the deep copy of a %T is a %T", job, changed)
	}
	*w.c.set.statusOf(changed) = *status.DeepCopy()
	patch, err := client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{}).Data(changed)
	if err != nil {
		return fmt.Errorf("cannot write the patch of the status: %w", err)
	}
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(w.c.set.gvk)
	raw.SetNamespace(job.GetNamespace())
	raw.SetName(job.GetName())
	owner := client.FieldOwner(w.c.set.kind.OperatorName)
	if err := w.c.set.client.Status().Patch(ctx, raw, client.RawPatch(types.MergePatchType, patch), owner); err != nil {
		return err //nolint:wrapcheck // its kind decides what follows
	}
	changed.SetResourceVersion(raw.GetResourceVersion())
	changed.SetManagedFields(raw.GetManagedFields())
	w.c.set.pending.recordStatusWrite(changed)
	w.c.set.rivals.recordWrite(changed, w.c.set.statusOf(changed))
	return nil
}
