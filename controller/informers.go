package controller

import (
	"errors"
	"fmt"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
)

// informers are one for each namespace. Together they are a cache.Informer.
type informers []toolscache.SharedIndexInformer

// registrations are those of one handler with each informer.
type registrations []toolscache.ResourceEventHandlerRegistration

// AddEventHandler implements cache.Informer.
func (l informers) AddEventHandler(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return l.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{})
}

// AddEventHandlerWithResyncPeriod implements cache.Informer. Nothing is synced again.
func (l informers) AddEventHandlerWithResyncPeriod(
	h toolscache.ResourceEventHandler, _ time.Duration,
) (toolscache.ResourceEventHandlerRegistration, error) {
	return l.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{})
}

// AddEventHandlerWithOptions implements cache.Informer.
func (l informers) AddEventHandlerWithOptions(
	h toolscache.ResourceEventHandler, o toolscache.HandlerOptions,
) (toolscache.ResourceEventHandlerRegistration, error) {
	var out registrations
	for _, i := range l {
		r, err := i.AddEventHandlerWithOptions(h, o)
		if err != nil {
			return nil, errors.Join(err, l.RemoveEventHandler(out))
		}
		out = append(out, r)
	}
	return out, nil
}

// RemoveEventHandler implements cache.Informer.
func (l informers) RemoveEventHandler(handle toolscache.ResourceEventHandlerRegistration) error {
	all, ok := handle.(registrations)
	if !ok {
		return fmt.Errorf("%T is not a handle of these informers", handle)
	}
	var errs []error
	for i, r := range all {
		errs = append(errs, l[i].RemoveEventHandler(r))
	}
	return errors.Join(errs...)
}

// AddIndexers implements cache.Informer.
func (l informers) AddIndexers(indexers toolscache.Indexers) error {
	var errs []error
	for _, i := range l {
		errs = append(errs, i.AddIndexers(indexers))
	}
	return errors.Join(errs...)
}

// HasSynced implements cache.Informer.
func (l informers) HasSynced() bool {
	for _, i := range l {
		if !i.HasSynced() {
			return false
		}
	}
	return true
}

// HasSyncedChecker implements cache.Informer.
func (l informers) HasSyncedChecker() toolscache.DoneChecker {
	var all checkers
	for _, i := range l {
		all = append(all, i.HasSyncedChecker())
	}
	return all
}

// IsStopped implements cache.Informer.
func (l informers) IsStopped() bool {
	for _, i := range l {
		if i.IsStopped() {
			return true
		}
	}
	return false
}

// HasSynced implements cache.ResourceEventHandlerRegistration.
func (l registrations) HasSynced() bool {
	for _, r := range l {
		if !r.HasSynced() {
			return false
		}
	}
	return true
}

// HasSyncedChecker implements cache.ResourceEventHandlerRegistration.
func (l registrations) HasSyncedChecker() toolscache.DoneChecker {
	var all checkers
	for _, r := range l {
		all = append(all, r.HasSyncedChecker())
	}
	return all
}

// checkers are done when each of them is.
type checkers []toolscache.DoneChecker

// Name implements cache.DoneChecker.
func (l checkers) Name() string { return "the jobs of several namespaces" }

// Done implements cache.DoneChecker.
func (l checkers) Done() <-chan struct{} {
	all := make(chan struct{})
	go func() {
		defer close(all)
		for _, c := range l {
			<-c.Done()
		}
	}()
	return all
}
