package jobkit

import (
	"fmt"
	"strings"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Rules define how the state of a job follows from the states of its replicas. The
// zero value suits a job whose replicas are all alike: it is running when any
// replica is, and has succeeded when all have.
type Rules struct {
	// Success lists alternatives: the job has succeeded when one of them holds. If all
	// replicas have succeeded and no rule can hold, the job is stalled.
	// Default: all replicas of all types have succeeded.
	Success []SuccessRule
	// Running selects replicas. The job counts as running if at least one of them runs.
	// Default: any replica.
	Running []ReplicaSelector
	// Master selects the replicas that get the label job-role=master. Default: none.
	Master []ReplicaSelector
	// Optional selects the replicas whose permanent failure does not fail the job, as
	// long as others continue. They do not run again: status.replicaStatuses.*.failedIndexes
	// lists them. Default: none.
	Optional []ReplicaSelector
	// MinReplicas is with how few replicas of a type the job goes on: no more of them must
	// start within runPolicy.startDeadlineSeconds. Default: all replicas.
	MinReplicas map[commonv1.ReplicaType]int32
	// StartAfter says which replicas start after others. Default: all start together.
	StartAfter []StartAfter
	// Messages are the messages of the job's conditions.
	Messages Messages
}

// StartAfter makes replicas of one type start after those of others: their pods are
// created when the pods of the others exist. It applies to each of their attempts. What
// the others do later has no effect.
type StartAfter struct {
	// Type is the replica type that waits.
	Type commonv1.ReplicaType
	// After are the types that it waits for. A type that the job does not have is ignored.
	After []commonv1.ReplicaType
	// Ready waits until the others run, and are ready if their template has a probe.
	// Default: false, which waits only until their pods have been created.
	//
	// Ready is ignored for pods that have no node yet if their scheduler may need to see
	// all pods of the job first: a gang scheduler, a queue that holds them by a scheduling
	// gate, a scheduler that the template names, or one that does not report on the pod.
	// Otherwise the scheduler and the job would wait for each other.
	Ready bool
}

// Messages holds the messages of conditions, for kinds whose clients depend on the exact
// text.
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

// Index selects one replica of a type. An index below 0 selects none.
func Index(t commonv1.ReplicaType, index int32) ReplicaSelector {
	if index < 0 {
		index = noIndex
	}
	return ReplicaSelector{typ: t, index: index}
}

// String returns the selector as the author wrote it.
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

// SuccessRule is a condition on which replicas have succeeded. A rule that selects no
// replica of the job does not hold.
type SuccessRule struct {
	any      bool
	replicas []ReplicaSelector
}

// String returns the rule as the author wrote it.
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

// Holds reports whether the replicas of a job meet the rule.
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

// Succeeded reports whether the job has succeeded by the rules.
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

// Decides reports whether a replica is among those that make the job count as running.
func (r Rules) Decides(t commonv1.ReplicaType, index int32) bool {
	return len(r.Running) == 0 || included(r.Running, t, index)
}

// IsMaster reports whether a replica gets the label job-role=master.
func (r Rules) IsMaster(t commonv1.ReplicaType, index int32) bool {
	return included(r.Master, t, index)
}

// IsOptional reports whether the job continues when a replica has failed permanently.
func (r Rules) IsOptional(t commonv1.ReplicaType, index int32) bool {
	return included(r.Optional, t, index)
}

// Selectors are those of the rule.
func (r SuccessRule) Selectors() []ReplicaSelector { return r.replicas }

// Type is the replica type that is selected.
func (r ReplicaSelector) Type() commonv1.ReplicaType { return r.typ }

// Last is the index of the one replica that is selected, or -1 if all of the type are.
func (r ReplicaSelector) Last() int32 { return max(r.index, everyIndex) }
