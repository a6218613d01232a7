// Command operator runs TestJobs on the cluster of the current kubeconfig. "--help" lists its flags.
package main

import (
	"context"
	"os"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/operator"
)

func main() {
	options := operator.Options{AddToScheme: []func(*runtime.Scheme) error{testv1.AddToScheme}}
	jobs := &controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}}
	os.Exit(operator.Run(context.Background(), options, jobs))
}
