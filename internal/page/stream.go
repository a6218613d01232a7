package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// beat is how often a stream says something even if nothing has changed, so that both
	// sides notice when the other is gone.
	beat = 15 * time.Second
	// writeTimeout is how long a browser may take to read one message.
	writeTimeout = 20 * time.Second
)

// stream sends server-sent events.
type stream struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
}

// newStream begins a stream; its function ends it. It is nil if there are too many.
func (s *Server) newStream(w http.ResponseWriter, contentType string) (*stream, func()) {
	select {
	case s.streams <- struct{}{}:
	default:
		http.Error(w, "too many pages are open: close some", http.StatusTooManyRequests)
		return nil, nil
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	out := &stream{w: w, ctrl: http.NewResponseController(w)}
	_ = out.ctrl.Flush() // the browser is to know that it is connected, also while there is nothing to show
	return out, func() { <-s.streams }
}

// write sends bytes now.
func (s *stream) write(b []byte) error {
	_ = s.ctrl.SetWriteDeadline(time.Now().Add(writeTimeout)) // tests have writers without
	if _, err := s.w.Write(b); err != nil {
		return fmt.Errorf("the browser is gone: %w", err)
	}
	if err := s.ctrl.Flush(); err != nil {
		return fmt.Errorf("the browser is gone: %w", err)
	}
	return nil
}

// send sends an event.
func (s *stream) send(event string, data []byte) error {
	return s.write(slices.Concat([]byte("event: "+event+"\ndata: "), data, []byte("\n\n")))
}

// wait waits for a change, or another one, and sends a beat now and then. changed says that it was the
// first; on is false when the stream is over.
func (s *stream) wait(ctx context.Context, change, other <-chan struct{}) (changed, on bool) {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, false
	case <-change:
		return true, true
	case <-other:
		return false, true
	case <-timer.C:
		return false, s.write([]byte(": beat\n\n")) == nil
	}
}

// listUpdate is a message of the list's stream.
type listUpdate struct {
	Rows     []json.RawMessage `json:"rows"`
	Gone     []string          `json:"gone"`
	Troubles []string          `json:"troubles"`
}

// listJobs streams the rows of all jobs.
func (s *Server) listJobs(w http.ResponseWriter, r *http.Request) {
	out, done := s.newStream(w, "text/event-stream")
	if out == nil {
		return
	}
	defer done()
	has, seen, troubles := map[Ref]bool{}, uint64(0), []string(nil)
	for first := true; ; first = false {
		update := listUpdate{}
		var next <-chan struct{}
		update.Rows, update.Gone, seen, next = s.store.changes(seen, has)
		update.Troubles = s.troubles()
		if first || len(update.Rows)+len(update.Gone) > 0 || !slices.Equal(troubles, update.Troubles) {
			troubles = update.Troubles
			data, err := json.Marshal(update)
			if err != nil || out.send("jobs", data) != nil {
				return
			}
		}
		if _, on := out.wait(r.Context(), next, nil); !on {
			return
		}
	}
}

func (s *Server) troubles() []string {
	out := []string{}
	for _, t := range s.options.Source.Troubles() {
		out = append(out, text(t))
	}
	return out
}

// eventsOf follows the events of one job for one stream.
type eventsOf struct {
	source  Source
	changed chan struct{}
	running sync.WaitGroup
	job     types.UID
	end     context.CancelFunc

	mu      sync.Mutex
	events  []corev1.Event
	trouble string
}

// follow begins with the events of a job, unless it follows them already. A job that is not known when
// the stream begins can appear later, and another one can take its name.
func (e *eventsOf) follow(ctx context.Context, ref Ref, job types.UID) {
	if e.end != nil && e.job == job {
		return
	}
	e.stop()
	e.set(nil, "")
	ctx, e.end = context.WithCancel(ctx)
	e.job = job
	e.running.Go(func() { _ = e.source.Events(ctx, ref, e.set) })
}

// stop waits until nothing sets events any more.
func (e *eventsOf) stop() {
	if e.end != nil {
		e.end()
	}
	e.running.Wait()
}

func (e *eventsOf) set(events []corev1.Event, trouble string) {
	e.mu.Lock()
	e.events, e.trouble = events, trouble
	e.mu.Unlock()
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

func (e *eventsOf) get() (events []corev1.Event, trouble string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.events, e.trouble
}

// showJob streams the view of a job, each part when it has changed.
func (s *Server) showJob(w http.ResponseWriter, r *http.Request) {
	ref := refOf(r)
	out, done := s.newStream(w, "text/event-stream")
	if out == nil {
		return
	}
	defer done()
	ctx := r.Context()
	events := &eventsOf{source: s.options.Source, changed: make(chan struct{}, 1)}
	defer events.stop()
	rights := s.rights(ctx, ref)
	sent := map[string][]byte{}
	for {
		seen, history, next := s.store.touched(ref)
		known := s.options.Source.Known(ref) // before the job is read: what is not there now may come with the others
		job, ok := s.options.Source.Job(ref)
		if !ok {
			if known && out.send("gone", []byte("{}")) != nil {
				return
			}
			if _, on := out.wait(ctx, next, nil); !on {
				return
			}
			continue
		}
		events.follow(ctx, ref, job.Object.GetUID())
		in := Input{Ref: ref, Job: job, History: history, Now: s.options.Now()}
		in.Events, in.EventsTrouble = events.get()
		view := ViewOf(in)
		view.Head.Rights = rights
		if out.sendChanged(sent, view) != nil || !out.waitFor(ctx, s.store, ref, seen, next, events.changed) {
			return
		}
	}
}

// sendChanged sends the parts of a view that are not as they were sent.
func (s *stream) sendChanged(sent map[string][]byte, v View) error {
	for _, part := range []struct {
		name  string
		value any
	}{{"head", v.Head}, {"roles", v.Roles}, {"pods", v.Pods}, {"timeline", v.Timeline}, {"events", v.Events}} {
		data, err := json.Marshal(part.value)
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", part.name, err)
		}
		if bytes.Equal(sent[part.name], data) {
			continue
		}
		sent[part.name] = data
		if err := s.send(part.name, data); err != nil {
			return err
		}
	}
	return nil
}

// waitFor waits until one job changes, or its events, or it is time for a beat.
// seen and next are what the store said before the job was read, so that nothing is missed.
func (s *stream) waitFor(ctx context.Context, store *store, ref Ref, seen uint64, next, events <-chan struct{}) bool {
	for {
		changed, on := s.wait(ctx, next, events)
		if !on || !changed {
			return on // events, or a beat
		}
		version, _, again := store.touched(ref)
		if version != seen {
			return true
		}
		next = again
	}
}

// rights are what the user may do with a job; none if the page is read-only.
func (s *Server) rights(ctx context.Context, ref Ref) *Rights {
	if s.options.Steering == nil {
		return &Rights{Logs: true}
	}
	rights, err := s.options.Steering.Rights(ctx, ref)
	if err != nil {
		// Not knowing is no reason to hide what the API server decides anyway.
		return &Rights{Change: true, Restart: true, Delete: true, Logs: true}
	}
	return &rights
}
