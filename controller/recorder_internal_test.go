package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// gate is an API server that answers no event before it may.
type gate struct {
	events.EventSink

	asked, answer chan struct{}
	written       chan string
}

func (g *gate) Create(_ context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	g.asked <- struct{}{}
	<-g.answer
	g.written <- e.Regarding.Name
	return e, nil
}

func TestEventsComeAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // A turn that lasts for a second of real time would be given back.
		const all = 40
		scheme := runtime.NewScheme()
		if err := corev1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		g := &gate{asked: make(chan struct{}, all), answer: make(chan struct{}), written: make(chan string, all)}
		r := newRecorder(g, scheme, "test")
		defer r.end()
		for i := range all {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i)}}
			r.Eventf(pod, nil, corev1.EventTypeNormal, "Tested", "Test", "told")
		}
		for range eventWriters {
			<-g.asked
		}
		for answered := range all - eventWriters {
			// One more comes for each that is done. That there are no others can only be
			// seen by those that have come already.
			if n := len(g.asked); n > 0 {
				t.Fatalf("after %d events %d more than %d are being written", answered, n, eventWriters)
			}
			g.answer <- struct{}{}
			<-g.asked
		}
		for range eventWriters {
			g.answer <- struct{}{}
		}
		seen := map[string]bool{}
		for range all {
			seen[<-g.written] = true
		}
		if len(seen) != all {
			t.Errorf("each event is written once: %d of %d pods have one", len(seen), all)
		}
	})
}

// shelf is an API server that keeps the events that are created.
type shelf struct {
	events.EventSink

	created chan *eventsv1.Event
}

func (s *shelf) Create(_ context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	s.created <- e
	return e, nil
}

func (s *shelf) Patch(_ context.Context, e *eventsv1.Event, _ []byte) (*eventsv1.Event, error) {
	s.created <- &eventsv1.Event{Note: "counted up: " + e.Note}
	return e, nil
}

// TestEventsOfDifferentPodsStayApart: recorders count up the first of the events that
// differ in their notes alone, so that the second pod's exit code would appear nowhere.
func TestEventsOfDifferentPodsStayApart(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := testv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s := &shelf{created: make(chan *eventsv1.Event, 10)}
	r := newRecorder(s, scheme, "test")
	defer r.broadcaster.Shutdown()
	c := &JobController[*testv1.TestJob]{set: &settings[*testv1.TestJob]{dependencies: dependencies{recorder: r}}}
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Name: "job", Namespace: "ns", UID: "job-uid", ResourceVersion: "7"}}
	exited := func(pod, uid, code string) plan.Event {
		return plan.Event{
			Warning: true, Reason: "ExitedWithCode", Message: "Pod: ns." + pod + " exited with code " + code, Pod: plan.PodRef{Name: pod, UID: types.UID(uid)},
		}
	}
	c.recordEvents(job, []plan.Event{
		exited("job-worker-0", "a", "1"), exited("job-worker-1", "b", "137"), exited("job-worker-0", "c", "2"),
		{Reason: "TestJobRestarting", Message: "of no pod"},
	})
	got := map[string]*corev1.ObjectReference{}
	for range 4 {
		e := <-s.created
		got[e.Note] = e.Related
	}
	ref := func(name, uid string) *corev1.ObjectReference {
		return &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "ns", Name: name, UID: types.UID(uid)}
	}
	want := map[string]*corev1.ObjectReference{
		"Pod: ns.job-worker-0 exited with code 1":   ref("job-worker-0", "a"),
		"Pod: ns.job-worker-1 exited with code 137": ref("job-worker-1", "b"),
		"Pod: ns.job-worker-0 exited with code 2":   ref("job-worker-0", "c"),
		"of no pod": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("each event names its pod (-want +got):\n%s", diff)
	}
}

// halfSlow is an API server with a webhook for the namespace "slow", which does not answer.
type halfSlow struct {
	events.EventSink

	others chan time.Time
}

func (s *halfSlow) write(e *eventsv1.Event) (*eventsv1.Event, error) {
	if e.Namespace == "slow" {
		time.Sleep(10 * time.Second)
		return nil, apierrors.NewInternalError(errors.New("failed calling webhook: context deadline exceeded"))
	}
	s.others <- time.Now()
	return e, nil
}

func (s *halfSlow) Create(_ context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	return s.write(e)
}

func (s *halfSlow) Patch(_ context.Context, e *eventsv1.Event, _ []byte) (*eventsv1.Event, error) {
	return s.write(e)
}

func TestEventsOfASlowNamespaceHoldUpNoOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		times  int
		after  time.Duration
	}{
		"Create": {reason: "two events at a time are written, and each takes ten seconds", times: 1},
		"Series": {reason: "events that were repeated are counted up with a lock on all events, six minutes later", times: 2, after: 380 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &halfSlow{others: make(chan time.Time, 1)}
				r := newRecorder(s, runtime.NewScheme(), "test")
				job := func(namespace string, i int) *corev1.ObjectReference {
					return &corev1.ObjectReference{Kind: "TestJob", Namespace: namespace, Name: fmt.Sprintf("job-%d", i)}
				}
				for range tc.times {
					for i := range 200 {
						r.Eventf(job("slow", i), nil, corev1.EventTypeWarning, "Tested", "Test", "told")
					}
				}
				time.Sleep(tc.after)
				began := time.Now()
				r.Eventf(job("other", 0), nil, corev1.EventTypeNormal, "Tested", "Test", "told")
				if took := (<-s.others).Sub(began); took > 10*time.Second {
					t.Errorf("%s: the event of another namespace waits for %s", tc.reason, took)
				}
				r.end()
				time.Sleep(time.Hour) // The others are written.
			})
		})
	}
}
