package controller

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

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
	jobs map[types.NamespacedName]map[types.UID]departedPod
	// count is how many pods there are, and added how many there ever were.
	count, added int
	// requests say when the deletion of each pod that is being deleted was requested, by job. Its last
	// states no longer do: what removes a pod overwrites it.
	requests map[types.NamespacedName]deletionRequests
}

// departedPod is a pod that is gone, and how many were before it.
type departedPod struct {
	*corev1.Pod

	turn int
}

// deletionRequests are those for the pods of a job.
type deletionRequests map[types.UID]deletionRequest

// deletionRequest is the first request to delete a pod.
type deletionRequest struct {
	at time.Time
	// graceful is true if the pod was given time to end.
	graceful bool
}

// maxDeparted is how many ends of pods a job keeps that cannot record them, such as one with an invalid edit.
const maxDeparted = 1000

// maxAllDeparted is how many ends of pods are kept for all jobs. A pod may name a job as its controller that never
// existed, or that a loop of the author's own holds: no pass comes to record its end.
const maxAllDeparted = 100_000

func newDepartedPods() *departedPods {
	return &departedPods{jobs: map[types.NamespacedName]map[types.UID]departedPod{}, requests: map[types.NamespacedName]deletionRequests{}}
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
	owner, job := jobOf(c.set.gvk.GroupKind(), pod)
	if owner == nil {
		return // The controllers of an operator share one watch: no pass would ever drop a pod of others.
	}
	pod = c.set.departed.lastOf(job, pod)
	if !plan.IsNews(pod) || c.set.pending.isJobDeleted(owner.UID) {
		return
	}
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
	if c.set == nil {
		return
	}
	if owner, job := jobOf(c.set.gvk.GroupKind(), pod); owner != nil {
		c.set.departed.note(job, before, pod)
	}
}

// note keeps when the deletion of a pod was requested: the first request decides. A pod that was
// gone and is seen again, since someone took its labels away and gave them back, is not gone.
func (d *departedPods) note(job types.NamespacedName, before, pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.discard(job, func(p departedPod) bool { return p.UID == pod.UID })
	if _, known := d.requests[job][pod.UID]; known || pod.DeletionTimestamp == nil {
		return
	}
	switch grace := pod.DeletionGracePeriodSeconds; {
	case grace != nil && *grace > 0:
		d.request(job, pod.UID, deletionRequest{pod.DeletionTimestamp.Add(-time.Duration(*grace) * time.Second), true})
	case before != nil && before.UID == pod.UID && before.DeletionTimestamp == nil && before.Status.Phase == pod.Status.Phase:
		// No state was missed in between, so it had ended before, if it has. Times are whole seconds.
		d.request(job, pod.UID, deletionRequest{at: pod.DeletionTimestamp.Add(time.Second)})
	}
}

// request keeps the request to delete a pod. The caller holds the lock.
func (d *departedPods) request(job types.NamespacedName, uid types.UID, r deletionRequest) {
	if d.requests[job] == nil {
		d.requests[job] = deletionRequests{}
	}
	d.requests[job][uid] = r
}

// lastOf is the last state of a pod that is gone, with the request for its deletion, which is forgotten.
func (d *departedPods) lastOf(job types.NamespacedName, pod *corev1.Pod) *corev1.Pod {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.requests[job].of(pod)
	delete(d.requests[job], pod.UID)
	if len(d.requests[job]) == 0 {
		delete(d.requests, job)
	}
	return last
}

// requestsFor returns the requests to delete pods of a job. Who lists pods asks before that: a pod may be
// gone and forgotten after it.
func (d *departedPods) requestsFor(job client.Object) deletionRequests {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.requests[client.ObjectKeyFromObject(job)])
}

// putInto replaces the pods that are being deleted by copies with the requests for that, and returns
// which of these are deleted by force. One that had ended before stays as it is until it is gone: a
// finalizer may keep it for longer than this process lives, and the next one could not know.
func (r deletionRequests) putInto(pods []*corev1.Pod) map[types.UID]bool {
	var forced map[types.UID]bool
	for i, p := range pods {
		if p.DeletionTimestamp == nil || !r[p.UID].graceful {
			continue
		}
		pods[i] = r.of(p)
		if grace := p.DeletionGracePeriodSeconds; grace != nil && *grace == 0 {
			if forced == nil {
				forced = map[types.UID]bool{}
			}
			forced[p.UID] = true
		}
	}
	return forced
}

// of is the state of a pod with the first request for its deletion: its grace period is the time from
// that to its end; without a grace period it ended at once.
func (r deletionRequests) of(pod *corev1.Pod) *corev1.Pod {
	request, known := r[pod.UID]
	if !known || pod.DeletionTimestamp == nil {
		return pod
	}
	if !request.graceful {
		return withDeletion(pod, request.at, nil)
	}
	grace := max(1, int64(pod.DeletionTimestamp.Sub(request.at)/time.Second))
	if pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == grace {
		return pod // It still says so.
	}
	return withDeletion(pod, request.at.Add(time.Duration(grace)*time.Second), new(grace))
}

// withDeletion is a pod with another time of deletion. Others hold the pod: its parts stay as they are.
func withDeletion(pod *corev1.Pod, at time.Time, grace *int64) *corev1.Pod {
	out := *pod
	out.DeletionTimestamp, out.DeletionGracePeriodSeconds = &metav1.Time{Time: at}, grace
	return &out
}

// add holds the last state of a pod of a job.
func (d *departedPods) add(job types.NamespacedName, pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs[job] == nil {
		d.jobs[job] = map[types.UID]departedPod{}
	}
	if _, known := d.jobs[job][pod.UID]; !known {
		d.count++
	}
	d.added++
	d.jobs[job][pod.UID] = departedPod{pod, d.added}
	if d.count > maxAllDeparted {
		d.limitAll()
	}
}

// limitAll forgets the pods that came first, which no pass has recorded since: half of all, so that this is rare. The
// caller holds the lock.
func (d *departedPods) limitAll() {
	turns := make([]int, 0, d.count)
	for _, gone := range d.jobs {
		for _, p := range gone {
			turns = append(turns, p.turn)
		}
	}
	slices.Sort(turns)
	first := turns[len(turns)/2]
	for job := range d.jobs {
		d.discard(job, func(p departedPod) bool { return p.turn < first })
	}
}

// of returns the pods that are gone, in the order of their names and UIDs, and forgets those whose
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
	d.discard(client.ObjectKeyFromObject(job), func(p departedPod) bool {
		now, there := uids[p.Name]
		return there && now != p.UID || !metav1.IsControlledBy(p, job)
	})
	pods = make([]*corev1.Pod, 0, len(gone))
	for _, p := range gone {
		pods = append(pods, p.Pod)
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return pods
}

// drop forgets pods of a job that a pass has recorded.
func (d *departedPods) drop(job types.NamespacedName, pods []*corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	recorded := make(map[types.UID]bool, len(pods))
	for _, p := range pods {
		recorded[p.UID] = true
	}
	d.discard(job, func(p departedPod) bool { return recorded[p.UID] })
}

// forget drops the pods of a job that is gone; without a UID, of whichever jobs had the name.
func (d *departedPods) forget(job types.NamespacedName, uid types.UID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.requests, job)
	d.discard(job, func(p departedPod) bool { return uid == "" || metav1.GetControllerOf(p).UID == uid })
}

// limit forgets all pods of a job but those that were deleted last. It is for a job whose passes record no ends:
// pods that carry its name can be made and deleted without end meanwhile. An end that is forgotten counts as
// a deletion by hand.
func (d *departedPods) limit(job types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gone := d.jobs[job]
	if len(gone) <= maxDeparted {
		return
	}
	last := slices.SortedFunc(maps.Values(gone), func(a, b departedPod) int { return cmp.Compare(b.turn, a.turn) })
	old := last[maxDeparted/2].turn // half of them, so that it is not sorted in each pass
	d.discard(job, func(p departedPod) bool { return p.turn <= old })
}

// discard forgets pods of a job, and the job with its last one. The caller holds the lock.
func (d *departedPods) discard(job types.NamespacedName, which func(departedPod) bool) {
	before := len(d.jobs[job])
	maps.DeleteFunc(d.jobs[job], func(_ types.UID, p departedPod) bool { return which(p) })
	d.count -= before - len(d.jobs[job])
	if len(d.jobs[job]) == 0 {
		delete(d.jobs, job)
	}
}
