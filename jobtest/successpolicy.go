package jobtest

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// checkSuccessPolicy checks that a job with a success policy succeeds by a rule that really
// holds, and names it.
func (m *monitor) checkSuccessPolicy(job client.Object, old, status *commonv1.JobStatus) {
	policy := m.w.parts(job).RunPolicy.SuccessPolicy
	if policy == nil || old.Finished() || !status.IsTrue(commonv1.JobSucceeded) {
		return
	}
	c := status.Condition(commonv1.JobSucceeded)
	for i := range policy.Rules {
		if !strings.Contains(c.Message, fmt.Sprintf("Matched rules at index %d ", i)) {
			continue
		}
		held := m.ruleHolds(job, &policy.Rules[i], func(t commonv1.ReplicaType, index int32) bool {
			return m.succeededOnce(job, t, index, attemptOf(old, t, index))
		})
		if !held || !strings.HasSuffix(c.Reason, "SuccessPolicy") {
			m.w.violatef("success", "the job succeeded with reason %s because of rule %d, and that it holds is %t", c.Reason, i, held)
		}
		return
	}
	m.w.violatef("success", "the job has a success policy, and succeeded by none of its rules: %s", c.Message)
}

// checkNoRuleHolds checks that no rule of a success policy holds for a job that goes on.
func (m *monitor) checkNoRuleHolds(job client.Object, pods []*corev1.Pod) {
	parts := m.w.parts(job)
	if parts.RunPolicy.SuccessPolicy == nil {
		return
	}
	succeeded := map[string]bool{}
	for _, pod := range pods {
		succeeded[pod.Name] = pod.Status.Phase == corev1.PodSucceeded && pod.DeletionTimestamp == nil
	}
	for i := range parts.RunPolicy.SuccessPolicy.Rules {
		if m.ruleHolds(job, &parts.RunPolicy.SuccessPolicy.Rules[i], func(t commonv1.ReplicaType, index int32) bool {
			return succeeded[m.kind.PodName(job.GetName(), t, index)] || saysSucceeded(parts.Status, t, index)
		}) {
			m.w.violatef("P3", "rule %d of the success policy holds, but job %s goes on as %s", i, job.GetName(), parts.Status.State)
		}
	}
}

// ruleHolds reports whether a rule of a success policy holds, in the plainest way. It knows
// lists of single indexes only.
func (m *monitor) ruleHolds(job client.Object, r *commonv1.SuccessPolicyRule, succeeded func(commonv1.ReplicaType, int32) bool) bool {
	spec := m.w.parts(job).ReplicaSpecs[r.ReplicaType]
	if spec == nil {
		return false
	}
	wanted, have := 0, 0
	for i := range wantedReplicas(spec) {
		if r.Indexes != nil && !strings.Contains(","+*r.Indexes+",", ","+strconv.Itoa(int(i))+",") {
			continue
		}
		wanted++
		if succeeded(r.ReplicaType, i) {
			have++
		}
	}
	if r.Count != nil {
		wanted = int(*r.Count)
	}
	return have >= wanted
}
