// Command operator runs the jobs of SimJob on a cluster. "operator --help" lists its flags.
package main

import (
	"context"
	"os"

	"k8s.io/apimachinery/pkg/runtime"

	simv1 "github.com/jobkit/jobkit/examples/simjob/api/v1"
	"github.com/jobkit/jobkit/examples/simjob/internal/simjob"
	"github.com/jobkit/jobkit/operator"
)

func main() {
	os.Exit(operator.Run(context.Background(), operator.Options{
		Name:             "simjob-operator",
		AddToScheme:      []func(*runtime.Scheme) error{simv1.AddToScheme},
		LeaderElectionID: "simjob-operator.sim.example.com", // config/rbac grants it by name
	}, simjob.NewController()))
}
