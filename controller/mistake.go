package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// notFromUser is what a job says of an object that is not valid because of the
// operator's own code.
const notFromUser = "%s: the operator wrote that, not the job: please report it to the operator's author"

// attributeMistake finds out who made a mistake that the API server found in an object: the
// user's fails the job, the operator's only stalls it. It costs nothing as long as no object
// is invalid.
func (c *JobController[J]) attributeMistake(ctx context.Context, job J, in *plan.Input, a plan.Action, r result) result {
	if r.obstacle != plan.Invalid || !apierrors.IsInvalid(r.invalid) {
		return r
	}
	var written func(*plan.Input) client.Object
	switch a := a.(type) {
	case plan.CreatePod:
		written = func(in *plan.Input) client.Object {
			return plan.NewPod(in, a, in.Replicas[a.Type].Template.DeepCopy())
		}
	case plan.CreateService:
		written = func(in *plan.Input) client.Object { return plan.NewService(in, a) }
	case plan.UpdateService:
		written = func(in *plan.Input) client.Object { return plan.NewService(in, a.CreateService) }
	case plan.CreateObject:
		if c.set.keepsClaims(a.Kind) {
			return r // It is as the user's template has it.
		}
		return c.operatorsMistake(a.Kind, r)
	case plan.UpdateObject:
		return c.operatorsMistake(a.Kind, r)
	default:
		return r
	}
	asWritten, current, err := c.asSubmitted(ctx, job, in)
	switch {
	case err != nil:
		// Who made the mistake is not known yet. It was refused all the same, and is not tried again at once.
		r.obstacle = plan.Refused
		return r
	case !current:
		return result{stale: true}
	case fromUser(r.made, written(asWritten), r.invalid):
		return r
	default:
		return c.operatorsMistake("", r)
	}
}

// markInvalid finds out whether a job that a plan finds invalid is so only because of the
// author's own defaults, and records that in the input. It does nothing for a job that its
// status calls invalid already.
func (c *JobController[J]) markInvalid(ctx context.Context, job J, in *plan.Input, p *plan.Plan) (bool, error) {
	if c.set.defaulter == nil || in.OperatorError != "" || in.Problem != "" || !plan.FindsInvalid(in, p) {
		return false, nil
	}
	asWritten, current, err := c.asSubmitted(ctx, job, in)
	if err != nil || !current || len(plan.Validate(asWritten)) > 0 {
		return false, err
	}
	in.OperatorError = fmt.Sprintf("the operator's Default() makes the job invalid: %s: this is a bug of the operator, please report it",
		plan.Validate(in).ToAggregate())
	return true, nil
}

// operatorsMistake is the result of a mistake that the operator made. The objects of a gang
// scheduler are derived from a few fields of the job, and these may be wrong instead.
func (c *JobController[J]) operatorsMistake(kind string, r result) result {
	r.obstacle = plan.OperatorError
	says := notFromUser
	if g := c.set.gang; g != nil && slices.ContainsFunc(g.kinds, func(k schema.GroupVersionKind) bool { return k.Kind == kind }) {
		says = "%s: the operator derives it from runPolicy.schedulingPolicy and the replicas of the job: correct these, or report it to the operator's author"
	}
	r.message = fmt.Sprintf(says, r.message)
	return r
}

// asSubmitted returns a job as its user wrote it, with the library's defaults, but without
// the changes of the author's own code. It reads the job again, which happens only if the job
// cannot continue anyway. The bool reports whether it is still the job that was observed.
func (c *JobController[J]) asSubmitted(ctx context.Context, job J, in *plan.Input) (*plan.Input, bool, error) {
	fresh, err := c.readJob(ctx, client.ObjectKeyFromObject(job))
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if fresh.GetUID() != job.GetUID() || fresh.GetGeneration() != job.GetGeneration() {
		return nil, false, nil
	}
	parts, operatorError := c.partsOf(ctx, fresh)
	if operatorError != "" {
		return nil, false, errors.New(operatorError)
	}
	plan.SetDefaults(&c.set.kind, parts.RunPolicy, parts.ReplicaSpecs)
	out := *in
	out.RunPolicy, out.Replicas = *parts.RunPolicy, make(map[commonv1.ReplicaType]*commonv1.ReplicaSpec, len(in.Replicas))
	for t := range in.Replicas {
		if out.Replicas[t] = parts.ReplicaSpecs[t]; out.Replicas[t] == nil {
			out.Replicas[t] = &commonv1.ReplicaSpec{} // The author's Default added the whole type.
		}
	}
	return &out, true, nil
}

// fromUser reports whether the user of the job wrote what the API server finds wrong in an
// object.
func fromUser(made, written client.Object, invalid error) bool {
	answer, ok := errors.AsType[*apierrors.StatusError](invalid)
	if !ok || answer.ErrStatus.Details == nil {
		return false
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(made)
	w, werr := runtime.DefaultUnstructuredConverter.ToUnstructured(written)
	return err == nil && werr == nil && plan.FromUser(m, w, answer.ErrStatus.Details.Causes)
}
