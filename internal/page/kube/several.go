package kube

import (
	"context"
	"io"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit/internal/page"
)

// Several shows the jobs of some namespaces, of which each has a Cluster of its own.
type Several map[string]*Cluster

var _ page.Source = Several{}

// Watch implements page.Source.
func (s Several) Watch(ctx context.Context, changed func(page.Ref)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		running sync.WaitGroup
		once    sync.Once
		first   error
	)
	for _, c := range s {
		running.Go(func() {
			if err := c.Watch(ctx, changed); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	running.Wait()
	return first
}

// Job implements page.Source.
func (s Several) Job(ref page.Ref) (page.Job, bool) {
	if c := s[ref.Namespace]; c != nil {
		return c.Job(ref)
	}
	return page.Job{}, false
}

// Known implements page.Source.
func (s Several) Known(ref page.Ref) bool {
	c := s[ref.Namespace]
	return c == nil || c.Known(ref)
}

// Events implements page.Source.
func (s Several) Events(ctx context.Context, ref page.Ref, changed func([]corev1.Event, string)) error {
	if c := s[ref.Namespace]; c != nil {
		return c.Events(ctx, ref, changed)
	}
	return nil
}

// Logs implements page.Source.
func (s Several) Logs(ctx context.Context, r page.LogRequest) (io.ReadCloser, error) {
	if c := s[r.Namespace]; c != nil {
		return c.Logs(ctx, r)
	}
	return nil, page.ErrChanged
}

// Troubles implements page.Source.
func (s Several) Troubles() []string {
	var all []string
	for namespace, c := range s {
		for _, t := range c.Troubles() {
			all = append(all, namespace+": "+t)
		}
	}
	slices.Sort(all)
	return all
}
