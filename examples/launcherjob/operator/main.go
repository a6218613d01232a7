// Command operator runs LauncherJobs on the cluster of the current kubeconfig. "--help" lists its flags.
package main

import (
	"context"
	"os"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/launcherjob"
	launcherv1 "github.com/jobkit/jobkit/examples/launcherjob/v1"
	"github.com/jobkit/jobkit/operator"
)

func main() {
	options := operator.Options{AddToScheme: []func(*runtime.Scheme) error{launcherv1.AddToScheme}}
	jobs := &controller.JobController[*launcherv1.LauncherJob]{Controller: launcherjob.Controller{}}
	os.Exit(operator.Run(context.Background(), options, jobs))
}
