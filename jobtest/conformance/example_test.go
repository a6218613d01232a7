package conformance_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// forgetful labels the job that it gets, which is not its own.
type forgetful struct{ testjob.Controller }

func (f forgetful) SetClusterSpec(job *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	job.Labels = map[string]string{"seen": "yes"}
	return f.Controller.SetClusterSpec(job, r, template)
}

// Does my controller keep the promises? In a test it is one line,
//
//	conformance.Run(t, simjob.Controller{}, simJob())
//
// and each case is a test of its own. Check does the same without a test; here it tries two cases
// with a controller that changes what it may only read.
func ExampleSuite_Check() {
	suite := conformance.Suite[*testv1.TestJob]{Author: forgetful{}, Job: testJob()}
	for _, f := range suite.Check(context.Background(), "DeepCopy", "Input") {
		fmt.Println("case:", f.Case)
		fmt.Println("cause:", f.Cause)
	}
	// Output:
	// case: Input
	// cause: The job and the tally belong to the library, which uses them in other goroutines at the same time. Copy what you keep or change: DeepCopy(), maps.Clone, slices.Clone.
}
