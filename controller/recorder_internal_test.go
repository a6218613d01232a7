package controller

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
)

// gate is an API server that answers no event before it is told to.
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
	const all = 40
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	g := &gate{asked: make(chan struct{}, all), answer: make(chan struct{}), written: make(chan string, all)}
	r := newRecorder(g, scheme, "test")
	defer r.broadcaster.Shutdown()
	for i := range all {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i)}}
		r.Eventf(pod, nil, corev1.EventTypeNormal, "Tested", "Test", "told")
	}
	for range eventWriters {
		<-g.asked
	}
	for answered := range all - eventWriters {
		// One more comes for each that is done. That there is no further one can only be
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
}
