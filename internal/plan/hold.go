package plan

import "time"

// Tried is an action that met an obstacle each time that it was tried, since when, and
// until when it is to be held back.
type Tried struct {
	Obstruction

	Since, Again time.Time
}

// held names what is held back: one object, or all that a step creates.
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

// holdBack takes those actions off the plan that met an obstacle lately, and says so
// in the job, so that the API server is not asked the same each time that something
// happens to the job. What comes after them and may need them waits, too. A create
// that was refused speaks for its neighbours, because a quota or a policy will not
// admit those either; a name that is taken, an update and a delete speak for
// themselves only.
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
	d.reportObstacle(&first.Obstruction)
	if d.plan.Status.Finished() {
		d.plan.Actions = nil // The next look cleans up.
	}
}

// heldBackActions are the actions that are to be held back now, by what is held back for them.
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
	waits := false // whether what is not a delete waits for what is held back
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

// triedSince is since when an action has met an obstacle; zero if it had met none.
func (in *Input) triedSince(a Action) time.Time {
	for i := range in.Tried {
		if heldKey(in.Tried[i].Action) == heldKey(a) {
			return in.Tried[i].Since
		}
	}
	return time.Time{}
}
