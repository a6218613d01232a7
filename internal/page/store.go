package page

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// store holds the rows of all jobs, made again only for those that have changed.
type store struct {
	source Source
	now    func() time.Time

	mu      sync.Mutex
	dirty   map[Ref]bool
	wake    chan struct{} // holds a value if something is dirty
	entries map[Ref]*entry
	version uint64
	changed chan struct{} // closed when version rises
}

// entry is a job in the store.
type entry struct {
	uid     types.UID
	row     json.RawMessage
	history []Point
	// shown is the version at which the row has changed, and touched that at which
	// anything of the job may have.
	shown, touched uint64
}

func newStore(source Source, now func() time.Time) *store {
	return &store{
		source: source, now: now, dirty: map[Ref]bool{}, entries: map[Ref]*entry{},
		wake: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// mark notes that a job may have changed.
func (s *store) mark(ref Ref) {
	s.mu.Lock()
	s.dirty[ref] = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run keeps the rows up to date until ctx ends, at most once in an interval.
func (s *store) run(ctx context.Context, interval time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.refresh()
		pause := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// refresh makes the rows of what has changed, and wakes the readers.
func (s *store) refresh() {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = map[Ref]bool{}
	s.mu.Unlock()
	for ref := range dirty {
		s.update(ref)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// update makes one row.
func (s *store) update(ref Ref) {
	job, ok := s.source.Job(ref)
	if !ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.entries, ref)
		s.version++
		return
	}
	row, err := json.Marshal(RowOf(Input{Ref: ref, Job: job, Now: s.now()}))
	if err != nil {
		return // a row holds nothing that JSON cannot
	}
	status := jobview.FromObject(job.Object, nil).Status
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	e := s.entries[ref]
	if e == nil || e.uid != job.Object.GetUID() {
		e = &entry{uid: job.Object.GetUID()}
		s.entries[ref] = e
	}
	e.history = Observe(e.history, &status, job.Object.GetCreationTimestamp().Time)
	e.touched = s.version
	if string(e.row) != string(row) {
		e.row, e.shown = row, s.version
	}
}

// changes are what a reader that has seen a version, and holds the jobs in has, needs to
// know. It brings has up to date. The channel is closed at the next change.
func (s *store) changes(seen uint64, has map[Ref]bool) (rows []json.RawMessage, gone []string, version uint64, next <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, gone = []json.RawMessage{}, []string{}
	for ref, e := range s.entries {
		if e.shown > seen || !has[ref] {
			rows = append(rows, e.row)
			has[ref] = true
		}
	}
	for ref := range has {
		if s.entries[ref] == nil {
			gone = append(gone, ref.String())
			delete(has, ref)
		}
	}
	return rows, gone, s.version, s.changed
}

// touched is the version at which a job changed last, 0 if there is none, what was seen of
// it, and a channel that is closed at the next change of any job.
func (s *store) touched(ref Ref) (version uint64, history []Point, next <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[ref]; e != nil {
		version, history = e.touched, e.history
	}
	return version, history, s.changed
}
