package operators_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators"
	"github.com/jobkit/jobkit/podtemplate"
)

func TestKinds(t *testing.T) {
	var names []string
	for _, k := range operators.Kinds() {
		names = append(names, k.Name)
		scheme := runtime.NewScheme()
		if err := k.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		known := false
		for kind := range scheme.KnownTypes(kubeflowv1.GroupVersion) {
			known = known || strings.EqualFold(kind, k.Name)
		}
		if !known {
			t.Errorf("the name of a kind is its Go type in lower case, which %s is not", k.Name)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("kinds are listed by name, each once: %v", names)
	}
}

func TestObjectKinds(t *testing.T) {
	for _, k := range operators.Kinds() {
		switch k.Name {
		case "paddlejob", "pytorchjob":
			if len(k.ObjectKinds) != 1 {
				t.Errorf("%s has autoscalers, and the cache must know: got %v", k.Name, k.ObjectKinds)
			}
		case "jaxjob", "tfjob", "xgboostjob":
			if len(k.ObjectKinds) != 0 {
				t.Errorf("%s has pods and services only: got %v", k.Name, k.ObjectKinds)
			}
		}
	}
}

func TestInitContainerTemplate(t *testing.T) {
	i := slices.IndexFunc(operators.Kinds(), func(k operators.Kind) bool { return k.Name == "pytorchjob" })
	err := operators.Kinds()[i].SetupWithManager(nil, operators.Options{PyTorchInitContainer: podtemplate.HostWait{Template: "{{"}})
	if err == nil || !strings.Contains(err.Error(), "the init container of PyTorchJobs: it is not a valid Go template") {
		t.Errorf("a template that cannot be read is reported when the operator starts, got %v", err)
	}
}
