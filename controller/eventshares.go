package controller

import "sync"

// shares limit how many events are written at a time for one namespace, and how many wait for that.
type shares struct {
	// turns are how many have a turn at a time, and most how many have one or wait for one.
	turns, most int

	mu   sync.Mutex
	used map[string]*share
}

// share is what is under way for a namespace.
type share struct {
	turns chan struct{}
	// users are those that have a turn, or wait for one.
	users int
}

func newShares(turns, most int) *shares {
	return &shares{turns: turns, most: most, used: map[string]*share{}}
}

// of is the share of a namespace with one more user, unless it has most users already: then nil.
func (s *shares) of(namespace string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.used[namespace]
	switch {
	case of == nil:
		of = &share{turns: make(chan struct{}, s.turns)}
		s.used[namespace] = of
	case of.users >= s.most:
		return nil
	}
	of.users++
	return of
}

// take takes a turn and returns the function that gives it back. If all turns of the namespace are taken it waits,
// unless most users do so already: then it returns nil.
func (s *shares) take(namespace string) (giveBack func()) {
	of := s.of(namespace)
	if of == nil {
		return nil
	}
	of.turns <- struct{}{}
	return func() {
		<-of.turns
		s.mu.Lock()
		defer s.mu.Unlock()
		if of.users--; of.users == 0 {
			delete(s.used, namespace)
		}
	}
}
