package controller

import (
	"reflect"
	"slices"

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
// those of more than 4 KiB a digest in place of what they hold. Of pods, services and owned
// objects without a controller, which are no job's, it holds no more than which they are.
func CacheOptions(owned ...jobkit.Object) cache.Options {
	ours := labels.NewSelector()
	if exists, err := labels.NewRequirement(commonv1.OperatorNameLabel, selection.Exists, nil); err == nil {
		ours = ours.Add(*exists)
	}
	byObject := map[client.Object]cache.ByObject{
		&corev1.Pod{}:     {Label: ours, Transform: newShortener().pod},
		&corev1.Service{}: {Label: ours, Transform: shortService},
	}
	claims := &corev1.PersistentVolumeClaim{}
	if !slices.ContainsFunc(owned, func(o jobkit.Object) bool { return reflect.TypeOf(o) == reflect.TypeOf(claims) }) {
		byObject[claims] = cache.ByObject{Label: ours, Transform: shortVolumeClaim}
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
	if metav1.GetControllerOfNoCopy(pod) == nil {
		out := &corev1.Pod{}
		copyIdentity(pod, out)
		return out, nil
	}
	pod.Status.InitContainerStatuses = plan.WithoutSidecars(pod)
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
		SchedulingGates:   leading(pod.Spec.SchedulingGates),
	}
	pod.Status = s.status(&pod.Status)
	return pod, nil
}

// status keeps of the status of a pod what says how it does. All texts have a limit: they are for
// people, and decide nothing.
func (s *shortener) status(st *corev1.PodStatus) corev1.PodStatus {
	texts := budget(maxTexts)
	out := corev1.PodStatus{
		Phase: st.Phase, Reason: cutShort(st.Reason, maxReason), Message: texts.cut(st.Message, maxText), StartTime: st.StartTime,
		HostIP: s.word(st.HostIP), PodIP: st.PodIP, Conditions: conditionsRead(st.Conditions),
	}
	for i := range out.Conditions {
		c := &out.Conditions[i]
		c.Type, c.Status = corev1.PodConditionType(s.word(string(c.Type))), corev1.ConditionStatus(s.word(string(c.Status)))
		c.Reason, c.Message = s.word(cutShort(c.Reason, maxReason)), s.word(texts.cut(c.Message, maxText))
	}
	out.ContainerStatuses = s.containers(st.ContainerStatuses, &texts)
	out.InitContainerStatuses = s.containers(st.InitContainerStatuses, &texts)
	return out
}

// conditionsRead returns the conditions of a pod, of too many the first ones and those that
// policies read by their type.
func conditionsRead(list []corev1.PodCondition) []corev1.PodCondition {
	return some(list, maxStatuses, func(c *corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget || c.Type == corev1.PodScheduled || c.Type == corev1.PodReady
	})
}

// shortService is a cache.TransformFunc that drops of services what the library does not read.
func shortService(o any) (any, error) {
	if service, ok := o.(*corev1.Service); ok {
		if metav1.GetControllerOfNoCopy(service) == nil {
			out := &corev1.Service{}
			copyIdentity(service, out)
			return out, nil
		}
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
// that is wanted, of many ports a digest. A large selector is dropped: it is not the one that is
// wanted, nor is none.
func shortServiceSpec(spec *corev1.ServiceSpec) corev1.ServiceSpec {
	out := corev1.ServiceSpec{
		Type: spec.Type, ClusterIP: spec.ClusterIP, Ports: plan.ShortPorts(spec.Ports), PublishNotReadyAddresses: spec.PublishNotReadyAddresses,
	}
	if bytesIn(spec.Selector) <= maxMetadata {
		out.Selector = spec.Selector
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
// restarted. Of too many it keeps those that ended with an error, and the first others; the
// restarts of the others are counted with the last of them.
func (s *shortener) containers(all []corev1.ContainerStatus, texts *budget) []corev1.ContainerStatus {
	list := some(all, maxStatuses, func(c *corev1.ContainerStatus) bool { return endedBadly(c.State) || endedBadly(c.LastTerminationState) })
	if len(list) < len(all) {
		list[len(list)-1].RestartCount += restarts(all) - restarts(list)
	}
	for i := range list {
		c := &list[i]
		last := corev1.ContainerState{}
		if t := c.LastTerminationState.Terminated; t != nil && c.RestartCount > 0 {
			last.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: t.ExitCode, Reason: s.word(cutShort(t.Reason, maxReason)), Message: t.Message, FinishedAt: t.FinishedAt,
			}
		}
		*c = corev1.ContainerStatus{
			Name: s.word(c.Name), State: c.State, Ready: c.Ready, RestartCount: c.RestartCount, Started: c.Started, LastTerminationState: last,
		}
		if t := c.State.Terminated; t != nil {
			t.Reason, t.Message, t.ContainerID = s.word(cutShort(t.Reason, maxReason)), texts.cut(t.Message, maxContainerText), ""
		}
		if t := last.Terminated; t != nil {
			t.Message = texts.cut(t.Message, maxContainerText)
		}
		if w := c.State.Waiting; w != nil {
			w.Reason, w.Message = s.word(cutShort(w.Reason, maxReason)), texts.cut(w.Message, maxContainerText)
		}
	}
	return list
}

func endedBadly(s corev1.ContainerState) bool {
	return s.Terminated != nil && s.Terminated.ExitCode != 0
}

// restarts is how often containers were restarted, together.
func restarts(list []corev1.ContainerStatus) int32 {
	var n int32
	for i := range list {
		n += list[i].RestartCount
	}
	return n
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
