package controller

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/plan"
)

// pendingWrites holds the controller's own writes until the cache shows them, so that a
// reconcile right after a write does not send the same write again. It only saves
// requests: every write carries a precondition, and an entry expires after a while.
type pendingWrites[J client.Object] struct {
	mu   sync.Mutex
	jobs map[types.NamespacedName]*jobWrites[J]
	// deletedJobs are jobs that were deleted recently, and when: a reconcile of one of them
	// that is still running must leave nothing behind.
	deletedJobs map[types.UID]time.Time
}

// longestReconcile is longer than any reconcile takes.
const longestReconcile = 10 * time.Minute

// jobWrites are the pending writes of one job, and the writes that are held back.
type jobWrites[J client.Object] struct {
	uid types.UID
	// job is the job as the last status write returned it, while awaitsJob is set.
	job       J
	awaitsJob bool
	// awaitsUntil is until when; zero if no pass has asked yet.
	awaitsUntil time.Time
	// created holds the pods and services that the cache does not show yet, by name.
	created map[childName]pendingCreate
	// deleted holds those that the cache still shows as before, by UID.
	deleted map[childUID]time.Time
	// stale counts the reconciles in a row that found the job or its objects changed.
	stale int
	// tried are the actions that met an obstacle, for the generation of the job.
	tried      []plan.Tried
	generation int64
	// refused counts how often the status was refused in a row; it is not to be written
	// again before statusAgain.
	refused     int
	statusAgain time.Time
	// updates are the last updates of objects, see repeats.
	updates map[childUID]repeats
}

type childName struct{ kind, name string }

type childUID struct {
	kind string
	uid  types.UID
}

type pendingCreate struct {
	object client.Object
	until  time.Time
	// changedByOthers is set when another client has changed the object since. The cache will
	// show how, unless the object no longer belongs to the job. Until then it is not touched.
	changedByOthers bool
}

// pendingFor is how long a write stays pending that the cache never shows, for example
// because another client reverted it at once.
const pendingFor = 10 * time.Second

// statusPendingFor is how long the own write of a status is taken for newer than what the cache shows. A cache
// may lag; after this long it is rather the API server that was restored from a backup.
const statusPendingFor = 2 * time.Minute

func newPendingWrites[J client.Object]() *pendingWrites[J] {
	return &pendingWrites[J]{jobs: map[types.NamespacedName]*jobWrites[J]{}, deletedJobs: map[types.UID]time.Time{}}
}

// entry returns the pending writes of a job. The caller holds the lock.
func (w *pendingWrites[J]) entry(job J) *jobWrites[J] {
	key := client.ObjectKeyFromObject(job)
	j := w.jobs[key]
	if j == nil || j.uid != job.GetUID() {
		j = &jobWrites[J]{
			uid:     job.GetUID(),
			created: map[childName]pendingCreate{},
			deleted: map[childUID]time.Time{},
		}
		w.jobs[key] = j
	}
	return j
}

// recordStatusWrite records the job as a status write returned it.
func (w *pendingWrites[J]) recordStatusWrite(job J) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.entry(job)
	j.job, j.awaitsJob, j.awaitsUntil = job, true, time.Time{}
}

// statusVersion returns the resource version that the last status write of a job made, or ""
// if it is not known.
func (w *pendingWrites[J]) statusVersion(job J) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[client.ObjectKeyFromObject(job)]; j != nil && j.uid == job.GetUID() && j.awaitsJob {
		return j.job.GetResourceVersion()
	}
	return ""
}

// recordWrite records an object that was created or updated.
func (w *pendingWrites[J]) recordWrite(job J, kind string, object client.Object, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entry(job).created[childName{kind, object.GetName()}] = pendingCreate{object: object, until: now.Add(pendingFor)}
}

// recordDelete records that an object was deleted.
func (w *pendingWrites[J]) recordDelete(job J, kind string, uid types.UID, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entry(job).deleted[childUID{kind, uid}] = now.Add(pendingFor)
}

// isDeleted reports whether the controller has deleted an object of a job a moment ago.
func (w *pendingWrites[J]) isDeleted(job types.NamespacedName, child childUID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[job]
	if j == nil {
		return false
	}
	_, done := j.deleted[child]
	return done
}

// uncachedVersion returns the resource version with which an object was created if the
// cache has never shown it, and "" otherwise. Such an object may no longer belong to the job,
// and then the cache never shows it.
func (w *pendingWrites[J]) uncachedVersion(job J, kind string, o client.Object) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[client.ObjectKeyFromObject(job)]
	if j == nil {
		return ""
	}
	own, ok := j.created[childName{kind, o.GetName()}]
	if !ok || own.object.GetUID() != o.GetUID() {
		return ""
	}
	return own.object.GetResourceVersion()
}

// recordChangeByOthers records that an object is not what it was when it was created. If
// it is gone, its entry is dropped.
func (w *pendingWrites[J]) recordChangeByOthers(job J, kind string, o client.Object, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j, name := w.entry(job), childName{kind, o.GetName()}
	own, ok := j.created[name]
	switch {
	case !ok || own.object.GetUID() != o.GetUID():
	case gone:
		delete(j.created, name)
	default:
		own.changedByOthers = true
		j.created[name] = own
	}
}

// staleBackoff returns the delay before a job that is not what the cache shows is
// requeued. Usually an event comes first; while there is none, the delay doubles.
func (w *pendingWrites[J]) staleBackoff(job J) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.entry(job)
	j.stale++
	return min(retryStale<<min(j.stale-1, 16), maxRetry)
}

// resetStale resets the delay of staleBackoff.
func (w *pendingWrites[J]) resetStale(job J) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[client.ObjectKeyFromObject(job)]; j != nil {
		j.stale = 0
	}
}

// holdStatus holds back the status of a job after it was refused.
func (w *pendingWrites[J]) holdStatus(job J, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.entry(job)
	j.statusAgain = now.Add(min(time.Second<<min(j.refused, 16), maxRetry))
	j.refused++
}

// releaseStatus ends the hold of holdStatus: the status was written.
func (w *pendingWrites[J]) releaseStatus(job J) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[client.ObjectKeyFromObject(job)]; j != nil {
		j.refused, j.statusAgain = 0, time.Time{}
	}
}

// isStatusHeld reports whether the status of a job was refused a moment ago.
func (w *pendingWrites[J]) isStatusHeld(job J, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[client.ObjectKeyFromObject(job)]
	return j != nil && j.uid == job.GetUID() && now.Before(j.statusAgain)
}

// recordObstacles holds back the actions that met an obstacle until some time. If none did,
// and none is held back, those are forgotten whose time has come. The others are not: a
// pass may not want them, because something else goes first, and the next may.
func (w *pendingWrites[J]) recordObstacles(job J, failures []plan.Obstruction, held bool, now, until time.Time) {
	if len(failures) == 0 && held {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(failures) == 0 {
		if j := w.jobs[client.ObjectKeyFromObject(job)]; j != nil {
			j.tried = slices.DeleteFunc(slices.Clone(j.tried), func(t plan.Tried) bool { return !now.Before(t.Again) })
		}
		return
	}
	j := w.entry(job)
	j.generation = job.GetGeneration()
	at := make(map[string]int, len(j.tried))
	for i := range j.tried {
		at[actionKey(j.tried[i].Action)] = i
	}
	for _, f := range failures {
		t := plan.Tried{Obstruction: f, Since: now, Again: until}
		if i, again := at[actionKey(f.Action)]; again {
			t.Since = j.tried[i].Since
			j.tried[i] = t
		} else {
			j.tried = append(j.tried, t)
		}
	}
}

// actionKey identifies an action: what it does to which object.
func actionKey(a plan.Action) string {
	does, _, _ := strings.Cut(a.String(), ": ")
	return does
}

// tried returns the actions that met an obstacle when they were tried last.
func (w *pendingWrites[J]) tried(job J) []plan.Tried {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[client.ObjectKeyFromObject(job)]
	if j == nil || j.uid != job.GetUID() {
		return nil
	}
	if j.generation != job.GetGeneration() {
		j.tried = nil
	}
	return slices.Clone(j.tried)
}

// forget drops the entry of a job that is gone; without a UID, of whichever job has the
// name.
func (w *pendingWrites[J]) forget(key types.NamespacedName, uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[key]; j != nil && (uid == "" || j.uid == uid) {
		delete(w.jobs, key)
	}
}

// markJobDeleted records that a job was deleted.
func (w *pendingWrites[J]) markJobDeleted(uid types.UID, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.deletedJobs, func(_ types.UID, at time.Time) bool { return now.Sub(at) > longestReconcile })
	w.deletedJobs[uid] = now
}

// isJobDeleted reports whether a job was deleted.
func (w *pendingWrites[J]) isJobDeleted(uid types.UID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, left := w.deletedJobs[uid]
	return left
}

// nextExpiry returns how long it takes until a write expires that the cache never showed:
// the job must be reconciled then. It is 0 if nothing is pending.
func (w *pendingWrites[J]) nextExpiry(job J, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[client.ObjectKeyFromObject(job)]
	if j == nil {
		return 0
	}
	j.expire(now)
	var next time.Duration
	for _, c := range j.created {
		next = soonest(next, c.until.Sub(now))
	}
	for _, until := range j.deleted {
		next = soonest(next, until.Sub(now))
	}
	if next == 0 && !j.awaitsJob && j.stale == 0 && len(j.tried) == 0 && j.refused == 0 && len(j.updates) == 0 {
		delete(w.jobs, client.ObjectKeyFromObject(job))
	}
	return next
}

// newest returns the newer of the given job and the one that the last status write returned.
func (w *pendingWrites[J]) newest(job J, now time.Time) J {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[client.ObjectKeyFromObject(job)]
	if j == nil || j.uid != job.GetUID() {
		return job
	}
	if j.expire(now); !j.awaitsJob {
		return job
	}
	n, err := resourceversion.CompareResourceVersion(job.GetResourceVersion(), j.job.GetResourceVersion())
	if err == nil && n < 0 {
		if fresh, ok := j.job.DeepCopyObject().(J); ok {
			return fresh
		}
	}
	j.awaitsJob = false
	return job
}

// withPendingWrites completes the objects that the cache shows of a job with the pending
// writes. It may change the slice, but not what it points to.
func withPendingWrites[J, C client.Object](w *pendingWrites[J], job J, kind string, seen []C, now time.Time) []C {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[client.ObjectKeyFromObject(job)]
	if j == nil || j.uid != job.GetUID() {
		return seen
	}
	j.expire(now)
	for i := range seen {
		seen[i] = applyPending(j, kind, seen[i], now)
	}
	there := make(map[types.UID]bool, len(seen))
	for _, o := range seen {
		there[o.GetUID()] = true
	}
	shown := len(seen)
	for name, own := range j.created {
		if made, ok := own.object.(C); ok && name.kind == kind && !there[made.GetUID()] {
			there[made.GetUID()] = true
			seen = append(seen, applyDelete(j, kind, made, own.changedByOthers, now))
		}
	}
	slices.SortFunc(seen[shown:], func(a, b C) int { return strings.Compare(a.GetName(), b.GetName()) })
	for child := range j.deleted {
		if child.kind == kind && !there[child.uid] {
			delete(j.deleted, child)
		}
	}
	return seen
}

// expire drops the writes that have been pending for long enough.
func (j *jobWrites[J]) expire(now time.Time) {
	switch {
	case !j.awaitsJob:
	case j.awaitsUntil.IsZero():
		j.awaitsUntil = now.Add(statusPendingFor)
	case !now.Before(j.awaitsUntil):
		j.awaitsJob = false
	}
	maps.DeleteFunc(j.updates, func(_ childUID, r repeats) bool { return now.Sub(r.last) > repeatsRemembered })
	for name, own := range j.created {
		if !now.Before(own.until) {
			delete(j.created, name)
		}
	}
	for child, until := range j.deleted {
		if !now.Before(until) {
			delete(j.deleted, child)
		}
	}
}

// applyPending returns an object that the cache shows as the pending writes have left it.
func applyPending[J, C client.Object](j *jobWrites[J], kind string, o C, now time.Time) C {
	name, changedByOthers := childName{kind, o.GetName()}, false
	if own, ok := j.created[name]; ok {
		made, ok := own.object.(C)
		if !ok || !older(o, made) {
			delete(j.created, name)
		} else {
			o, changedByOthers = made, own.changedByOthers // The cache still shows the one before.
		}
	}
	return applyDelete(j, kind, o, changedByOthers, now)
}

// applyDelete returns an object as terminating if the controller has deleted it, or another
// client has changed it, so that it is not to be touched.
func applyDelete[J, C client.Object](j *jobWrites[J], kind string, o C, changedByOthers bool, now time.Time) C {
	_, done := j.deleted[childUID{kind, o.GetUID()}]
	if o.GetDeletionTimestamp() == nil && (done || changedByOthers) {
		if terminating, ok := o.DeepCopyObject().(C); ok {
			terminating.SetDeletionTimestamp(&metav1.Time{Time: now})
			return terminating
		}
	}
	return o
}

// older reports whether a is an older state of the same resource than b.
func older(a, b client.Object) bool {
	n, err := resourceversion.CompareResourceVersion(a.GetResourceVersion(), b.GetResourceVersion())
	return err == nil && n < 0
}
