package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// SetupWithManager sets the controller up and makes it the reconcile loop of its
// kind: it reads each job from the cache and calls ReconcileJobs.
func (c *JobController[J]) SetupWithManager(mgr ctrl.Manager) error {
	b, err := c.Builder(mgr)
	if err != nil {
		return err
	}
	if err := b.Complete(reconcile.Func(c.reconcile)); err != nil {
		return fmt.Errorf("cannot add the controller of %s to the manager: %w", c.set.kind.Name, err)
	}
	return nil
}

// Reader reads the jobs of this kind for a reconcile loop of the author's own. It shows a job
// that cannot be decoded, too, and ReconcileJobs then says so in that job's status. After
// SetupWithManager or Builder it reads from the controller's own cache, and other kinds from
// the manager's. After Init it is the Client. Before set-up it is nil.
func (c *JobController[J]) Reader() client.Reader {
	if c.set == nil {
		return nil
	}
	return c.set.jobs
}

// Ready is a healthz.Checker: its error says what the controller waits for, and why. Without a
// manager there is nothing to wait for.
func (c *JobController[J]) Ready(req *http.Request) error {
	switch {
	case c.set == nil:
		return errStarting
	case c.set.readiness == nil:
		return nil
	default:
		return c.set.readiness.Check(req)
	}
}

// reconcile is the loop of SetupWithManager.
func (c *JobController[J]) reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if around := c.Config.AroundPass; around != nil {
		return around(ctx, c.set.kind.Name, req.NamespacedName, func(ctx context.Context) (reconcile.Result, error) { return c.pass(ctx, req) })
	}
	return c.pass(ctx, req)
}

// pass reads a job and reconciles it.
func (c *JobController[J]) pass(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	job, err := newJob[J]()
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := c.set.jobs.Get(ctx, req.NamespacedName, job); err != nil {
		if apierrors.IsNotFound(err) {
			c.forget(req.NamespacedName, "")
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("cannot read %s %s: %w", c.set.kind.Name, req.NamespacedName, err)
	}
	result, err := c.ReconcileJobs(ctx, job)
	return c.keepRequeueTime(ctx, req, result, err)
}

// forget drops what is known of a job that is gone.
func (c *JobController[J]) forget(key types.NamespacedName, uid types.UID) {
	c.set.pending.forget(key, uid)
	c.set.departed.forget(key, uid)
	c.set.rivals.forget(key)
	c.set.delays.forget(key)
	c.set.metrics.jobDeleted(key, uid)
	c.set.gate.forget(uid)
}

// JobDeleted forgets a job that is gone: what its pods were, its metrics, and the rest that is kept of it in this process.
// Builder and SetupWithManager watch jobs and call it. After Init call it when your own watch of jobs shows a deletion,
// with the last state of the job. It calls no API.
func (c *JobController[J]) JobDeleted(job client.Object) {
	if c.set == nil {
		return
	}
	c.set.pending.markJobDeleted(job.GetUID(), c.set.clock.Now())
	c.forget(client.ObjectKeyFromObject(job), job.GetUID())
}

// forgetDeleted has jobs forgotten as soon as they are deleted: a loop of the author's own
// does not call ReconcileJobs for one that is gone.
func (c *JobController[J]) forgetDeleted(jobs cache.Informer) error {
	_, err := jobs.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = last.Obj
		}
		if job, ok := o.(client.Object); ok {
			c.JobDeleted(job)
		}
	}})
	if err != nil {
		return fmt.Errorf("cannot watch the jobs of kind %s: %w", c.set.kind.Name, err)
	}
	return nil
}

// keepRequeueTime ensures that a job is reconciled when its time comes, whatever else
// happens.
func (c *JobController[J]) keepRequeueTime(
	ctx context.Context, req reconcile.Request, result reconcile.Result, err error,
) (reconcile.Result, error) {
	// A job that existed when the operator started has low priority, and would keep it as
	// long as only its timers requeue it.
	if result.Priority == nil {
		result.Priority = new(0)
	}
	after := result.RequeueAfter
	if err == nil || after == 0 {
		return result, err
	}
	// Beside an error the time would be ignored, and only the delay of the retry would count.
	result.RequeueAfter = 0
	if n := c.set.limiter.NumRequeues(req); min(minRetry<<min(n, 16), maxRetry) <= after || errors.Is(err, reconcile.TerminalError(nil)) {
		return result, err
	}
	log.FromContext(ctx).Error(err, "Trying again when the job's time comes", "after", after)
	result.RequeueAfter = after
	return result, nil
}
