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
	running, about := false, d.aboutToFail()
	for _, p := range d.in.Pods {
		// Failed is final under any restart policy, for example for an evicted pod: it needs
		// no service. A pod whose containers could have been restarted in place is deleted
		// under Running nevertheless, as in kubeflow.org/v1: it has not run to its end.
		kept := p.Status.Phase == corev1.PodSucceeded ||
			p.Status.Phase == corev1.PodFailed && p.Spec.RestartPolicy == corev1.RestartPolicyNever
		switch {
		case p.DeletionTimestamp != nil:
		case policy == commonv1.CleanPodPolicyAll,
			policy == commonv1.CleanPodPolicyRunning && !kept && !about[p]:
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

// aboutToFail are the pods whose failure is about to be reported: they run no more than those of
// which it is, and what failed the job must not go with its log. The job is requeued for the time
// when no report is to be expected any more.
func (d *decision) aboutToFail() map[*corev1.Pod]bool {
	if d.in.cleanPodPolicy() != commonv1.CleanPodPolicyRunning {
		return nil
	}
	out := map[*corev1.Pod]bool{}
	for _, f := range d.endedUnreported() {
		if pod := f.replica.pod; pod.DeletionTimestamp == nil && d.reportDue(pod) {
			out[pod] = true
		}
	}
	return out
}

// deleteServices deletes all services of the job.
func (d *decision) deleteServices(reason string) {
	for _, s := range d.in.Services {
		if s.DeletionTimestamp == nil {
			d.act(DeleteService{Name: s.Name, UID: s.UID, Reason: reason})
		}
	}
}
