package controller

import (
	"context"
	"sync"
	"time"
)

const (
	// startSlots is how many jobs are acted for at a time, without those that take longer.
	startSlots = 16
	// slotLease is for how long a job counts at most: it is a large one, or waits for something else than the
	// API server's processors, such as an admission webhook of one namespace, and must not hold up others.
	slotLease = time.Second
)

// slots limit for how many jobs pods, services and other objects are written at a time. Many jobs that start
// at once would otherwise send hundreds of requests at once: the API server is no faster for it, each job has
// all its pods late, and the scheduler, whose bindings wait among them, is refused with "too many requests".
type slots chan struct{}

// take waits for a slot, or until the context ends, and returns the function that gives it back.
func (s slots) take(ctx context.Context) (giveBack func()) {
	select {
	case s <- struct{}{}:
	case <-ctx.Done():
		return func() {}
	}
	free := sync.OnceFunc(func() { <-s })
	lease := time.AfterFunc(slotLease, free) //nolint:forbidigo // nothing is decided by it
	return func() {
		lease.Stop()
		free()
	}
}

// shares limit how much is under way at a time for one namespace. Where a webhook of one namespace does not
// answer, each of its jobs would hold a worker until the request times out, and there would be none for others.
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

// workerShare is how many workers the jobs of a namespace may hold: half of them, but as many as there are
// slots, so that only those count that have outlived their lease of one.
func workerShare(workers int) *shares {
	most := max(workers/2, startSlots)
	return newShares(most, most) // none waits
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
