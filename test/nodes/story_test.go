//go:build linux && nodes

package nodes

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// story is when the API server reported what happens to a job that fails.
type story struct {
	job *job

	mu      sync.Mutex
	counted time.Time
	// failed, deleted, created and ready are of pods, by UID.
	failed, deleted, created, ready map[types.UID]time.Time
}

// watch begins to record.
func (j *job) watch() *story {
	j.t.Helper()
	ctx, cancel := context.WithCancel(j.t.Context())
	s := &story{
		job: j, failed: map[types.UID]time.Time{}, deleted: map[types.UID]time.Time{},
		created: map[types.UID]time.Time{}, ready: map[types.UID]time.Time{},
	}
	jobs := &unstructured.UnstructuredList{}
	jobs.SetGroupVersionKind(j.object().GroupVersionKind())
	var group sync.WaitGroup
	j.t.Cleanup(func() { cancel(); group.Wait() })
	follow := func(list client.ObjectList, note func(watch.Event), which client.ListOption) {
		w, err := world.client.Watch(ctx, list, client.InNamespace(namespace), which)
		if err != nil {
			j.t.Fatal(err)
		}
		group.Go(func() {
			defer w.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case e, open := <-w.ResultChan():
					if !open {
						return
					}
					s.mu.Lock()
					note(e)
					s.mu.Unlock()
				}
			}
		})
	}
	follow(&corev1.PodList{}, s.pod, client.MatchingLabels{commonv1.JobNameLabel: j.name})
	follow(jobs, s.status, client.MatchingFields{"metadata.name": j.name})
	return s
}

func (s *story) status(e watch.Event) {
	u, ok := e.Object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	if n, _, _ := unstructured.NestedInt64(u.Object, "status", "restarts"); n > 0 {
		s.counted = first(s.counted)
	}
}

func (s *story) pod(e watch.Event) {
	p, ok := e.Object.(*corev1.Pod)
	if !ok {
		return
	}
	note := func(times map[types.UID]time.Time) { times[p.UID] = first(times[p.UID]) }
	switch e.Type {
	case watch.Added:
		note(s.created)
	case watch.Deleted:
		note(s.deleted)
	case watch.Modified, watch.Bookmark, watch.Error:
	}
	// The kubelet reports a second before that a container has ended. That alone is no failure.
	restarted := slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.RestartCount > 0 })
	if p.Status.Phase == corev1.PodFailed || restarted {
		note(s.failed)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			note(s.ready)
		}
	}
}

// first is the time of an event that may have happened before.
func first(before time.Time) time.Time {
	if before.IsZero() {
		return time.Now()
	}
	return before
}

// report logs how long each part of a recovery took, and checks the operator's share. That is
// from the first failure in a pod's status to its count, and from what allows a pod, the end of
// those before or the readiness of Workers, to its creation.
func (s *story) report(killed time.Time, before map[string]*corev1.Pod) {
	j := s.job
	j.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed, created time.Time
	for _, at := range s.failed {
		if failed.IsZero() || at.Before(failed) {
			failed = at
		}
	}
	if failed.IsZero() || s.counted.IsZero() {
		j.t.Fatalf("%s: no failure or no count was seen", j.name)
	}
	for _, p := range before {
		delete(s.created, p.UID)
	}
	var slowest time.Duration
	for _, at := range s.created {
		if at.After(created) {
			created = at
		}
		slowest = max(slowest, at.Sub(lastUntil(at, s.counted, s.deleted, s.ready)))
	}
	share := max(s.counted.Sub(failed), 0) + slowest
	pods := "the same pods"
	if !created.IsZero() {
		pods = "new pods created after " + created.Sub(killed).Round(time.Millisecond).String()
	}
	_, stepped, _ := j.again(killed)
	j.t.Logf("%s: failure seen after %v, counted after %v, %s, first step of all %d processes after %v; the operator's own share is %v (target %v)",
		j.name, failed.Sub(killed).Round(time.Millisecond), s.counted.Sub(killed).Round(time.Millisecond), pods, j.size(),
		stepped.Sub(killed).Round(time.Millisecond), share.Round(time.Millisecond), operatorTarget)
	if share > operatorBudget {
		j.t.Errorf("%s: the operator's share of the recovery is %v, want %v at most", j.name, share, operatorBudget)
	}
}

// lastUntil is the last of some times, but for those after a limit.
func lastUntil(limit, last time.Time, times ...map[types.UID]time.Time) time.Time {
	for _, of := range times {
		for _, at := range of {
			if at.After(last) && !at.After(limit) {
				last = at
			}
		}
	}
	return last
}
