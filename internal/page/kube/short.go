package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	"github.com/jobkit/jobkit/internal/page"
	"github.com/jobkit/jobkit/internal/plan"
)

// shortJob keeps what the page reads of a job. The pods of its templates can be large.
func shortJob(item any) (any, error) {
	object, ok := item.(*unstructured.Unstructured)
	if !ok {
		return item, nil
	}
	object.SetManagedFields(nil)
	for _, role := range jobview.ReplicaSpecs(object) {
		unstructured.RemoveNestedField(role, "template", "spec")
	}
	return object, nil
}

// shortPod keeps what the page reads of a pod.
func shortPod(item any) (any, error) {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return item, nil
	}
	short := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp,
			DeletionGracePeriodSeconds: pod.DeletionGracePeriodSeconds, OwnerReferences: pod.OwnerReferences,
			Labels: map[string]string{}, Annotations: map[string]string{},
		},
		Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, SchedulerName: pod.Spec.SchedulerName, SchedulingGates: pod.Spec.SchedulingGates,
			SchedulingGroup: pod.Spec.SchedulingGroup,
		},
		Status: pod.Status,
	}
	for key, value := range pod.Labels {
		if strings.HasPrefix(key, commonv1.LabelPrefix) {
			short.Labels[key] = value
		}
	}
	if name, ok := pod.Annotations[page.DefaultContainer]; ok {
		short.Annotations[page.DefaultContainer] = name
	}
	if e := plan.ReportEntry(pod); e != nil && plan.Ends(pod) {
		short.ManagedFields = []metav1.ManagedFieldsEntry{{Subresource: e.Subresource, Time: e.Time}}
	}
	for i := range pod.Spec.Containers {
		short.Spec.Containers = append(short.Spec.Containers, corev1.Container{Name: pod.Spec.Containers[i].Name})
	}
	for i := range pod.Spec.InitContainers {
		short.Spec.InitContainers = append(short.Spec.InitContainers, corev1.Container{
			Name: pod.Spec.InitContainers[i].Name, RestartPolicy: pod.Spec.InitContainers[i].RestartPolicy,
		})
	}
	return short, nil
}
