package fakenodes

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// ownPodsOnly is a client that removes a pod only if it is being deleted, and
// only that very pod.
//
// kwok deletes by name. An operator that reuses names may have created the next
// pod of the name since kwok saw the deletion of the last, and would lose it. A
// kubelet never does that: it gives the UID.
type ownPodsOnly struct{ kubernetes.Interface }

func (c ownPodsOnly) CoreV1() corev1.CoreV1Interface { return ownPodsCore{c.Interface.CoreV1()} }

type ownPodsCore struct{ corev1.CoreV1Interface }

func (c ownPodsCore) Pods(namespace string) corev1.PodInterface {
	return ownPods{c.CoreV1Interface.Pods(namespace)}
}

type ownPods struct{ corev1.PodInterface }

// Delete does nothing when the pod of that name is gone or is not being deleted.
func (p ownPods) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	// Version 0 is answered from the API server's cache. That may be old, but the
	// UID below makes an old answer harmless.
	pod, err := p.PodInterface.Get(ctx, name, metav1.GetOptions{ResourceVersion: "0"})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if pod.DeletionTimestamp == nil {
		return nil
	}
	o.Preconditions = &metav1.Preconditions{UID: &pod.UID}
	err = p.PodInterface.Delete(ctx, name, o)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
