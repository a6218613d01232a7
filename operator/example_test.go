package operator_test

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/headworkers"
	headv1 "github.com/jobkit/jobkit/examples/headworkers/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/operator"
)

// What does the main function of a program that runs two kinds look like?
func ExampleRun() {
	code := operator.Run(context.Background(), operator.Options{
		Name:        "jobs-operator",
		AddToScheme: []func(*runtime.Scheme) error{testv1.AddToScheme, headv1.AddToScheme},
		Args:        []string{"--kinds=simjob"}, ErrOut: os.Stdout, // By default they are those of the process.
	},
		&controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}},
		&controller.JobController[*headv1.HeadWorkersJob]{Controller: headworkers.Controller{}},
	)
	fmt.Println("exit code", code) // os.Exit(code) in a main function.
	// Output:
	// jobs-operator: invalid value "simjob" for flag -kinds: no kind is named "simjob": known are testjob, headworkersjob; --help lists all flags
	// exit code 2
}
