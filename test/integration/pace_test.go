//go:build integration

package integration

import (
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// pace is how long the operator takes for what has no timer: it follows a job that is suspended, and
// whose spec changes again and again. A machine that is busy with something else makes the answers
// late, and the timers as well.
type pace struct {
	mu sync.Mutex
	// asked is when the change was made that has no answer yet.
	asked time.Time
	// slowest is how long the slowest answer took.
	slowest time.Duration
}

// startPace measures the pace until the test is over.
func startPace(t *testing.T) *pace {
	t.Helper()
	ns := namespace(t)
	job := newJob(ns, "pace", nil, replicas(1))
	job.Spec.RunPolicy = commonv1.RunPolicy{Suspend: new(true), TTLSecondsAfterFinished: new(int32(0))}
	answers := watchEvents(t, &testv1.TestJobList{}, ns)
	p, done := &pace{asked: time.Now()}, make(chan struct{})
	create(t, job)
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for e := range answers {
			now, ok := e.Object.(*testv1.TestJob)
			if !ok {
				t.Errorf("the pace cannot be measured: %s %v", e.Type, e.Object)
				return
			}
			if now.Status.ObservedGeneration < now.Generation {
				continue // This is the question.
			}
			p.answered(e.at)
			before := now.DeepCopy()
			*now.Spec.RunPolicy.TTLSecondsAfterFinished++
			if err := cluster.client.Patch(t.Context(), now, client.MergeFrom(before)); err != nil {
				if t.Context().Err() == nil {
					t.Errorf("the pace cannot be measured: %s", err)
				}
				return
			}
		}
		if t.Context().Err() == nil {
			t.Error("the pace cannot be measured: the watch has ended")
		}
	}()
	return p
}

// answered notes an answer, after which the next change is made.
func (p *pace) answered(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slowest, p.asked = max(p.slowest, at.Sub(p.asked)), at
}

// late is how late a timer may be: 2 s, and twice the slowest answer until now.
func (p *pace) late() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 2*time.Second + 2*max(p.slowest, time.Since(p.asked))
}
