package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// maxSuccessRules is how many rules a success policy can have, as in batch/v1.
const maxSuccessRules = 20

// successRule is the index of the first rule of the user's success policy that holds, or
// -1. It goes by the states of the replicas that the job wants: one that was stopped, that
// an edit made unwanted, or that is restarted has not succeeded.
func (d *decision) successRule() int {
	var rules []commonv1.SuccessPolicyRule
	if p := d.in.RunPolicy.SuccessPolicy; p != nil {
		rules = p.Rules
	}
	return slices.IndexFunc(rules, func(r commonv1.SuccessPolicyRule) bool {
		return ruleHolds(&r, d.tally.Of(r.ReplicaType))
	})
}

// ruleHolds reports whether a rule is met by the replicas of its type, nil if there are
// none. A rule that is a mistake does not hold.
func ruleHolds(r *commonv1.SuccessPolicyRule, tt *jobkit.TypeTally) bool {
	if tt == nil || r.Indexes == nil && r.Count == nil {
		return false
	}
	if r.Indexes == nil {
		return *r.Count > 0 && tt.Count(jobkit.Succeeded) >= int(*r.Count)
	}
	list, _ := parseRanges(*r.Indexes) // What is no list has no indexes, of which none succeeds.
	succeeded := 0
	for _, part := range list {
		for i := part.first; int(i) < len(tt.States) && i <= part.last; i++ {
			if tt.States[i] == jobkit.Succeeded {
				succeeded++
			}
		}
	}
	wanted := sizeOf(list)
	if r.Count != nil {
		wanted = int(*r.Count)
	}
	return wanted > 0 && succeeded >= wanted
}

// validateSuccessPolicy refuses rules that can never hold.
func validateSuccessPolicy(in *Input, path *field.Path) field.ErrorList {
	p := in.RunPolicy.SuccessPolicy
	if p == nil {
		return nil
	}
	rules := path.Child("rules")
	var errs field.ErrorList
	switch {
	case len(p.Rules) == 0:
		errs = append(errs, field.Required(rules, "a policy without rules never ends the job: add a rule, or remove successPolicy"))
	case len(p.Rules) > maxSuccessRules:
		return field.ErrorList{field.TooMany(rules, len(p.Rules), maxSuccessRules)}
	}
	for i := range p.Rules {
		errs = append(errs, validateSuccessRule(in, &p.Rules[i], rules.Index(i))...)
	}
	return errs
}

// validateSuccessRule checks one rule of the success policy.
func validateSuccessRule(in *Input, r *commonv1.SuccessPolicyRule, path *field.Path) field.ErrorList {
	t := r.ReplicaType
	if in.Kind.Role(t) == nil {
		return field.ErrorList{unknownType(t, path.Child("replicaType"), typeNames(&in.Kind))}
	}
	if in.Replicas[t] == nil {
		return field.ErrorList{field.Invalid(path.Child("replicaType"), string(t), fmt.Sprintf(
			"the job has no %s, so the rule never holds: use a type that it has, or add it", t))}
	}
	if r.Indexes == nil && r.Count == nil {
		return field.ErrorList{field.Required(path, "a rule needs indexes, count, or both: add one")}
	}
	var errs field.ErrorList
	n := in.replicas(t)
	most, of := int(n), fmt.Sprintf("the job has %d replicas of %s", n, t)
	if r.Indexes != nil {
		list, ok := parseRanges(*r.Indexes)
		switch {
		case !ok:
			return field.ErrorList{field.Invalid(path.Child("indexes"), *r.Indexes,
				`is no list of indexes: write indexes and ranges in ascending order, as in "0-3,7"`)}
		case list[len(list)-1].last >= n:
			return field.ErrorList{field.Invalid(path.Child("indexes"), *r.Indexes, fmt.Sprintf(
				"%s, counted from 0, so the rule never holds: use indexes below %d, or raise replicas", of, n))}
		}
		most, of = sizeOf(list), fmt.Sprintf("indexes has %d", sizeOf(list))
	}
	switch c := r.Count; {
	case c == nil:
	case *c < 1:
		errs = append(errs, field.Invalid(path.Child("count"), *c, "must be 1 or more"))
	case most == 0:
		errs = append(errs, field.Invalid(path.Child("count"), *c, of+", so the rule never holds: add replicas, or remove the rule"))
	case int(*c) > most:
		errs = append(errs, field.Invalid(path.Child("count"), *c, fmt.Sprintf(
			"%s, so the rule never holds: use a count of at most %d, or add replicas", of, most)))
	}
	return errs
}
