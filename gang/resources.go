package gang

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// MinResources is what must be free before any pod of the group starts: the policy's
// minResources, or the requests of the first MinMember pods that need them, with what the operator
// adds to them. The replica types with the highest priority come first; types of equal priority come
// in the kind's order.
func (j *Job) MinResources() corev1.ResourceList {
	if own := j.Policy.MinResources; own != nil {
		return corev1.ResourceList(*own)
	}
	members := slices.Clone(j.Members)
	slices.SortStableFunc(members, func(a, b Member) int { return cmp.Compare(b.Priority, a.Priority) })
	total, left := corev1.ResourceList{}, j.MinMember()
	for i := range members {
		n := min(max(members[i].Replicas-members[i].Waiting-members[i].Done, 0), left)
		left -= n
		if n == 0 {
			continue
		}
		for name, q := range members[i].requests() {
			q.Mul(int64(n))
			add(total, name, q)
		}
	}
	return total
}

// PodRequests are the resources that the scheduler reserves for a pod.
func PodRequests(pod *corev1.PodSpec) corev1.ResourceList {
	// Sidecars run beside the containers, and beside the init containers after them.
	sidecars, initial := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range pod.InitContainers {
		c := &pod.InitContainers[i]
		need := requests(&c.Resources)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			addAll(sidecars, need)
			raise(initial, sidecars)
			continue
		}
		addAll(need, sidecars)
		raise(initial, need)
	}
	total := sidecars
	for i := range pod.Containers {
		addAll(total, requests(&pod.Containers[i].Resources))
	}
	raise(total, initial)
	if pod.Resources != nil {
		asAWhole(total, pod.Resources)
	}
	addAll(total, pod.Overhead)
	return total
}

// asAWhole replaces the requests of the containers by those of the pod as a whole, where it
// has any. A limit stands for a missing request.
func asAWhole(total corev1.ResourceList, r *corev1.ResourceRequirements) {
	for name, q := range r.Limits {
		if _, asked := total[name]; !asked && podLevel(name) {
			total[name] = q
		}
	}
	for name, q := range r.Requests {
		if podLevel(name) {
			total[name] = q
		}
	}
}

// podLevel reports whether a resource can be asked for by a pod as a whole.
func podLevel(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// requests are those of one container. As in the API server, the limit of a resource stands
// for a missing request.
func requests(r *corev1.ResourceRequirements) corev1.ResourceList {
	out := corev1.ResourceList{}
	addAll(out, r.Requests)
	for name, q := range r.Limits {
		if _, ok := r.Requests[name]; !ok {
			add(out, name, q)
		}
	}
	return out
}

func addAll(to, from corev1.ResourceList) {
	for name, q := range from {
		add(to, name, q)
	}
}

func add(to corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
	sum := to[name].DeepCopy()
	if sum.IsZero() {
		sum = resource.Quantity{Format: q.Format}
	}
	sum.Add(q)
	to[name] = sum
}

// raise makes each resource at least as much as in another list.
func raise(to, least corev1.ResourceList) {
	for name, q := range least {
		if have, ok := to[name]; !ok || have.Cmp(q) < 0 {
			to[name] = q.DeepCopy()
		}
	}
}
