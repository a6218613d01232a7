package controller

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/plan"
)

// A webhook that undoes an update, or another controller that does so a moment later, and this controller would
// update the object in turn, for as long as the job exists: several times a second, and each time is a success.

const (
	// fewRepeats is after how many equal updates of an object an event says that someone undoes them.
	fewRepeats = 3
	// repeatsRemembered is for how long after an update an equal one counts as its repetition.
	repeatsRemembered = 2 * maxRetry
)

// repeats are equal updates of one object in a row.
type repeats struct {
	// update is a digest of what they change.
	update [sha256.Size]byte
	times  int
	last   time.Time
}

// again is when the update may be repeated: after a second, and then after twice as long each time, up to a minute.
func (r repeats) again() time.Time { return r.last.Add(min(time.Second<<min(r.times-1, 16), maxRetry)) }

// updateOf is which object an action updates, and what it changes there; false for another action.
func updateOf(in *plan.Input, a plan.Action) (object childUID, update [sha256.Size]byte, ok bool) {
	var change any
	switch a := a.(type) {
	case plan.UpdateObject:
		object, change = childUID{a.Kind, a.UID}, a.Patch
	case plan.UpdateService:
		object, change = childUID{kindService, a.UID}, plan.NewService(in, a.CreateService).Spec
	default:
		return object, update, false
	}
	data, err := json.Marshal(change)
	return object, sha256.Sum256(data), err == nil
}

// holdRepeats leaves out of a plan the updates that were made a moment ago already, and has the job reconciled when
// they are due.
func (c *JobController[J]) holdRepeats(job J, in *plan.Input, p *plan.Plan) {
	now := c.set.clock.Now()
	p.Actions = slices.DeleteFunc(slices.Clone(p.Actions), func(a plan.Action) bool {
		object, update, ok := updateOf(in, a)
		if !ok {
			return false
		}
		r := c.set.pending.repeatsOf(job, object)
		held := r.update == update && now.Before(r.again())
		if held {
			p.RequeueAfter = soonest(p.RequeueAfter, r.again().Sub(now))
		}
		return held
	})
}

// recordUpdate records an update that was made, and reports one that someone undoes each time.
func (c *JobController[J]) recordUpdate(job J, in *plan.Input, a plan.Action) {
	object, update, ok := updateOf(in, a)
	if !ok || c.set.pending.recordUpdate(job, object, update, c.set.clock.Now()) != fewRepeats {
		return
	}
	c.recordEvents(job, []plan.Event{{Warning: true, Reason: in.Kind.Name + "UpdateUndone", Message: fmt.Sprintf(
		"%s was updated %d times in the same way, and each time a webhook or another client has undone that: "+
			"exempt it there. It is updated less often now, once a minute in the end.",
		plan.ObjectOf(a), fewRepeats)}})
}

// recordUpdate records an update of an object, and returns how often it was updated in this way in a row.
func (w *pendingWrites[J]) recordUpdate(job J, object childUID, update [sha256.Size]byte, now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.entry(job)
	if j.updates == nil {
		j.updates = map[childUID]repeats{}
	}
	r := j.updates[object]
	if r.update != update || now.Sub(r.last) > repeatsRemembered {
		r = repeats{update: update}
	}
	r.times++
	r.last = now
	j.updates[object] = r
	return r.times
}

// repeatsOf returns how often an object was updated in the same way in a row.
func (w *pendingWrites[J]) repeatsOf(job J, object childUID) repeats {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[client.ObjectKeyFromObject(job)]; j != nil && j.uid == job.GetUID() {
		return j.updates[object]
	}
	return repeats{}
}
