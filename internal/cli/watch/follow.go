package watch

import (
	"context"
	"time"

	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// source is where the snapshots come from; a Watcher is one.
type source interface {
	// Changes receives when something may have changed.
	Changes() <-chan struct{}
	// Snapshot is what is known at the given moment.
	Snapshot(at time.Time) jobview.Snapshot
	// Trouble says why the cluster cannot be watched, or is nil.
	Trouble() error
}

// display is where they go; a Reporter is one.
type display interface {
	// Show shows a snapshot.
	Show(s jobview.Snapshot)
	// Say writes lines that stay.
	Say(at time.Time, lines ...string)
}

const (
	// gatherPeriod is how long changes are collected before they are shown: one change on
	// the cluster is often several on its objects.
	gatherPeriod = 100 * time.Millisecond
	// agePeriod is how often the ages are updated when nothing else changed.
	agePeriod = time.Second
	// troubleDelay is how long the cluster may be out of reach before that is reported.
	troubleDelay = 3 * time.Second
)

// Follow shows the jobs until step returns true or an error. step gets each snapshot
// before it is shown, and may add to it. Follow returns the last snapshot, and the error
// of step or, if ctx ends first, the cause of that.
func Follow(ctx context.Context, w source, r display,
	step func(s *jobview.Snapshot) (done bool, err error),
) (jobview.Snapshot, error) {
	ticker := time.NewTicker(gatherPeriod)
	defer ticker.Stop()
	var (
		shown     time.Time
		changed   = true
		complaint Complaint
	)
	for {
		select {
		case <-w.Changes():
			changed = true
			continue
		case <-ctx.Done():
			s := w.Snapshot(time.Now())
			_, _ = step(&s) // only for what it adds
			r.Show(s)
			return s, context.Cause(ctx)
		case <-ticker.C:
		}
		now := time.Now()
		if text := complaint.About(w.Trouble(), now); text != "" {
			r.Say(now, text)
		}
		if !changed && now.Sub(shown) < agePeriod {
			continue
		}
		changed, shown = false, now
		s := w.Snapshot(now)
		done, err := step(&s)
		r.Show(s)
		if done || err != nil {
			return s, err
		}
	}
}

// Complaint reports that the cluster is out of reach: once, and after a delay.
type Complaint struct {
	since time.Time
	said  bool
}

// About returns what to say of a trouble now; empty if there is nothing to say.
func (c *Complaint) About(trouble error, now time.Time) string {
	switch {
	case trouble == nil && c.said:
		*c = Complaint{}
		return "the cluster can be watched again"
	case trouble == nil:
		*c = Complaint{}
	case c.since.IsZero():
		c.since = now
	case !c.said && now.Sub(c.since) >= troubleDelay:
		c.said = true
		return "the cluster cannot be watched, trying again: " + trouble.Error()
	}
	return ""
}
