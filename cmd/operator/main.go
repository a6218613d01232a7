// Operator runs the job kinds of kubeflow.org/v1 on a cluster: TFJob, PyTorchJob,
// MPIJob, XGBoostJob, PaddleJob and JAXJob. It takes the place of training-operator v1
// and understands its flags.
//
// What it does is in internal/operator; "operator --help" and docs/operators/running.md
// describe it.
package main

import (
	"context"
	"os"

	"github.com/jobkit/jobkit/internal/operator"
)

func main() {
	os.Exit(operator.Main(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
