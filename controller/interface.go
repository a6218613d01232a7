package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/plan"
)

// ControllerInterface is what the author of an operator writes: what is special
// about one kind of job. J is a pointer to the job's type, for example
// *testv1.TestJob. Embed [Defaults] to write only the methods that you need.
//
// The methods are called from several goroutines at once. The job that they get is
// a copy with all defaults set. Parts and Rules are tried at set-up, too, on a job that
// is made up, so that mistakes are found before a job pays for them; what cannot be
// tried there, because it needs more of a job, is left alone.
type ControllerInterface[J client.Object] interface {
	// Kind says what is true of every job of the kind. It is called once, at set-up.
	Kind() plan.Kind

	// Parts points at the parts of a job that the library reads and writes. Status must
	// point into the job, not at a copy.
	Parts(job J) Parts

	// Rules says which replicas make the job running and which make it a success.
	// The zero value suits a job whose replicas are all alike.
	Rules(job J) plan.Rules

	// SetClusterSpec adds to the template of a replica's pod what the replica needs
	// to find the others: environment, files, arguments. The template is a copy, to
	// be changed at will; the job must not be changed. What identifies the pod
	// (name, labels under training.kubeflow.org/, owner, restart policy) is set
	// afterwards.
	//
	// An error stalls the job, which says so in a condition, until a later try
	// works. Wrapped by reconcile.TerminalError it means that the user made a
	// mistake which no retry can mend: it fails the job, or stalls one that ran
	// before it was edited.
	SetClusterSpec(job J, replica Replica, template *corev1.PodTemplateSpec) error
}

// Parts are the parts of a job that the library reads and writes.
type Parts struct {
	RunPolicy *commonv1.RunPolicy
	Replicas  map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	Status    *commonv1.JobStatus
}

// Replica is one replica of a job.
type Replica struct {
	Type  commonv1.ReplicaType
	Index int32
	// PodName is the name of its pod. Where the job has one service for all
	// replicas the pod is reached as PodName.<job name>; where each replica has its
	// own, as PodName.
	PodName string
	// Attempt counts the restarts of this replica, from 0.
	Attempt int32
}

// Defaults gives [ControllerInterface] the methods that many kinds do not need.
type Defaults[J client.Object] struct{}

// Rules returns the zero value: the job runs when any replica does, and succeeds
// when all have.
func (Defaults[J]) Rules(J) plan.Rules { return plan.Rules{} }

// SetClusterSpec changes nothing.
func (Defaults[J]) SetClusterSpec(J, Replica, *corev1.PodTemplateSpec) error { return nil }

// The interfaces below are optional. A Controller that implements one of them
// replaces what the library does by default; which ones it implements is found
// once, at set-up, and logged. A method that has the name of one of theirs but not its
// signature, or a pointer receiver where Controller is a value, is refused there.

// Defaulter sets defaults of the kind's own fields, before the library sets its.
// The job is a copy: nothing is written back. Defaults that make a job invalid which was
// valid before stall it as the operator's mistake.
type Defaulter[J client.Object] interface {
	Default(job J)
}

// Validator finds mistakes in the kind's own fields. What it finds is treated as
// the library's own findings are: it fails a job that has not started, and stalls
// one that has.
type Validator[J client.Object] interface {
	Validate(job J) field.ErrorList
}

// Warner finds what the user of a job should know and what is no mistake, for
// example a variable that the template sets and that the operator sets too. Each is
// told in a warning event, once, when the job is taken up.
type Warner[J client.Object] interface {
	Warn(job J) []plan.Event
}

// ObjectKeeper gives jobs further objects beside their pods and services:
// configuration, permissions, an autoscaler. The library creates them before the
// pods, mends what differs from what is wanted (what others add to them stays), and
// deletes them when the job is suspended, or when it has finished and none of its
// pods runs any more. Give the same kinds to [CacheOptions].
type ObjectKeeper[J client.Object] interface {
	// ObjectKinds returns an empty object of each kind, none of them Pod or Service, which
	// the library keeps itself. It is called at set-up.
	ObjectKinds() []client.Object
	// Objects returns the objects that the job shall have now, each of one of the kinds
	// above, with its name and content. Namespace, owner and the labels of the job are set afterwards.
	// It is asked while the job runs and when it has finished, and must be a pure
	// function of its arguments.
	Objects(job J, tally *plan.Tally) []client.Object
}

// UseExisting marks one of the further objects that the method Objects of an [ObjectKeeper]
// returns: if somebody else has made one of its name, the job uses that as it is, instead
// of being stalled. It belongs to whoever made it: the library neither changes nor deletes
// it. Such an object is created together with pods, not while they run.
func UseExisting(o client.Object) client.Object { return existing{o} }

type existing struct{ client.Object }

// unmarked returns a further object without the mark of UseExisting, and whether it had it.
func unmarked(o client.Object) (client.Object, bool) {
	marked, ok := o.(existing)
	if !ok {
		return o, false
	}
	return marked.Object, true
}

// Judge decides over success, failure and running in place of [plan.Rules]. It
// must be a pure function of its arguments. nil leaves it to the rules. When all replicas
// have succeeded it has to decide, or to say that the job runs: otherwise the job is
// stalled as the operator's mistake.
type Judge[J client.Object] interface {
	Judge(job J, tally *plan.Tally) *plan.Verdict
}

// PodControl creates and deletes pods in place of the library. Delete must honour
// the UID, and the resource version and the deletion grace period where they are
// set; the errors of both are those of the API server.
type PodControl[J client.Object] interface {
	CreatePod(ctx context.Context, job J, pod *corev1.Pod) error
	DeletePod(ctx context.Context, job J, pod *corev1.Pod) error
}

// ServiceControl creates, updates and deletes services in place of the library, as
// [PodControl] does pods. Update changes ports and selector, and must honour the UID
// and the resource version.
type ServiceControl[J client.Object] interface {
	CreateService(ctx context.Context, job J, service *corev1.Service) error
	UpdateService(ctx context.Context, job J, service *corev1.Service) error
	DeleteService(ctx context.Context, job J, service *corev1.Service) error
}

// ChildLister finds the pods and services of a job in place of the library, which
// looks them up in the cache by the UID of their controller. It must return only
// those whose controller is the job.
type ChildLister[J client.Object] interface {
	ListPods(ctx context.Context, job J) ([]*corev1.Pod, error)
	ListServices(ctx context.Context, job J) ([]*corev1.Service, error)
}

// StatusWriter writes the status of a job in place of the library. The write must
// fail with a conflict if the job's resource version is no longer the given one.
type StatusWriter[J client.Object] interface {
	WriteStatus(ctx context.Context, job J, status *commonv1.JobStatus) error
}
