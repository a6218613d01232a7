package jobkit

import (
	"fmt"
	"strings"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Rules say how the state of a job follows from the states of its replicas. The
// zero value suits a job whose replicas are all alike: it is running when any
// replica is, and has succeeded when all have.
type Rules struct {
	// Success lists alternatives: the job has succeeded when one of them holds. A job
	// whose replicas have all succeeded while none can hold is stalled. Default: all replicas of all types have succeeded.
	Success []SuccessRule
	// Running selects the replicas of which one must run for the job to count as
	// running. Default: any replica.
	Running []ReplicaSelector
	// Master selects the replicas that get the label job-role=master. Default: none.
	Master []ReplicaSelector
	// Optional selects the replicas whose failure for good does not fail the job, as
	// long as others go on. Default: none.
	Optional []ReplicaSelector
	// StartAfter says which replicas start after others. Default: all start together.
	StartAfter []StartAfter
	// Messages is how the conditions of the job are worded.
	Messages Messages
}

// StartAfter says that replicas of one type start after those of others: their pods are
// created when those of the others are there. It holds for each of their attempts. What
// the others do later has no say in it.
type StartAfter struct {
	// Type is the replica type that waits.
	Type commonv1.ReplicaType
	// After are the types that it waits for. One that the job does not have holds nobody up.
	After []commonv1.ReplicaType
	// Ready waits until the others run, and are ready where their template has a probe that
	// says so. Otherwise it is enough that their pods have been created.
	//
	// Pods that wait for a node keep nobody waiting if whoever gives them one may want to see
	// all pods of the job first: a gang scheduler, a queue that holds them by a scheduling
	// gate, a scheduler that the template names, one that does not show itself. All pods are
	// then created, as if Ready were false, because neither side would go on.
	Ready bool
}

// Messages holds the messages of conditions, for kinds whose clients know them by
// heart.
type Messages struct {
	// Running and Succeeded are complete messages. Default: "<kind>
	// <namespace>/<name> is running." and "<kind> <namespace>/<name> successfully
	// completed."
	Running, Succeeded string
	// Restarting and Failed are what comes before " because" and the cause.
	// Default: "<kind> <name> is restarting" and "<kind> <namespace>/<name> has
	// failed".
	Restarting, Failed string
	// FailedReason is the reason of the condition Failed when replicas failed.
	// Default: "<kind>Failed".
	FailedReason string
}

// UnqualifiedMessages words the conditions with the name of the job alone, without its
// namespace, as kinds of kubeflow.org/v1 do that have a master.
func UnqualifiedMessages(kind, job string) Messages {
	name := kind + " " + job
	return Messages{
		Running: name + " is running.", Succeeded: name + " is successfully completed.",
		Restarting: name + " is restarting", Failed: name + " is failed",
	}
}

// ReplicaSelector selects replicas of a job: those of a type, or one of them.
type ReplicaSelector struct {
	typ   commonv1.ReplicaType
	index int32
}

const (
	everyIndex = -1
	noIndex    = -2
)

// All selects all replicas of a type.
func All(t commonv1.ReplicaType) ReplicaSelector { return ReplicaSelector{typ: t, index: everyIndex} }

// Index selects one replica of a type. There is none below 0.
func Index(t commonv1.ReplicaType, index int32) ReplicaSelector {
	if index < 0 {
		index = noIndex
	}
	return ReplicaSelector{typ: t, index: index}
}

// String says what is selected as the author wrote it.
func (r ReplicaSelector) String() string {
	if r.index == everyIndex {
		return fmt.Sprintf("All(%s)", r.typ)
	}
	return fmt.Sprintf("Index(%s, %d)", r.typ, r.index)
}

// Includes reports whether a replica is selected.
func (r ReplicaSelector) Includes(t commonv1.ReplicaType, index int32) bool {
	return r.typ == t && (r.index == everyIndex || r.index == index)
}

func included(rs []ReplicaSelector, t commonv1.ReplicaType, index int32) bool {
	for _, r := range rs {
		if r.Includes(t, index) {
			return true
		}
	}
	return false
}

// SuccessRule says which replicas must have succeeded. A rule that selects no
// replica of the job does not hold.
type SuccessRule struct {
	any      bool
	replicas []ReplicaSelector
}

// String says what the rule asks for as the author wrote it.
func (r SuccessRule) String() string {
	of := make([]string, 0, len(r.replicas))
	for _, s := range r.replicas {
		of = append(of, s.String())
	}
	if r.any {
		return "AnyOf(" + strings.Join(of, ", ") + ")"
	}
	return "AllOf(" + strings.Join(of, ", ") + ")"
}

// AllOf holds when every selected replica has succeeded.
func AllOf(rs ...ReplicaSelector) SuccessRule { return SuccessRule{replicas: rs} }

// AnyOf holds when one of the selected replicas has succeeded.
func AnyOf(rs ...ReplicaSelector) SuccessRule { return SuccessRule{any: true, replicas: rs} }

// Holds tells whether the rule is met by the replicas of a job.
func (r SuccessRule) Holds(t *Tally) bool {
	selected, succeeded := 0, 0
	for i := range t.Types {
		for j, state := range t.Types[i].States {
			if !included(r.replicas, t.Types[i].Type, int32(j)) {
				continue
			}
			selected++
			if state == Succeeded {
				succeeded++
			}
		}
	}
	if r.any {
		return succeeded > 0
	}
	return selected > 0 && succeeded == selected
}

// Succeeded tells whether the job has succeeded by the rules.
func (r Rules) Succeeded(t *Tally) bool {
	for _, rule := range r.Success {
		if rule.Holds(t) {
			return true
		}
	}
	if len(r.Success) > 0 {
		return false
	}
	all := make([]ReplicaSelector, 0, len(t.Types))
	for i := range t.Types {
		all = append(all, All(t.Types[i].Type))
	}
	return AllOf(all...).Holds(t)
}

// Decides reports whether a replica is one of which one must run for the job to count as
// running.
func (r Rules) Decides(t commonv1.ReplicaType, index int32) bool {
	return len(r.Running) == 0 || included(r.Running, t, index)
}

// IsMaster reports whether a replica gets the label job-role=master.
func (r Rules) IsMaster(t commonv1.ReplicaType, index int32) bool {
	return included(r.Master, t, index)
}

// IsOptional reports whether the job goes on when a replica has failed for good.
func (r Rules) IsOptional(t commonv1.ReplicaType, index int32) bool {
	return included(r.Optional, t, index)
}

// Selectors are the replicas of which the rule speaks.
func (r SuccessRule) Selectors() []ReplicaSelector { return r.replicas }

// Type is the replica type that is selected.
func (r ReplicaSelector) Type() commonv1.ReplicaType { return r.typ }

// Last is the highest index that is selected by itself, or -1 if all of the type are.
func (r ReplicaSelector) Last() int32 { return max(r.index, everyIndex) }
