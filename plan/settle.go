package plan

import (
	"fmt"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Obstacle is why something that the plan wanted could not be created, and that
// the controller cannot mend by itself.
type Obstacle string

// The obstacles.
const (
	// NameConflict: an object of the wanted name is there and is not the job's.
	NameConflict Obstacle = "NameConflict"
	// Refused: the API server does not admit the object (quota, policy, webhook).
	Refused Obstacle = "CreateRefused"
	// Invalid: the API server finds the object invalid, or the kind's own code
	// cannot make it from this job. A mistake of the user.
	Invalid Obstacle = "Invalid"
	// Broken: the kind's own code failed. A mistake of the operator's author.
	Broken Obstacle = "OperatorError"
)

// Failure is an action that met an obstacle.
type Failure struct {
	Action   Action
	Obstacle Obstacle
	// Message says what is wrong and how to mend it.
	Message string
}

// Outcome is what became of the actions of a plan. Errors that pass by themselves
// (timeouts, conflicts, overload) are no failures: the shell tries again.
type Outcome struct {
	PodsCreated, PodsDeleted         []string
	ServicesCreated, ServicesDeleted []string
	// Failures are in the order of the plan's actions.
	Failures []Failure
}

// Retry of a job that is stalled: the time that it has been so, within bounds.
const (
	minStalledRetry = time.Second
	maxStalledRetry = time.Minute
)

// Settle draws the conclusions from the outcome of a plan: it returns a plan
// without actions, with the status, the events and the time of the next look that
// follow. A status that could wait for pods does not if some were not created. If the
// status was written already in this pass, the shell leaves the settled one to the
// next, which comes to the same conclusion.
func Settle(in *Input, tally *Tally, p Plan, o Outcome) Plan {
	d := &decision{in: in, tally: tally, plan: Plan{Status: *p.Status.DeepCopy(), StatusAfter: p.StatusAfter, RequeueAfter: p.RequeueAfter}}
	switch {
	case len(o.Failures) > 0:
		d.obstructed(o.Failures[0])
	case wantsCreate(p.Actions) && !in.Unseen && !d.saysItWaits():
		d.remove(commonv1.JobStalled)
	}
	status := &d.plan.Status
	status.State = stateOf(status)
	if now := in.now(); !sameConditions(status, &p.Status) || p.StatusAfter > 0 && !o.createdAll(p.Actions) {
		status.LastReconcileTime = &now
		d.plan.WriteStatus, d.plan.StatusAfter = true, 0
	}
	return d.plan
}

// createdAll tells whether the pods and services of a plan were all created.
func (o *Outcome) createdAll(actions []Action) bool {
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

// clearStalled ends the condition Stalled when nothing is left to create. While
// there is, the outcome decides. What is only remembered to be there is no reason:
// another process, which does not remember it, may know better.
func clearStalled(d *decision) bool {
	if !wantsCreate(d.plan.Actions) && !d.in.Unseen && !d.saysItWaits() {
		d.remove(commonv1.JobStalled)
	}
	return false
}

func wantsCreate(actions []Action) bool {
	for _, a := range actions {
		switch a.(type) {
		case CreatePod, CreateService, CreateObject:
			return true
		}
	}
	return false
}

// obstructed reports the first obstacle. An object that is invalid fails the job,
// unless the job was edited and had such objects before: then the edit made it so,
// and what runs goes on running.
func (d *decision) obstructed(f Failure) {
	message := fmt.Sprintf("%s cannot create %s: %s", d.jobName(), objectOf(f.Action), f.Message)
	if f.Obstacle == Invalid && (d.in.Job.Generation <= 1 || !d.hasPodsLike(f.Action)) {
		d.become(commonv1.JobFailed, d.reason(reasonFailedValidation), message)
		return
	}
	d.stall(f.Obstacle, message)
}

// broken stalls a job whose operator's own code failed: nobody can tell whether it
// has succeeded or what its pods should be like. Its time runs on.
func broken(d *decision) bool {
	if d.in.Broken == "" {
		return false
	}
	if !deadline(d) {
		d.stall(Broken, fmt.Sprintf("%s cannot go on: %s", d.jobName(), d.in.Broken))
	}
	return true
}

// stall makes the job Stalled, and has it looked at again after the time that it has
// been so, within bounds.
func (d *decision) stall(o Obstacle, message string) {
	d.become(commonv1.JobStalled, d.reason(string(o)), message)
	since := d.plan.Status.Condition(commonv1.JobStalled).LastTransitionTime
	d.wakeAt(d.in.Now.Add(min(max(d.in.Now.Sub(since.Time), minStalledRetry), maxStalledRetry)))
}

// objectOf names what an action creates.
func objectOf(a Action) string {
	switch a := a.(type) {
	case CreatePod:
		return "pod " + a.Name
	case CreateService:
		return "service " + a.Name
	case CreateObject:
		return a.Kind + " " + a.Name
	default:
		return "an object"
	}
}

// hasPodsLike tells whether the job has pods of the kind that an action creates,
// or any pods if it creates something else.
func (d *decision) hasPodsLike(a Action) bool {
	tally := d.tally
	if pod, ok := a.(CreatePod); ok {
		tally = &Tally{}
		if tt := d.tally.Of(pod.Type); tt != nil {
			tally.Types = append(tally.Types, *tt)
		}
	}
	found := false
	tally.each(func(s *slot) { found = found || s.pod != nil })
	return found
}

// Events tells what was done, one event per verb and kind.
func (o *Outcome) Events() []Event {
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
		switch len(e.names) {
		case 0:
		case 1:
			events = append(events, Event{Reason: e.reason, Message: fmt.Sprintf("%s %s: %s", e.verb, e.kind, e.names[0])})
		default:
			events = append(events, Event{Reason: e.reason, Message: fmt.Sprintf("%s %d %ss", e.verb, len(e.names), e.kind)})
		}
	}
	return events
}

// sameConditions tells whether two statuses have the same conditions.
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
