package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/apierror"
	"github.com/jobkit/jobkit/internal/progress/protocol"
	"github.com/jobkit/jobkit/internal/turns"
	"github.com/jobkit/jobkit/progress"
)

const (
	// writeEvery is how often the last report of a job is written at most, by all replicas of the
	// operator together.
	writeEvery = 5 * time.Second
	// turn is how much longer a replica waits that has not written the last report: of several that
	// take reports of the same job, one goes on to write, and the others do not meet its writes.
	turn = 2500 * time.Millisecond
	// firstWrites is how many writes a second are begun at once by jobs that did not report before.
	// When more jobs start, their writes are spread over the time until the next, and stay so.
	firstWrites = 10
	// writers is how many writes are under way at the same time.
	writers = 16
	// writeTimeout is how long the API server may take, and flushTimeout how long at the end.
	writeTimeout = 10 * time.Second
	flushTimeout = 1500 * time.Millisecond
	// retryConflict is how long the cache may take to show the job as it is now; retryFailed is
	// how long to wait after an error. An API server that fails gets no more writes than one that
	// does not.
	retryConflict = 100 * time.Millisecond
	retryFailed   = writeEvery
	// retryTurn is when to try again to get a turn.
	retryTurn = 250 * time.Millisecond
	// jobReports and jobBurst are how many reports of one job are accepted in a second.
	jobReports = 50
	jobBurst   = 100
	// maxPending is how many bytes the reports that wait to be written have together, apart from those
	// without metrics, which are small: there is one for each job at most.
	maxPending = 32 << 20
	// forgetAfter is after what time without a report a job is forgotten.
	forgetAfter = time.Minute
)

// jobKey is a job.
type jobKey struct {
	resource schema.GroupVersionResource
	name     types.NamespacedName
	uid      types.UID
}

// entry is what is known of a job that reports.
type entry struct {
	limiter *rate.Limiter
	// pending is the newest report that is not written, and size how many bytes it has.
	pending *commonv1.TrainerStatus
	size    int
	// written is when the last report was written, or seen in the cache, and received when that
	// report had come. mine says whether this replica wrote it.
	written, received time.Time
	mine              bool
	// tried is the version of the job that a write met a conflict with.
	tried string
	// urgent says that the report does not wait, and hurried when there was one last that did not.
	urgent  bool
	hurried time.Time
	// seen is when the last report came.
	seen time.Time
}

// writes merges reports and writes them.
type writes struct {
	// get reads a job from the cache; patch writes its last report.
	get     func(jobKey) (progress.Job, bool)
	patch   func(context.Context, jobKey, progress.Job, *commonv1.TrainerStatus) error
	now     func() time.Time
	log     logr.Logger
	metrics *metrics
	// report records how the writes to a job end: nil, or that the API server is away. waited records one
	// that got no answer in time, and when it began.
	report func(jobKey, error)
	waited func(jobKey, time.Time, error)

	queue  workqueue.TypedDelayingInterface[jobKey]
	spread *rate.Limiter
	turns  *turns.Turns

	mu      sync.Mutex
	entries map[jobKey]*entry
	bytes   int
	// unwritten are the jobs whose last report could not be written, by UID.
	unwritten map[types.UID]unwritten
}

// unwritten is a job whose last report could not be written, and when that report came.
type unwritten struct {
	job jobKey
	at  time.Time
}

func newWrites() *writes {
	return &writes{
		queue:   workqueue.NewTypedDelayingQueue[jobKey](),
		spread:  rate.NewLimiter(firstWrites, 1),
		entries: map[jobKey]*entry{},
		turns:   turns.New(writers),
		report:  func(jobKey, error) {},
		waited:  func(jobKey, time.Time, error) {},

		unwritten: map[types.UID]unwritten{},
	}
}

// entry returns what is known of a job. The caller holds the lock.
func (w *writes) entry(k jobKey) *entry {
	e := w.entries[k]
	if e == nil {
		e = &entry{limiter: rate.NewLimiter(jobReports, jobBurst)}
		w.entries[k] = e
	}
	e.seen = w.now()
	return e
}

// admit reports whether a job may report now, whatever it reports.
func (w *writes) admit(k jobKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entry(k)
	return e.limiter.AllowN(e.seen, 1)
}

// observe records that the cache shows a report, which this replica or another has written.
func (w *writes) observe(k jobKey, last *commonv1.TrainerStatus) {
	if last == nil || last.ReceivedTime == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entry(k)
	if at := last.ReceivedTime.Truncate(time.Microsecond); !e.received.Equal(at) {
		e.written, e.received, e.mine = e.seen, at, false
	}
}

// accept takes a report that is to be written when its time comes. If too much waits already, it is
// written without its metrics: a tenant of many jobs with large reports must not keep those of others out, who
// would be taken to hang.
func (w *writes) accept(k jobKey, job progress.Job, s *commonv1.TrainerStatus, size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entry(k)
	if w.bytes+size-e.size > maxPending {
		short := *s
		short.Metrics = nil
		s, size = &short, 0
	}
	w.metrics.accepted.Inc()
	waiting := e.pending != nil
	if waiting {
		w.metrics.merged.Inc()
	}
	w.bytes += size - e.size
	e.pending, e.size = s, size
	switch {
	case isEnd(s) && !isEnd(job.Last) && e.seen.Sub(e.hurried) >= writeEvery:
		// The program is about to end, and then nothing is written any more.
		e.urgent, e.hurried = true, e.seen
		w.queue.Add(k)
	case !waiting:
		w.queue.AddAfter(k, w.delay(e, job))
	}
}

// delay is how long a new report waits.
func (w *writes) delay(e *entry, job progress.Job) time.Duration {
	now := w.now()
	if wait := untilDue(e, job.Last, now); wait > 0 || !e.written.IsZero() && now.Sub(e.written) < 3*writeEvery {
		return wait
	}
	r := w.spread.ReserveN(now, 1)
	d := r.DelayFrom(now)
	if d > writeEvery {
		r.CancelAt(now)
		d = rand.N(writeEvery) //nolint:gosec // it spreads, and keeps no secret
	}
	return d
}

// untilDue is how long it takes until a job's last report may be written again. After the start
// of this replica, only the last report in the cache shows when that was.
func untilDue(e *entry, last *commonv1.TrainerStatus, now time.Time) time.Duration {
	written, pause := e.written, writeEvery
	if !e.mine {
		pause += turn
	}
	if written.IsZero() && last != nil && last.ReceivedTime != nil && !last.ReceivedTime.After(now) {
		written = last.ReceivedTime.Time
	}
	if written.IsZero() {
		return 0
	}
	return min(max(written.Add(pause).Sub(now), 0), pause)
}

// superseded reports whether another replica has written a newer report. One from the future is
// of a clock that is wrong.
func superseded(s, last *commonv1.TrainerStatus, now time.Time) bool {
	return last != nil && last.ReceivedTime != nil && !last.ReceivedTime.After(now) && last.ReceivedTime.After(s.ReceivedTime.Time)
}

// run writes until ctx ends, and then, for as long as flushTimeout, what still waits: reports that
// were accepted are not lost when the server ends.
func (w *writes) run(ctx context.Context) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for {
				k, ended := w.queue.Get()
				if ended {
					return
				}
				w.write(own, k, false)
				w.queue.Done(k)
			}
		})
	}
	ticker := time.NewTicker(forgetAfter)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			w.forget()
		}
	}
	last, stop := context.WithTimeout(own, flushTimeout)
	defer stop()
	w.flush(last)
	cancel()
	w.queue.ShutDown()
	all.Wait()
}

// flush writes all that waits.
func (w *writes) flush(ctx context.Context) {
	w.mu.Lock()
	var keys []jobKey
	for k, e := range w.entries {
		if e.pending != nil {
			keys = append(keys, k)
		}
	}
	w.mu.Unlock()
	slots := make(chan struct{}, 4*writers)
	var all sync.WaitGroup
	for _, k := range keys {
		slots <- struct{}{}
		all.Go(func() {
			w.write(ctx, k, true)
			<-slots
		})
	}
	all.Wait()
}

// write writes the report of a job that waits, or drops it if it is no longer to be written, or
// lets it wait on.
func (w *writes) write(ctx context.Context, k jobKey, atOnce bool) {
	s, tried := w.take(k)
	if s == nil {
		return
	}
	job, ok := w.get(k)
	now := w.now()
	switch {
	case !ok, job.UID != k.uid, job.Closed != "", superseded(s, job.Last, now):
		w.metrics.writes.WithLabelValues(resultDropped).Inc()
		w.done(k, s, false)
		return
	case job.ResourceVersion == tried && !atOnce:
		w.queue.AddAfter(k, retryConflict) // The cache does not show yet what the write met.
		return
	}
	if wait := w.wait(k, job, now); wait > 0 && !atOnce {
		w.queue.AddAfter(k, wait)
		return
	}
	if !atOnce {
		if !w.turns.Take(k.name.Namespace) {
			w.waits(k, s)
			w.queue.AddAfter(k, retryTurn)
			return
		}
		defer w.turns.Give(k.name.Namespace)
	}
	w.send(ctx, k, job, s)
}

// send writes a report, and follows up.
func (w *writes) send(ctx context.Context, k jobKey, job progress.Job, s *commonv1.TrainerStatus) {
	began := w.now()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := w.patch(ctx, k, job, s)
	if refusesReport(err) && len(s.Metrics) > 0 {
		// A status may be too large with them. That the job makes progress is to be seen all the same.
		short := *s
		short.Metrics = nil
		err = w.patch(ctx, k, job, &short)
	}
	if err != nil && ctx.Err() != nil {
		err = lateError{err, began}
	}
	w.conclude(k, job, s, err)
}

// lateError is that of a write that got no answer in time, or was not waited for.
type lateError struct {
	error

	began time.Time
}

// Unwrap returns what it wraps.
func (e lateError) Unwrap() error { return e.error }

// take returns the report that waits, and the version of the job that a write met a conflict with.
func (w *writes) take(k jobKey) (*commonv1.TrainerStatus, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entries[k]
	if e == nil {
		return nil, ""
	}
	return e.pending, e.tried
}

// wait is how long a report waits on: another replica may have written meanwhile.
func (w *writes) wait(k jobKey, job progress.Job, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entries[k]
	if e == nil || e.urgent {
		return 0
	}
	return untilDue(e, job.Last, now)
}

// isEnd reports whether a report says 100 percent.
func isEnd(s *commonv1.TrainerStatus) bool {
	return s != nil && s.ProgressPercentage != nil && *s.ProgressPercentage >= 100
}

// conclude follows up a write by its result.
func (w *writes) conclude(k jobKey, job progress.Job, s *commonv1.TrainerStatus, err error) {
	switch {
	case err == nil:
		w.metrics.writes.WithLabelValues(resultWritten).Inc()
		w.report(k, nil)
		w.written(k)
		w.done(k, s, true)
	case apierrors.IsConflict(err):
		// The cache is behind, or another job has the name: it shows that soon.
		w.metrics.writes.WithLabelValues(resultConflict).Inc()
		w.report(k, nil)
		w.mark(k, job.ResourceVersion)
		w.queue.AddAfter(k, retryConflict)
	case apierrors.IsNotFound(err):
		w.metrics.writes.WithLabelValues(resultDropped).Inc()
		w.done(k, s, false)
	default:
		w.metrics.writes.WithLabelValues(resultFailed).Inc()
		w.failed(k, s, err)
		late, isLate := errors.AsType[lateError](err)
		switch {
		case refusesReport(err):
			w.done(k, s, true) // It would be refused again.
			return
		case isLate:
			w.waited(k, late.began, err)
		case apierror.Away(err):
			w.report(k, err)
		}
		w.queue.AddAfter(k, retryFailed)
	}
}

// refusesReport reports whether the API server will not take this very report, and is well.
func refusesReport(err error) bool {
	return err != nil && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierror.TooLarge(err))
}

// waits records that a report is not written yet. It shows progress all the same: see unwrittenAt. It reports
// whether the one before it was written.
func (w *writes) waits(k jobKey, s *commonv1.TrainerStatus) (first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.unwritten[k.uid]
	w.unwritten[k.uid] = unwritten{k, s.ReceivedTime.Time}
	return !known
}

// failed records that a report could not be written.
func (w *writes) failed(k jobKey, s *commonv1.TrainerStatus, err error) {
	if w.waits(k, s) {
		w.log.Info("A report of progress cannot be written; its job is not taken to hang for that",
			"resource", k.resource.Resource, "namespace", k.name.Namespace, "name", k.name.Name, "reason", err.Error())
	}
}

// unwrittenAt is when the last report of a job came, if it could not be written; otherwise zero.
func (w *writes) unwrittenAt(job types.UID) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unwritten[job].at
}

// done ends the wait of a report, unless a newer one came meanwhile.
func (w *writes) done(k jobKey, s *commonv1.TrainerStatus, tried bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entries[k]
	if e == nil {
		return
	}
	e.tried = ""
	if tried {
		e.written, e.received, e.mine = w.now(), s.ReceivedTime.Truncate(time.Microsecond), true
	}
	if e.pending == s {
		w.bytes -= e.size
		e.pending, e.size, e.urgent = nil, 0, false
		return
	}
	if !e.urgent { // One that does not wait is in the queue already.
		w.queue.AddAfter(k, writeEvery)
	}
}

// mark remembers the version of a job that a write met a conflict with.
func (w *writes) mark(k jobKey, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.entries[k]; e != nil {
		e.tried = version
	}
}

// forget drops jobs that have not reported for a while, and those that take no more reports.
func (w *writes) forget() {
	w.mu.Lock()
	for k, e := range w.entries {
		if e.pending == nil && w.now().Sub(e.seen) > forgetAfter {
			delete(w.entries, k)
		}
	}
	jobs := slices.Collect(maps.Values(w.unwritten))
	w.mu.Unlock()
	for _, u := range jobs {
		if job, ok := w.get(u.job); !ok || job.UID != u.job.uid || job.Closed != "" {
			w.written(u.job)
		}
	}
}

// written forgets that a report of a job could not be written.
func (w *writes) written(k jobKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.unwritten, k.uid)
}

// patchOf is a merge patch of the last report alone, with the version and the UID of the job as
// preconditions. What the report does not have is removed.
func patchOf(job progress.Job, s *commonv1.TrainerStatus) ([]byte, error) {
	type reporter struct {
		Pod     string                `json:"pod"`
		PodUID  types.UID             `json:"podUID"`
		Type    *commonv1.ReplicaType `json:"type"`
		Index   int32                 `json:"index"`
		Attempt int32                 `json:"attempt"`
	}
	r := reporter{Pod: s.Reporter.Pod, PodUID: s.Reporter.PodUID, Index: s.Reporter.Index, Attempt: s.Reporter.Attempt}
	if s.Reporter.Type != "" {
		r.Type = &s.Reporter.Type
	}
	text, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": job.UID, "resourceVersion": job.ResourceVersion},
		"status": map[string]any{"trainerStatus": map[string]any{
			"progressPercentage": s.ProgressPercentage, "estimatedRemainingSeconds": s.EstimatedRemainingSeconds, "metrics": s.Metrics,
			"lastUpdatedTime": s.LastUpdatedTime, "receivedTime": s.ReceivedTime, "reporter": r,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot write a report: %w", err)
	}
	return text, nil
}

// newPatch returns a function that writes the last report of a job. The answer is the job's
// metadata, so that a large job costs little.
func newPatch(c client.Client, kinds func(schema.GroupVersionResource) schema.GroupVersionKind) func(
	context.Context, jobKey, progress.Job, *commonv1.TrainerStatus,
) error {
	return func(ctx context.Context, k jobKey, job progress.Job, s *commonv1.TrainerStatus) error {
		text, err := patchOf(job, s)
		if err != nil {
			return err
		}
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(kinds(k.resource))
		o.Namespace, o.Name = k.name.Namespace, k.name.Name
		return c.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, text),
			client.FieldOwner(protocol.FieldOwner), client.FieldValidation(metav1.FieldValidationStrict))
	}
}
