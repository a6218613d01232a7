package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/internal/apierror"
	"github.com/jobkit/jobkit/internal/plan"
	"github.com/jobkit/jobkit/progress"
)

// JobController runs the jobs of one kind. Only Controller is required. Set it up
// with SetupWithManager, or with Builder or Init if the reconcile loop is your own.
// It must not be copied after that. Set-up changes no field: defaults are resolved apart.
type JobController[J client.Object] struct {
	// Controller is the author's part: the kind, its rules and its pods. Required.
	Controller jobkit.ControllerInterface[J]

	// Config configures the controller. The zero value is ready for use.
	Config Config

	// Recorder takes the events. Default: a [NewRecorder], named after the kind's
	// operator name.
	Recorder events.EventRecorder

	// Client reads from a cache and writes to the API server. Default: the manager's,
	// which reads the jobs of this kind from the controller's own cache (see Reader).
	Client client.Client

	// APIReader reads from the API server itself: before pods are created or deleted, to
	// verify that the plan was not made from a stale cache, and when a name is taken.
	// Default: the manager's.
	APIReader client.Reader

	// Clock is the source of the time. Default: the real one.
	Clock clock.PassiveClock

	// Progress is the server that receives reports of progress, see package
	// progress/server. Default: none; a job whose
	// progress policy needs one then says so, and is not taken to hang.
	Progress *progress.Server

	// Metrics takes the controller's metrics. Default: the registry that the
	// manager serves.
	Metrics prometheus.Registerer

	// made is the recorder that set-up made.
	made events.EventRecorder
	set  *settings[J]
}

// retryStale is how long to wait for the cache to catch up with the API server. Usually an
// event of the cache comes first.
const retryStale = 100 * time.Millisecond

// ReconcileJobs reconciles one job: it does what the job needs next. It changes no field
// of the job's specification on the API server. Call it in your reconcile loop with a
// copy of the job that was read from the cache, and return what it returns.
//
// A stale job is not an error: nothing is done, and the job is requeued. An error means
// that the API server did not do as asked, and that the request is to be retried. A user's
// mistake is not an error but a condition of the job.
func (c *JobController[J]) ReconcileJobs(ctx context.Context, job J) (reconcile.Result, error) {
	if c.set == nil {
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf(
			"the JobController of %T is not set up: call SetupWithManager, Builder or Init before ReconcileJobs", job))
	}
	began, recordsEnds := c.set.clock.Now(), false
	defer func() { c.endPass(job, began, recordsEnds) }()
	if after, held := c.set.gate.holds(job, c.finished(job)); held {
		return reconcile.Result{RequeueAfter: after}, nil
	}
	job = c.set.pending.newest(job, began)
	c.checkForRivals(ctx, job)
	if why := Unreadable(job); why != "" {
		return c.reconcileUnreadable(ctx, job, why)
	}
	in, err := c.observe(ctx, job)
	if err != nil {
		return c.cannotRead(ctx, job, err)
	}
	c.set.metrics.observeJob(in, c.set.pending.isJobDeleted)
	if in.Halted != "" {
		return c.halt(ctx, job, in)
	}
	tally, err := c.tallyOf(ctx, job, in)
	if err != nil {
		return c.cannotRead(ctx, job, err)
	}
	if in.Objects, err = c.objectsOf(ctx, job, in, tally); err != nil {
		return c.cannotRead(ctx, job, err)
	}
	outcome := c.evaluateStatus(ctx, job, in, tally)
	p := plan.Decide(in, tally, outcome)
	if made, err := c.markInvalid(ctx, job, in, &p); err != nil {
		return reconcile.Result{}, err
	} else if made {
		p = plan.Decide(in, tally, outcome)
	}
	if failed := c.reportStatus(ctx, job, in, tally, &p); failed {
		p = plan.Decide(in, tally, outcome)
	}

	c.holdRepeats(job, in, &p)
	recordsEnds = p.RecordsEnds
	pace := paceStatus(in, &p)
	verified, current, err := c.verifyCurrent(ctx, job, in, &p, pace.now)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !current {
		return reconcile.Result{RequeueAfter: c.set.pending.staleBackoff(job)}, nil
	}
	executed, stale, err := c.execute(ctx, job, in, p.Actions, verified)
	executed.StatusWritten = pace.now
	c.recordEvents(job, executed.Events())
	c.set.metrics.recordChildren(&executed)
	concluded := plan.Conclude(in, tally, p, executed)
	now := c.set.clock.Now()
	c.set.pending.recordObstacles(job, executed.Obstructions, p.Held || executed.Undone, now, now.Add(concluded.RetryAfter))
	return c.conclude(ctx, job, in, &p, &concluded, pace, stale, err)
}

// endPass measures a pass, and forgets what nothing else would.
func (c *JobController[J]) endPass(job J, began time.Time, recordsEnds bool) {
	c.set.metrics.observeReconcile(c.set.clock.Since(began))
	if !recordsEnds {
		c.set.departed.limit(client.ObjectKeyFromObject(job))
	}
	if c.set.pending.isJobDeleted(job.GetUID()) {
		c.forget(client.ObjectKeyFromObject(job), job.GetUID()) // It was deleted meanwhile.
	}
}

// conclude writes what was concluded from the outcome of a plan, unless the status was
// written in this pass already, and returns when to requeue the job.
func (c *JobController[J]) conclude(
	ctx context.Context, job J, in *plan.Input, p, concluded *plan.Plan, pace pace, stale bool, err error,
) (reconcile.Result, error) {
	news := concluded.StatusChange == plan.StatusNews
	if news && !pace.now {
		current, werr := c.writeStatus(ctx, job, in, concluded)
		if werr != nil {
			// What was concluded is lost: only the plan before it says when to requeue.
			return reconcile.Result{RequeueAfter: p.RequeueAfter}, firstError(err, werr)
		}
		stale = stale || !current
	}
	if news {
		pace.after = 0
	} else {
		c.recordEvents(job, concluded.Events)
	}
	after := soonest(concluded.RequeueAfter, c.Config.ResyncPeriod)
	if after = soonest(after, c.set.pending.nextExpiry(job, in.Now)); stale || news && pace.now {
		after = soonest(after, c.set.pending.staleBackoff(job))
	} else {
		c.set.pending.resetStale(job)
	}
	if len(in.Departed) > 0 && err == nil && !stale && pace.after == 0 && p.RecordsEnds {
		c.set.departed.drop(client.ObjectKeyFromObject(job), in.Departed)
		after = soonest(after, retryStale) // The next pass finds them gone.
	}
	return requeueResult(after, pace.after), err
}

// finished reports whether a job has ended, by its status.
func (c *JobController[J]) finished(job J) bool {
	status := c.set.statusOf(job)
	return status != nil && status.Finished()
}

// checkForRivals reports another controller that runs the same job.
func (c *JobController[J]) checkForRivals(ctx context.Context, job J) {
	seen := c.set.rivals.observe(job, c.set.statusOf(job), c.set.clock.Now())
	if seen == nil {
		return
	}
	c.set.metrics.rivals.WithLabelValues(c.set.metrics.framework).Inc()
	if seen.rival {
		c.set.rivals.report(c.set.rivals.reason(c.set.clock.Now()))
	}
	if seen.fresh {
		log.FromContext(ctx).Error(nil, "Two controllers run the same jobs", "reason", rivalMessage(seen.manager))
	}
	if seen.emit {
		c.recordEvents(job, []plan.Event{{Warning: true, Reason: reasonRival, Message: rivalMessage(seen.manager)}})
	}
}

// cannotRead ends a pass that could not read all that it needs. That passes by itself, but for a
// permission that the operator lacks: no user of the job can see the operator's log, so the job
// says that it is stalled.
func (c *JobController[J]) cannotRead(ctx context.Context, job J, err error) (reconcile.Result, error) {
	if !apierrors.IsForbidden(err) {
		return reconcile.Result{}, err
	}
	in, herr := c.haltedInput(job, plan.ReadRefused, stableMessage(err.Error())+": the operator's service account needs this permission")
	if herr != nil {
		return reconcile.Result{}, herr
	}
	result, herr := c.halt(ctx, job, in)
	if herr != nil || result.RequeueAfter == 0 { // A job that has ended, or is another's, says nothing of it.
		return result, firstError(herr, err)
	}
	log.FromContext(ctx).Error(err, "The operator may not read what it needs; the job is stalled until it may")
	return result, nil
}

// halt writes the status of a job of which only the status is known.
func (c *JobController[J]) halt(ctx context.Context, job J, in *plan.Input) (reconcile.Result, error) {
	p := plan.Halt(in)
	_, current, err := c.verifyCurrent(ctx, job, in, &p, p.StatusChange == plan.StatusNews)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !current {
		return reconcile.Result{RequeueAfter: c.set.pending.staleBackoff(job)}, nil
	}
	c.set.pending.resetStale(job)
	return requeueResult(p.RequeueAfter, 0), nil
}

// requeueResult returns when to requeue a job. A reconcile that only writes a status comes
// after those of new jobs.
func requeueResult(after, status time.Duration) reconcile.Result {
	result := reconcile.Result{RequeueAfter: soonest(after, status)}
	if after == 0 && status > 0 {
		result.Priority = new(childPriority)
	}
	return result
}

// writeStatus writes the status of a plan on condition that the job is the one that was
// observed, and then records the plan's events. It returns false if the job has changed or
// is gone, its status was refused a moment ago, or the writes of its namespace hold as many workers as they may.
func (c *JobController[J]) writeStatus(ctx context.Context, job J, in *plan.Input, p *plan.Plan) (bool, error) {
	return c.writeStatusWith(ctx, c.set.statusWriter, job, in, p)
}

func (c *JobController[J]) writeStatusWith(ctx context.Context, w StatusWriter[J], job J, in *plan.Input, p *plan.Plan) (bool, error) {
	if c.set.pending.isStatusHeld(job, c.set.clock.Now()) {
		return false, nil
	}
	if !c.set.turns.Take(job.GetNamespace()) {
		return false, nil // It comes again, after a while.
	}
	defer c.set.turns.Give(job.GetNamespace())
	now := metav1.NewTime(in.Now.Truncate(time.Second)) // as the API stores it
	p.Status.LastReconcileTime = &now
	var err error
	if changed, ok := in.KindStatus.(J); ok {
		err = c.set.writer.writeJobStatus(ctx, job, changed, &p.Status)
	} else {
		err = callForError(ctx, "WriteStatus", func() error { return w.WriteStatus(ctx, job, &p.Status) })
	}
	if (apierrors.IsConflict(err) || apierrors.IsNotFound(err)) && !apierror.ByWebhook(err) {
		log.FromContext(ctx).V(1).Info("The job has changed since it was read; it is requeued")
		return false, nil
	}
	if err != nil {
		c.recordRefusedStatus(job, p, err)
		return false, fmt.Errorf("cannot write the status of %s %s/%s: %w", in.Kind.Name, in.Job.Namespace, in.Job.Name, err)
	}
	c.set.pending.releaseStatus(job)
	c.recordEvents(job, p.Events)
	c.set.metrics.recordStatus(in, p)
	return true, nil
}

// recordRefusedStatus records an event if a status was refused permanently, for example for
// its size: the status itself cannot say so. The status is held back for a while.
func (c *JobController[J]) recordRefusedStatus(job J, p *plan.Plan, err error) {
	what, _ := obstacleOf(err, job)
	_, dropped := errors.AsType[droppedError](err)
	if what == "" && !dropped {
		return
	}
	c.set.pending.holdStatus(job, c.set.clock.Now())
	if dropped && c.set.gate != nil {
		return // The gate says so, of the whole kind.
	}
	message := "The status cannot be written: " + err.Error()
	if data, jerr := json.Marshal(&p.Status); jerr == nil && apierror.TooLarge(err) {
		message = fmt.Sprintf("The status cannot be written, because it is too large (%d bytes): %v", len(data), err)
	}
	c.recordEvents(job, []plan.Event{{Warning: true, Reason: "StatusRefused", Message: message}})
}

// recordEvents records events.
func (c *JobController[J]) recordEvents(job J, list []plan.Event) {
	for _, e := range list {
		kind := corev1.EventTypeNormal
		if e.Warning {
			kind = corev1.EventTypeWarning
		}
		c.set.recorder.Eventf(job, related(job, e.Pod), kind, e.Reason, "Reconcile", "%s", plan.Note(e.Message))
	}
}

// related is the pod that an event is about. It keeps events of different pods apart: a
// recorder counts up the first of those that differ in their notes alone.
func related(job client.Object, pod plan.PodRef) runtime.Object {
	if pod.Name == "" {
		return nil
	}
	return &corev1.ObjectReference{
		APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Pod", Namespace: job.GetNamespace(), Name: pod.Name, UID: pod.UID,
	}
}

// soonest returns the shorter of two delays, where 0 is never.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
