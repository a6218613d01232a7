package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/apierror"
	"github.com/jobkit/jobkit/internal/plan"
)

// newReplica makes the replicas of a job in one reconcile, which share what they work out.
type newReplica func(t commonv1.ReplicaType, index, attempt int32) jobkit.Replica

func replicasOf(in *plan.Input) newReplica {
	return in.ReplicasOf()
}

// createPod makes the pod of a replica and creates it.
func (c *JobController[J]) createPod(ctx context.Context, job J, in *plan.Input, a plan.CreatePod, replicas newReplica) result {
	template := in.Replicas[a.Type].Template.DeepCopy()
	err := c.setClusterSpec(ctx, job, replicas(a.Type, a.Index, a.Attempt), template)
	switch {
	case errors.Is(err, reconcile.TerminalError(nil)):
		return result{obstacle: plan.Invalid, message: err.Error()}
	case err != nil:
		return result{obstacle: plan.OperatorError, message: err.Error()}
	}
	err = callForError(ctx, "gang scheduler's Join", func() error { c.joinGang(in, a, template); return nil })
	if err != nil {
		return result{obstacle: plan.OperatorError, message: err.Error()}
	}
	pod := plan.NewPod(in, a, template)
	err = callForError(ctx, "CreatePod", func() error { return c.set.pods.CreatePod(ctx, job, pod) })
	return c.classifyCreate(ctx, job, in, kindPod, pod, err)
}

// classifyCreate returns the result of a create, by its error.
func (c *JobController[J]) classifyCreate(ctx context.Context, job J, in *plan.Input, kind string, o client.Object, err error) result {
	switch {
	case err == nil:
		c.set.pending.recordWrite(job, kind, o, c.set.clock.Now())
		return result{done: true}
	case isNamespaceTerminating(err):
		return result{undone: true}
	case apierrors.IsAlreadyExists(err) && !apierror.ByWebhook(err):
		return c.resolveNameConflict(ctx, job, in, kind, o)
	}
	return classifyFailure("create", kind, o, err)
}

// classifyFailure returns the result of a write that the API server refused or did not do.
func classifyFailure(verb, kind string, o client.Object, err error) result {
	if what, message := obstacleOf(err, o); what != "" {
		return result{obstacle: what, message: message, invalid: err, made: o}
	}
	return result{err: fmt.Errorf("cannot %s %s %s/%s: %w", verb, kind, o.GetNamespace(), o.GetName(), err)}
}

// resolveNameConflict finds out which object has the name that a new object should get.
func (c *JobController[J]) resolveNameConflict(ctx context.Context, job J, in *plan.Input, kind string, wanted client.Object) result {
	existing := &metav1.PartialObjectMetadata{}
	key := client.ObjectKeyFromObject(wanted)
	gvk, err := apiutil.GVKForObject(wanted, c.set.client.Scheme())
	if err != nil {
		return result{err: fmt.Errorf("cannot create %s %s: %w", kind, key, err)}
	}
	existing.SetGroupVersionKind(gvk)
	if err := c.set.live.Get(ctx, key, existing); err != nil {
		if apierrors.IsNotFound(err) {
			err = errors.New("it was deleted meanwhile")
		}
		return result{err: fmt.Errorf("cannot create %s %s, because one of that name exists: %w", kind, key, err)}
	}
	owner := metav1.GetControllerOf(existing)
	switch {
	case owner != nil && owner.UID == job.GetUID():
		if plan.HasJobLabels(in, existing) {
			// The job's own, which the cache does not show. If it goes before the cache shows it, no
			// event ever says so, so the job is reconciled again.
			return result{stale: true}
		}
		if existing.DeletionTimestamp != nil {
			return result{err: fmt.Errorf("cannot create %s %s yet: the one of that name is still being deleted", kind, key)}
		}
		return c.adopt(ctx, job, kind, gvk, wanted, existing)
	case existing.DeletionTimestamp != nil && in.Now.Before(existing.DeletionTimestamp.Add(pendingFor)),
		owner != nil && owner.Kind == in.Kind.Name && owner.Name == job.GetName() && in.Now.Before(job.GetCreationTimestamp().Add(6*pendingFor)):
		// It belongs to an earlier job of the same name, and is deleted soon.
		return result{err: fmt.Errorf("cannot create %s %s yet: the one of that name is still being deleted", kind, key)}
	case owner == nil && c.set.keepsClaims(kind) && existing.Labels[commonv1.JobNameLabel] != "":
		if plan.HasJobLabels(in, existing) {
			return result{stale: true} // The cache did not know it yet.
		}
		return result{obstacle: plan.NameConflict, otherJob: true, message: fmt.Sprintf(
			"a %s of that name exists and holds the data of job %s of %s: delete it, or give the job another name",
			kind, existing.Labels[commonv1.JobNameLabel], existing.Labels[commonv1.OperatorNameLabel])}
	case owner != nil:
		return result{otherJob: c.set.keepsClaims(kind), obstacle: plan.NameConflict, message: fmt.Sprintf(
			"a %s of that name exists and belongs to %s %s: delete it, or give one of the two another name", kind, owner.Kind, owner.Name)}
	default:
		return result{obstacle: plan.NameConflict, message: fmt.Sprintf(
			"a %s of that name exists and belongs to no job: delete or rename it, or give the job another name", kind)}
	}
}

// classifyDelete returns the result of a delete, by its error.
func (c *JobController[J]) classifyDelete(job J, kind string, o client.Object, err error) result {
	switch {
	case err == nil:
		c.set.pending.recordDelete(job, kind, o.GetUID(), c.set.clock.Now())
		return result{done: true}
	case apierror.ByWebhook(err):
		return classifyFailure("delete", kind, o, err)
	case apierrors.IsConflict(err) && o.GetResourceVersion() != "":
		// It has changed since it was created, and may no longer belong to the job.
		c.set.pending.recordChangeByOthers(job, kind, o, false)
		return result{}
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		// It is gone already, or another object has its name now.
		c.set.pending.recordChangeByOthers(job, kind, o, true)
		c.set.pending.recordDelete(job, kind, o.GetUID(), c.set.clock.Now())
		return result{}
	default:
		return classifyFailure("delete", kind, o, err)
	}
}

func podRef(in *plan.Input, a plan.DeletePod) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: in.Job.Namespace, Name: a.Name, UID: a.UID}}
	if a.Force {
		pod.DeletionGracePeriodSeconds = new(int64)
	}
	return pod
}

func serviceRef(in *plan.Input, a plan.DeleteService) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: in.Job.Namespace, Name: a.Name, UID: a.UID}}
}
