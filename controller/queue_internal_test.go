package controller

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestNewJobsGoBeforeTheirPods(t *testing.T) {
	jobOf := func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: o.GetName()}}}
	}
	object := func(name string) client.Object { return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	children := forChildren{to: handler.WithLowPriorityWhenUnchanged(handler.EnqueueRequestsFromMapFunc(jobOf))}
	ctx := t.Context()

	q := priorityqueue.New[reconcile.Request]("test")
	defer q.ShutDown()
	children.Create(ctx, event.CreateEvent{Object: object("restarted"), IsInInitialList: true}, q)
	children.Create(ctx, event.CreateEvent{Object: object("created")}, q)
	children.Delete(ctx, event.DeleteEvent{Object: object("deleted")}, q)
	children.Generic(ctx, event.GenericEvent{Object: object("generic")}, q)
	children.Create(ctx, event.CreateEvent{Object: object("both")}, q)
	q.Add(jobOf(ctx, object("both"))[0])
	q.Add(jobOf(ctx, object("new"))[0])

	type look struct {
		Job      string
		Priority int
	}
	var got []look
	for range 6 {
		r, priority, _ := q.GetWithPriority()
		got = append(got, look{r.Name, priority})
	}
	want := []look{
		{"both", 0},
		{"new", 0},
		{"created", childPriority},
		{"deleted", childPriority},
		{"generic", childPriority},
		{"restarted", handler.LowPriority},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs that are new or were changed go before those whose pods did something (-want +got):\n%s", diff)
	}
}
