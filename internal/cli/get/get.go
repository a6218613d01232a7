// Package get shows jobs of all kinds in one table.
package get

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Snapshot is what a list shows.
func Snapshot(found []jobs.Found, at time.Time) jobview.Snapshot {
	s := jobview.Snapshot{At: at, Jobs: make([]jobview.Job, 0, len(found))}
	for i := range found {
		s.Jobs = append(s.Jobs, found[i].View())
	}
	return s
}

// List is a list of jobs as kubectl prints it.
func List(found []jobs.Found) map[string]any {
	items := make([]any, 0, len(found))
	for i := range found {
		object := found[i].Object.DeepCopy()
		unstructured.RemoveNestedField(object.Object, "metadata", "managedFields")
		items = append(items, object.Object)
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
}

// Period is how often a Live list is read again.
const Period = 2 * time.Second

// Live is a list of jobs that is read again and again: new jobs come in, others go. It is a
// source for watch.Follow.
type Live struct {
	changes chan struct{}

	mu      sync.Mutex
	found   []jobs.Found
	trouble error
}

// NewLive starts to read, until ctx ends.
func NewLive(ctx context.Context, first []jobs.Found, period time.Duration, list func(context.Context) ([]jobs.Found, error)) *Live {
	l := &Live{changes: make(chan struct{}, 1), found: first}
	go func() {
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			found, err := list(ctx)
			l.mu.Lock()
			if l.trouble = err; err == nil {
				l.found = withGone(l.found, found)
			}
			l.mu.Unlock()
			select {
			case l.changes <- struct{}{}:
			default:
			}
		}
	}()
	return l
}

// withGone adds to a list the jobs that were asked for by name and have gone since the one before, as they were last
// seen, each at its place.
func withGone(before, now []jobs.Found) []jobs.Found {
	if !slices.ContainsFunc(before, func(f jobs.Found) bool { return f.Named }) {
		return now
	}
	all := make([]jobs.Found, 0, len(before))
	for _, old := range before {
		i := slices.IndexFunc(now, func(f jobs.Found) bool { return f.Kind == old.Kind && f.String() == old.String() })
		if i >= 0 {
			old = now[i]
		} else {
			old.Gone, old.Pods, old.NoPods = true, []*corev1.Pod{}, nil
		}
		all = append(all, old)
	}
	return all
}

// Changes receives when something may have changed.
func (l *Live) Changes() <-chan struct{} { return l.changes }

// Snapshot is what was read last.
func (l *Live) Snapshot(at time.Time) jobview.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Snapshot(l.found, at)
}

// Trouble says why the jobs cannot be read, or is nil.
func (l *Live) Trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}
