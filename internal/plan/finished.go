package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// finished looks after a job that has ended: clean-up, and the time to live.
func finished(d *decision) bool {
	status := &d.plan.Status
	if !status.Finished() {
		return false
	}
	if status.CompletionTime == nil {
		// Written by something else: the condition knows when.
		at := d.in.now()
		for _, t := range []commonv1.JobConditionType{commonv1.JobFailed, commonv1.JobSucceeded} {
			if c := status.Condition(t); c != nil && !c.LastTransitionTime.IsZero() {
				at = c.LastTransitionTime
			}
		}
		status.CompletionTime = &at
	}
	d.cleanUp()
	ttl := d.in.RunPolicy.TTLSecondsAfterFinished
	if ttl == nil {
		return true
	}
	at := status.CompletionTime.Add(seconds(int64(*ttl)))
	if d.in.Now.Before(at) {
		d.wakeAt(at)
		return true
	}
	d.act(DeleteJob{Reason: fmt.Sprintf("ttlSecondsAfterFinished %d has passed", *ttl)})
	return true
}

// cleanUp deletes what a finished job does not keep. Services, and the further
// objects that the kind wants even so, stay only while pods run that the policy
// leaves alone, because those may still need them.
func (d *decision) cleanUp() {
	policy := d.in.cleanPodPolicy()
	running := false
	for _, p := range d.in.Pods {
		// Failed is final, under any restart policy: a pod that was evicted, for example. It
		// needs no service. One whose containers could have been restarted in place goes
		// under Running all the same, as in kubeflow.org/v1: it has not run to its end.
		kept := p.Status.Phase == corev1.PodSucceeded ||
			p.Status.Phase == corev1.PodFailed && p.Spec.RestartPolicy == corev1.RestartPolicyNever
		switch {
		case p.DeletionTimestamp != nil:
		case policy == commonv1.CleanPodPolicyAll,
			policy == commonv1.CleanPodPolicyRunning && !kept:
			d.act(DeletePod{Name: p.Name, UID: p.UID, Reason: "the job has finished; cleanPodPolicy is " + string(policy)})
		case !hasEnded(p):
			running = true
		}
	}
	d.deleteObjects(running, "the job has finished")
	if !running {
		d.deleteServices("the job has finished")
	}
}

// deleteServices deletes all services of the job.
func (d *decision) deleteServices(reason string) {
	for _, s := range d.in.Services {
		if s.DeletionTimestamp == nil {
			d.act(DeleteService{Name: s.Name, UID: s.UID, Reason: reason})
		}
	}
}

// seconds is a number of seconds as a duration, without overflow.
func seconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(n, most)) * time.Second
}
