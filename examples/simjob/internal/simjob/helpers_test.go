package simjob_test

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	simv1 "github.com/jobkit/jobkit/examples/simjob/api/v1"
)

// knownTypes are the types of Kubernetes and of the kind.
func knownTypes(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, simv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return known
}

// exampleJob is the job of the folder examples.
func exampleJob(t *testing.T) *simv1.SimJob {
	t.Helper()
	text, err := os.ReadFile("../../examples/simjob.yaml")
	if err != nil {
		t.Fatal(err)
	}
	job := &simv1.SimJob{}
	if err := yaml.UnmarshalStrict(text, job); err != nil {
		t.Fatal(err)
	}
	job.Namespace = "default"
	return job
}
