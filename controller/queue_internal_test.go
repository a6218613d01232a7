package controller

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// childrenFor passes events on, and looks at no pod.
func childrenFor(to handler.EventHandler) forChildren {
	return forChildren{to: to, podSeen: func(_, _ *corev1.Pod) {}, podDeleted: func(*corev1.Pod) {}, delays: &childDelays{}}
}

func TestNewJobsGoBeforeTheirPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobOf := func(_ context.Context, o client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: o.GetName()}}}
		}
		object := func(name string) client.Object { return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}} }
		children := childrenFor(handler.WithLowPriorityWhenUnchanged(handler.EnqueueRequestsFromMapFunc(jobOf)))
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

		type request struct {
			Job      string
			Priority int
		}
		var got []request
		for range 6 {
			r, priority, _ := q.GetWithPriority()
			got = append(got, request{r.Name, priority})
		}
		want := []request{
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
	})
}

// TestOrderAtStart: an operator that starts finds jobs and pods; the jobs that were created while none ran go first.
func TestOrderAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &JobController[*gateJob]{set: &settings[*gateJob]{statusAt: []int{2}}}
		jobs := []handler.EventHandler{&handler.EnqueueRequestForObject{}, c.foundAtStart()}
		q := priorityqueue.New[reconcile.Request]("test")
		defer q.ShutDown()
		found := func(name string, initial bool, conditions ...commonv1.JobConditionType) {
			job := &gateJob{ObjectMeta: metav1.ObjectMeta{Name: name}}
			for _, condition := range conditions {
				job.Status.Conditions = append(job.Status.Conditions, commonv1.JobCondition{Type: condition, Status: corev1.ConditionTrue})
			}
			for _, h := range jobs {
				h.Create(t.Context(), event.CreateEvent{Object: job, IsInInitialList: initial}, q)
			}
		}
		found("ended", true, commonv1.JobCreated, commonv1.JobSucceeded)
		found("running", true, commonv1.JobCreated, commonv1.JobRunning)
		found("waiting", true)
		found("new", false)
		children := childrenFor(enqueueJob(schema.GroupKind{Kind: "GateJob"}))
		for _, name := range []string{"ended", "running", "waiting"} {
			owner := metav1.OwnerReference{APIVersion: "v1", Kind: "GateJob", Name: name, Controller: new(true)}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name + "-0", OwnerReferences: []metav1.OwnerReference{owner}}}
			children.Create(t.Context(), event.CreateEvent{Object: pod, IsInInitialList: true}, q)
		}

		var got []string
		for range 4 {
			r, _, _ := q.GetWithPriority()
			got = append(got, r.Name)
			q.Done(r)
		}
		if diff := cmp.Diff([]string{"waiting", "new", "running", "ended"}, got); diff != "" {
			t.Errorf("the order of the first reconciles (-want +got):\n%s", diff)
		}
		time.Sleep(2 * childDelay)
		if n := q.Len(); n != 0 {
			t.Errorf("%d jobs are reconciled again", n)
		}
	})
}

func TestWhatChildrenDoTogetherIsOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := reconcile.Request{NamespacedName: types.NamespacedName{Name: "job"}}
		enqueue := func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{job} }
		children := childrenFor(handler.EnqueueRequestsFromMapFunc(enqueue))
		q := priorityqueue.New[reconcile.Request]("test")
		defer q.ShutDown()
		begun := time.Now()
		for range 3 {
			children.Create(t.Context(), event.CreateEvent{Object: &corev1.Pod{}}, q)
			time.Sleep(childDelay / 4)
		}
		if _, _, _ = q.GetWithPriority(); time.Since(begun) != childDelay {
			t.Errorf("the reconcile came after %s, want %s: the first pod sets the time, later ones do not put it off", time.Since(begun), childDelay)
		}
		q.Done(job)
		synctest.Wait()
		if n := q.Len(); n != 0 {
			t.Errorf("three pods caused %d more reconciles", n)
		}
		children.Delete(t.Context(), event.DeleteEvent{Object: &corev1.Pod{}}, q)
		begun = time.Now()
		q.Add(job)
		if _, priority, _ := q.GetWithPriority(); time.Since(begun) != 0 || priority != 0 {
			t.Errorf("a job that was changed waits for its pods: %s, priority %d", time.Since(begun), priority)
		}
	})
}

// TestLargeJobsWaitForMorePods: a pass looks at all pods of a job, and of a large one some pod does something all the time.
func TestLargeJobsWaitForMorePods(t *testing.T) {
	cases := []struct {
		name   string
		pods   []int
		forget bool
		want   time.Duration
		reason string
	}{
		{"Unseen", nil, false, childDelay, "no pass has counted its pods"},
		{"Small", []int{4}, false, childDelay, "it is to react at once"},
		{"Limit", []int{500}, false, childDelay, "up to here passes cost little"},
		{"Medium", []int{1000}, false, 200 * time.Millisecond, "a fifth of a millisecond for each pod"},
		{"Large", []int{10_000}, false, time.Second, "nothing waits for longer than with the Job controller of Kubernetes"},
		{"Shrunk", []int{10_000, 10}, false, childDelay, "the last pass counts"},
		{"Grown", []int{1000, 2000}, false, 400 * time.Millisecond, "the last pass counts"},
		{"Forgotten", []int{10_000}, true, childDelay, "the next job of that name may be small"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				job := reconcile.Request{NamespacedName: types.NamespacedName{Name: "job"}}
				other := reconcile.Request{NamespacedName: types.NamespacedName{Name: "other"}}
				enqueue := func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{job, other} }
				children := childrenFor(handler.EnqueueRequestsFromMapFunc(enqueue))
				delays := children.delays
				for _, n := range tc.pods {
					delays.observe(job.NamespacedName, n)
				}
				if tc.forget {
					delays.forget(job.NamespacedName)
				}
				q := priorityqueue.New[reconcile.Request]("test")
				defer q.ShutDown()
				begun := time.Now()
				children.Create(t.Context(), event.CreateEvent{Object: &corev1.Pod{}}, q)
				got := map[string]time.Duration{}
				for range 2 {
					r, _, _ := q.GetWithPriority()
					got[r.Name] = time.Since(begun)
				}
				if diff := cmp.Diff(map[string]time.Duration{"job": tc.want, "other": childDelay}, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
				}
				if tc.want == childDelay && len(delays.large) > 0 {
					t.Errorf("a job without a delay of its own is remembered: %v", delays.large)
				}
			})
		})
	}
}

// TestPodThatAListReplaces: if the watch of pods breaks, and meanwhile a pod goes and the next one of its name comes,
// the list after that shows both as one update.
func TestPodThatAListReplaces(t *testing.T) {
	pod := func(uid types.UID) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "job-worker-0", UID: uid}}
	}
	var got []string
	h := forChildren{
		to: handler.Funcs{},
		podSeen: func(before, pod *corev1.Pod) {
			got = append(got, "seen "+string(pod.UID))
			if before != nil {
				got = append(got, "before it "+string(before.UID))
			}
		},
		podDeleted: func(pod *corev1.Pod) { got = append(got, "gone "+string(pod.UID)) },
	}
	h.Update(t.Context(), event.UpdateEvent{ObjectOld: pod("1"), ObjectNew: pod("1")}, nil)
	h.Update(t.Context(), event.UpdateEvent{ObjectOld: pod("1"), ObjectNew: pod("2")}, nil)
	if diff := cmp.Diff([]string{"seen 1", "before it 1", "gone 1", "seen 2"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
