package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestOwnerOf(t *testing.T) {
	t.Parallel()
	kind := schema.GroupKind{Group: "example.com", Kind: "TestJob"}
	tests := map[string]struct {
		reason     string
		owner      metav1.OwnerReference
		controller bool
		want       bool
	}{
		"TheVersionOfToday": {
			reason: "a pod of the job", controller: true, want: true,
			owner: metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "TestJob"},
		},
		"AnEarlierVersion": {
			reason:     "the job has run since before its kind got a new version: its pods must not be lost",
			controller: true, want: true,
			owner: metav1.OwnerReference{APIVersion: "example.com/v1alpha1", Kind: "TestJob"},
		},
		"AnotherGroup": {
			reason: "a kind of the same name", controller: true,
			owner: metav1.OwnerReference{APIVersion: "example.org/v1", Kind: "TestJob"},
		},
		"NoGroup": {
			reason: "a kind of the same name in the core group", controller: true,
			owner: metav1.OwnerReference{APIVersion: "v1", Kind: "TestJob"},
		},
		"AnotherKind": {
			reason: "a kind of the same group", controller: true,
			owner: metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "OtherJob"},
		},
		"NoVersion": {
			reason: "what is written there comes from a user", controller: true,
			owner: metav1.OwnerReference{APIVersion: "example.com/v1/v2", Kind: "TestJob"},
		},
		"NotItsController": {
			reason: "the job is one of its owners, but another controls it",
			owner:  metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "TestJob"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.owner.Name, tc.owner.UID, tc.owner.Controller = "job", "uid", &tc.controller
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", OwnerReferences: []metav1.OwnerReference{tc.owner}}}
			jobs := priorityqueue.New[reconcile.Request](name)
			defer jobs.ShutDown()
			enqueueJob(kind).Create(t.Context(), event.CreateEvent{Object: pod}, jobs)
			var wantIndex []string
			var wantQueued []reconcile.Request
			if tc.want {
				wantIndex = []string{"uid"}
				wantQueued = []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "job"}}}
			}
			if diff := cmp.Diff(wantIndex, byController(kind)(pod)); diff != "" {
				t.Errorf("%s: jobs under which the pod is found (-want +got):\n%s", tc.reason, diff)
			}
			var queued []reconcile.Request
			for jobs.Len() > 0 {
				r, _ := jobs.Get()
				queued = append(queued, r)
			}
			if diff := cmp.Diff(wantQueued, queued); diff != "" {
				t.Errorf("%s: jobs that the pod's event queues (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
