package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Endings of condition reasons that are not condition types: a reason is the kind
// and an ending, for example "TestJobResumed".
const (
	reasonResumed          = "Resumed"
	reasonFailedValidation = "FailedValidation"
	reasonCreateRefused    = "CreateRefused"
	reasonUpdateRefused    = "UpdateRefused"
	reasonDeleteRefused    = "DeleteRefused"
	reasonSuccessPolicy    = "SuccessPolicy" // as in batch/v1
)

// MaxConditionMessage is how long the message of a condition can be.
const MaxConditionMessage = 2048

// jobName names the job in messages, as kubeflow.org/v1 does.
func (d *decision) jobName() string {
	return fmt.Sprintf("%s %s/%s", d.in.Kind.Name, d.in.Job.Namespace, d.in.Job.Name)
}

// hasFailed is the start of the message of the condition Failed.
func (d *decision) hasFailed() string {
	return cmp.Or(d.in.Rules.Messages.Failed, d.jobName()+" has failed")
}

// setTrue makes a condition True, emits an event, and clears the conditions that
// cannot be true at the same time. Created and Running have no events: when many jobs start,
// these would be half of all events.
func (d *decision) setTrue(t commonv1.JobConditionType, reason, message string) {
	status := &d.plan.Status
	was := status.IsTrue(t)
	news := !was || t == commonv1.JobStalled && status.Condition(t).Reason != reason
	switch t {
	case commonv1.JobSuspended:
		d.remove(commonv1.JobRestarting)
		d.remove(commonv1.JobHung)
		if !was { // From now on it is stalled only if something keeps its pods from going.
			d.remove(commonv1.JobStalled)
		}
		d.setFalse(commonv1.JobRunning, reason, message)
	case commonv1.JobSucceeded, commonv1.JobFailed:
		d.setFalse(commonv1.JobSuspended, reason, message)
		d.remove(commonv1.JobRestarting)
		d.remove(commonv1.JobHung)
		d.remove(commonv1.JobStalled)
		if c := status.Condition(commonv1.JobRunning); c != nil {
			// Its reason and message stay, as in kubeflow.org/v1.
			d.setFalse(commonv1.JobRunning, c.Reason, c.Message)
		}
		if status.CompletionTime == nil {
			now := d.in.nowInSeconds()
			status.CompletionTime = &now
		}
	case commonv1.JobCreated, commonv1.JobRunning, commonv1.JobRestarting, commonv1.JobHung, commonv1.JobStalled:
		// Running and Restarting may both be true (see reportRunning).
	}
	d.set(t, corev1.ConditionTrue, reason, message)
	if news && t != commonv1.JobCreated && t != commonv1.JobRunning {
		d.event(t == commonv1.JobFailed || t == commonv1.JobHung || t == commonv1.JobStalled, reason, message)
	}
}

// reason is the reason of a condition: the kind and an ending.
func (d *decision) reason(ending string) string { return d.in.Kind.Name + ending }

// fail makes the job Failed.
func (d *decision) fail(message string) {
	d.setTrue(commonv1.JobFailed, d.reason(string(commonv1.JobFailed)), message)
}

// setFalse makes a condition False if it is True.
func (d *decision) setFalse(t commonv1.JobConditionType, reason, message string) {
	if d.plan.Status.IsTrue(t) {
		d.set(t, corev1.ConditionFalse, reason, message)
	}
}

// remove removes a condition from the list.
func (d *decision) remove(t commonv1.JobConditionType) {
	d.plan.Status.Conditions = without(d.plan.Status.Conditions, t)
}

// set puts a condition at the end of the list, where the last that is True names
// the state. Three conditions stay behind those that are set later: Restarting, because a job
// of which a part restarts is Restarting while the rest runs; Hung, because a job that hangs
// runs too; and Stalled, because a job of which only a part runs is stalled. A condition that does not change keeps its place.
func (d *decision) set(t commonv1.JobConditionType, s corev1.ConditionStatus, reason, message string) {
	now := d.in.nowInSeconds()
	message = cutText(message, MaxConditionMessage)
	c := commonv1.JobCondition{
		Type: t, Status: s, Reason: reason, Message: message,
		LastUpdateTime: now, LastTransitionTime: now,
	}
	if was := d.in.Status.Condition(t); was != nil && was.Status == s {
		c.LastTransitionTime = was.LastTransitionTime // It may have been removed in this pass and set again.
	}
	if old := d.plan.Status.Condition(t); old != nil {
		if old.Status == s && old.Reason == reason && sameWords(old.Message, message) {
			return
		}
		if old.Status == s {
			c.LastTransitionTime = old.LastTransitionTime
		}
		d.remove(t)
	}
	d.plan.Status.Conditions = append(d.plan.Status.Conditions, c)
	d.placeLast(commonv1.JobRestarting)
	d.placeLast(commonv1.JobHung)
	d.placeLast(commonv1.JobStalled)
}

// placeLast puts a condition at the end of the list.
func (d *decision) placeLast(t commonv1.JobConditionType) {
	if c := d.plan.Status.Condition(t); c != nil {
		last := *c
		d.remove(t)
		d.plan.Status.Conditions = append(d.plan.Status.Conditions, last)
	}
}

// sameWords reports whether two messages have the same words, in any order: what the API
// server joins from a map (the limits that a LimitRange finds exceeded, for example) comes in
// another order with every request.
func sameWords(a, b string) bool {
	if a == b || len(a) != len(b) {
		return a == b
	}
	separators := func(r rune) bool { return strings.ContainsRune(" ,;[]", r) }
	x, y := strings.FieldsFunc(a, separators), strings.FieldsFunc(b, separators)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// stateOf is the type of the last condition that is True.
func stateOf(s *commonv1.JobStatus) commonv1.JobConditionType {
	for _, c := range slices.Backward(s.Conditions) {
		if c.Status == corev1.ConditionTrue {
			return c.Type
		}
	}
	return ""
}
