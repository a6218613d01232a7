package kube

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	"github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/plan"
)

// Every page that is open holds all jobs and pods that its user may see. Whoever may create a job or a pod decides what is
// in it, up to 1.5 MiB. So only what is named here is kept of them, and of that no more than these bytes of memory.
const (
	maxSpec = 32 << 10
	// maxStatus leaves room for the records of thousands of replicas, which only operators write.
	maxStatus     = 512 << 10
	maxContainers = 64 // of a pod
)

// replicaSpecs is where the replica specs of a short job are, of whatever kind it is.
const replicaSpecs = "replicaSpecs"

// managedByQueue is the label of pods that Kueue holds back.
const managedByQueue = "kueue.x-k8s.io/managed"

// leftOut is the annotation of an object here, never in the cluster, that says what was too large to be kept.
const leftOut = "page.jobkit.dev/left-out"

// The parts that are left out if they are too large, as leftOut names them.
const (
	leftSpec    = "spec"
	leftRecords = "records"
	leftStatus  = "status"
)

// shortJob keeps what the page reads of a job. (Informers may give it what it has made short before.)
func shortJob(item any) (any, error) {
	object, ok := item.(*unstructured.Unstructured)
	if !ok {
		return item, nil
	}
	before := strings.Fields(object.GetAnnotations()[leftOut])
	left := map[string]bool{}
	for _, part := range []string{leftSpec, leftRecords, leftStatus} {
		left[part] = slices.Contains(before, part)
	}
	spec := shortSpec(object)
	if weight(spec) > maxSpec {
		left[leftSpec] = true
		spec = map[string]any{replicaSpecs: map[string]any{}}
	}
	short := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	status := shortStatus(object)
	if weight(status) > maxStatus {
		left[leftRecords] = true
		withoutRecords(status)
	}
	switch {
	case weight(status) > maxStatus:
		left[leftStatus], left[leftRecords] = true, false
	case status != nil:
		short.Object["status"] = status
	}
	short.SetGroupVersionKind(object.GroupVersionKind())
	short.SetNamespace(object.GetNamespace())
	short.SetName(object.GetName())
	short.SetUID(object.GetUID())
	short.SetResourceVersion(object.GetResourceVersion())
	short.SetCreationTimestamp(object.GetCreationTimestamp())
	short.SetDeletionTimestamp(object.GetDeletionTimestamp())
	if mark := queueMark(object); mark != "" {
		short.SetLabels(map[string]string{mark: ""})
	}
	maps.DeleteFunc(left, func(_ string, is bool) bool { return !is })
	if len(left) > 0 {
		short.SetAnnotations(map[string]string{leftOut: strings.Join(slices.Sorted(maps.Keys(left)), " ")})
	}
	return short, nil
}

// leftOf says in words what was too large to be kept of a job; empty if that is nothing.
func leftOf(job *unstructured.Unstructured) string {
	words := map[string]string{
		leftSpec: "its specification", leftRecords: "what its status says of single replicas", leftStatus: "its status",
	}
	var parts []string
	for part := range strings.FieldsSeq(job.GetAnnotations()[leftOut]) {
		parts = append(parts, words[part])
	}
	if len(parts) == 0 {
		return ""
	}
	return "too large for this page: " + strings.Join(parts, ", ") + "."
}

// only are some fields of an object.
func only(object map[string]any, fields ...string) map[string]any {
	out := make(map[string]any, min(len(object), len(fields)))
	for _, field := range fields {
		if value, ok := object[field]; ok {
			out[field] = value
		}
	}
	return out
}

// shortSpec has the replica specs of a job where those of most kinds are, without their templates.
func shortSpec(job *unstructured.Unstructured) map[string]any {
	spec, _ := job.Object["spec"].(map[string]any)
	out := only(spec, "mainContainer")
	if policy, ok := spec["runPolicy"].(map[string]any); ok {
		out["runPolicy"] = only(policy, "suspend", "activeDeadlineSeconds", "startDeadlineSeconds", "onStartDeadline",
			"ttlSecondsAfterFinished", "backoffLimit", "backoffLimitPerReplica", "backoffLimitWindowSeconds", "maxJobRestarts",
			"progressPolicy", "avoidNodes")
	}
	roles := map[string]any{}
	for t, role := range jobview.ReplicaSpecs(job) {
		roles[string(t)] = only(role, "replicas", "backoffLimit", "startAfter")
	}
	out[replicaSpecs] = roles
	return out
}

// shortStatus has the fields of every job's status; nil if there is none.
func shortStatus(job *unstructured.Unstructured) map[string]any {
	status, ok := job.Object["status"].(map[string]any)
	if !ok {
		return nil
	}
	out := only(status, "conditions", "replicaStatuses", "startTime", "completionTime", "state", "restarts", "attempt",
		"restartTimes", "jobRestarts", "seconds", "failedNodes", "failures", "trainerStatus")
	if types, ok := out["replicaStatuses"].(map[string]any); ok {
		short := make(map[string]any, len(types))
		for t, value := range types {
			if one, ok := value.(map[string]any); ok {
				value = only(one, slices.Concat(counts(), records())...)
			}
			short[t] = value
		}
		out["replicaStatuses"] = short
	}
	return out
}

// counts and records are the fields of the status of a replica type: those that are small, and those that grow with its
// replicas.
func counts() []string { return []string{"active", "succeeded", "failed", "attempt", "restarts"} }

func records() []string {
	return []string{
		"succeededIndexes", "failedIndexes", "attempts", "ignoredAttempts", "inPlaceRestarts", "restartTimes", "earlierRestarts", "record",
	}
}

// withoutRecords leaves out what a short status says of single replicas.
func withoutRecords(status map[string]any) {
	types, _ := status["replicaStatuses"].(map[string]any)
	for t, value := range types {
		if one, ok := value.(map[string]any); ok {
			types[t] = only(one, counts()...)
		}
	}
}

// weight is about how many bytes of memory a value takes. Its text would say little: {} is two bytes of text.
func weight(value any) int {
	const word, emptyMap, entry = 16, 48, 34
	switch value := value.(type) {
	case string:
		return word + len(value)
	case []any:
		n := word
		for _, one := range value {
			n += word + weight(one)
		}
		return n
	case map[string]any:
		n := emptyMap
		if len(value) > 0 {
			n += entry * max(len(value), 8) // maps grow by eight entries at first
		}
		for key, one := range value {
			n += len(key) + weight(one)
		}
		return n
	default:
		return word
	}
}

// queueMark is a label or an annotation that shows that a job is in a queue; empty if it is in none.
func queueMark(job *unstructured.Unstructured) string {
	marks := []map[string]string{job.GetLabels(), job.GetAnnotations()}
	for _, role := range jobview.ReplicaSpecs(job) {
		for _, field := range []string{"labels", "annotations"} {
			some, _, _ := unstructured.NestedStringMap(role, "template", "metadata", field)
			marks = append(marks, some)
		}
	}
	first := ""
	for _, m := range marks {
		for key := range m {
			isMark := plan.Queued(&metav1.ObjectMeta{Labels: map[string]string{key: ""}}, nil)
			if isMark && (first == "" || key < first) {
				first = key
			}
		}
	}
	return first
}

// shortPod keeps what the page reads of a pod.
func shortPod(item any) (any, error) {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return item, nil
	}
	short := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp,
			DeletionGracePeriodSeconds: pod.DeletionGracePeriodSeconds, Labels: map[string]string{},
		},
		Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, SchedulerName: pod.Spec.SchedulerName, SchedulingGroup: pod.Spec.SchedulingGroup,
			SchedulingGates: slices.Clone(first(pod.Spec.SchedulingGates, 1)), // whether there is one
		},
		Status: pod.Status,
	}
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		short.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	for _, key := range []string{commonv1.ReplicaTypeLabel, commonv1.ReplicaIndexLabel, commonv1.AttemptLabel, managedByQueue} {
		if value, ok := pod.Labels[key]; ok {
			short.Labels[key] = value
		}
	}
	if e := plan.ReportEntry(pod); e != nil && plan.Ends(pod) {
		short.ManagedFields = []metav1.ManagedFieldsEntry{{Subresource: e.Subresource, Time: e.Time}}
	}
	for i := range first(pod.Spec.Containers, maxContainers) {
		name := pod.Spec.Containers[i].Name
		short.Spec.Containers = append(short.Spec.Containers, corev1.Container{Name: name})
		if name == pod.Annotations[kinds.DefaultContainer] {
			short.Annotations = map[string]string{kinds.DefaultContainer: name}
		}
	}
	for i := range first(pod.Spec.InitContainers, maxContainers) {
		short.Spec.InitContainers = append(short.Spec.InitContainers, corev1.Container{
			Name: pod.Spec.InitContainers[i].Name, RestartPolicy: pod.Spec.InitContainers[i].RestartPolicy,
		})
	}
	return short, nil
}

// first are the first n of some values, at most.
func first[T any](some []T, n int) []T { return some[:min(len(some), n)] }
