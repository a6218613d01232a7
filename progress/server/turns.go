package server

import "sync"

// turns are how many writes are under way, of each namespace. Where a webhook of one namespace does not answer, each
// write there would hold a writer until it times out, and there would be none for others.
type turns struct {
	most int

	mu   sync.Mutex
	all  int
	used map[string]int
}

func newTurns(most int) *turns { return &turns{most: most, used: map[string]int{}} }

// take takes a turn for a namespace, unless it has half of those already that others leave to it. One it may always
// have.
func (t *turns) take(namespace string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	used := t.used[namespace]
	if used >= max(1, (t.most-(t.all-used))/2) {
		return false
	}
	t.used[namespace]++
	t.all++
	return true
}

// give gives it back.
func (t *turns) give(namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.used[namespace]--; t.used[namespace] == 0 {
		delete(t.used, namespace)
	}
}
