package jobkit

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ControllerInterface is what the author of an operator writes: what is special
// about one kind of job. J is a pointer to the job's type, for example
// *testv1.TestJob. Embed [Defaults] to write only the methods that you need.
//
// The methods are called from several goroutines at once. The job that they get is
// a copy with all defaults set. Parts and Rules are tried at set-up, too, on a job that
// is made up, so that mistakes are found before a job pays for them; what cannot be
// tried there, because it needs more of a job, is left alone.
type ControllerInterface[J Object] interface {
	// Kind says what is true of every job of the kind. It is called once, at set-up.
	Kind() Kind

	// Parts points at the parts of a job that the library reads and writes. Status must
	// point into the job, not at a copy.
	Parts(job J) JobParts

	// Rules says which replicas make the job running and which make it a success.
	// The zero value suits a job whose replicas are all alike.
	Rules(job J) Rules

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

// Defaults gives [ControllerInterface] the methods that many kinds do not need.
type Defaults[J Object] struct{}

// Rules returns the zero value: the job runs when any replica does, and succeeds
// when all have.
func (Defaults[J]) Rules(J) Rules { return Rules{} }

// SetClusterSpec changes nothing.
func (Defaults[J]) SetClusterSpec(J, Replica, *corev1.PodTemplateSpec) error { return nil }

// The interfaces below are optional. (Package controller has others, which replace what it does on
// the API server.) A Controller that implements one of them
// replaces what the library does by default; which ones it implements is found
// once, at set-up, and logged. A method that has the name of one of theirs but not its
// signature, or a pointer receiver where Controller is a value, is refused there.

// Defaulter sets defaults of the kind's own fields, before the library sets its.
// The job is a copy: nothing is written back. Defaults that make a job invalid which was
// valid before stall it as the operator's mistake.
type Defaulter[J Object] interface {
	Default(job J)
}

// Validator finds mistakes in the kind's own fields. What it finds is treated as
// the library's own findings are: it fails a job that has not started, and stalls
// one that has.
type Validator[J Object] interface {
	Validate(job J) field.ErrorList
}

// Warner finds what the user of a job should know and what is no mistake, for
// example a variable that the template sets and that the operator sets too. Each is
// told in a warning event, once, when the job is taken up.
type Warner[J Object] interface {
	Warn(job J) []Warning
}

// OwnedObjects gives jobs further objects beside their pods and services:
// configuration, permissions, an autoscaler. The library creates them before the
// pods, mends what differs from what is wanted (what others add to them stays), and
// deletes them when the job is suspended, or when it has finished and none of its
// pods runs any more. Give the same kinds to controller.CacheOptions.
type OwnedObjects[J Object] interface {
	// ObjectKinds returns an empty object of each kind, none of them Pod or Service, which
	// the library keeps itself. It is called at set-up.
	ObjectKinds() []Object
	// Objects returns the objects that the job shall have now, each of one of the kinds
	// above, with its name and content. Namespace, owner and the labels of the job are set afterwards.
	// It is asked while the job runs and when it has finished, and must be a pure
	// function of its arguments.
	Objects(job J, tally *Tally) []Object
}

// UseExisting marks one of the further objects that the method Objects of an [OwnedObjects]
// returns: if somebody else has made one of its name, the job uses that as it is, instead
// of being stalled. It belongs to whoever made it: the library neither changes nor deletes
// it. Such an object is created together with pods, not while they run.
func UseExisting(o Object) Object { return existing{o} }

type existing struct{ Object }

// Existing returns the object without the mark.
func (e existing) Existing() Object { return e.Object }

// StatusEvaluator decides over success, failure and running in place of [Rules]. It
// must be a pure function of its arguments. nil leaves it to the rules. When all replicas
// have succeeded it has to decide, or to say that the job runs: otherwise the job is
// stalled as the operator's mistake.
type StatusEvaluator[J Object] interface {
	EvaluateStatus(job J, tally *Tally) *Outcome
}
