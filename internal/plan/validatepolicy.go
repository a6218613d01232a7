package plan

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// ttlField is the time that a finished job stays. A job that runs has no need of it, nor of
// cleanPodPolicy: training-operator v1 accepts any, and a wrong one leaves the job and its pods.
const ttlField = "ttlSecondsAfterFinished"

// validateRunPolicy checks what the schema of a CRD should check, for kinds whose CRD does
// not.
func validateRunPolicy(in *Input, path *field.Path) field.ErrorList {
	p := &in.RunPolicy
	var errs field.ErrorList
	for _, number := range []struct {
		name  string
		value *int64
	}{
		{ttlField, widen(p.TTLSecondsAfterFinished)},
		{"activeDeadlineSeconds", p.ActiveDeadlineSeconds},
		{"startDeadlineSeconds", p.StartDeadlineSeconds},
		{"backoffLimit", widen(p.BackoffLimit)},
		{"backoffLimitPerReplica", widen(p.BackoffLimitPerReplica)},
		{"maxJobRestarts", widen(p.MaxJobRestarts)},
		{"forceDeleteAfterSeconds", p.ForceDeleteAfterSeconds},
	} {
		if number.value != nil && *number.value < 0 && (number.name != ttlField || !in.accepted()) {
			errs = append(errs, field.Invalid(path.Child(number.name), *number.value, "must be 0 or more"))
		}
	}
	if !in.accepted() {
		errs = append(errs, oneOf(path.Child("cleanPodPolicy"), p.CleanPodPolicy, commonv1.CleanPodPolicyUndefined,
			commonv1.CleanPodPolicyAll, commonv1.CleanPodPolicyRunning, commonv1.CleanPodPolicyNone)...)
	}
	errs = append(errs, oneOf(path.Child("restartScope"), p.RestartScope, restartScopes()...)...)
	errs = append(errs, oneOf(path.Child("serviceMode"), p.ServiceMode,
		commonv1.ServiceModePerReplica, commonv1.ServiceModePerJob, commonv1.ServiceModeNone)...)
	errs = append(errs, validateGang(in, path.Child("schedulingPolicy"))...)
	errs = append(errs, validateBudgets(in, path)...)
	errs = append(errs, validateProgress(p.ProgressPolicy, path.Child("progressPolicy"))...)
	errs = append(errs, validateOnStartDeadline(p, path)...)
	errs = append(errs, validateAvoidNodes(p.AvoidNodes, path.Child("avoidNodes"))...)
	errs = append(errs, validateHostPorts(in, path)...)
	errs = append(errs, validateSuccessPolicy(in, path.Child("successPolicy"))...)
	if p.PodFailurePolicy == nil {
		return errs
	}
	rules := path.Child("podFailurePolicy", "rules")
	if len(p.PodFailurePolicy.Rules) == 0 {
		errs = append(errs, field.Required(rules, "a policy without rules has no effect: add a rule, or remove podFailurePolicy"))
	}
	for i := range p.PodFailurePolicy.Rules {
		errs = append(errs, validateFailureRule(in, &p.PodFailurePolicy.Rules[i], rules.Index(i))...)
	}
	return errs
}

func restartScopes() []commonv1.RestartScope {
	return []commonv1.RestartScope{commonv1.RestartScopeReplica, commonv1.RestartScopeRole, commonv1.RestartScopeJob}
}

// validateGang checks the size of a gang: one that is too large would never start. A job that was
// accepted may be scaled below it: its gang is all of its pods then.
func validateGang(in *Input, path *field.Path) field.ErrorList {
	p := in.RunPolicy.SchedulingPolicy
	if in.Gang == nil || p == nil || in.accepted() {
		return nil
	}
	var errs field.ErrorList
	if n, total := p.MinAvailable, jobkit.Count(in.Replicas); n != nil && (*n < 1 || *n > total) && total > 0 {
		errs = append(errs, field.Invalid(path.Child("minAvailable"), *n, fmt.Sprintf(
			"must be from 1 to %d, the number of replicas of the job: change one of the two, or remove it to wait for all", total)))
	}
	if n := p.ScheduleTimeoutSeconds; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(path.Child("scheduleTimeoutSeconds"), *n, "must be 0 or more"))
	}
	return errs
}

// oneOf checks that a value, if it is set, is one of the known values.
func oneOf[T ~string](path *field.Path, value *T, known ...T) field.ErrorList {
	if value == nil || slices.Contains(known, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *value, slices.DeleteFunc(known, func(k T) bool { return k == "" }))}
}

// validateFailureRule checks one rule of the pod failure policy.
func validateFailureRule(in *Input, r *commonv1.PodFailurePolicyRule, path *field.Path) field.ErrorList {
	errs := oneOf(path.Child("action"), &r.Action, commonv1.PodFailurePolicyActionFailJob, commonv1.PodFailurePolicyActionIgnore,
		commonv1.PodFailurePolicyActionCount, commonv1.PodFailurePolicyActionRestartJob)
	for i, t := range r.ReplicaTypes {
		errs = append(errs, oneOf(path.Child("replicaTypes").Index(i), &t, in.Kind.Types()...)...)
	}
	if (r.OnExitCodes != nil) == (len(r.OnPodConditions) > 0) {
		errs = append(errs, field.Invalid(path, r.Action, "needs exactly one of onExitCodes and onPodConditions: remove one, or add one"))
	}
	if codes := r.OnExitCodes; codes != nil {
		errs = append(errs, oneOf(path.Child("onExitCodes", "operator"), &codes.Operator,
			batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)...)
		values := path.Child("onExitCodes", "values")
		switch {
		case len(codes.Values) == 0:
			errs = append(errs, field.Required(values, "add the exit codes that the rule is for"))
		case codes.Operator != batchv1.PodFailurePolicyOnExitCodesOpNotIn && slices.Contains(codes.Values, 0):
			// With NotIn it has no effect, as in batch/v1: a container that exits with 0 matches no rule.
			errs = append(errs, field.Invalid(values.Index(slices.Index(codes.Values, 0)), 0, "0 is not a failure: remove it"))
		}
	}
	return errs
}

func widen(v *int32) *int64 {
	if v == nil {
		return nil
	}
	w := int64(*v)
	return &w
}
