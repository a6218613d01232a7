package controller

import (
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/plan"
)

// departedPods holds the last states of pods that are gone, by job, until a pass has recorded
// them. A pod that is evicted may be gone within milliseconds, before a pass has seen why. Each
// deletion of a pod causes a pass over its job, which drops them.
type departedPods struct {
	mu   sync.Mutex
	jobs map[types.NamespacedName]map[types.UID]*corev1.Pod
	// requests say when the deletion of each pod that is being deleted was requested. Its last state
	// no longer does: what removes a pod overwrites it.
	requests map[types.UID]deletionRequest
}

// deletionRequest is what the metadata of a pod says of its deletion; without grace, it was requested
// at that time.
type deletionRequest struct {
	at    *metav1.Time
	grace *int64
}

func newDepartedPods() *departedPods {
	return &departedPods{jobs: map[types.NamespacedName]map[types.UID]*corev1.Pod{}, requests: map[types.UID]deletionRequest{}}
}

// PodDeleted takes the last state of a pod that is gone: if it had failed, succeeded or been
// evicted, the next pass over its job records that, although no pass has seen it. Builder and
// SetupWithManager watch pods and call it. Without either, call it when your own watch of pods
// shows a deletion, before ReconcileJobs; otherwise such a pod is taken for one that was deleted while
// it ran. It does not change the pod, which must not be changed later.
func (c *JobController[J]) PodDeleted(pod *corev1.Pod) {
	if c.set == nil {
		return
	}
	pod = c.set.departed.withRequest(pod)
	owner := metav1.GetControllerOf(pod)
	if owner == nil || !plan.IsNews(pod) || c.set.pending.isJobDeleted(owner.UID) {
		return
	}
	job := types.NamespacedName{Namespace: pod.Namespace, Name: owner.Name}
	if c.set.pending.isDeleted(job, childUID{kindPod, pod.UID}) {
		return // The controller's own doing, and recorded before.
	}
	c.set.departed.add(job, pod)
}

// PodSeen takes the state of a pod that a watch shows, and the one before, nil if the pod is new.
// Both say when the deletion of a pod was requested, which its last state no longer does, so that a
// pod that had ended, or was stopped before its node was lost, is told from one that was disrupted.
// Builder and SetupWithManager watch pods and call it; without either, call it as you call
// PodDeleted. It does not change the pods.
func (c *JobController[J]) PodSeen(before, pod *corev1.Pod) {
	if c.set != nil {
		c.set.departed.note(before, pod)
	}
}

// note keeps when the deletion of a pod was requested: the first request decides. A pod that was
// gone and is seen again, since someone took its labels away and gave them back, is not gone.
func (d *departedPods) note(before, pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		d.discard(types.NamespacedName{Namespace: pod.Namespace, Name: owner.Name}, func(p *corev1.Pod) bool { return p.UID == pod.UID })
	}
	if _, known := d.requests[pod.UID]; known || pod.DeletionTimestamp == nil {
		return
	}
	switch grace := pod.DeletionGracePeriodSeconds; {
	case grace != nil && *grace > 0:
		d.requests[pod.UID] = deletionRequest{pod.DeletionTimestamp, grace}
	case before != nil && before.UID == pod.UID && before.DeletionTimestamp == nil:
		d.requests[pod.UID] = deletionRequest{at: pod.DeletionTimestamp} // It was removed without grace.
	}
}

// withRequest is the last state of a pod that is gone, with the request for its deletion that was
// seen before, which it forgets.
func (d *departedPods) withRequest(pod *corev1.Pod) *corev1.Pod {
	d.mu.Lock()
	defer d.mu.Unlock()
	request, known := d.requests[pod.UID]
	if !known {
		return pod
	}
	delete(d.requests, pod.UID)
	last := *pod // Others hold the pod: its parts stay as they are.
	last.DeletionTimestamp, last.DeletionGracePeriodSeconds = request.at, request.grace
	return &last
}

// add holds the last state of a pod of a job.
func (d *departedPods) add(job types.NamespacedName, pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs[job] == nil {
		d.jobs[job] = map[types.UID]*corev1.Pod{}
	}
	d.jobs[job][pod.UID] = pod
}

// of returns the pods that are gone, in the order of their names, and forgets those whose
// replicas have another pod by now. pods are those that exist.
func (d *departedPods) of(job client.Object, pods []*corev1.Pod) []*corev1.Pod {
	d.mu.Lock()
	defer d.mu.Unlock()
	gone := d.jobs[client.ObjectKeyFromObject(job)]
	if len(gone) == 0 {
		return nil
	}
	uids := make(map[string]types.UID, len(pods))
	for _, p := range pods {
		uids[p.Name] = p.UID
	}
	d.discard(client.ObjectKeyFromObject(job), func(p *corev1.Pod) bool {
		now, there := uids[p.Name]
		return there && now != p.UID || !metav1.IsControlledBy(p, job)
	})
	return slices.SortedFunc(maps.Values(gone), func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
}

// drop forgets pods of a job that a pass has recorded.
func (d *departedPods) drop(job types.NamespacedName, pods []*corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	recorded := make(map[types.UID]bool, len(pods))
	for _, p := range pods {
		recorded[p.UID] = true
	}
	d.discard(job, func(p *corev1.Pod) bool { return recorded[p.UID] })
}

// forget drops the pods of a job that is gone; without a UID, of whichever jobs had the name.
func (d *departedPods) forget(job types.NamespacedName, uid types.UID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.discard(job, func(p *corev1.Pod) bool { return uid == "" || metav1.GetControllerOf(p).UID == uid })
}

// discard forgets pods of a job, and the job with its last one. The caller holds the lock.
func (d *departedPods) discard(job types.NamespacedName, which func(*corev1.Pod) bool) {
	maps.DeleteFunc(d.jobs[job], func(_ types.UID, p *corev1.Pod) bool { return which(p) })
	if len(d.jobs[job]) == 0 {
		delete(d.jobs, job)
	}
}
