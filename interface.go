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
// a copy with all defaults set. Set-up calls Parts and Rules too, with an example job, to
// find mistakes before a real job meets them. What needs more of a job than the example
// has is not checked there.
type ControllerInterface[J Object] interface {
	// Kind returns what is true of every job of the kind. It is called once, at set-up.
	Kind() Kind

	// Parts points to the parts of a job that the library reads and writes. Status and
	// RunPolicy must point into the job, not to a copy. The map ReplicaSpecs may be one that
	// Parts makes, for example of the fields spec.head and spec.workers, and without those
	// that are nil; [Role].Field says then which these are.
	Parts(job J) JobParts

	// Rules returns which replicas make the job Running and which make it Succeeded.
	// The zero value suits a job whose replicas are all alike.
	Rules(job J) Rules

	// SetClusterSpec adds to the template of a replica's pod what the replica needs
	// to find the others: environment, files, arguments. The template is a copy and may
	// be changed freely; the job must not be changed. The library then sets what
	// identifies the pod: name, labels under training.kubeflow.org/, owner, restart
	// policy.
	//
	// An error stalls the job until a later retry succeeds; a condition of the job says
	// so. An error wrapped by reconcile.TerminalError means a mistake of the user that no
	// retry can fix: it fails the job, or stalls one that ran before it was edited.
	SetClusterSpec(job J, replica Replica, template *corev1.PodTemplateSpec) error
}

// Defaults gives [ControllerInterface] the methods that many kinds do not need.
type Defaults[J Object] struct{}

// Rules returns the zero value: the job runs when any replica runs, and succeeds
// when all replicas have succeeded.
func (Defaults[J]) Rules(J) Rules { return Rules{} }

// SetClusterSpec changes nothing.
func (Defaults[J]) SetClusterSpec(J, Replica, *corev1.PodTemplateSpec) error { return nil }

// The interfaces below are optional. (Package controller has others, which replace how it
// calls the API server.) A Controller that implements one of them replaces what the library
// does by default. Set-up finds and logs which ones it implements. Set-up refuses a method
// that has the name of one of theirs but another signature, or a pointer receiver where
// Controller is a value.

// Defaulter sets defaults of the kind's own fields, before the library sets its own.
// The job is a copy: nothing is written back. Defaults that make a valid job invalid are the
// operator's mistake: they stall the job.
type Defaulter[J Object] interface {
	Default(job J)
}

// Validator finds mistakes in the kind's own fields. They are treated like those that
// the library finds: they fail a job that has not started, and stall one that has.
type Validator[J Object] interface {
	Validate(job J) field.ErrorList
}

// Warner finds what the user of a job should know but what is not a mistake, for
// example a variable that both the template and the operator set. Each warning becomes a
// warning event, once, when the job is accepted.
type Warner[J Object] interface {
	Warn(job J) []Warning
}

// OwnedObjects gives jobs other objects besides their pods and services:
// configuration, permissions, an autoscaler. The library creates them before the
// pods and fixes what differs from what is wanted (what others add to them stays). It
// deletes them when the job is suspended, or when it has finished and none of its
// pods runs any longer, unless an [OwnedObject] says otherwise. Give the
// same kinds to controller.CacheOptions.
type OwnedObjects[J Object] interface {
	// ObjectKinds returns an empty object of each kind. Pod and Service are not allowed:
	// the library manages these itself. It is called at set-up.
	ObjectKinds() []Object
	// Objects returns the objects that the job should have now, each of one of the kinds
	// above, with its name and content, or an [OwnedObject] of it. The library then sets namespace, owner and the labels
	// of the job. It is called while the job runs and when it has finished, and must be a
	// pure function of its arguments.
	Objects(job J, tally *Tally) []Object
}

// OwnedObject is an object that the method Objects of an [OwnedObjects] returns, with what is
// special about it:
//
//	jobkit.OwnedObject{Object: &corev1.ServiceAccount{...}, UseExisting: true}
type OwnedObject struct {
	Object

	// UseExisting is true if another client may have made an object of its name: the job then
	// uses that as it is, instead of being stalled. The library neither changes nor deletes it
	// then. Such an object is created together with pods, not while they run. Default: false.
	UseExisting bool
	// MustExist is true if someone else makes the object, and the job only uses it: the library neither
	// creates, changes nor deletes it, and creates no pod as long as there is none of its name in
	// the job's namespace. The job is stalled until then. Default: false.
	MustExist bool
	// KeepSuspended is true if it stays when the job is suspended. Default: false, it is deleted.
	KeepSuspended bool
	// KeepFinished is true if it stays when the job has finished, as long as the method Objects
	// still returns it. It is deleted with the job. Default: false, it is deleted as soon as none
	// of the job's pods runs.
	KeepFinished bool
}

// StatusReporter reports what is special about the kind: its own fields of the status, and events.
// The type of the job's status is the author's then, with the library's in it, and Parts points
// at that:
//
//	type SimJobStatus struct {
//		commonv1.JobStatus `json:",inline"`
//		Solved             int32 `json:"solved,omitempty"`
//	}
//
// Both are written in one request, on the same condition and at the same pace. Conditions of the
// kind's own are a field of it, too, for example of type []metav1.Condition: they never name the
// job's state, as those of the library do.
type StatusReporter[J Object] interface {
	// ReportStatus sets the kind's own fields of the job's status, and returns what has just
	// happened. The job is a copy that already has the library's part of the status as it will
	// be; other changes of the copy have no effect. The events, the first ten of a call, are recorded once the status is
	// written, and only if this call changed one of those fields: so each is recorded once,
	// whatever crashes, and what has happened can be read from the status.
	//
	// ReportStatus must be a pure function of its arguments: a field that differs at every call,
	// such as the time, would be written again and again. It is not called for jobs that are not valid,
	// and for the last time when the job ends.
	ReportStatus(job J, tally *Tally) []Event
}

// StatusEvaluator decides on success, failure and running instead of [Rules]. It
// must be a pure function of its arguments. If it returns nil, the rules decide. When all
// replicas have succeeded it must decide, or report that the job runs: otherwise this is the
// operator's mistake, and the job is stalled. If only some replicas make the job run, let
// [Rules].Running select the same ones, which package jobtest checks by. In a job whose user sets
// runPolicy.successPolicy, that decides on success, and Succeeded has no effect.
type StatusEvaluator[J Object] interface {
	EvaluateStatus(job J, tally *Tally) *Outcome
}
