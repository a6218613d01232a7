package plan

import (
	"fmt"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Obstacle is why something that the plan wanted could not be created, updated or
// deleted, which the controller cannot fix by itself.
type Obstacle string

// The obstacles.
const (
	// NameConflict: an object of the wanted name exists and is not the job's.
	NameConflict Obstacle = "NameConflict"
	// Refused: the API server refuses it (quota, policy, webhook, permission). The
	// reason of the condition is CreateRefused, UpdateRefused or DeleteRefused.
	Refused Obstacle = "Refused"
	// Invalid: the API server finds the object invalid, or the kind's own code cannot make
	// it from this job. A mistake of the user.
	Invalid Obstacle = "Invalid"
	// Missing: an object that someone else is to make does not exist.
	Missing Obstacle = "ObjectMissing"
	// OperatorError: the kind's own code failed. A mistake of the operator's author.
	OperatorError Obstacle = "OperatorError"
	// ReadRefused: the API server does not let the operator read what a pass needs to know. It
	// stops a pass before there is a plan, so it is no obstruction of an action.
	ReadRefused Obstacle = "ReadRefused"
)

// Obstruction is an action that met an obstacle.
type Obstruction struct {
	Action   Action
	Obstacle Obstacle
	// Message says what is wrong and how to fix it.
	Message string
}

// ExecutionResult is the result of the actions of a plan. Transient errors (timeouts,
// conflicts, overload) are not obstructions: the shell retries.
type ExecutionResult struct {
	// StatusWritten is true when the status of the plan was written before its actions.
	StatusWritten                    bool
	PodsCreated, PodsDeleted         []string
	ServicesCreated, ServicesDeleted []string
	// PodsForced are the pods that were deleted by force.
	PodsForced []DeletePod
	// Adopted are the objects that were the job's but lacked its labels, with their kinds.
	Adopted []string
	// Obstructions are in the order of the plan's actions.
	Obstructions []Obstruction
	// Undone is true when actions were left undone for a transient reason.
	Undone bool
}

// Retry of a job that is stalled: the time that it has been so, within bounds.
const (
	minStalledRetry = time.Second
	maxStalledRetry = time.Minute
)

// Conclude draws the conclusions from the result of a plan: it returns a plan without
// actions, with the status, the events and the time of the next pass that follow. A status
// that could wait for pods does not if some were not created. If the status was already
// written in this pass, the shell leaves the concluded one to the next pass, which comes to
// the same conclusion.
func Conclude(in *Input, tally *Tally, p Plan, o ExecutionResult) Plan {
	in = withUnpackedStatus(in)
	d := &decision{in: in, tally: tally, plan: Plan{Status: *p.Status.DeepCopy(), RequeueAfter: p.RequeueAfter}}
	switch {
	case len(o.Obstructions) > 0 && p.Status.Finished():
		d.plan.RetryAfter = d.cannotCleanUp(firstObstruction(o.Obstructions))
		d.requeueAt(in.Now.Add(d.plan.RetryAfter))
	case len(o.Obstructions) > 0:
		if !p.Held { // What is held back was the first obstacle, and the job says so already.
			d.reportObstacle(firstObstruction(o.Obstructions))
		}
		d.plan.RetryAfter = d.retryAfter()
		d.requeueAt(in.Now.Add(d.plan.RetryAfter))
	case p.Open && !p.Held && !o.Undone && !d.isStalledByWait():
		d.remove(commonv1.JobStalled)
	}
	status := &d.plan.Status
	status.State = stateOf(status)
	if was := doing(&p.Status); was != doing(status) {
		d.accountForTime(was)
	}
	waits := p.StatusChange != StatusUnchanged && !o.StatusWritten
	switch {
	case !sameConditions(status, &p.Status), waits && !o.createdAll(p.Actions):
		d.plan.StatusChange = StatusNews
	case waits:
		d.plan.StatusChange = p.StatusChange
	}
	return d.plan
}

// cannotCleanUp emits an event, once, about what a finished job cannot delete, because its
// conditions are final. It returns when to retry.
func (d *decision) cannotCleanUp(f *Obstruction) time.Duration {
	since := d.in.triedSince(f.Action)
	if since.IsZero() {
		since = d.in.Now
		ending, message := d.reasonAndMessage(f)
		d.event(true, d.reason(ending), message)
	}
	return min(max(d.in.Now.Sub(since), minStalledRetry), maxStalledRetry)
}

// firstObstruction is the one that the job reports: the first, but failed deletes come after
// others.
func firstObstruction(list []Obstruction) *Obstruction {
	for i := range list {
		if !StepOf(list[i].Action).Deletes() {
			return &list[i]
		}
	}
	return &list[0]
}

// createdAll reports whether the pods and services of a plan were all created.
func (o *ExecutionResult) createdAll(actions []Action) bool {
	pods, services := 0, 0
	for _, a := range actions {
		switch a.(type) {
		case CreatePod:
			pods++
		case CreateService:
			services++
		}
	}
	return len(o.PodsCreated) == pods && len(o.ServicesCreated) == services
}

// reportObstacle reports the first obstacle in a condition. An invalid object fails the job,
// unless the job had such objects before: then something else has changed, and what runs
// continues to run.
func (d *decision) reportObstacle(f *Obstruction) {
	defer d.eventsAreAbout(len(d.plan.Events), podOf(f.Action))
	if d.isStalledUndecided() {
		return // That takes precedence, or the two would alternate.
	}
	ending, message := d.reasonAndMessage(f)
	if f.Obstacle == Invalid && StepOf(f.Action).Creates() && !d.hadPodsLike(f.Action) {
		d.setTrue(commonv1.JobFailed, d.reason(reasonFailedValidation), message)
		return
	}
	d.setTrue(commonv1.JobStalled, d.reason(ending), message)
}

// reasonAndMessage are the ending of the reason and the message of an obstacle.
func (d *decision) reasonAndMessage(f *Obstruction) (string, string) {
	verb := verbOf(f.Action)
	ending := string(f.Obstacle)
	if f.Obstacle == Refused {
		ending = map[string]string{verbCreate: reasonCreateRefused, verbUpdate: reasonUpdateRefused, verbDelete: reasonDeleteRefused}[verb]
	}
	return ending, fmt.Sprintf("%s %s: %s", d.cannot(f.Action), ObjectOf(f.Action), f.Message)
}

// hadPodsLike reports whether the job has, or ever had, pods of the type that an action
// creates, or any pods if it creates something else. The pods show that and, if they are
// gone, the status. In doubt it had.
func (d *decision) hadPodsLike(a Action) bool {
	was := &d.in.Status
	if was.Attempt > 0 || was.Restarts > 0 || was.Condition(commonv1.JobRunning) != nil || was.Condition(commonv1.JobRestarting) != nil {
		return true
	}
	pod, isPod := a.(CreatePod)
	for t, rs := range was.ReplicaStatuses {
		if rs != nil && (!isPod || t == pod.Type) &&
			(rs.Active+rs.Succeeded+rs.Failed > 0 || rs.SucceededIndexes+rs.FailedIndexes != "" || rs.Attempt > 0 || len(rs.Attempts)+len(rs.InPlaceRestarts) > 0) {
			return true
		}
	}
	found := false
	d.tally.each(func(s *replica) { found = found || s.pod != nil && (!isPod || s.typ == pod.Type) })
	return found
}

// reasonAdopted is the reason of the event about objects that got the labels of the job.
const reasonAdopted = "SuccessfulAdopt"

// Events are what was done, one event per verb and kind.
func (o *ExecutionResult) Events() []Event {
	var events []Event
	for _, e := range []struct {
		names              []string
		reason, verb, kind string
	}{
		{o.ServicesCreated, "SuccessfulCreateService", "Created", "service"},
		{o.PodsCreated, "SuccessfulCreatePod", "Created", "pod"},
		{o.PodsDeleted, "SuccessfulDeletePod", "Deleted", "pod"},
		{o.ServicesDeleted, "SuccessfulDeleteService", "Deleted", "service"},
	} {
		if len(e.names) == 0 {
			continue
		}
		event := Event{Reason: e.reason, Message: fmt.Sprintf("%s %s: %s", e.verb, e.kind, e.names[0])}
		if len(e.names) > 1 {
			event.Message = fmt.Sprintf("%s %d %ss", e.verb, len(e.names), e.kind)
		}
		if e.kind == "pod" {
			event.Pod = PodRef{Name: e.names[0]}
		}
		events = append(events, event)
	}
	if forced := o.forceDeleteEvent(); forced != nil {
		events = append(events, *forced)
	}
	switch len(o.Adopted) {
	case 0:
	case 1:
		events = append(events, Event{Reason: reasonAdopted, Message: "Adopted " + o.Adopted[0] + ", which lacked the labels of the job"})
	default:
		events = append(events, Event{Reason: reasonAdopted, Message: fmt.Sprintf("Adopted %d objects of the job, which lacked its labels", len(o.Adopted))})
	}
	return events
}

// forceDeleteEvent is the event about the pods that were deleted by force, and why: their
// containers may still run, so users should know.
func (o *ExecutionResult) forceDeleteEvent() *Event {
	if len(o.PodsForced) == 0 {
		return nil
	}
	first := &o.PodsForced[0]
	message := fmt.Sprintf("Deleted pod by force: %s: %s", first.Name, first.Reason)
	if more := len(o.PodsForced) - 1; more > 0 {
		message = fmt.Sprintf("Deleted %d pods by force, the first of them %s: %s", more+1, first.Name, first.Reason)
	}
	return &Event{Warning: true, Reason: "ForcedDeletePod", Message: message, Pod: PodRef{Name: first.Name, UID: first.UID}}
}

// sameConditions reports whether two statuses have the same conditions.
func sameConditions(a, b *commonv1.JobStatus) bool {
	if len(a.Conditions) != len(b.Conditions) {
		return false
	}
	for i := range a.Conditions {
		x, y := a.Conditions[i], b.Conditions[i]
		if x.Type != y.Type || x.Status != y.Status || x.Reason != y.Reason || x.Message != y.Message {
			return false
		}
	}
	return true
}
