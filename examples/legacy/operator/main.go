// Command operator runs BagJobs with the old controller, adapted. "--help" lists its flags.
package main

import (
	"context"
	"os"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/legacy/old"
	bagv1 "github.com/jobkit/jobkit/examples/legacy/v1"
	"github.com/jobkit/jobkit/operator"
)

func main() {
	options := operator.Options{AddToScheme: []func(*runtime.Scheme) error{bagv1.AddToScheme}}
	jobs := &controller.JobController[*bagv1.BagJob]{Controller: old.Adapted()}
	os.Exit(operator.Run(context.Background(), options, jobs))
}
