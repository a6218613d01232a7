package plan

import (
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// cleanUp deletes what a finished job does not keep. Services, and the other objects that
// the kind still wants, stay only while pods run that the policy does not delete, because
// these may still need them.
func (d *decision) cleanUp() {
	policy := d.in.cleanPodPolicy()
	running := false
	for _, p := range d.in.Pods {
		// Failed is final under any restart policy, for example for an evicted pod: it needs
		// no service. A pod whose containers could have been restarted in place is deleted
		// under Running nevertheless, as in kubeflow.org/v1: it has not run to its end.
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
	d.deleteObjects(func(o *Object) bool { return running || o.KeepFinished }, "the job has finished")
	if !running {
		d.deleteServices("the job has finished")
		d.deleteClaimsOfFinished()
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
