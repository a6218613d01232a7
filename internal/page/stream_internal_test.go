package page

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// TestEventsBesideOtherJobs: events of a job that come while another job changes are shown at once, not with
// the next beat.
func TestEventsBesideOtherJobs(t *testing.T) {
	t.Parallel()
	for range 20 { // which of two channels is taken is left to chance
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			w := httptest.NewRecorder()
			s := &stream{w: w, ctrl: http.NewResponseController(w)}
			jobs := newStore(nil, time.Now)
			_, _, next := jobs.touched(Ref{})
			jobs.refresh()
			events := make(chan struct{}, 1)
			events <- struct{}{}
			if !s.waitFor(t.Context(), jobs, Ref{}, 0, next, events) || time.Since(began) > 0 {
				t.Errorf("the events are shown after %s", time.Since(began))
			}
		})
	}
}
