// Package kubeversion knows for which releases of Kubernetes jobkit is made.
package kubeversion

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
)

// Oldest is the oldest release that is supported (docs/operators/tested-with.md).
const Oldest = "v1.31"

// Complaint says what is wrong with a release of Kubernetes, as the API server spells it, such as
// v1.30.4-gke.100; "" if nothing is, or if it cannot be read.
func Complaint(release string) string {
	v, err := version.ParseGeneric(release)
	if err != nil || v.AtLeast(version.MustParseGeneric(Oldest)) {
		return ""
	}
	return fmt.Sprintf("Kubernetes %s is older than %s, the oldest that is supported: its API server may refuse the CRDs, "+
		"and drops fields that it does not know, those of pods too", release, Oldest)
}
