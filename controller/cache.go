package controller

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// CacheOptions keeps the cache of a manager small: of all pods and services in the
// cluster it holds those that some operator of this library made, and of those
// pods only what the library reads. Give it to the manager as Options.Cache:
//
//	ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Cache: controller.CacheOptions()})
//
// An author's own code that reads pods through the manager's client sees the
// shortened ones. Without these options everything works, with more memory.
//
// owned are the kinds of owned objects that operators keep (see
// [jobkit.OwnedObjects]): of these, too, the cache then holds those that were made here, and of
// those of more than 4 KiB a digest in place of what they hold.
func CacheOptions(owned ...jobkit.Object) cache.Options {
	ours := labels.NewSelector()
	if exists, err := labels.NewRequirement(commonv1.OperatorNameLabel, selection.Exists, nil); err == nil {
		ours = ours.Add(*exists)
	}
	byObject := map[client.Object]cache.ByObject{
		&corev1.Pod{}:     {Label: ours, Transform: newShortener().pod},
		&corev1.Service{}: {Label: ours, Transform: shortService},
	}
	seen := map[any]bool{}
	for _, o := range owned {
		var kind any = reflect.TypeOf(o)
		if u, ok := o.(*unstructured.Unstructured); ok {
			kind = u.GroupVersionKind()
		}
		if seen[kind] {
			continue // Two operators may keep objects of one kind.
		}
		seen[kind] = true
		byObject[o] = cache.ByObject{Label: ours, Transform: withoutPayload}
	}
	return cache.Options{DefaultTransform: keepStatusManagers, ByObject: byObject}
}

// sharedWords is how many strings a shortener knows again: those of some hundred
// jobs whose pods come at the same time.
const sharedWords = 4096

// shortener makes the pods in a cache small. Most of a pod is its specification, which
// never says how the pod is doing; and much of the rest is the same in every pod of a
// job, but is read as a string of its own each time.
type shortener struct{ words *lru.Cache }

func newShortener() *shortener { return &shortener{words: lru.New(sharedWords)} }

// pod is a cache.TransformFunc that drops what the library does not read.
func (s *shortener) pod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	pod.ManagedFields = report(pod)
	pod.Namespace = s.word(pod.Namespace)
	pod.Labels, pod.Annotations = s.dictionary(bounded(pod.Labels)), s.dictionary(bounded(pod.Annotations))
	pod.Finalizers, pod.OwnerReferences = leading(pod.Finalizers), owners(pod)
	for i := range pod.OwnerReferences {
		r := &pod.OwnerReferences[i]
		r.APIVersion, r.Kind, r.Name, r.UID = s.word(r.APIVersion), s.word(r.Kind), s.word(r.Name), types.UID(s.word(string(r.UID)))
	}
	pod.Spec = corev1.PodSpec{
		NodeName:          s.word(pod.Spec.NodeName),
		RestartPolicy:     pod.Spec.RestartPolicy,
		PriorityClassName: s.word(pod.Spec.PriorityClassName),
		InitContainers:    s.sidecars(pod),
		SchedulingGates:   leading(pod.Spec.SchedulingGates),
	}
	st := &pod.Status
	pod.Status = corev1.PodStatus{
		Phase: st.Phase, Reason: st.Reason, Message: st.Message, StartTime: st.StartTime,
		HostIP: s.word(st.HostIP), PodIP: st.PodIP,
		Conditions:            st.Conditions,
		InitContainerStatuses: s.containers(st.InitContainerStatuses),
		ContainerStatuses:     s.containers(st.ContainerStatuses),
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		c.Type, c.Status = corev1.PodConditionType(s.word(string(c.Type))), corev1.ConditionStatus(s.word(string(c.Status)))
		c.Reason, c.Message = s.word(c.Reason), s.word(c.Message)
	}
	return pod, nil
}

// shortService is a cache.TransformFunc that drops of services what the library does not read.
func shortService(o any) (any, error) {
	if service, ok := o.(*corev1.Service); ok {
		service.ManagedFields = nil
		service.Labels, service.Annotations = bounded(service.Labels), bounded(service.Annotations)
		service.Finalizers, service.OwnerReferences = leading(service.Finalizers), owners(service)
		if service.Size() > maxWhole {
			service.Spec, service.Status = shortServiceSpec(&service.Spec), corev1.ServiceStatus{}
		}
	}
	return o, nil
}

// shortServiceSpec keeps of the specification of a large service what is compared with the one
// that is wanted. A large selector is dropped: it is not the one that is wanted, nor is none.
func shortServiceSpec(spec *corev1.ServiceSpec) corev1.ServiceSpec {
	out := corev1.ServiceSpec{
		Type: spec.Type, ClusterIP: spec.ClusterIP, Ports: spec.Ports, PublishNotReadyAddresses: spec.PublishNotReadyAddresses,
	}
	if bytesIn(spec.Selector) <= maxMetadata {
		out.Selector = spec.Selector
	}
	return out
}

// sidecars keeps of the specification of a pod's native sidecars what distinguishes them:
// their statuses are among those of init containers.
func (s *shortener) sidecars(pod *corev1.Pod) []corev1.Container {
	var out []corev1.Container
	for _, c := range plan.Sidecars(pod) {
		out = append(out, corev1.Container{Name: s.word(c.Name), RestartPolicy: new(corev1.ContainerRestartPolicyAlways)})
	}
	return out
}

// report keeps, of the managed fields of a pod that ends, the one entry that says when
// that was reported: what the clock of its node says decides nothing.
func report(pod *corev1.Pod) []metav1.ManagedFieldsEntry {
	if !plan.Ends(pod) {
		return nil
	}
	e := plan.ReportEntry(pod)
	if e == nil {
		return nil
	}
	return []metav1.ManagedFieldsEntry{{Subresource: e.Subresource, Time: e.Time}}
}

// containers drops images, and what belongs to earlier runs of a container unless it was
// restarted.
func (s *shortener) containers(list []corev1.ContainerStatus) []corev1.ContainerStatus {
	for i := range list {
		c := &list[i]
		last := corev1.ContainerState{}
		if t := c.LastTerminationState.Terminated; t != nil && c.RestartCount > 0 {
			last.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: t.ExitCode, Reason: s.word(t.Reason), Message: t.Message, FinishedAt: t.FinishedAt,
			}
		}
		*c = corev1.ContainerStatus{
			Name: s.word(c.Name), State: c.State, Ready: c.Ready, RestartCount: c.RestartCount, Started: c.Started, LastTerminationState: last,
		}
	}
	return list
}

// dictionary shares the strings of a map.
func (s *shortener) dictionary(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for key, value := range m {
		out[s.word(key)] = s.word(value)
	}
	return out
}

// word returns a string that was seen before, if the same one was.
func (s *shortener) word(w string) string {
	if w == "" {
		return ""
	}
	if known, ok := s.words.Get(w); ok {
		if same, ok := known.(string); ok {
			return same
		}
	}
	s.words.Add(w, w)
	return w
}
