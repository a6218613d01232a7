package controller

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// CacheOptions keeps the cache of a manager small: of all pods and services in the
// cluster it holds those that some operator of this library made, and of those
// pods only what the library looks at. Give it to the manager as Options.Cache:
//
//	ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Cache: controller.CacheOptions()})
//
// An author's own code that reads pods through the manager's client sees the
// shortened ones. Without these options everything works, with more memory.
//
// further are the kinds of further objects that operators keep (see
// [ObjectKeeper]): of these, too, the cache then holds those that were made here.
func CacheOptions(further ...client.Object) cache.Options {
	ours := labels.NewSelector()
	if exists, err := labels.NewRequirement(commonv1.OperatorNameLabel, selection.Exists, nil); err == nil {
		ours = ours.Add(*exists)
	}
	byObject := map[client.Object]cache.ByObject{
		&corev1.Pod{}:     {Label: ours, Transform: stripPod},
		&corev1.Service{}: {Label: ours, Transform: cache.TransformStripManagedFields()},
	}
	seen := map[any]bool{}
	for _, o := range further {
		var kind any = reflect.TypeOf(o)
		if u, ok := o.(*unstructured.Unstructured); ok {
			kind = u.GroupVersionKind()
		}
		if seen[kind] {
			continue // Two operators may keep objects of one kind.
		}
		seen[kind] = true
		byObject[o] = cache.ByObject{Label: ours, Transform: cache.TransformStripManagedFields()}
	}
	return cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: byObject}
}

// stripPod drops what the library does not look at: most of a pod is its
// specification, which never says how the pod is doing.
func stripPod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	pod.ManagedFields = nil
	pod.Spec = corev1.PodSpec{
		NodeName:          pod.Spec.NodeName,
		RestartPolicy:     pod.Spec.RestartPolicy,
		PriorityClassName: pod.Spec.PriorityClassName,
	}
	return pod, nil
}
