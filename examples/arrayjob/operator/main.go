// Command operator runs ArrayJobs on the cluster of the current kubeconfig. "--help" lists its flags.
package main

import (
	"context"
	"os"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/arrayjob"
	arrayv1 "github.com/jobkit/jobkit/examples/arrayjob/v1"
	"github.com/jobkit/jobkit/operator"
)

func main() {
	options := operator.Options{AddToScheme: []func(*runtime.Scheme) error{arrayv1.AddToScheme}}
	jobs := &controller.JobController[*arrayv1.ArrayJob]{Controller: arrayjob.Controller{}}
	os.Exit(operator.Run(context.Background(), options, jobs))
}
