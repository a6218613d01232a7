package plan

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// response is what to do about a failed replica.
type response int

const (
	// responseFail fails the job.
	responseFail response = iota
	// responseRestart restarts the replica, or the job by its restart scope, and
	// counts that.
	responseRestart
	// responseIgnore does the same without counting it.
	responseIgnore
	// responseRestartJob restarts the whole job, and counts that.
	responseRestartJob
	// responseLeave leaves the replica as it is.
	responseLeave
)

// respond decides what to do about a failed replica, and says why: the first rule of the
// pod failure policy that it matches, or else its restart policy.
func (d *decision) respond(s *replica, f *failure) (what response, because string, byRule bool) {
	if p := d.in.RunPolicy.PodFailurePolicy; p != nil {
		for i := range p.Rules {
			if r := &p.Rules[i]; ruleMet(r, s) {
				return responseTo(r.Action), fmt.Sprintf("rule %d of runPolicy.podFailurePolicy says %s", i, r.Action), true
			}
		}
	}
	policy := d.in.Replicas[s.typ].RestartPolicy
	because = fmt.Sprintf("restart policy %s", policy)
	switch {
	case f.retryable(policy):
		return responseRestart, because, false
	case d.in.Rules.IsOptional(s.typ, s.index):
		return responseLeave, because, false
	default:
		return responseFail, because, false
	}
}

// responseTo is the response to an action of a rule.
func responseTo(a commonv1.PodFailurePolicyAction) response {
	switch a {
	case commonv1.PodFailurePolicyActionIgnore:
		return responseIgnore
	case commonv1.PodFailurePolicyActionCount:
		return responseRestart
	case commonv1.PodFailurePolicyActionRestartJob:
		return responseRestartJob
	case commonv1.PodFailurePolicyActionFailJob:
		return responseFail
	default:
		return responseFail // Validate refuses others.
	}
}

// ruleMet reports whether a failed replica matches a rule.
func ruleMet(r *commonv1.PodFailurePolicyRule, s *replica) bool {
	if len(r.ReplicaTypes) > 0 && !slices.Contains(r.ReplicaTypes, s.typ) {
		return false
	}
	disrupted := disruption(s.pod) != nil
	if r.OnExitCodes != nil {
		return !disrupted && exitCodeMet(r.OnExitCodes, s.pod)
	}
	return slices.ContainsFunc(r.OnPodConditions, func(p batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
		wanted := p.Status
		if wanted == "" {
			wanted = corev1.ConditionTrue // batch/v1's default
		}
		return slices.ContainsFunc(s.pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == p.Type && c.Status == wanted && (disrupted || c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue)
		})
	})
}

// exitCodeMet reports whether a container of a pod ended with an error and a code that the
// requirement names. A sidecar is considered only by its name: it is ended with the pod.
func exitCodeMet(r *batchv1.PodFailurePolicyOnExitCodesRequirement, pod *corev1.Pod) bool {
	lists := ownStatuses(pod)
	if r.ContainerName != nil {
		lists[0] = pod.Status.InitContainerStatuses
	}
	for _, list := range lists {
		for i := range list {
			ended := list[i].State.Terminated
			if ended == nil || ended.ExitCode == 0 || r.ContainerName != nil && *r.ContainerName != list[i].Name {
				continue
			}
			if slices.Contains(r.Values, ended.ExitCode) == (r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
				return true
			}
		}
	}
	return false
}
