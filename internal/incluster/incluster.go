// Package incluster says where in a cluster the process runs.
package incluster

import (
	"os"
	"strings"
)

// Namespace is that of the pod that the process is in; ok is false if it is in none with a
// service account.
func Namespace() (namespace string, ok bool) {
	text, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	return strings.TrimSpace(string(text)), err == nil
}
