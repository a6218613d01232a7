package controller

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

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
// shortened ones. It must not write them back, but with a patch, and must not change what it got
// without a copy ([client.UnsafeDisableDeepCopy]): pods of a job share their owners, annotations and conditions.
// Without these options everything works, with more memory.
//
// owned are the kinds of owned objects that operators keep (see [jobkit.OwnedObjects]). Of
// these kinds, too, the cache then holds only what operators of this library made. Of objects
// above 4 KiB it holds a digest in place of their content. Of pods, services and owned objects
// without a controller, which belong to no job, it holds only the identity.
func CacheOptions(owned ...jobkit.Object) cache.Options {
	ours := labels.NewSelector()
	if exists, err := labels.NewRequirement(commonv1.OperatorNameLabel, selection.Exists, nil); err == nil {
		ours = ours.Add(*exists)
	}
	short := newShortener()
	byObject := map[client.Object]cache.ByObject{
		&corev1.Pod{}:     {Label: ours, Transform: short.pod},
		&corev1.Service{}: {Label: ours, Transform: short.service},
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

// sharedStrings is how many strings a shortener remembers: enough for some hundred jobs whose
// pods appear at the same time.
const sharedStrings = 4096

// sharedMetadata is how many lists of owners, of conditions, of sidecars, and how many annotations, a
// shortener remembers: those of as many jobs.
const sharedMetadata = 512

// maxSidecars is how many native sidecars of a pod the cache holds at most.
const maxSidecars = 8

// maxShared is the size in bytes up to which annotations are shared as a whole.
const maxShared = 1024

// shortener makes the pods in a cache small. Most of a pod is its specification, which is not
// read again after creation. Much of the rest is the same in every pod of a job, but decoding
// makes a new copy of it each time. What is shared must not be changed, as all that a cache holds.
type shortener struct {
	strings, owners, annotations, conditions, sidecars *lru.Cache
	started, notStarted                                *bool
}

func newShortener() *shortener {
	return &shortener{
		strings: lru.New(sharedStrings), owners: lru.New(sharedMetadata), annotations: lru.New(sharedMetadata),
		conditions: lru.New(sharedMetadata), sidecars: lru.New(sharedMetadata), started: new(true), notStarted: new(bool),
	}
}

// pod is a cache.TransformFunc that drops what the library does not read.
func (s *shortener) pod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	if len(pod.Spec.Containers) == 0 {
		return o, nil // It is short: a pod has containers. A list that is streamed comes here twice.
	}
	if metav1.GetControllerOfNoCopy(pod) == nil {
		out := &corev1.Pod{}
		copyIdentity(pod, out)
		return out, nil
	}
	sidecars := s.sidecarsRead(pod)
	if sidecars == nil {
		pod.Status.InitContainerStatuses = plan.WithoutSidecars(pod)
	}
	pod.ManagedFields = plan.KeptEntries(pod)
	if _, ok := pod.Annotations[commonv1.ProgressCAAnnotation]; ok { // It is large, and of use in the pod alone.
		pod.Annotations = maps.Clone(pod.Annotations)
		delete(pod.Annotations, commonv1.ProgressCAAnnotation)
	}
	pod.Namespace = s.share(pod.Namespace)
	pod.Labels, pod.Annotations = s.shareAll(bounded(pod.Labels)), s.shareMap(bounded(pod.Annotations))
	pod.Finalizers, pod.OwnerReferences = leading(pod.Finalizers), s.shareOwners(owners(pod))
	pod.Spec = corev1.PodSpec{
		NodeName:          s.share(pod.Spec.NodeName),
		RestartPolicy:     pod.Spec.RestartPolicy,
		PriorityClassName: s.share(pod.Spec.PriorityClassName),
		SchedulingGates:   leading(pod.Spec.SchedulingGates),
		InitContainers:    sidecars,
	}
	pod.Status = s.status(&pod.Status)
	return pod, nil
}

// status keeps the fields of a pod's status that the library reads. All texts have a limit: they
// are for people, and decide nothing.
func (s *shortener) status(st *corev1.PodStatus) corev1.PodStatus {
	texts := budget(maxTexts)
	out := corev1.PodStatus{
		Phase: st.Phase, Reason: cutShort(st.Reason, maxReason), Message: texts.cut(st.Message, maxText), StartTime: st.StartTime,
		HostIP: s.share(st.HostIP), PodIP: st.PodIP, Conditions: conditionsRead(st.Conditions),
	}
	for i := range out.Conditions {
		c := &out.Conditions[i]
		c.Reason, c.Message = cutShort(c.Reason, maxReason), texts.cut(c.Message, maxText)
	}
	out.ContainerStatuses = s.containers(st.ContainerStatuses, &texts)
	out.InitContainerStatuses = s.containers(st.InitContainerStatuses, &texts)
	dropTimes(&out)
	out.Conditions = s.shareConditions(out.Conditions)
	return out
}

// sidecarsRead are the native sidecars of a pod, by which their statuses are told from those of other init
// containers; nil if these are not read. One keeps its pod from starting until it has started, and a rule
// of podFailurePolicy may ask for it by its name when the pod ends. While all containers run, and of pods
// with very many of them, no status of a sidecar is kept.
func (s *shortener) sidecarsRead(pod *corev1.Pod) []corev1.Container {
	phase := pod.Status.Phase
	if phase == corev1.PodSucceeded || phase == corev1.PodRunning && allRun(pod.Status.ContainerStatuses) {
		return nil
	}
	all := plan.Sidecars(pod)
	if len(all) == 0 || len(all) > maxSidecars || len(pod.Status.InitContainerStatuses) > maxStatuses {
		return nil
	}
	var names strings.Builder
	for _, c := range all {
		names.WriteString(c.Name + "/") // which no name has
	}
	if same, ok := seen[[]corev1.Container](s.sidecars, names.String()); ok {
		return same
	}
	list, always := make([]corev1.Container, 0, len(all)), new(corev1.ContainerRestartPolicyAlways)
	for _, c := range all {
		list = append(list, corev1.Container{Name: strings.Clone(c.Name), RestartPolicy: always})
	}
	s.sidecars.Add(names.String(), list)
	return list
}

// allRun reports whether containers all run.
func allRun(list []corev1.ContainerStatus) bool {
	return !slices.ContainsFunc(list, func(c corev1.ContainerStatus) bool { return c.State.Running == nil })
}

// dropTimes drops the times of steps on the way to a pod that runs and is ready. Only the newest
// time that a node tells is asked for of them, and that is when the pod became ready. Pods of a job
// that got their nodes in one second, and were ready in another, then have the same conditions.
func dropTimes(st *corev1.PodStatus) {
	ready := slices.IndexFunc(st.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
	if st.Phase != corev1.PodRunning || ready < 0 || st.Conditions[ready].Status != corev1.ConditionTrue {
		return
	}
	for i := range st.Conditions {
		c := &st.Conditions[i]
		step := c.Type == corev1.ContainersReady || c.Type == corev1.PodInitialized || c.Type == corev1.PodReadyToStartContainers
		if step && !c.LastTransitionTime.After(st.Conditions[ready].LastTransitionTime.Time) {
			c.LastTransitionTime = metav1.Time{}
		}
	}
}

// shareConditions returns an equal list of conditions that was seen before, if there is one, or else
// the list with shared texts.
func (s *shortener) shareConditions(list []corev1.PodCondition) []corev1.PodCondition {
	if len(list) == 0 {
		return nil
	}
	var room [512]byte // enough for the conditions of a pod that runs
	key := appendConditions(room[:0], list)
	small := len(key) <= maxShared
	if small {
		if same, ok := seen[[]corev1.PodCondition](s.conditions, string(key)); ok {
			return same
		}
	}
	for i := range list {
		c := &list[i]
		c.Type, c.Status = corev1.PodConditionType(s.share(string(c.Type))), corev1.ConditionStatus(s.share(string(c.Status)))
		c.Reason, c.Message = s.share(c.Reason), s.share(c.Message)
	}
	if small {
		s.conditions.Add(string(key), list)
	}
	return list
}

// appendConditions appends all that conditions say.
func appendConditions(key []byte, list []corev1.PodCondition) []byte {
	for i := range list {
		c := &list[i]
		for _, word := range []string{string(c.Type), string(c.Status), c.Reason, c.Message} {
			key = appendWord(key, word)
		}
		for _, at := range []metav1.Time{c.LastProbeTime, c.LastTransitionTime} {
			key = strconv.AppendInt(append(key, ' '), at.Unix(), 10)
			key = strconv.AppendInt(append(key, ' '), int64(at.Nanosecond()), 10)
		}
		key = append(strconv.AppendInt(append(key, ' '), c.ObservedGeneration, 10), ' ')
	}
	return key
}

// appendWord appends a text with its length, so that no two lists of texts make the same key.
func appendWord(key []byte, word string) []byte {
	return append(append(strconv.AppendInt(key, int64(len(word)), 10), ' '), word...)
}

// shareBool returns a pointer to an equal value that all pods share.
func (s *shortener) shareBool(b *bool) *bool {
	switch {
	case b == nil:
		return nil
	case *b:
		return s.started
	default:
		return s.notStarted
	}
}

// conditionsRead returns the conditions of a pod, in a list of its own. Of too many it returns those that policies read
// by their type, and the first others.
func conditionsRead(list []corev1.PodCondition) []corev1.PodCondition {
	return slices.Clone(some(list, maxStatuses, func(c *corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget || c.Type == corev1.PodScheduled || c.Type == corev1.PodReady ||
			c.Type == corev1.PodReadyToStartContainers
	}))
}

// exactly is a copy of a list without room for more: a decoder leaves room for as many again.
func exactly[T any](list []T) []T {
	if len(list) == cap(list) {
		return list
	}
	out := make([]T, len(list))
	copy(out, list)
	return out
}

// service is a cache.TransformFunc that drops the fields of services that the library does not read.
func (s *shortener) service(o any) (any, error) {
	if service, ok := o.(*corev1.Service); ok {
		if metav1.GetControllerOfNoCopy(service) == nil {
			out := &corev1.Service{}
			copyIdentity(service, out)
			return out, nil
		}
		service.ManagedFields = nil
		service.Labels, service.Annotations = s.shareAll(bounded(service.Labels)), s.shareMap(bounded(service.Annotations))
		service.Finalizers, service.OwnerReferences = leading(service.Finalizers), s.shareOwners(owners(service))
		if service.Size() > maxWhole {
			service.Spec, service.Status = shortServiceSpec(&service.Spec), corev1.ServiceStatus{}
		}
		service.Namespace, service.Spec.Selector = s.share(service.Namespace), s.shareAll(service.Spec.Selector)
	}
	return o, nil
}

// shortServiceSpec keeps the fields of a large service that are compared with the wanted ones, and
// of many ports a digest. A large selector is dropped: neither it nor an empty one is the wanted
// selector.
func shortServiceSpec(spec *corev1.ServiceSpec) corev1.ServiceSpec {
	out := corev1.ServiceSpec{
		Type: spec.Type, ClusterIP: spec.ClusterIP, Ports: plan.ShortPorts(spec.Ports), PublishNotReadyAddresses: spec.PublishNotReadyAddresses,
	}
	if bytesIn(spec.Selector) <= maxMetadata {
		out.Selector = spec.Selector
	}
	return out
}

// containers drops images, but for those that keep a container waiting, and the last termination
// of containers that were not restarted. Of too many containers it keeps those that ended with an
// error or cannot start, and the first others. The restarts of those that are dropped are added to
// the last one that is kept.
func (s *shortener) containers(all []corev1.ContainerStatus, texts *budget) []corev1.ContainerStatus {
	list := exactly(some(all, maxStatuses, func(c *corev1.ContainerStatus) bool {
		return endedWithError(c.State) || endedWithError(c.LastTerminationState) || plan.Refuses(c)
	}))
	if len(list) < len(all) {
		list[len(list)-1].RestartCount += restarts(all) - restarts(list)
	}
	for i := range list {
		c := &list[i]
		last := corev1.ContainerState{}
		if t := c.LastTerminationState.Terminated; t != nil && c.RestartCount > 0 {
			last.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: t.ExitCode, Reason: s.share(cutShort(t.Reason, maxReason)), Message: t.Message, FinishedAt: t.FinishedAt,
			}
		}
		image := s.share(texts.cut(plan.WaitingImage(c), maxContainerText))
		*c = corev1.ContainerStatus{
			Name: s.share(c.Name), State: c.State, Ready: c.Ready, RestartCount: c.RestartCount, Started: s.shareBool(c.Started),
			LastTerminationState: last, Image: image,
		}
		if t := c.State.Terminated; t != nil {
			t.Reason, t.Message, t.ContainerID = s.share(cutShort(t.Reason, maxReason)), texts.cut(t.Message, maxContainerText), ""
		}
		if t := last.Terminated; t != nil {
			t.Message = texts.cut(t.Message, maxContainerText)
		}
		if w := c.State.Waiting; w != nil {
			message := s.share(texts.cut(plan.WaitingMessage(c), maxContainerText))
			w.Reason, w.Message = s.share(cutShort(w.Reason, maxReason)), message
		}
	}
	return list
}

func endedWithError(s corev1.ContainerState) bool {
	return s.Terminated != nil && s.Terminated.ExitCode != 0
}

// restarts is how often all the containers were restarted, in total.
func restarts(list []corev1.ContainerStatus) int32 {
	var n int32
	for i := range list {
		n += list[i].RestartCount
	}
	return n
}

// shareOwners returns an equal list of owners that was seen before, if there is one. All pods of a
// job have the same.
func (s *shortener) shareOwners(list []metav1.OwnerReference) []metav1.OwnerReference {
	type owner struct {
		apiVersion, kind, name string
		uid                    types.UID
		controller, blocks     string
	}
	if len(list) != 1 {
		return exactly(list)
	}
	r := &list[0]
	key := owner{r.APIVersion, r.Kind, r.Name, r.UID, written(r.Controller), written(r.BlockOwnerDeletion)}
	if same, ok := seen[[]metav1.OwnerReference](s.owners, key); ok {
		return same
	}
	list = exactly(list)
	s.owners.Add(key, list)
	return list
}

func written(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// shareMap returns an equal map that was seen before, if there is one. Annotations mostly come from
// the template of a role.
func (s *shortener) shareMap(m map[string]string) map[string]string {
	if bytesIn(m) > maxShared {
		return s.shareAll(m)
	}
	if len(m) == 0 {
		return nil
	}
	key := make([]byte, 0, maxShared)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		key = appendWord(appendWord(key, k), m[k])
	}
	if same, ok := seen[map[string]string](s.annotations, string(key)); ok {
		return same
	}
	m = s.shareAll(m)
	s.annotations.Add(string(key), m)
	return m
}

// shareAll shares the strings of a map.
func (s *shortener) shareAll(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for key, value := range m {
		out[s.share(key)] = s.share(value)
	}
	return out
}

// share returns an equal string that was seen before, if there is one.
func (s *shortener) share(w string) string {
	if w == "" {
		return ""
	}
	if same, ok := seen[string](s.strings, w); ok {
		return same
	}
	s.strings.Add(w, w)
	return w
}

// seen returns the value that is remembered for a key, if there is one.
func seen[T any](in *lru.Cache, key lru.Key) (T, bool) {
	known, _ := in.Get(key)
	same, ok := known.(T)
	return same, ok
}
