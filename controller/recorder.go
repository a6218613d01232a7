package controller

import (
	"context"
	"sync"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
)

// eventWriters is how many events a recorder writes at a time.
const eventWriters = 2

// lastEvents is how long a recorder goes on after its manager has ended. Reconciles that are
// still running have as long.
const lastEvents = 30 * time.Second

// NewRecorder returns a recorder of events in the name of a controller, which writes
// a few at a time: when many jobs start, the API server is kept free for their pods,
// and the events come a little later. The manager's own recorder has no such limit;
// 500 new jobs would write 1,000 events at once.
func NewRecorder(mgr ctrl.Manager, name string) events.EventRecorder {
	client, err := eventsclient.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		mgr.GetLogger().Error(err, "The limit on events is off, because a client for them cannot be made")
		return mgr.GetEventRecorder(name)
	}
	r := newRecorder(&events.EventSinkImpl{Interface: client}, mgr.GetScheme(), name)
	if err := mgr.Add(r); err != nil {
		mgr.GetLogger().Error(err, "The recorder of events will not end with the manager")
	}
	return r
}

// recorder writes events to a sink from the first one on.
type recorder struct {
	events.EventRecorder

	broadcaster events.EventBroadcaster
	begin       func()
}

func newRecorder(sink events.EventSink, scheme *runtime.Scheme, name string) *recorder {
	b := events.NewBroadcaster(&pacedSink{sink: sink, turns: make(chan struct{}, eventWriters)})
	return &recorder{
		EventRecorder: b.NewRecorder(scheme, name), broadcaster: b,
		begin: sync.OnceFunc(func() {
			//nolint:forbidigo // events outlive the reconcile that records them; Start ends this
			_ = b.StartRecordingToSinkWithContext(context.Background()) // fails after Shutdown only
		}),
	}
}

// Eventf implements events.EventRecorder.
func (r *recorder) Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any) {
	r.begin()
	r.EventRecorder.Eventf(regarding, related, eventtype, reason, action, note, args...)
}

// Start implements manager.Runnable: it ends the recorder some time after the manager.
func (r *recorder) Start(ctx context.Context) error {
	<-ctx.Done()
	time.AfterFunc(lastEvents, r.broadcaster.Shutdown) //nolint:forbidigo // nothing is decided by it
	return nil
}

// pacedSink passes on as many events at a time as there are turns.
type pacedSink struct {
	sink  events.EventSink
	turns chan struct{}
}

func (s *pacedSink) turn() func() {
	s.turns <- struct{}{}
	return func() { <-s.turns }
}

// Create implements events.EventSink.
func (s *pacedSink) Create(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	defer s.turn()()
	return s.sink.Create(ctx, e) //nolint:wrapcheck // the caller checks its type
}

// Update implements events.EventSink.
func (s *pacedSink) Update(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	defer s.turn()()
	return s.sink.Update(ctx, e) //nolint:wrapcheck // the caller checks its type
}

// Patch implements events.EventSink.
func (s *pacedSink) Patch(ctx context.Context, old *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	defer s.turn()()
	return s.sink.Patch(ctx, old, data) //nolint:wrapcheck // the caller checks its type
}
