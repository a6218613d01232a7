// Package kinds knows the Go types of all kinds of this module, for the commands that run a
// kind's own controller.
package kinds

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// Scheme knows all kinds, and those of Kubernetes. It is made once, when it is needed.
//
//nolint:gochecknoglobals // a value that never changes
var Scheme = sync.OnceValues(func() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, kubeflowv1.AddToScheme, testv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("cannot make the scheme: %w", err)
		}
	}
	return scheme, nil
})
