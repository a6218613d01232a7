// Package protocol is the protocol of progress reports, as clients of Kubeflow Trainer speak
// it: what the containers of a job get, where they send reports, and what a report is. It is
// pure: the core uses it for pods, the server for requests.
package protocol

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// The environment variables that the containers get. A client needs nothing else.
const (
	// EnvURL is where to POST reports to.
	EnvURL = "KUBEFLOW_TRAINER_SERVER_URL"
	// EnvCA is the path of a file with the certificates, in PEM, by which to know the server.
	EnvCA = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
	// EnvToken is the path of a file with the bearer token. The kubelet renews it, so it is to be
	// read again from time to time.
	EnvToken = "KUBEFLOW_TRAINER_SERVER_TOKEN"
)

// The volume that the containers get.
const (
	// VolumeName is the name of the projected volume.
	VolumeName = "kubeflow-trainer-token"
	// MountPath is where it is mounted, read-only.
	MountPath = "/var/run/secrets/kubeflow/trainer"
	// TokenFile and CAFile are the names of its files.
	TokenFile = "token"
	CAFile    = "ca.crt"
	// TokenSeconds is how long a token is valid.
	TokenSeconds = 3600
)

// FieldOwner is the field owner of the server's writes.
const FieldOwner = "jobkit-progress"

// The limits of a report, as in Kubeflow Trainer. Texts are counted in characters.
const (
	// MaxBody is how many bytes a request's body has at most.
	MaxBody = 64 << 10
	// MaxMetrics is how many metrics a report has at most.
	MaxMetrics = 256
	// MaxText is how long the name and the value of a metric are at most.
	MaxText = 64
)

// Address is where the pods of one job send their reports.
type Address struct {
	Resource        schema.GroupVersionResource
	Namespace, Name string
	UID             types.UID
}

// Path is the path of the URL.
func (a Address) Path() string { return "/apis/" + a.job() + "/status" }

// Audience is that of the tokens: a token is good for this one job, and not for a later one of
// its name.
func (a Address) Audience() string { return a.job() + "/" + string(a.UID) }

// UIDOf returns the UID in an audience of this job, or nothing if the audience is of another
// job or of something else.
func (a Address) UIDOf(audience string) types.UID {
	uid, ok := strings.CutPrefix(audience, a.job()+"/")
	if !ok || strings.Contains(uid, "/") {
		return ""
	}
	return types.UID(uid)
}

func (a Address) job() string {
	return path.Join(a.Resource.Group, a.Resource.Version, "namespaces", a.Namespace, a.Resource.Resource, a.Name)
}
