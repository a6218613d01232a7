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

// memory remembers the controller's own writes until the cache shows them, so that
// a look at a job right after a write does not ask for the same again. It only
// saves requests: every write carries a precondition, and what is remembered is
// forgotten after a while.
type memory[J client.Object] struct {
	mu   sync.Mutex
	jobs map[types.NamespacedName]*jobMemory[J]
	// left are jobs that were deleted lately, and when: a look at one of them that was
	// under way must leave nothing behind.
	left map[types.UID]time.Time
}

// longestLook is longer than a look at a job takes.
const longestLook = 10 * time.Minute

// jobMemory is what is remembered of one job.
type jobMemory[J client.Object] struct {
	uid types.UID
	// job is the job as the last status write returned it, if wrote is set.
	job   J
	wrote bool
	// created holds the pods and services that the cache does not show yet, by name.
	created map[childName]ownCreate
	// deleted holds those that the cache still shows as before, by UID.
	deleted map[childUID]time.Time
	// stale counts the looks in a row that found the job or its objects changed.
	stale int
	// tried are the actions that met an obstacle, for the generation of the job.
	tried      []plan.Tried
	generation int64
	// refused counts how often the status was refused in a row; it is not to be written
	// again before statusAgain.
	refused     int
	statusAgain time.Time
}

type childName struct{ kind, name string }

type childUID struct {
	kind string
	uid  types.UID
}

type ownCreate struct {
	object client.Object
	until  time.Time
	// changed is set when somebody has changed the object since: how, the cache will
	// show, unless it is no more the job's. It is not to be touched until then.
	changed bool
}

// remembered is how long an own write is remembered that the cache never shows,
// for example because somebody undid it at once.
const remembered = 10 * time.Second

func newMemory[J client.Object]() *memory[J] {
	return &memory[J]{jobs: map[types.NamespacedName]*jobMemory[J]{}, left: map[types.UID]time.Time{}}
}

// of returns the memory of a job, for the caller who holds the lock.
func (m *memory[J]) of(job J) *jobMemory[J] {
	key := client.ObjectKeyFromObject(job)
	j := m.jobs[key]
	if j == nil || j.uid != job.GetUID() {
		j = &jobMemory[J]{
			uid:     job.GetUID(),
			created: map[childName]ownCreate{},
			deleted: map[childUID]time.Time{},
		}
		m.jobs[key] = j
	}
	return j
}

// wroteJob remembers the job as a status write returned it.
func (m *memory[J]) wroteJob(job J) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.of(job)
	j.job, j.wrote = job, true
}

// written is the resource version that the last status write of a job made, or nothing
// if it is not known.
func (m *memory[J]) written(job J) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[client.ObjectKeyFromObject(job)]; j != nil && j.uid == job.GetUID() && j.wrote {
		return j.job.GetResourceVersion()
	}
	return ""
}

// wroteChild remembers a pod or service that was created.
func (m *memory[J]) wroteChild(job J, kind string, object client.Object, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(job).created[childName{kind, object.GetName()}] = ownCreate{object: object, until: now.Add(remembered)}
}

// deletedChild remembers that a pod or service was deleted.
func (m *memory[J]) deletedChild(job J, kind string, uid types.UID, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(job).deleted[childUID{kind, uid}] = now.Add(remembered)
}

// unseen returns the resource version with which a pod or service was created, if
// the cache has never shown it, and otherwise nothing. What the cache never showed
// may have been taken away from the job already, which the cache then hides.
func (m *memory[J]) unseen(job J, kind string, o client.Object) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[client.ObjectKeyFromObject(job)]
	if j == nil {
		return ""
	}
	own, ok := j.created[childName{kind, o.GetName()}]
	if !ok || own.object.GetUID() != o.GetUID() {
		return ""
	}
	return own.object.GetResourceVersion()
}

// changedChild remembers that a pod or service is not what it was when it was
// created, or forgets it if it is gone.
func (m *memory[J]) changedChild(job J, kind string, o client.Object, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, name := m.of(job), childName{kind, o.GetName()}
	own, ok := j.created[name]
	switch {
	case !ok || own.object.GetUID() != o.GetUID():
	case gone:
		delete(j.created, name)
	default:
		own.changed = true
		j.created[name] = own
	}
}

// again is how long to wait before another look at a job that is not what the cache
// shows. The event that brings the news comes first if there is any; if there is
// none, the wait doubles.
func (m *memory[J]) again(job J) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.of(job)
	j.stale++
	return min(retryStale<<min(j.stale-1, 16), maxRetry)
}

// upToDate ends that count.
func (m *memory[J]) upToDate(job J) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[client.ObjectKeyFromObject(job)]; j != nil {
		j.stale = 0
	}
}

// statusRefused holds back the status of a job.
func (m *memory[J]) statusRefused(job J, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.of(job)
	j.statusAgain = now.Add(min(time.Second<<min(j.refused, 16), maxRetry))
	j.refused++
}

// statusDone ends that.
func (m *memory[J]) statusDone(job J) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[client.ObjectKeyFromObject(job)]; j != nil {
		j.refused, j.statusAgain = 0, time.Time{}
	}
}

// holdsStatus reports whether the status of a job was refused a moment ago.
func (m *memory[J]) holdsStatus(job J, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[client.ObjectKeyFromObject(job)]
	return j != nil && j.uid == job.GetUID() && now.Before(j.statusAgain)
}

// remember holds back the actions that met an obstacle until some time. When none did,
// and none is held back, that is over.
func (m *memory[J]) remember(job J, failures []plan.Failure, held bool, now, until time.Time) {
	if len(failures) == 0 && held {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(failures) == 0 {
		if j := m.jobs[client.ObjectKeyFromObject(job)]; j != nil {
			j.tried = nil
		}
		return
	}
	j := m.of(job)
	j.generation = job.GetGeneration()
	at := make(map[string]int, len(j.tried))
	for i := range j.tried {
		at[actionOf(j.tried[i].Action)] = i
	}
	for _, f := range failures {
		t := plan.Tried{Failure: f, Since: now, Again: until}
		if i, again := at[actionOf(f.Action)]; again {
			t.Since = j.tried[i].Since
			j.tried[i] = t
		} else {
			j.tried = append(j.tried, t)
		}
	}
}

// actionOf tells an action from others: what it does to which object.
func actionOf(a plan.Action) string {
	does, _, _ := strings.Cut(a.String(), ": ")
	return does
}

// tried returns the actions that met an obstacle when they were tried last.
func (m *memory[J]) tried(job J) []plan.Tried {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[client.ObjectKeyFromObject(job)]
	if j == nil || j.uid != job.GetUID() {
		return nil
	}
	if j.generation != job.GetGeneration() {
		j.tried = nil
	}
	return slices.Clone(j.tried)
}

// forget drops what is remembered of a job that is gone; without a UID, of whichever has
// the name.
func (m *memory[J]) forget(key types.NamespacedName, uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j := m.jobs[key]; j != nil && (uid == "" || j.uid == uid) {
		delete(m.jobs, key)
	}
}

// leave notes that a job was deleted.
func (m *memory[J]) leave(uid types.UID, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.left, func(_ types.UID, at time.Time) bool { return now.Sub(at) > longestLook })
	m.left[uid] = now
}

// hasLeft reports whether a job was deleted.
func (m *memory[J]) hasLeft(uid types.UID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, left := m.left[uid]
	return left
}

// pending is how long until something that the cache never showed is forgotten:
// the job must be looked at then. It is 0 if there is nothing.
func (m *memory[J]) pending(job J, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[client.ObjectKeyFromObject(job)]
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
	if next == 0 && !j.wrote && j.stale == 0 && len(j.tried) == 0 && j.refused == 0 {
		delete(m.jobs, client.ObjectKeyFromObject(job))
	}
	return next
}

// newest returns the newer of the given job and the one remembered.
func (m *memory[J]) newest(job J) J {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[client.ObjectKeyFromObject(job)]
	if j == nil || j.uid != job.GetUID() || !j.wrote {
		return job
	}
	n, err := resourceversion.CompareResourceVersion(job.GetResourceVersion(), j.job.GetResourceVersion())
	if err == nil && n < 0 {
		if fresh, ok := j.job.DeepCopyObject().(J); ok {
			return fresh
		}
	}
	j.wrote = false
	return job
}

// withOwnWrites completes what the cache shows of a job's pods or services by the
// controller's own writes. It may change the slice, but not what it points to.
func withOwnWrites[J, C client.Object](m *memory[J], job J, kind string, seen []C, now time.Time) []C {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[client.ObjectKeyFromObject(job)]
	if j == nil || j.uid != job.GetUID() {
		return seen
	}
	j.expire(now)
	for i := range seen {
		seen[i] = asWritten(j, kind, seen[i], now)
	}
	there := make(map[types.UID]bool, len(seen))
	for _, o := range seen {
		there[o.GetUID()] = true
	}
	shown := len(seen)
	for name, own := range j.created {
		if made, ok := own.object.(C); ok && name.kind == kind && !there[made.GetUID()] {
			there[made.GetUID()] = true
			seen = append(seen, asDeleted(j, kind, made, own.changed, now))
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

// expire forgets what was remembered for long enough.
func (j *jobMemory[J]) expire(now time.Time) {
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

// asWritten returns an object that the cache shows as the controller's own writes
// have left it.
func asWritten[J, C client.Object](j *jobMemory[J], kind string, o C, now time.Time) C {
	name, handsOff := childName{kind, o.GetName()}, false
	if own, ok := j.created[name]; ok {
		made, ok := own.object.(C)
		if !ok || !older(o, made) {
			delete(j.created, name)
		} else {
			o, handsOff = made, own.changed // The cache still shows the one before.
		}
	}
	return asDeleted(j, kind, o, handsOff, now)
}

// asDeleted returns an object as being deleted, if the controller did that or is to
// keep its hands off it.
func asDeleted[J, C client.Object](j *jobMemory[J], kind string, o C, handsOff bool, now time.Time) C {
	_, done := j.deleted[childUID{kind, o.GetUID()}]
	if o.GetDeletionTimestamp() == nil && (done || handsOff) {
		if leaving, ok := o.DeepCopyObject().(C); ok {
			leaving.SetDeletionTimestamp(&metav1.Time{Time: now})
			return leaving
		}
	}
	return o
}

// older tells whether a is an older state of the world than b.
func older(a, b client.Object) bool {
	n, err := resourceversion.CompareResourceVersion(a.GetResourceVersion(), b.GetResourceVersion())
	return err == nil && n < 0
}
