package controller

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/jobkit/jobkit/internal/plan"
)

// The cache shows only objects with the operator's label. An object of the job that lost this
// label, or never had it because another operator created it, is not visible there. Such an
// object is adopted: it gets the label, and is then like any other. Only the UID of its
// controller decides whose it is.

// adopt puts the labels of the job on an object that is the job's own, if it is still
// the one that was read.
func (c *JobController[J]) adopt(
	ctx context.Context, job J, kind string, gvk schema.GroupVersionKind, wanted client.Object, existing *metav1.PartialObjectMetadata,
) result {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": existing.UID, "resourceVersion": existing.ResourceVersion, "labels": plan.OwnLabels(wanted),
	}})
	if err != nil {
		return result{err: fmt.Errorf("cannot write the labels of %s %s: %w", kind, wanted.GetName(), err)}
	}
	o, ok := c.set.cache.newObject(gvk)
	if !ok {
		return result{err: fmt.Errorf("cannot adopt %s %s: the scheme does not know %s", kind, wanted.GetName(), gvk)}
	}
	o.SetNamespace(existing.Namespace)
	o.SetName(existing.Name)
	err = c.set.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, body))
	r := c.classifyUpdate(job, kind, o, err)
	if r.done {
		// What it holds is compared in the next pass.
		return result{adopted: true, stale: true}
	}
	return r
}

// adoptable adds the objects that the cache does not show to the owned objects of a job that
// another operator ran until now: that operator created them without our labels. The job may
// be suspended or finished, and create nothing itself. They are read once, by the names that
// the job's objects have while it runs.
func (c *JobController[J]) adoptable(ctx context.Context, job J, in *plan.Input, found map[childName]client.Object) error {
	if c.set.owned == nil || !in.TakenOver() {
		return nil
	}
	asNew, ok := job.DeepCopyObject().(J)
	if !ok {
		return nil
	}
	if status := c.set.statusOf(asNew); status != nil {
		status.Conditions = nil
	}
	for _, w := range c.wantedObjects(ctx, asNew, in, plan.AllRun(in)) {
		owned := ownedObject(w)
		if w = owned.Object; isNil(w) || owned.MustExist {
			continue // The first is reported as the author's mistake, the second is not for the operator to change.
		}
		if err := c.findLeft(ctx, job, in, w, found); err != nil {
			return err
		}
	}
	return nil
}

// leftGroup does the same for the group of a gang of which no pod exists: training-operator v1 makes
// it before the pods, and deletes it when the job has finished. No pod joins it any more, so it is not
// wanted.
func (c *JobController[J]) leftGroup(ctx context.Context, job J, in *plan.Input, found map[childName]client.Object) error {
	if !in.TakenOver() {
		return nil
	}
	for _, w := range c.set.gang.scheduler.Objects(groupOf(in, in.Job.Name)) {
		if err := c.findLeft(ctx, job, in, w, found); err != nil {
			return err
		}
	}
	return nil
}

// findLeft adds an object to those found, if it is the job's and the cache does not show it.
func (c *JobController[J]) findLeft(
	ctx context.Context, job J, in *plan.Input, wanted client.Object, found map[childName]client.Object,
) error {
	gvk, err := apiutil.GVKForObject(wanted, c.set.client.Scheme())
	if err != nil || found[childName{gvk.Kind, wanted.GetName()}] != nil {
		return nil //nolint:nilerr // an unknown kind is reported as the author's mistake
	}
	o, err := c.ownLive(ctx, job, gvk, wanted.GetName())
	if err != nil {
		return fmt.Errorf("cannot read %s %s/%s of the job that was taken over: %w", gvk.Kind, in.Job.Namespace, wanted.GetName(), err)
	}
	if o != nil {
		found[childName{gvk.Kind, o.GetName()}] = o
	}
	return nil
}

// ownLive reads an object from the API server. It is nil if there is none, or it is not the
// job's.
func (c *JobController[J]) ownLive(ctx context.Context, job J, gvk schema.GroupVersionKind, name string) (client.Object, error) {
	o, ok := c.set.cache.newObject(gvk)
	if !ok {
		return nil, nil //nolint:nilnil // what the scheme does not know does not exist
	}
	err := c.set.live.Get(ctx, client.ObjectKey{Namespace: job.GetNamespace(), Name: name}, o)
	if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(o, job) {
		return nil, nil //nolint:nilnil // see above
	}
	return o, err //nolint:wrapcheck // the caller says of what
}
