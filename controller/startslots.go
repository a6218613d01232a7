package controller

import (
	"context"
	"sync"
	"time"

	"github.com/jobkit/jobkit/internal/turns"
)

const (
	// startSlots is how many jobs are acted for at a time, without those that take longer. With 16, and with 4, 500 jobs run
	// later: the API server is busier with creates while the pods of the first jobs start, or not busy enough.
	startSlots = 8
	// slotLease is for how long a job counts at most: it is a large one, or waits for something else than the
	// API server's processors, such as an admission webhook of one namespace, and must not hold up others.
	slotLease = 750 * time.Millisecond
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

// workerTurns are how many workers write for the jobs of each namespace. Where there are few workers, one namespace may
// hold as many as there are slots, so that only those count that have outlived their lease of one.
func workerTurns(workers int) *turns.Turns { return turns.New(max(workers, 2*startSlots)) }
