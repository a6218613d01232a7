// Package kinds knows all kinds of this module, and their Go types, for the programs that show or
// simulate jobs of any kind.
package kinds

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// All are all kinds of this module, by name.
func All() []schema.GroupVersionKind {
	out := []schema.GroupVersionKind{testv1.GroupVersion.WithKind("TestJob")}
	for _, kind := range []string{
		kubeflowv1.JAXJobKind, kubeflowv1.MPIJobKind, kubeflowv1.PaddleJobKind,
		kubeflowv1.PyTorchJobKind, kubeflowv1.TFJobKind, kubeflowv1.XGBoostJobKind,
	} {
		out = append(out, kubeflowv1.GroupVersion.WithKind(kind))
	}
	slices.SortFunc(out, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.Kind, b.Kind) })
	return out
}

// Parse reads kinds of others, whose jobs this library runs too: Kind.version.group, separated
// by commas, for example "SimJob.v1.sim.example.com".
func Parse(text string) ([]schema.GroupVersionKind, error) {
	var out []schema.GroupVersionKind
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		gvk, _ := schema.ParseKindArg(word)
		if gvk == nil || gvk.Kind == strings.ToLower(gvk.Kind) {
			return nil, fmt.Errorf("%q names no kind: write Kind.version.group, for example SimJob.v1.sim.example.com", word)
		}
		out = append(out, *gvk)
	}
	return out, nil
}
