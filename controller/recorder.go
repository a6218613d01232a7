package controller

import (
	"context"
	"sync"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record/util"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// eventWriters is how many events a recorder writes at a time, without those that take long, and eventShare
	// how many of one namespace, with those.
	eventWriters, eventShare = 2, 8
	// maxEvents is how many events of one namespace are kept at most until they are written.
	maxEvents = 10_000
)

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
	begin, end  func()
}

func newRecorder(sink events.EventSink, scheme *runtime.Scheme, name string) *recorder {
	b := events.NewBroadcaster(newPacedSink(sink))
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // events outlive the reconcile that records them; end ends it
	return &recorder{
		EventRecorder: b.NewRecorder(scheme, name), broadcaster: b,
		begin: sync.OnceFunc(func() { _ = b.StartRecordingToSinkWithContext(ctx) }), // fails after Shutdown only
		end:   func() { b.Shutdown(); cancel() },
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
	time.AfterFunc(lastEvents, r.end) //nolint:forbidigo // nothing is decided by it
	return nil
}

// pacedSink passes on as many events at a time as there are turns, without those that take longer than the
// lease of a slot, and few of one namespace: a webhook there may not answer, and must not hold up those of others.
type pacedSink struct {
	sink   events.EventSink
	turns  slots
	shares *shares
}

func newPacedSink(sink events.EventSink) *pacedSink {
	return &pacedSink{sink: sink, turns: make(slots, eventWriters), shares: newShares(eventShare, maxEvents)}
}

// inTurn calls write when it is its turn. If too many events of the namespace wait already, this one is lost.
func (s *pacedSink) inTurn(ctx context.Context, e *eventsv1.Event, write func() (*eventsv1.Event, error)) (*eventsv1.Event, error) {
	leave := s.shares.take(e.Namespace)
	if leave == nil {
		return e, nil
	}
	defer leave()
	defer s.turns.take(ctx)()
	return write()
}

// Create implements events.EventSink.
func (s *pacedSink) Create(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	return s.inTurn(ctx, e, func() (*eventsv1.Event, error) { return s.sink.Create(ctx, e) })
}

// Update implements events.EventSink.
func (s *pacedSink) Update(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	return s.inTurn(ctx, e, func() (*eventsv1.Event, error) { return s.sink.Update(ctx, e) })
}

// Patch implements events.EventSink. It does not wait: repeated events are counted up while the broadcaster
// holds its lock on the events of all namespaces. It does itself what the caller would do after an answer.
func (s *pacedSink) Patch(ctx context.Context, old *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	e := old.DeepCopy()
	go func() {
		_, _ = s.inTurn(ctx, e, func() (*eventsv1.Event, error) { // The broadcaster counts it up again, later.
			if out, err := s.sink.Patch(ctx, e, data); !util.IsKeyNotFoundError(err) {
				return out, err //nolint:wrapcheck // no one reads it
			}
			e.ResourceVersion = ""
			return s.sink.Create(ctx, e)
		})
	}()
	return old, nil
}
