package jobkit

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is any object of the Kubernetes API: a job, a ConfigMap. It is the same as client.Object
// of controller-runtime, which this package does not import.
type Object interface {
	metav1.Object
	runtime.Object
}
