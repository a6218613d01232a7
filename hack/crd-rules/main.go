// Command crd-rules completes generated CRDs: that of TestJob with the rules which follow
// from its Kind, and all with bounds. The rules of the kinds of kubeflow.org/v1 are markers of
// their types, because they spare jobs that training-operator v1 admitted.
//
//	go run ./hack/crd-rules config/crd/*_*.yaml
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jobkit/jobkit/crdrules"
	"github.com/jobkit/jobkit/examples/testjob"
)

func main() {
	var errs []error
	for _, path := range os.Args[1:] {
		if strings.HasSuffix(path, "_testjobs.yaml") {
			errs = append(errs, crdrules.CompleteFile(path, testjob.Controller{}.Kind(), crdrules.Options{}))
			continue
		}
		errs = append(errs, crdrules.BoundFile(path))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "crd-rules:", err)
		os.Exit(1)
	}
}
