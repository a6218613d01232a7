package simjob_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	simv1 "github.com/jobkit/jobkit/examples/simjob/api/v1"
	"github.com/jobkit/jobkit/examples/simjob/internal/simjob"
	"github.com/jobkit/jobkit/jobtest"
)

var update = flag.Bool("update", false, "write the golden file")

// TestGolden compares what is created for the example with testdata. After a change that you
// want, "go test ./internal/simjob -update" writes it again; read the difference.
func TestGolden(t *testing.T) {
	objects, err := jobtest.Render[*simv1.SimJob](simjob.Controller{}, knownTypes(t), exampleJob(t))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, o := range objects {
		describe(&got, o)
	}
	const golden = "testdata/example.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// describe writes what the kind has to do with an object: of a pod, what its main container is
// told.
func describe(to *strings.Builder, o client.Object) {
	fmt.Fprintf(to, "%T %s\n", o, o.GetName())
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			fmt.Fprintf(to, "  %s port %s=%d\n", c.Name, p.Name, p.ContainerPort)
		}
		for _, e := range c.Env {
			fmt.Fprintf(to, "  %s env %s=%s\n", c.Name, e.Name, e.Value)
		}
	}
}
