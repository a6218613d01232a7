package jobtest

import (
	"maps"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// remembered is how long the controller remembers an own write that its cache does not
// show.
const remembered = 10 * time.Second

// ownWrites is what a process remembers of the pods that it wrote itself until its cache
// shows them: the twin of the controller's own memory, for the monitor.
type ownWrites struct {
	made    map[types.NamespacedName]ownPod
	deleted map[types.UID]ownDelete
	// jobs are the UIDs of the jobs that the process saw of each name. What it remembers
	// of one job, it may forget when it sees another one of the same name.
	jobs map[types.NamespacedName]map[types.UID]bool
}

// ownPod is a pod as the server returned it.
type ownPod struct {
	pod   *corev1.Pod
	until time.Time
	// changed is set when the pod is no longer what the server returned.
	changed bool
}

// ownDelete is for which job a pod was deleted, and until when that is remembered.
type ownDelete struct {
	job   types.UID
	until time.Time
}

func newOwnWrites() ownWrites {
	return ownWrites{
		made: map[types.NamespacedName]ownPod{}, deleted: map[types.UID]ownDelete{},
		jobs: map[types.NamespacedName]map[types.UID]bool{},
	}
}

// sawJob notes which job of a name the process saw.
func (o *ownWrites) sawJob(job client.Object) {
	key := client.ObjectKeyFromObject(job)
	if o.jobs[key] == nil {
		o.jobs[key] = map[types.UID]bool{}
	}
	o.jobs[key][job.GetUID()] = true
}

// note records the answer to a write of a pod for a job, as the process got it.
func (o *ownWrites) note(job types.UID, op call, reply client.Object, err error, now time.Time) {
	until := now.Add(remembered)
	if pod, ok := reply.(*corev1.Pod); ok && err == nil && op.verb != verbDelete {
		o.made[op.key] = ownPod{pod: pod, until: until}
		return
	}
	own := o.made[op.key]
	mine := own.pod != nil && own.pod.UID == op.uid
	switch {
	case op.verb != verbDelete:
	case err == nil:
		o.deleted[op.uid] = ownDelete{job, until}
	case strings.Contains(err.Error(), "admission webhook"):
	case apierrors.IsConflict(err) && op.version != "":
		if mine {
			own.changed = true
			o.made[op.key] = own
		}
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		if mine {
			delete(o.made, op.key)
		}
		o.deleted[op.uid] = ownDelete{job, until}
	}
}

// knownPods are the pods of a job as a process knows them, by name. More than one for a name
// means that it is not certain which of them the process takes for true; nil stands for
// none.
type knownPods map[string][]*corev1.Pod

// knows returns what a process knows of the pods of a job when its cache shows it some of
// them, at a time between the two given, and forgets what the controller forgets then.
func (o *ownWrites) knows(job client.Object, shown []*corev1.Pod, from, to time.Time) knownPods {
	if len(o.made)+len(o.deleted) == 0 {
		return certain(shown)
	}
	views := []map[string]*corev1.Pod{o.complete(job, shown, from), o.complete(job, shown, to)}
	if len(o.jobs[client.ObjectKeyFromObject(job)]) > 1 {
		views = append(views, byName(shown))
	}
	known := knownPods{}
	for i, view := range views {
		for name, pod := range view {
			if known[name] == nil {
				known[name] = make([]*corev1.Pod, i) // The views before have none.
			}
			known[name] = append(known[name], pod)
		}
		for name := range known {
			for len(known[name]) <= i {
				known[name] = append(known[name], nil)
			}
		}
	}
	return known
}

func byName(list []*corev1.Pod) map[string]*corev1.Pod {
	out := make(map[string]*corev1.Pod, len(list))
	for _, pod := range list {
		out[pod.Name] = pod
	}
	return out
}

// complete returns what the cache shows, completed by what is remembered at some time.
func (o *ownWrites) complete(job client.Object, shown []*corev1.Pod, now time.Time) map[string]*corev1.Pod {
	view := byName(shown)
	changed := map[types.UID]bool{}
	for key, own := range o.made {
		switch seen := view[key.Name]; {
		case key.Namespace != job.GetNamespace() || !metav1.IsControlledBy(own.pod, job) || !now.Before(own.until):
		case seen != nil && version(seen) >= version(own.pod):
			delete(o.made, key)
		default:
			view[key.Name] = own.pod
			changed[own.pod.UID] = own.changed
		}
	}
	there := map[types.UID]bool{}
	for name, pod := range view {
		there[pod.UID] = true
		if own, ok := o.deleted[pod.UID]; pod.DeletionTimestamp == nil && (ok && now.Before(own.until) || changed[pod.UID]) {
			view[name] = clone(pod)
			view[name].DeletionTimestamp = &metav1.Time{Time: now}
		}
	}
	maps.DeleteFunc(o.deleted, func(uid types.UID, own ownDelete) bool { return own.job == job.GetUID() && !there[uid] })
	return view
}

// asRead is what a process knows when it has read a pod that it takes for lost: another
// one of its name takes its place.
func (k knownPods) asRead(pod *corev1.Pod) {
	for i, was := range k[pod.Name] {
		if was != nil && was.UID != pod.UID {
			k[pod.Name][i] = pod
		}
	}
}

// certain are pods that no one is in doubt of.
func certain(list []*corev1.Pod) knownPods {
	out := knownPods{}
	for _, pod := range list {
		out[pod.Name] = []*corev1.Pod{pod}
	}
	return out
}

// version is the resource version of an object, which a World counts up.
func version(o client.Object) uint64 {
	n, _ := strconv.ParseUint(o.GetResourceVersion(), 10, 64) // 0 if it has none
	return n
}
