package page

import (
	"context"
	"errors"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Ref names a job. Resource is what the cluster calls its kind, for example
// "pytorchjobs.v1.kubeflow.org".
type Ref struct{ Resource, Namespace, Name string }

// String is the key of the job in the page: its three parts, which hold no slash.
func (r Ref) String() string { return strings.Join([]string{r.Resource, r.Namespace, r.Name}, "/") }

// Job is a job as the cluster has it now, and its pods. They are shared and must not be changed.
type Job struct {
	Object *unstructured.Unstructured
	// Pods that the job controls; nil if they may not be read.
	Pods []*corev1.Pod
	// Left says what of the job is too large, so that it is not in Object. Default: empty, nothing.
	Left string
}

// Rights are what the user may do with the jobs of one kind in one namespace.
type Rights struct {
	// Change is the right to suspend and resume.
	Change bool `json:"change"`
	// Restart is the right to delete pods.
	Restart bool `json:"restart"`
	Delete  bool `json:"delete"`
	Logs    bool `json:"logs"`
}

// Action is something that a user does to a job.
type Action string

// The actions.
const (
	Suspend Action = "suspend"
	Resume  Action = "resume"
	Restart Action = "restart"
	Delete  Action = "delete"
)

// LogRequest says which log to read.
type LogRequest struct {
	Namespace, Pod, Container string
	// Previous is the container before its last restart in place.
	Previous bool
	// Lines is how many of the last lines to begin with.
	Lines int64
}

// Errors of a [Steering].
var (
	// ErrForbidden: the user has no right to do that.
	ErrForbidden = errors.New("you have no right to do that")
	// ErrChanged: the job is gone, or another one has its name now.
	ErrChanged = errors.New("the job is gone, or another job has its name now: reload the page")
)

// Jobs are those of a cluster, as far as they have been read.
type Jobs interface {
	// Job is a job as it is now; false if there is none, or if it is not known yet.
	Job(ref Ref) (Job, bool)
	// Known reports whether the jobs of a kind and namespace have been read, so that one that is
	// not among them does not exist.
	Known(ref Ref) bool
}

// Source shows the jobs of a cluster.
type Source interface {
	Jobs
	// Watch calls changed for each job that there is, and for each that changes or whose pods
	// change, until ctx ends; and with a Ref without a name when Known changes. The function must
	// not block.
	Watch(ctx context.Context, changed func(Ref)) error
	// Events calls changed with all events of a job and its pods, in no order, whenever there
	// are new ones, until ctx ends. trouble says why there may be others; empty if all is well.
	Events(ctx context.Context, ref Ref, changed func(events []corev1.Event, trouble string)) error
	// Logs follows the log of a container.
	Logs(ctx context.Context, request LogRequest) (io.ReadCloser, error)
	// Troubles say what cannot be shown now, and why; empty if all is well.
	Troubles() []string
}

// Steering changes jobs, as the user may.
type Steering interface {
	// Rights are what the user may do with a job.
	Rights(ctx context.Context, ref Ref) (Rights, error)
	// Do does something to the job with the given UID.
	Do(ctx context.Context, ref Ref, uid types.UID, action Action) error
}
