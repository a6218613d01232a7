package watch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/internal/cli/watch"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// script is a watcher that plays back what happens when.
type script struct {
	begun   time.Time
	changes chan struct{}
	trouble func(since time.Duration) error
}

func (s *script) Changes() <-chan struct{} { return s.changes }

func (s *script) Snapshot(at time.Time) jobview.Snapshot { return jobview.Snapshot{At: at} }

func (s *script) Trouble() error { return s.trouble(time.Since(s.begun)) }

// log is a reporter that notes what it receives, and when.
type log struct {
	begun time.Time
	lines []string
}

func (l *log) Show(s jobview.Snapshot) { l.lines = append(l.lines, s.At.Sub(l.begun).String()) }

func (l *log) Say(at time.Time, lines ...string) {
	for _, line := range lines {
		l.lines = append(l.lines, at.Sub(l.begun).String()+" "+line)
	}
}

var errStop = errors.New("stop")

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		changes      []time.Duration
		trouble      func(time.Duration) error
		step         func(at time.Duration) (bool, error)
		cancelAfter  time.Duration
		want         []string
		wantErr      error
	}{
		{
			name: "gather", reason: "changes within a tenth of a second are shown together; without any, the ages are once a second",
			changes: []time.Duration{310 * time.Millisecond, 330 * time.Millisecond, 350 * time.Millisecond},
			step:    func(at time.Duration) (bool, error) { return at >= 2*time.Second, nil },
			want:    []string{"100ms", "400ms", "1.4s", "2.4s"},
		},
		{
			name: "error", reason: "an error of the step ends it, after the snapshot is shown",
			step:    func(time.Duration) (bool, error) { return false, errStop },
			want:    []string{"100ms"},
			wantErr: errStop,
		},
		{
			name: "cancelled", reason: "at the end of the context, what is known then is shown",
			step:        func(time.Duration) (bool, error) { return false, nil },
			cancelAfter: 1350 * time.Millisecond,
			want:        []string{"100ms", "1.1s", "1.35s"},
			wantErr:     errStop,
		},
		{
			name: "trouble", reason: "a short loss of the cluster is not worth a word; a longer one is reported once, and its end",
			step: func(at time.Duration) (bool, error) { return at >= 10*time.Second, nil },
			trouble: func(since time.Duration) error {
				if since > 1050*time.Millisecond && since < 2*time.Second || since > 3050*time.Millisecond && since < 8*time.Second {
					return errors.New("connection refused")
				}
				return nil
			},
			want: []string{
				"100ms", "1.1s", "2.1s", "3.1s", "4.1s", "5.1s",
				"6.1s the cluster cannot be watched, trying again: connection refused", "6.1s", "7.1s",
				"8s the cluster can be watched again", "8.1s", "9.1s", "10.1s",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				w := &script{begun: begun, changes: make(chan struct{}, 1), trouble: c.trouble}
				if w.trouble == nil {
					w.trouble = func(time.Duration) error { return nil }
				}
				for _, after := range c.changes {
					time.AfterFunc(after, func() { w.changes <- struct{}{} })
				}
				if c.cancelAfter > 0 {
					time.AfterFunc(c.cancelAfter, func() { cancel(errStop) })
				}
				l := &log{begun: begun}
				_, err := watch.Follow(ctx, w, l, func(s *jobview.Snapshot) (bool, error) { return c.step(s.At.Sub(begun)) })
				if !errors.Is(err, c.wantErr) {
					t.Errorf("%s: error %v, want %v", c.reason, err, c.wantErr)
				}
				if diff := cmp.Diff(c.want, l.lines); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.reason, diff)
				}
			})
		})
	}
}
