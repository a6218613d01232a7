package jobtest

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// seen hands the state of a pod that the cache shows to the controller, with the one before.
func (p *process) seen(before, o client.Object) {
	if pod, ok := o.(*corev1.Pod); ok {
		was, _ := before.(*corev1.Pod)
		p.podSeen(was, pod)
		if p.pass != nil {
			delete(p.pass.gone, pod.UID)
		}
	}
}

// gone hands the last state of a pod that the cache no longer shows to the controller.
func (p *process) gone(last client.Object) {
	pod, ok := last.(*corev1.Pod)
	if !ok {
		return
	}
	p.podDeleted(pod)
	if p.pass != nil {
		p.pass.gone[pod.UID] = true
	}
	if ended(pod) {
		p.sawEnded = append(p.sawEnded, pod)
	}
	// Of a pod that exits with 0 when it is stopped, no one knows if it had ended before, unless the pod
	// says when its deletion was asked for.
	says := pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds > 0
	if disrupted(pod) && (says || pod.Status.Phase != corev1.PodSucceeded) {
		p.sawDisrupted = append(p.sawDisrupted, pod)
	}
}

// knewOfDisruption names a pod of the present attempt that was disrupted, and whose last
// state the process that writes had when it began its pass; "" if there is none. Where nothing
// restarts by itself, a restart of all takes failures along, which count nowhere.
func (m *monitor) knewOfDisruption(job client.Object, old *commonv1.JobStatus) string {
	p := m.w.actor
	if p == nil || p.pass == nil {
		return ""
	}
	specs := m.w.parts(job).ReplicaSpecs
	for _, pod := range p.sawDisrupted[:p.pass.disrupted] {
		typ, i, wanted := m.replica(job, pod)
		if !wanted || cmp.Or(specs[typ].RestartPolicy, m.kind.RestartPolicy, commonv1.RestartPolicyNever) == commonv1.RestartPolicyNever {
			continue
		}
		if metav1.IsControlledBy(pod, job) && m.failed[pod.UID] && attemptLabel(pod) == attemptOf(old, typ, i) && !m.replaced(job, pod) {
			return pod.Name
		}
	}
	return ""
}

// replaced reports whether the replica of a pod got another pod after it, of the same attempt: of two
// leaders one may create it before it can know what became of the first.
func (m *monitor) replaced(job client.Object, pod *corev1.Pod) bool {
	l := m.ledger(job.GetUID())
	after := l.order[slices.Index(l.order, pod.UID)+1:]
	return slices.ContainsFunc(after, func(uid types.UID) bool {
		return l.pods[uid].Name == pod.Name && attemptLabel(l.pods[uid]) == attemptLabel(pod)
	})
}

// managedByAnother reports whether another controller manages a job.
func managedByAnother(parts jobkit.JobParts) bool {
	by := parts.RunPolicy.ManagedBy
	return by != nil && *by != "" && *by != commonv1.ManagedByTrainingOperator
}

// forgetForeign: what is known of the pods of a job in a pass over it while another controller manages it
// is for that one to count.
func (m *monitor) forgetForeign(p *process, l *passState) {
	if l.job == nil || !managedByAnother(m.w.parts(l.job)) {
		return
	}
	known, later := p.sawDisrupted[:l.disrupted], p.sawDisrupted[l.disrupted:]
	others := slices.DeleteFunc(slices.Clone(known), func(pod *corev1.Pod) bool { return metav1.IsControlledBy(pod, l.job) })
	p.sawDisrupted = slices.Concat(others, later)
}
