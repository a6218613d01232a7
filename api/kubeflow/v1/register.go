package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the six kinds.
const GroupName = "kubeflow.org"

// GroupVersion is the API group and version of the six kinds.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

// AddToScheme makes the six kinds and their lists known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&TFJob{}, &TFJobList{},
		&PyTorchJob{}, &PyTorchJobList{},
		&MPIJob{}, &MPIJobList{},
		&XGBoostJob{}, &XGBoostJobList{},
		&PaddleJob{}, &PaddleJobList{},
		&JAXJob{}, &JAXJobList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
