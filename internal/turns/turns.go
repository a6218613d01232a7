// Package turns shares out a number of workers among namespaces. Where a webhook of one namespace does not answer, each
// write there would hold a worker until it times out, and there would be none for the others.
package turns

import "sync"

// Turns are how many workers are held, by which namespaces.
type Turns struct {
	most int

	mu   sync.Mutex
	all  int
	held map[string]int
}

// New returns turns for a number of workers.
func New(most int) *Turns { return &Turns{most: most, held: map[string]int{}} }

// Take takes a turn for a namespace, unless it has half of those already that others leave to it. It may always have
// one. It returns false if there is none: the caller tries again after a while, and holds no worker until then.
func (t *Turns) Take(namespace string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.held[namespace]
	if held >= max(1, (t.most-(t.all-held))/2) {
		return false
	}
	t.held[namespace]++
	t.all++
	return true
}

// Give gives one back.
func (t *Turns) Give(namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.held[namespace]--; t.held[namespace] == 0 {
		delete(t.held, namespace)
	}
}
