package controller_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestSlowNamespaceLeavesWorkersToOthers: a webhook that does not answer, of one namespace only, has each create
// there wait until it times out, or each write of a status.
func TestSlowNamespaceLeavesWorkersToOthers(t *testing.T) {
	const workers, slowJobs, timeout = 64, 100, 10 * time.Second
	for name, tc := range map[string]struct {
		reason string
		// after is when the other job is created, after those of the slow namespace.
		after, want time.Duration
		// status says that the webhook is one for the status of jobs.
		status bool
		// others is how many more namespaces are as slow.
		others int
	}{
		"AtOnce": {reason: "it waits for as long as it takes to see that the namespace is slow", want: 3 * time.Second},
		"Later":  {reason: "there are workers that wait for nothing", after: 5 * time.Second, want: time.Second},
		"Retry":  {reason: "the slow jobs are tried again", after: timeout + 5*time.Second, want: time.Second},
		"Lasts":  {reason: "it goes on", after: time.Minute, want: time.Second},

		"StatusAtOnce": {reason: "a status waits for nothing else", want: time.Second, status: true},
		"StatusLater":  {reason: "there are workers that wait for nothing", after: 5 * time.Second, want: time.Second, status: true},
		"StatusRetry":  {reason: "the slow statuses are tried again", after: timeout + 5*time.Second, want: time.Second, status: true},
		"StatusLasts":  {reason: "it goes on", after: time.Minute, want: time.Second, status: true},

		"Three":       {reason: "together they hold no more than all but a few", after: 5 * time.Second, want: time.Second, others: 2},
		"ThreeStatus": {reason: "a status is no different", after: 5 * time.Second, want: time.Second, others: 2, status: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				other := testJob(1)
				objects := []client.Object{other}
				for i := range slowJobs * (tc.others + 1) {
					j := testJob(1)
					j.Namespace = fmt.Sprintf("slow-%d", i%(tc.others+1))
					j.Name, j.UID = fmt.Sprintf("slow-%d", i), types.UID(fmt.Sprintf("slow-%d", i))
					j.Spec.RunPolicy.Suspend = new(tc.status) // then its status is all that is written
					objects = append(objects, j)
				}
				b := newBench(t, testjob.Controller{}, objects...)
				created := make(chan time.Time, 1)
				slow := func(o client.Object, here bool) error {
					if !here || o.GetNamespace() == other.Namespace {
						return nil
					}
					time.Sleep(timeout)
					return apierrors.NewInternalError(fmt.Errorf("failed calling webhook %q: context deadline exceeded", "x"))
				}
				b.intercept(interceptor.Funcs{
					Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
						if err := slow(o, !tc.status); err != nil {
							return err
						}
						if o.GetNamespace() == other.Namespace {
							select {
							case created <- time.Now():
							default:
							}
						}
						return c.Create(ctx, o, opts...)
					},
					SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch,
						opts ...client.SubResourcePatchOption,
					) error {
						if err := slow(o, tc.status); err != nil {
							return err
						}
						return c.SubResource(sub).Patch(ctx, o, patch, opts...)
					},
				})
				q := priorityqueue.New[reconcile.Request]("slow")
				var all sync.WaitGroup
				for range workers {
					all.Go(func() { work(t, b, q) })
				}
				for _, o := range objects[1:] {
					q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o)})
				}
				time.Sleep(tc.after)
				began := time.Now()
				q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)})
				if took := (<-created).Sub(began); took > tc.want {
					t.Errorf("%s: a job of another namespace waits for %s, want %s", tc.reason, took, tc.want)
				}
				q.ShutDown()
				all.Wait()
			})
		})
	}
}

// work is a worker of a controller.
func work(t *testing.T, b *bench, q priorityqueue.PriorityQueue[reconcile.Request]) {
	for {
		r, _, shutdown := q.GetWithPriority()
		if shutdown {
			return
		}
		job := &testv1.TestJob{}
		if err := b.client.Get(t.Context(), r.NamespacedName, job); err != nil {
			t.Error(err)
		}
		b.clock.SetTime(time.Now())
		result, err := b.controller.ReconcileJobs(t.Context(), job)
		switch {
		case err != nil:
			q.AddRateLimited(r)
		case result.RequeueAfter > 0:
			q.Forget(r)
			q.AddAfter(r, result.RequeueAfter)
		}
		q.Done(r)
	}
}
