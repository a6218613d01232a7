package controller

import (
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/plan"
)

// TestDeletionRequests: what happened first decides, although the last state of a pod no longer says
// when its deletion was requested.
func TestDeletionRequests(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	disrupt := func(p *corev1.Pod, reason string, at time.Time) {
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.NewTime(at),
		}}
	}
	remove := func(p *corev1.Pod, at time.Time, grace int64) {
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: at.Add(time.Duration(grace) * time.Second)}, &grace
	}
	succeed := func(p *corev1.Pod, at time.Time) {
		p.Status.Phase = corev1.PodSucceeded
		p.ManagedFields = []metav1.ManagedFieldsEntry{{
			Subresource: "status", Time: &metav1.Time{Time: at}, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:phase":{}}}`),
		}}
	}
	for name, tc := range map[string]struct {
		reason string
		states []func(*corev1.Pod)
		want   bool
	}{
		"Deleted": {
			reason: "a user deletes it, then its node is switched off, and the pod garbage collector marks and removes it",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { remove(p, at, 30) },
				func(p *corev1.Pod) { disrupt(p, "DeletionByPodGC", at.Add(60*time.Second)) },
				func(p *corev1.Pod) { remove(p, at.Add(61*time.Second), 0) },
			},
		},
		"Forced": {
			reason: "as before, and the user is impatient: the grace period that is over is shortened to a second from now",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { remove(p, at, 30) },
				func(p *corev1.Pod) { disrupt(p, "DeletionByPodGC", at.Add(60*time.Second)) },
				func(p *corev1.Pod) { remove(p, at.Add(61*time.Second), 1) },
				func(p *corev1.Pod) { remove(p, at.Add(62*time.Second), 0) },
			},
		},
		"Evicted": {
			reason: "it is marked before it is deleted",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { disrupt(p, "EvictionByEvictionAPI", at) },
				func(p *corev1.Pod) { remove(p, at, 30) },
				func(p *corev1.Pod) { remove(p, at.Add(time.Second), 0) },
			},
			want: true,
		},
		"EvictedGracefully": {
			reason: "as before, and it exits with 0 when it is stopped",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { disrupt(p, "EvictionByEvictionAPI", at) },
				func(p *corev1.Pod) { remove(p, at, 30) },
				func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
				func(p *corev1.Pod) { remove(p, at.Add(time.Second), 0) },
			},
			want: true,
		},
		"EndedBefore": {
			reason: "it had succeeded, and someone cleans up at once",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { succeed(p, at) },
				func(p *corev1.Pod) { remove(p, at, 0) },
			},
			want: true,
		},
		"Unknown": {
			reason: "no one saw what came first",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { succeed(p, at); remove(p, at.Add(10*time.Second), 0) },
			},
		},
		"Missed": {
			reason: "the watch began again, and did not show that it was stopped",
			states: []func(*corev1.Pod){
				func(*corev1.Pod) {},
				func(p *corev1.Pod) { succeed(p, at.Add(2*time.Second)); remove(p, at.Add(10*time.Second), 0) },
			},
		},
		"Stopped": {
			reason: "it exits with 0 because a user deletes it",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { remove(p, at, 30) },
				func(p *corev1.Pod) { succeed(p, at.Add(2*time.Second)) },
				func(p *corev1.Pod) { remove(p, at.Add(10*time.Second), 0) },
			},
		},
		"NodeGone": {
			reason: "it is marked and removed at once",
			states: []func(*corev1.Pod){
				func(p *corev1.Pod) { disrupt(p, "DeletionByPodGC", at) },
				func(p *corev1.Pod) { remove(p, at, 0) },
			},
			want: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, job, pod := newDepartedPods(), &corev1.ConfigMap{}, &corev1.Pod{}
			job.Name, pod.UID = "j", "uid"
			pod.OwnerReferences = []metav1.OwnerReference{{Name: job.Name, Controller: new(true)}}
			var before *corev1.Pod
			for _, change := range tc.states {
				change(pod)
				d.note(client.ObjectKeyFromObject(job), before, pod.DeepCopy())
				before = pod.DeepCopy()
			}
			// Until the cache shows that it is gone, a pass sees its last state, too. A process that
			// began meanwhile would not know that it had ended before.
			shown := []*corev1.Pod{pod}
			forced := d.requestsFor(job).putInto(shown)
			if got, want := plan.IsNews(shown[0]), tc.want && name != "EndedBefore"; got != want {
				t.Errorf("%s: while it is being removed: want news %t, got %t", tc.reason, want, got)
			}
			if *pod.DeletionGracePeriodSeconds != 0 {
				t.Error("the pod of the cache was changed")
			}
			if shown[0] != pod && !forced[pod.UID] {
				t.Errorf("%s: nothing more is to be done to remove it", tc.reason)
			}
			if got := plan.IsNews(d.lastOf(client.ObjectKeyFromObject(job), pod)); got != tc.want {
				t.Errorf("%s: want news %t, got %t", tc.reason, tc.want, got)
			}
			if len(d.requests) > 0 {
				t.Errorf("a pod that is gone is not forgotten: %v", d.requests)
			}
		})
	}
}

// TestSeenAgain: a pod without the labels of its job is gone for the cache, and back with them.
func TestSeenAgain(t *testing.T) {
	d, job := newDepartedPods(), types.NamespacedName{Namespace: "default", Name: "j"}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: "j-worker-0", UID: "uid"}}
	d.add(job, pod)
	d.note(job, nil, pod)
	if len(d.jobs) > 0 {
		t.Errorf("a pod that is seen again still counts as gone: %v", d.jobs)
	}
}

// TestPodsBeingDeletedAreNotCopied: while a large job restarts, each pass looks at all its pods, and nearly
// all still say when their deletion was requested.
func TestPodsBeingDeletedAreNotCopied(t *testing.T) {
	requests := deletionRequests{}
	pods := make([]*corev1.Pod, 100)
	at := time.Unix(1_800_000_000, 0)
	for i := range pods {
		uid := types.UID(string(rune('a' + i)))
		requests[uid] = deletionRequest{at: at, graceful: true}
		pods[i] = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			UID: uid, DeletionTimestamp: &metav1.Time{Time: at.Add(30 * time.Second)}, DeletionGracePeriodSeconds: new(int64(30)),
		}}
	}
	if n := testing.AllocsPerRun(10, func() { requests.putInto(pods) }); n > 0 {
		t.Errorf("a pass makes %.0f copies, want none", n)
	}
}

// TestPodsOfOthersAreNotKept: known-bugs row 183. The controllers of an operator share one watch of pods, so
// each sees the pods of all kinds. A pass over the job of a pod drops what is kept of it, and a controller
// has none for the jobs of others.
func TestPodsOfOthersAreNotKept(t *testing.T) {
	for name, tc := range map[string]struct {
		reason     string
		apiVersion string
		kind       string
		want       int
	}{
		"Own":          {"the next pass records it", "example.com/v1", "GateJob", 1},
		"OwnOfBefore":  {"its kind has got a new version since", "example.com/v1alpha1", "GateJob", 1},
		"OtherKind":    {"a job of another kind of the same operator", "example.com/v1", "OtherJob", 0},
		"OtherGroup":   {"a kind of the same name", "example.org/v1", "GateJob", 0},
		"NotAJob":      {"anyone may give a pod of their own the operator's label", "apps/v1", "ReplicaSet", 0},
		"NoController": {"as before, without a controller", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := &JobController[*gateJob]{set: &settings[*gateJob]{
				gvk:      schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "GateJob"},
				departed: newDepartedPods(), pending: newPendingWrites[*gateJob](),
			}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "j-worker-0", UID: "uid"}}
			if tc.kind != "" {
				pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: tc.apiVersion, Kind: tc.kind, Name: "j", UID: "job", Controller: new(true)}}
			}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI"}}
			before := pod.DeepCopy()
			pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &metav1.Time{Time: time.Unix(1_800_000_000, 0)}, new(int64)
			c.PodSeen(before, pod)
			if got := len(c.set.departed.requests); got != tc.want {
				t.Errorf("%s: want %d requests to delete pods kept, got %d", tc.reason, tc.want, got)
			}
			c.PodDeleted(pod)
			if got := len(c.set.departed.jobs); got != tc.want {
				t.Errorf("%s: want %d pods that are gone kept, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

// TestDepartedOfNoJob: pods whose job never existed, or is held by a loop of the author's own, are not kept without end,
// and what came last is.
func TestDepartedOfNoJob(t *testing.T) {
	d := newDepartedPods()
	add := func(job string, uid int) {
		d.add(types.NamespacedName{Namespace: "ns", Name: job}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: types.UID(strconv.Itoa(uid))}})
	}
	for i := range 3 * maxAllDeparted {
		add("never-"+strconv.Itoa(i%1000), i)
	}
	add("real", -1)
	for i := range maxAllDeparted / 4 {
		add("held", 3*maxAllDeparted+i)
	}
	held := 0
	for _, gone := range d.jobs {
		held += len(gone)
	}
	if held > maxAllDeparted || held != d.count {
		t.Errorf("%d ends of pods are held, and %d counted, want at most %d", held, d.count, maxAllDeparted)
	}
	if len(d.jobs[types.NamespacedName{Namespace: "ns", Name: "real"}]) != 1 {
		t.Error("the end of a pod that its job is about to record is forgotten before older ones")
	}
}
