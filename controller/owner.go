package controller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// ownerOf returns the controller reference of a child to a job of the kind, nil if it has none. The
// version does not matter: the pods of a job that has run since before its kind got a new version
// name the one of their time.
func ownerOf(kind schema.GroupKind, child client.Object) *metav1.OwnerReference {
	owner := metav1.GetControllerOfNoCopy(child)
	if owner == nil || owner.Kind != kind.Kind {
		return nil
	}
	if gv, err := schema.ParseGroupVersion(owner.APIVersion); err != nil || gv.Group != kind.Group {
		return nil
	}
	return owner
}

// jobOf returns the controller reference of a child to a job of the kind, and the name of that job; nil
// if it has none.
func jobOf(kind schema.GroupKind, child client.Object) (*metav1.OwnerReference, types.NamespacedName) {
	owner := ownerOf(kind, child)
	if owner == nil {
		return nil, types.NamespacedName{}
	}
	return owner, types.NamespacedName{Namespace: child.GetNamespace(), Name: owner.Name}
}

// byController indexes a child by the UID of its job.
func byController(kind schema.GroupKind) client.IndexerFunc {
	return func(child client.Object) []string {
		owner := ownerOf(kind, child)
		if owner == nil {
			return nil
		}
		return []string{string(owner.UID)}
	}
}

// enqueueJob queues the job of a child. handler.EnqueueRequestForOwner asks which resource the version
// in the reference belongs to, for each event: anyone who may create a pod could name one that does
// not exist, and make the operator ask the API server each time.
func enqueueJob(kind schema.GroupKind) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, child client.Object) []reconcile.Request {
		owner, job := jobOf(kind, child)
		if owner == nil {
			return nil
		}
		return []reconcile.Request{{NamespacedName: job}}
	})
}
