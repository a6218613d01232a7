package plan

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
	Running []Replicas
	// Master selects the replicas that get the label job-role=master. Default: none.
	Master []Replicas
	// MayFail selects the replicas whose failure for good does not fail the job, as
	// long as others go on. Default: none.
	MayFail []Replicas
	// StartAfter says which replicas start after others. Default: all start together.
	StartAfter []StartAfter
	// Wording is how the conditions of the job are worded.
	Wording Wording
}

// Wording holds the messages of conditions, for kinds whose clients know them by
// heart.
type Wording struct {
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

// WordingByName words the conditions with the name of the job alone, without its
// namespace, as kinds of kubeflow.org/v1 do that have a master.
func WordingByName(kind, job string) Wording {
	name := kind + " " + job
	return Wording{
		Running: name + " is running.", Succeeded: name + " is successfully completed.",
		Restarting: name + " is restarting", Failed: name + " is failed",
	}
}

// Replicas selects replicas of a job: those of a type, or one of them.
type Replicas struct {
	typ   commonv1.ReplicaType
	index int32
}

const (
	everyIndex = -1
	noIndex    = -2
)

// All selects all replicas of a type.
func All(t commonv1.ReplicaType) Replicas { return Replicas{typ: t, index: everyIndex} }

// Index selects one replica of a type. There is none below 0.
func Index(t commonv1.ReplicaType, index int32) Replicas {
	if index < 0 {
		index = noIndex
	}
	return Replicas{typ: t, index: index}
}

// String says what is selected as the author wrote it.
func (r Replicas) String() string {
	if r.index == everyIndex {
		return fmt.Sprintf("All(%s)", r.typ)
	}
	return fmt.Sprintf("Index(%s, %d)", r.typ, r.index)
}

// Includes tells whether a replica is selected.
func (r Replicas) Includes(t commonv1.ReplicaType, index int32) bool {
	return r.typ == t && (r.index == everyIndex || r.index == index)
}

func included(rs []Replicas, t commonv1.ReplicaType, index int32) bool {
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
	replicas []Replicas
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
func AllOf(rs ...Replicas) SuccessRule { return SuccessRule{replicas: rs} }

// AnyOf holds when one of the selected replicas has succeeded.
func AnyOf(rs ...Replicas) SuccessRule { return SuccessRule{any: true, replicas: rs} }

// holds tells whether the rule is met by the replicas of a job.
func (r SuccessRule) holds(t *Tally) bool {
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

// succeeded tells whether the job has succeeded by the rules.
func (r Rules) succeeded(t *Tally) bool {
	for _, rule := range r.Success {
		if rule.holds(t) {
			return true
		}
	}
	if len(r.Success) > 0 {
		return false
	}
	all := make([]Replicas, 0, len(t.Types))
	for i := range t.Types {
		all = append(all, All(t.Types[i].Type))
	}
	return AllOf(all...).holds(t)
}

// decides reports whether a replica is one of which one must run for the job to count as
// running.
func (r Rules) decides(t commonv1.ReplicaType, index int32) bool {
	return len(r.Running) == 0 || included(r.Running, t, index)
}
