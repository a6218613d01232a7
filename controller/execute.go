package controller

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jobkit/jobkit/internal/apierror"
	"github.com/jobkit/jobkit/internal/plan"
)

// How actions are executed: consecutive ones of the same verb in batches of 8, 32, 128 and so
// on (slow start), so that a request which cannot succeed fails a few times, not a thousand.
// Batches wait for each other, so a small job must not need several.
const (
	firstBatch               = plan.FirstBatch
	batchGrowth              = 4
	defaultMaxParallelWrites = 64
)

// execute executes the actions of a plan. The outcome holds what was done and what met an
// obstacle; the error is the first transient one. stale reports whether an object was not as
// observed.
func (c *JobController[J]) execute(
	ctx context.Context, job J, in *plan.Input, actions []plan.Action, verified *verification,
) (outcome plan.ExecutionResult, stale bool, err error) {
	if len(actions) == 0 {
		return outcome, false, nil
	}
	defer c.set.slots.take(ctx)()
	if !c.set.turns.Take(job.GetNamespace()) {
		outcome.Undone = true
		return outcome, true, nil // It comes again, after a while.
	}
	defer c.set.turns.Give(job.GetNamespace())
	logger := log.FromContext(ctx).V(1)
	width := cmp.Or(c.Config.MaxParallelWrites, defaultMaxParallelWrites)
	replicas := replicasOf(in)
	for start := 0; start < len(actions); {
		end := start + 1
		step := plan.StepOf(actions[start])
		for end < len(actions) && plan.Together(actions[end-1], actions[end]) {
			end++
		}
		group := actions[start:end]
		results := slowStart(len(group), width, step.Deletes(), func(i int) result {
			return c.doVerified(ctx, job, in, group[i], replicas, verified, logger)
		})
		stale = stale || slices.ContainsFunc(results, func(r result) bool { return r.stale })
		before := len(outcome.Obstructions)
		if err := collect(&outcome, group, results); err != nil {
			outcome.Undone = true
			return outcome, stale, err
		}
		if len(outcome.Obstructions) > before && !step.Deletes() {
			break
		}
		start = end
	}
	outcome.Undone = outcome.Undone || stale
	return outcome, stale, nil
}

// doVerified executes one action. A create verifies the job first, if that is due.
func (c *JobController[J]) doVerified(
	ctx context.Context, job J, in *plan.Input, a plan.Action, replicas newReplica, verified *verification, logger logr.Logger,
) result {
	if plan.StepOf(a).Creates() {
		if r := verified.check(); r.stopsBatch(false) {
			return r
		}
	}
	r := c.attributeMistake(ctx, job, in, a, c.do(ctx, job, in, a, replicas))
	if r.done {
		c.recordUpdate(job, in, a)
	}
	r.log(logger, a)
	return r
}

// result is the result of one action.
type result struct {
	done bool
	// adopted is true when the object existed without the labels of the job, and has them
	// now.
	adopted bool
	// stale is true when the object is not as observed: the job is requeued.
	stale bool
	// jobChanged is true when the job is not as observed: nothing more is created for it.
	jobChanged bool
	// undone is true when nothing was done, and that says nothing about the job: its
	// conditions stay as they are.
	undone bool
	// otherJob is true when the name is taken by an object of another job.
	otherJob bool
	obstacle plan.Obstacle
	message  string
	err      error
	// invalid is what the API server says of an object that is not valid, and made is
	// that object as it was sent.
	invalid error
	made    client.Object
}

// log logs an action and its result.
func (r result) log(logger logr.Logger, a plan.Action) {
	if !logger.Enabled() {
		return
	}
	logger = logger.WithValues("action", a.String())
	switch {
	case r.obstacle != "":
		logger.Info("Could not act", "obstacle", r.obstacle, "says", r.message)
	case r.err != nil:
		logger.Info("Could not act; trying again", "says", r.err.Error())
	case r.adopted:
		logger.Info("Adopted the existing object")
	case r.done:
		logger.Info("Acted")
	default:
		logger.Info("There was nothing left to do")
	}
}

// stopsBatch reports whether the action failed for a reason that the next actions would meet,
// too. A name conflict is not such a reason, nor is a refused delete: a policy may protect
// this one object.
func (r result) stopsBatch(deletes bool) bool {
	return r.err != nil || r.jobChanged || r.obstacle != "" && r.obstacle != plan.NameConflict && !deletes
}

// collect adds the results of a group of actions to the outcome, in order, and
// returns the first error.
func collect(o *plan.ExecutionResult, group []plan.Action, results []result) error {
	var first error
	for i, r := range results {
		switch {
		case r.obstacle != "":
			o.Obstructions = append(o.Obstructions, plan.Obstruction{Action: group[i], Obstacle: r.obstacle, Message: r.message})
		case r.err != nil:
			first = firstError(first, r.err)
		case r.undone:
			o.Undone = true
		case r.adopted:
			o.Adopted = append(o.Adopted, plan.ObjectOf(group[i]))
		case r.done:
			switch a := group[i].(type) {
			case plan.CreatePod:
				o.PodsCreated = append(o.PodsCreated, a.Name)
			case plan.DeletePod:
				if a.Force {
					o.PodsForced = append(o.PodsForced, a)
					continue
				}
				o.PodsDeleted = append(o.PodsDeleted, a.Name)
			case plan.CreateService:
				o.ServicesCreated = append(o.ServicesCreated, a.Name)
			case plan.DeleteService:
				o.ServicesDeleted = append(o.ServicesDeleted, a.Name)
			}
		}
	}
	return first
}

// slowStart calls f for 0 to n-1 in batches that grow, each in parallel, at most
// width at a time. After a batch with a result that stopsBatch it stops. It returns the
// results of those that were called.
func slowStart(n, width int, deletes bool, f func(int) result) []result {
	results := make([]result, n)
	called, refused := 0, 0
	for size := firstBatch; called < n && refused < width; size *= batchGrowth {
		batch, start := results[called:min(called+size, n)], called
		called += parallel(len(batch), width, func(i int) bool {
			batch[i] = f(start + i)
			return batch[i].err == nil && !batch[i].jobChanged && (batch[i].obstacle == "" || batch[i].obstacle == plan.NameConflict)
		})
		for _, r := range results[start:called] {
			if r.stopsBatch(deletes) {
				return results[:called]
			}
			if deletes && r.obstacle != "" {
				refused++
			}
		}
	}
	return results[:called]
}

// parallel calls f for 0 to n-1, at most width at a time. After width of them have
// returned false it starts no more: then it is not single calls that fail, and waiting for
// each to time out would take long. It returns how many it called.
func parallel(n, width int, f func(int) bool) (called int) {
	var wg sync.WaitGroup
	var next, failed atomic.Int64
	for range min(n, width) {
		wg.Go(func() {
			for int(failed.Load()) < width {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if !f(i) {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return min(int(next.Load()), n)
}

// do executes one action.
func (c *JobController[J]) do(ctx context.Context, job J, in *plan.Input, a plan.Action, replicas newReplica) result {
	switch a := a.(type) {
	case plan.CreatePod:
		return c.createPod(ctx, job, in, a, replicas)
	case plan.CreateService:
		service := plan.NewService(in, a)
		err := callForError(ctx, "CreateService", func() error { return c.set.services.CreateService(ctx, job, service) })
		return c.classifyCreate(ctx, job, in, kindService, service, err)
	case plan.UpdateService:
		return c.updateService(ctx, job, in, a)
	case plan.CreateObject:
		return c.createObject(ctx, job, in, a)
	case plan.ExpectObject:
		return c.expectObject(ctx, in, a)
	case plan.UpdateObject:
		return c.updateObject(ctx, job, in, a)
	case plan.DeleteObject:
		return c.deleteObject(ctx, job, in, a)
	case plan.DeletePod:
		pod := podRef(in, a)
		pod.ResourceVersion = cmp.Or(a.Version, c.set.pending.uncachedVersion(job, kindPod, pod))
		err := callForError(ctx, "DeletePod", func() error { return c.set.pods.DeletePod(ctx, job, pod) })
		return c.classifyDelete(job, kindPod, pod, err)
	case plan.DeleteService:
		service := serviceRef(in, a)
		service.ResourceVersion = c.set.pending.uncachedVersion(job, kindService, service)
		err := callForError(ctx, "DeleteService", func() error { return c.set.services.DeleteService(ctx, job, service) })
		return c.classifyDelete(job, kindService, service, err)
	case plan.DeleteJob:
		if err := c.deleteJob(ctx, job); err != nil {
			return classifyFailure("delete", in.Kind.Name, job, err)
		}
		return result{done: true}
	default:
		return result{err: errors.New("unknown action " + a.String())}
	}
}

// deleteJob deletes the job that was observed, unless it has changed since, or is gone.
func (c *JobController[J]) deleteJob(ctx context.Context, job J) error {
	uid, version := job.GetUID(), c.set.pending.newest(job, c.set.clock.Now()).GetResourceVersion()
	err := c.set.client.Delete(ctx, job, client.Preconditions{UID: &uid, ResourceVersion: &version}, background)
	if (apierrors.IsNotFound(err) || apierrors.IsConflict(err)) && !apierror.ByWebhook(err) {
		return nil
	}
	return err //nolint:wrapcheck // the API server's message names the object
}
