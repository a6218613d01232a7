package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// created takes up a job: condition Created, and the start of its time.
func created(d *decision) bool {
	status := &d.plan.Status
	if status.Condition(commonv1.JobCreated) == nil {
		d.become(commonv1.JobCreated, d.reason(string(commonv1.JobCreated)),
			fmt.Sprintf("%s %s is created.", d.in.Kind.Name, d.in.Job.Name))
		d.warnOfRestartPolicy()
		for _, w := range d.in.Warnings {
			d.event(true, w.Reason, w.Message)
		}
	}
	if status.StartTime == nil && !d.in.suspended() {
		start := d.in.start()
		status.StartTime = &start
	}
	return false
}

// warnOfRestartPolicy tells once that the restart policy of a pod template does
// not count.
func (d *decision) warnOfRestartPolicy() {
	for _, t := range d.in.types() {
		spec := d.in.Replicas[t]
		if p := spec.Template.Spec.RestartPolicy; p != "" && p != d.in.podRestartPolicy(t) {
			d.event(true, "SetPodTemplateRestartPolicy", fmt.Sprintf(
				"The restartPolicy %s in the pod template of %s is not used: restartPolicy of the replica spec, %s, decides.",
				p, t, spec.RestartPolicy))
		}
	}
}

// podRestartPolicy is the restart policy of the pods of a replica type. In a job that
// restarts as a whole the node restarts nothing: one container that begins anew could not
// join the others, which go on or hang, and nobody would be told. Nor does it in a very
// large job: there is no room in the status to count such restarts exactly.
func (in *Input) podRestartPolicy(t commonv1.ReplicaType) corev1.RestartPolicy {
	if in.restartScope() == commonv1.RestartScopeJob || jobkit.Count(in.Replicas) > MaxInPlace {
		return corev1.RestartPolicyNever
	}
	switch in.Replicas[t].RestartPolicy {
	case commonv1.RestartPolicyAlways:
		return corev1.RestartPolicyAlways
	case commonv1.RestartPolicyOnFailure:
		return corev1.RestartPolicyOnFailure
	case commonv1.RestartPolicyNever, commonv1.RestartPolicyExitCode:
		return corev1.RestartPolicyNever
	default:
		return corev1.RestartPolicyNever
	}
}

// Succeeded ends the job when its rules are met. It goes before every failure, so
// that a job is a success whatever its last replicas do.
func succeeded(d *decision) bool {
	message := orDefault(d.in.Rules.Messages.Succeeded, fmt.Sprintf("%s successfully completed.", d.jobName()))
	switch v := d.verdict; {
	case v == nil:
		if !d.in.Rules.Succeeded(&d.tally.Tally) {
			return false
		}
	case v.Succeeded:
		message = orDefault(v.Message, message)
	case v.Failed:
		d.fail(orDefault(v.Message, d.hasFailed()+"."))
		d.cleanUp()
		return true
	default:
		return false
	}
	d.become(commonv1.JobSucceeded, d.reason(string(commonv1.JobSucceeded)), message)
	d.cleanUp()
	return true
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// deadline fails a job that has been active for too long.
func deadline(d *decision) bool {
	limit, start := d.in.RunPolicy.ActiveDeadlineSeconds, d.plan.Status.StartTime
	if limit == nil || start == nil {
		return false
	}
	at := start.Add(seconds(*limit))
	if d.in.Now.Before(at) {
		d.wakeAt(at)
		return false
	}
	d.fail(fmt.Sprintf("%s because it was active longer than specified deadline: runPolicy.activeDeadlineSeconds is %d.", d.hasFailed(), *limit))
	d.cleanUp()
	return true
}
