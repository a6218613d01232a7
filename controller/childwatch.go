package controller

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// How often the controller checks whether a watch is up, and when it finds out why not.
const (
	syncPollInterval  = 50 * time.Millisecond
	firstDiagnosis    = time.Second
	diagnosisInterval = 10 * time.Second
	// longestSilence is how long a watch brings nothing before the controller asks whether it may still
	// read. The API server sends a bookmark about every minute, but of a kind of which nothing changes it may have
	// the same version for longer. Then it costs one small read.
	longestSilence = 3 * time.Minute
)

// watchChild has the manager's cache watch the children of one kind.
func (c *jobCache[J]) watchChild(ctx context.Context, o client.Object) {
	name := c.nameOf(o)
	var timer clock.RealClock // The process waits in real time, whatever the clock of the jobs is.
	for ask := timer.Now().Add(firstDiagnosis); ctx.Err() == nil; {
		informer, err := within(ctx, func() (cache.Informer, error) { return c.GetInformer(ctx, o) })
		pause := syncPollInterval
		switch {
		case err != nil:
			c.waits(ctx, name, err)
			pause = diagnosisInterval
		case informer.HasSynced():
			c.waits(ctx, name, nil)
			c.keepUp(ctx, o, versionOf(informer))
			return
		case timer.Now().After(ask):
			ask = timer.Now().Add(diagnosisInterval)
			c.waits(ctx, name, c.diagnose(ctx, o))
		}
		select {
		case <-ctx.Done():
		case <-timer.After(pause):
		}
	}
}

// diagnose finds out why children cannot be watched: the cache retries without reporting the
// error.
func (c *jobCache[J]) diagnose(ctx context.Context, o client.Object) error {
	gvk, err := apiutil.GVKForObject(o, c.reader.scheme)
	if err != nil {
		return fmt.Errorf("the scheme does not know %T: %w", o, err)
	}
	for _, ns := range c.namespaces {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		_, err := within(ctx, func() (any, error) {
			return nil, c.live.List(ctx, list, client.InNamespace(ns), client.Limit(1))
		})
		if err != nil {
			return err
		}
	}
	return errReading
}

// keepUp watches over a watch of children that was up, until ctx ends. An API server ends each watch
// after some minutes. If the operator is then no longer permitted to read, the cache tries again
// without reporting it, and holds what was true before.
func (c *jobCache[J]) keepUp(ctx context.Context, o client.Object, version func() string) {
	var timer clock.RealClock
	seen, at, lost := version(), timer.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.After(diagnosisInterval):
		}
		if now := version(); now != seen {
			seen, at = now, timer.Now()
		}
		if !lost && timer.Since(at) < longestSilence {
			continue
		}
		err := c.diagnose(ctx, o)
		if lost = lasting(err); !lost {
			err, at = nil, timer.Now()
		}
		c.waits(ctx, c.nameOf(o), err)
	}
}

// versionOf returns what reads the resource version that an informer has last heard of. Some have none: those of
// several namespaces.
func versionOf(informer cache.Informer) func() string {
	if i, ok := informer.(interface{ LastSyncResourceVersion() string }); ok {
		return i.LastSyncResourceVersion
	}
	return func() string { return "" }
}
