package plan

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Tried is an action that met an obstacle each time that it was tried, since when, and
// until when to hold it back.
type Tried struct {
	Obstruction

	Since, Again time.Time
}

// held identifies what is held back: one object, or everything that a step creates.
type held struct {
	step   Step
	object string // empty: all
	force  bool
}

func heldKey(a Action) held {
	k := held{step: StepOf(a), object: ObjectOf(a)}
	if pod, ok := a.(DeletePod); ok {
		k.force = pod.Force
	}
	return k
}

// holdBack removes from the plan those actions that met an obstacle recently, and reports
// that in the job, so that the API server does not get the same request with each event of
// the job. Later actions that may depend on them wait, too. A refused create also holds back
// the other creates of its step, because a quota or a policy will not admit these either; a
// name conflict, an update, a delete and an object that is missing hold back only themselves.
func (d *decision) holdBack() {
	if len(d.in.Tried) == 0 || len(d.plan.Actions) == 0 {
		return
	}
	first, kept := d.withoutTried(d.in.heldBackActions())
	if first == nil {
		return
	}
	d.plan.Actions, d.plan.Held = kept, true
	if d.in.Status.Finished() {
		return
	}
	if first.Obstacle == Invalid || !d.reportsLike(first.Action) {
		d.reportObstacle(&first.Obstruction)
	}
	if d.plan.Status.Finished() {
		d.plan.Actions = nil // The next pass cleans up.
	}
}

// reportsLike reports whether the job is stalled because something like an action, with an object of
// the same kind, cannot be done. Then what was tried last is on record, by another process perhaps,
// and what this one remembers is no news: two that remember different answers would each correct the other.
func (d *decision) reportsLike(a Action) bool {
	c := d.plan.Status.Condition(commonv1.JobStalled)
	kind, _, _ := strings.Cut(ObjectOf(a), " ")
	return c != nil && c.Status == corev1.ConditionTrue &&
		strings.HasPrefix(c.Message, d.cannot(a)+" "+kind+" ")
}

// cannot is the start of the message about an action that met an obstacle.
func (d *decision) cannot(a Action) string { return d.jobName() + " cannot " + verbOf(a) }

// heldBackActions are the actions to hold back now, by what is held back for them.
func (in *Input) heldBackActions() map[held]*Tried {
	tried := map[held]*Tried{}
	for i := range in.Tried {
		t := &in.Tried[i]
		if !in.Now.Before(t.Again) {
			continue
		}
		key := heldKey(t.Action)
		if key.step.Creates() && t.Obstacle != NameConflict {
			key.object = ""
		}
		if tried[key] == nil {
			tried[key] = t
		}
	}
	return tried
}

// withoutTried returns the actions that are not held back, and the first reason to hold
// others back, or nil.
func (d *decision) withoutTried(tried map[held]*Tried) (first *Tried, kept []Action) {
	waits := false // whether actions other than deletes wait for what is held back
	for i, a := range d.plan.Actions {
		step, key := StepOf(a), heldKey(a)
		if i > 0 && !Together(d.plan.Actions[i-1], a) && first != nil && !StepOf(first.Action).Deletes() {
			waits = true
		}
		t := tried[key]
		if t == nil {
			t = tried[held{step: step}]
		}
		switch {
		case t != nil:
			d.requeueAt(t.Again)
			if first == nil || StepOf(first.Action).Deletes() && !step.Deletes() {
				first = t
			}
		case !waits || step.Deletes():
			kept = append(kept, a)
		}
	}
	return first, kept
}

// triedSince is since when an action has met an obstacle; zero if it has met none.
func (in *Input) triedSince(a Action) time.Time {
	for i := range in.Tried {
		if heldKey(in.Tried[i].Action) == heldKey(a) {
			return in.Tried[i].Since
		}
	}
	return time.Time{}
}
