// Command operator runs HeadWorkersJobs on the cluster of the current kubeconfig. "--help" lists its flags.
package main

import (
	"context"
	"os"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/headworkers"
	headv1 "github.com/jobkit/jobkit/examples/headworkers/v1"
	"github.com/jobkit/jobkit/operator"
)

func main() {
	options := operator.Options{Name: "headworkersjob-operator", AddToScheme: []func(*runtime.Scheme) error{headv1.AddToScheme}}
	jobs := &controller.JobController[*headv1.HeadWorkersJob]{Controller: headworkers.Controller{}}
	os.Exit(operator.Run(context.Background(), options, jobs))
}
