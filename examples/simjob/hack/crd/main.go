// Command crd completes the generated CRD with the rules that follow from the Kind of the
// controller. "make generate" runs it.
package main

import (
	"fmt"
	"os"

	"github.com/jobkit/jobkit/crdrules"
	"github.com/jobkit/jobkit/examples/simjob/internal/simjob"
)

func main() {
	// Short: "kubectl apply" takes it without --server-side.
	err := crdrules.CompleteFile("config/crd/sim.example.com_simjobs.yaml", simjob.Controller{}.Kind(), crdrules.Options{Short: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, "crd:", err)
		os.Exit(1)
	}
}
