package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// before are the replicas that have not reached the state that startAfter of another type
// asks for.
func (d *decision) before(after *commonv1.StartAfter) []*replica {
	var out []*replica
	d.tally.each(func(s *replica) {
		if s.typ == after.ReplicaType && !d.reached(s, after.State) {
			out = append(out, s)
		}
	})
	return out
}

// reached reports whether a replica is in a state of startAfter. One that has succeeded is
// in each of them. One that this pass restarts is in none.
func (d *decision) reached(s *replica, state commonv1.StartAfterState) bool {
	switch {
	case s.state == jobkit.Succeeded:
		return true
	case s.state != jobkit.Active || d.superseded(s):
		return false
	case state == commonv1.StartAfterReady:
		return d.ready(s)
	default:
		return state == commonv1.StartAfterRunning
	}
}

// Waiting is how many replicas of a type have no pod because they start after those of
// another type. A gang scheduler must not wait for them.
func Waiting(in *Input, tally *Tally, t commonv1.ReplicaType) int32 {
	spec, tt := in.Replicas[t], tally.Of(t)
	if spec == nil || spec.StartAfter == nil || tt == nil {
		return 0
	}
	d := &decision{in: withUnpackedStatus(in), tally: tally}
	d.plan.Status = d.in.Status
	if len(d.before(spec.StartAfter)) == 0 {
		return 0
	}
	return int32(min(tt.Count(jobkit.Missing), jobkit.MaxReplicas)) //nolint:gosec // it is at most MaxReplicas
}

// startAfterNote is what the message of the condition Running says about types that wait
// for others, or "".
func (d *decision) startAfterNote() string {
	var waiting strings.Builder
	for i := range d.tally.byType {
		tt := &d.tally.byType[i]
		after := d.in.Replicas[tt.Type].StartAfter
		if after != nil && tt.Count(jobkit.Missing) > 0 && len(d.before(after)) > 0 {
			_, _ = fmt.Fprintf(&waiting, " %s starts when all replicas of %s %s.", tt.Type, after.ReplicaType, inState(after.State))
		}
	}
	return waiting.String()
}

// inState says what the replicas of a type do that are in a state.
func inState(state commonv1.StartAfterState) string {
	switch state {
	case commonv1.StartAfterReady:
		return "are ready"
	case commonv1.StartAfterSucceeded:
		return "have succeeded"
	case commonv1.StartAfterRunning:
		return "run"
	default:
		return "are " + string(state)
	}
}

// startAfterWaits says which pods keep a type from starting. A pod that runs and is to
// succeed takes the time that it needs.
func (d *decision) startAfterWaits() wait {
	for i := range d.tally.byType {
		tt := &d.tally.byType[i]
		after := d.in.Replicas[tt.Type].StartAfter
		if after == nil || tt.Count(jobkit.Missing) == 0 {
			continue
		}
		if w := d.waitFor(tt.Type, after); w.why != "" {
			return w
		}
	}
	return wait{reason: reasonStartOrder, patience: startPatience}
}

// waitFor says which pods keep one type from starting.
func (d *decision) waitFor(t commonv1.ReplicaType, after *commonv1.StartAfter) wait {
	w := wait{reason: reasonStartOrder, patience: startPatience}
	var names []string
	for _, s := range d.before(after) {
		if !s.hasPod() || after.State == commonv1.StartAfterSucceeded && s.state == jobkit.Active {
			continue
		}
		if len(names) == 0 {
			w.pod = refTo(s.pod)
		}
		names = append(names, s.pod.Name)
		w.since = earliest(w.since, unreadySince(s.pod))
	}
	if len(names) > 0 {
		w.why = fmt.Sprintf("%s starts %s when all replicas of %s %s: check pod %s",
			d.jobName(), t, after.ReplicaType, inState(after.State), andMore(names))
	}
	return w
}

// unreadySince is when a pod was created, or when it was last ready.
func unreadySince(pod *corev1.Pod) time.Time {
	if c := podCondition(pod, corev1.PodReady); c != nil && c.Status != corev1.ConditionTrue {
		return later(pod.CreationTimestamp.Time, c.LastTransitionTime.Time)
	}
	return pod.CreationTimestamp.Time
}

// validateStartAfter checks what the types of a job start after: types that it has, in
// an order in which each can start.
func validateStartAfter(in *Input) field.ErrorList {
	var errs field.ErrorList
	for _, t := range in.types() {
		after, at := in.Replicas[t].StartAfter, in.Kind.SpecPath(t).Child("startAfter")
		if after == nil {
			continue
		}
		errs = append(errs, oneOf(at.Child("state"), &after.State,
			commonv1.StartAfterRunning, commonv1.StartAfterReady, commonv1.StartAfterSucceeded)...)
		switch first, of := after.ReplicaType, at.Child("replicaType"); {
		case first == "":
			errs = append(errs, field.Required(of, "name the replica type that goes first, or remove startAfter"))
		case first == t:
			errs = append(errs, field.Invalid(of, first, "no replica type starts after itself: name another one, or remove startAfter"))
		case in.Kind.Role(first) == nil:
			errs = append(errs, unknownType(first, of, typeNames(&in.Kind)))
		case in.Replicas[first] == nil:
			errs = append(errs, field.Invalid(of, first, fmt.Sprintf("the job has no replica type %s: %s, or remove startAfter", first, whereToAdd(&in.Kind, first))))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	if circle := in.startCircle(); circle != nil {
		at := in.Kind.SpecPath(circle[0]).Child("startAfter", "replicaType")
		errs = append(errs, field.Invalid(at, circle[1], circleMessage(circle)))
	}
	return errs
}

// circleMessage says that types wait for each other.
func circleMessage(circle []commonv1.ReplicaType) string {
	out := make([]string, 0, len(circle)-1)
	for _, t := range circle[1:] {
		out = append(out, string(t))
	}
	return fmt.Sprintf("%s starts after %s, so none of them ever starts: remove startAfter of one of them", circle[0], strings.Join(out, ", which starts after "))
}

// startCircle is a circle of types of the job of which each starts after the next,
// beginning with one that has a startAfter, and ending with it; nil if there is none.
func (in *Input) startCircle() []commonv1.ReplicaType {
	return circleOf(in.types(), func(t commonv1.ReplicaType) []commonv1.ReplicaType {
		var out []commonv1.ReplicaType
		if after := in.Replicas[t].StartAfter; after != nil {
			out = append(out, after.ReplicaType)
		}
		for i := range in.Rules.StartAfter {
			if r := &in.Rules.StartAfter[i]; r.Type == t {
				out = append(out, r.After...)
			}
		}
		return slices.DeleteFunc(out, func(t commonv1.ReplicaType) bool { return in.Replicas[t] == nil })
	}, func(t commonv1.ReplicaType) bool { return in.Replicas[t].StartAfter != nil })
}

// circleOf finds a circle in the order of types: after are those that one starts after.
// The circle begins, and ends, with one that starts says may.
func circleOf(
	types []commonv1.ReplicaType, after func(commonv1.ReplicaType) []commonv1.ReplicaType, starts func(commonv1.ReplicaType) bool,
) []commonv1.ReplicaType {
	for _, t := range types {
		if !starts(t) {
			continue
		}
		if found := wayBack([]commonv1.ReplicaType{t}, after, map[commonv1.ReplicaType]bool{}); found != nil {
			return found
		}
	}
	return nil
}

// wayBack continues a way through the types until it is where it began, or returns nil. It
// visits each type once.
func wayBack(
	way []commonv1.ReplicaType, after func(commonv1.ReplicaType) []commonv1.ReplicaType, seen map[commonv1.ReplicaType]bool,
) []commonv1.ReplicaType {
	for _, next := range after(way[len(way)-1]) {
		if next == way[0] {
			return append(way, next)
		}
		if seen[next] {
			continue
		}
		seen[next] = true
		if found := wayBack(append(slices.Clone(way), next), after, seen); found != nil {
			return found
		}
	}
	return nil
}

// validateRoleStartAfter checks what a role starts after: another role of the kind, in an
// order in which each can start.
func validateRoleStartAfter(k *jobkit.Kind, r *jobkit.Role, path *field.Path) field.ErrorList {
	after := r.StartAfter
	if after == nil {
		return nil
	}
	errs := oneOf(path.Child("State"), &after.State, commonv1.StartAfterRunning, commonv1.StartAfterReady, commonv1.StartAfterSucceeded)
	of := path.Child("ReplicaType")
	switch {
	case after.ReplicaType == r.Type:
		return append(errs, field.Invalid(of, after.ReplicaType, "no replica type starts after itself: name another one, or remove StartAfter"))
	case k.Role(after.ReplicaType) == nil:
		return append(errs, field.NotSupported(of, after.ReplicaType, k.Types()))
	}
	circle := circleOf([]commonv1.ReplicaType{r.Type}, func(t commonv1.ReplicaType) []commonv1.ReplicaType {
		if role := k.Role(t); role != nil && role.StartAfter != nil {
			return []commonv1.ReplicaType{role.StartAfter.ReplicaType}
		}
		return nil
	}, func(commonv1.ReplicaType) bool { return true })
	if circle != nil {
		errs = append(errs, field.Invalid(of, after.ReplicaType, strings.ReplaceAll(circleMessage(circle), "startAfter", "StartAfter")))
	}
	return errs
}
