package kinds

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// MainContainer is the container that each replica of a job of this module's kinds has, and whose exit code is that of the
// replica. It is empty for other kinds. A replica of an MPIJob may have another one instead.
func MainContainer(kind schema.GroupKind) string {
	return map[schema.GroupKind]string{
		testv1.GroupVersion.WithKind("TestJob").GroupKind():                     testv1.ContainerName,
		kubeflowv1.GroupVersion.WithKind(kubeflowv1.JAXJobKind).GroupKind():     kubeflowv1.JAXJobDefaultContainerName,
		kubeflowv1.GroupVersion.WithKind(kubeflowv1.MPIJobKind).GroupKind():     kubeflowv1.MPIJobDefaultContainerName,
		kubeflowv1.GroupVersion.WithKind(kubeflowv1.PaddleJobKind).GroupKind():  kubeflowv1.PaddleJobDefaultContainerName,
		kubeflowv1.GroupVersion.WithKind(kubeflowv1.PyTorchJobKind).GroupKind(): kubeflowv1.PyTorchJobDefaultContainerName,
		kubeflowv1.GroupVersion.WithKind(kubeflowv1.TFJobKind).GroupKind():      kubeflowv1.TFJobDefaultContainerName,
		kubeflowv1.GroupVersion.WithKind(kubeflowv1.XGBoostJobKind).GroupKind(): kubeflowv1.XGBoostJobDefaultContainerName,
	}[kind]
}

// DefaultContainer is the annotation in which a pod names the container whose log kubectl shows.
const DefaultContainer = "kubectl.kubernetes.io/default-container"

// ContainerOf is the container of a pod whose log is meant where none is named: the one that an MPIJob names, the main
// one of the job's kind, the one that the pod names for kubectl, or the first. It is empty if the pod has none.
func ContainerOf(job *unstructured.Unstructured, pod *corev1.Pod) string {
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	own, _, _ := unstructured.NestedString(job.Object, "spec", "mainContainer")
	for _, main := range []string{own, MainContainer(job.GroupVersionKind().GroupKind()), pod.Annotations[DefaultContainer]} {
		if slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == main }) {
			return main
		}
	}
	return pod.Spec.Containers[0].Name
}
