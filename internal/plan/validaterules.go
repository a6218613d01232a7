package plan

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
)

// ValidateRules finds selections in rules that match no job of the kind: a type that the
// kind does not have, an index beyond the number of replicas that a job can have, and, if
// the rules are those of a job that has replicas of every type (complete), success rules that
// select nothing.
func ValidateRules(k *jobkit.Kind, r jobkit.Rules, complete bool) field.ErrorList {
	var errs field.ErrorList
	check := func(path *field.Path, rs []jobkit.ReplicaSelector) {
		for i, s := range rs {
			if s.Type() != "" || complete { // The type may be taken from a job that has one.
				errs = append(errs, validateSelection(k, s, path.Index(i))...)
			}
		}
	}
	success, nothing := field.NewPath("Success"), 0
	for i, rule := range r.Success {
		check(success.Index(i), rule.Selectors())
		if len(rule.Selectors()) == 0 {
			nothing++
		}
	}
	check(field.NewPath("Running"), r.Running)
	check(field.NewPath("Master"), r.Master)
	check(field.NewPath("Optional"), r.Optional)
	if complete && nothing > 0 && nothing == len(r.Success) {
		errs = append(errs, field.Invalid(success, r.Success[0].String(),
			"selects no replica, so it never holds: name replicas, or leave Success empty to wait for all"))
	}
	return errs
}

// validateSelection checks what one selection selects.
func validateSelection(k *jobkit.Kind, s jobkit.ReplicaSelector, path *field.Path) field.ErrorList {
	role := k.Role(s.Type())
	if role == nil {
		known := typeNames(k)
		return field.ErrorList{field.Invalid(path, s.String(), fmt.Sprintf(
			"the kind has no replica type %q: use one of Kind().Roles, %s", s.Type(), strings.Join(known, ", ")))}
	}
	if _, most := role.Bounds(); s.Last() >= most {
		return field.ErrorList{field.Invalid(path, s.String(), fmt.Sprintf(
			"a job has at most %d %s, counted from 0: use an index up to %d, or raise Max of the role", most, s.Type(), most-1))}
	}
	return nil
}
