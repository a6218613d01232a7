package kinds

import (
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
