package jobtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// server is the API server: the rules by which objects come, change and go.
type server struct {
	store

	// admit refuses objects as admission does, if it is set.
	admit func(o client.Object) error
	// quota is how many pods each namespace may have, where there is a limit.
	quota map[string]int
	// terminating are the namespaces that are being deleted.
	terminating map[string]bool
	// keepsRequest is true of servers before Kubernetes 1.34: what shortens the grace period of a
	// pod moves its end before now, so that it still says when its deletion was requested.
	keepsRequest bool
}

// metaPlural guesses the resource of a kind as the API machinery does.
func metaPlural(gvk schema.GroupVersionKind) (string, string) {
	plural, singular := meta.UnsafeGuessKindToResource(gvk)
	return plural.Resource, singular.Resource
}

// create adds an object and returns it as it is stored.
func (s *server) create(t *table, o client.Object) (client.Object, error) {
	key, gr := client.ObjectKeyFromObject(o), t.resource()
	switch {
	case key.Name == "":
		return nil, apierrors.NewInvalid(t.gvk.GroupKind(), "", field.ErrorList{
			field.Required(field.NewPath("metadata", "name"), "name or generateName is required; the World does not generate names"),
		})
	case o.GetResourceVersion() != "":
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	case s.terminating[key.Namespace]:
		err := apierrors.NewForbidden(gr, key.Name, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", key.Namespace))
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace",
			Message: fmt.Sprintf("namespace %s is being terminated", key.Namespace),
		})
		return nil, err
	}
	if errs := invalid(t, o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(t.gvk.GroupKind(), key.Name, errs)
	}
	if err := s.admitted(t, o); err != nil {
		return nil, err
	}
	if t.get(key) != nil {
		return nil, apierrors.NewAlreadyExists(gr, key.Name)
	}
	stored := clone(o)
	bare(stored)
	stored.SetDeletionTimestamp(nil)
	stored.SetDeletionGracePeriodSeconds(nil)
	if status, ok := part(stored, "Status"); ok {
		status.SetZero()
	}
	if pod, ok := stored.(*corev1.Pod); ok {
		defaultPod(pod)
	}
	switch stored := stored.(type) {
	case *corev1.PersistentVolumeClaim:
		stored.SetFinalizers(append(stored.GetFinalizers(), claimProtection))
	case *corev1.Service:
		if stored.Spec.ClusterIP != corev1.ClusterIPNone && len(stored.Spec.Ports) == 0 && len(stored.Spec.Selector) > 0 {
			return nil, apierrors.NewInvalid(t.gvk.GroupKind(), key.Name, field.ErrorList{field.Required(field.NewPath("spec", "ports"), "")})
		}
		if stored.Spec.Type == corev1.ServiceTypeLoadBalancer {
			stored.SetFinalizers(append(stored.GetFinalizers(), balancerCleanup))
		}
	}
	return s.insert(t, stored), nil
}

// invalid is what the API server finds wrong with a new object, as far as an operator's code causes it.
func invalid(t *table, o client.Object) field.ErrorList {
	var errs field.ErrorList
	form := validation.NameIsDNSSubdomain
	switch {
	case t.gvk.Group == rbacv1.GroupName: // The names of roles have no form.
		form = func(string, bool) []string { return nil }
	case t.gvk.GroupKind() == corev1.SchemeGroupVersion.WithKind("Service").GroupKind():
		form = validation.NameIsDNS1035Label
	}
	for _, why := range form(o.GetName(), false) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), o.GetName(), why))
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return errs
	}
	names := map[string]bool{}
	for _, c := range pod.Spec.InitContainers {
		names[c.Name] = true
	}
	for i, c := range pod.Spec.Containers {
		if names[c.Name] {
			errs = append(errs, field.Duplicate(field.NewPath("spec", "containers").Index(i).Child("name"), c.Name))
		}
		names[c.Name] = true
	}
	return errs
}

// admitted asks admission: the hook of the World, and the quota.
func (s *server) admitted(t *table, o client.Object) error {
	if s.admit != nil {
		if err := s.admit(o); err != nil {
			return err
		}
	}
	limit, limited := s.quota[o.GetNamespace()]
	if _, ok := o.(*corev1.Pod); !ok || !limited {
		return nil
	}
	used := 0
	for _, p := range t.objects {
		if pod, ok := p.(*corev1.Pod); ok && pod.Namespace == o.GetNamespace() && !ended(pod) {
			used++
		}
	}
	if used < limit {
		return nil
	}
	return apierrors.NewForbidden(t.resource(), o.GetName(), fmt.Errorf(
		"exceeded quota: simulated, requested: pods=1, used: pods=%d, limited: pods=%d", used, limit))
}

// bare takes the kind off an object, as in those that the API server returns, unless
// nothing else reports it.
func bare(o client.Object) {
	if _, ok := o.(*unstructured.Unstructured); !ok {
		o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// defaultPod sets what the API server sets in a new pod, as far as it matters here.
func defaultPod(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodPending
	pod.Spec.NodeName = ""
	if pod.Spec.RestartPolicy == "" {
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
		pod.Spec.TerminationGracePeriodSeconds = &grace
	}
}

// update replaces an object, or its status only. It fails with a conflict unless
// the object has the resource version and UID that o carries, where it carries any.
func (s *server) update(t *table, o client.Object, statusOnly bool) (client.Object, error) {
	key := client.ObjectKeyFromObject(o)
	old := t.get(key)
	if old == nil {
		return nil, apierrors.NewNotFound(t.resource(), key.Name)
	}
	if o.GetResourceVersion() == "" && t.gvk.Group != "" {
		return nil, apierrors.NewInvalid(t.gvk.GroupKind(), key.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update"),
		})
	}
	if err := fresh(t, old, o.GetUID(), o.GetResourceVersion()); err != nil {
		return nil, err
	}
	next := clone(o)
	status, ok := part(next, "Status")
	switch {
	case statusOnly && !ok:
		return nil, apierrors.NewNotFound(t.resource(), key.Name)
	case statusOnly:
		return s.setStatus(t, old, status), nil
	case ok:
		was, _ := part(clone(old), "Status")
		status.Set(was)
	}
	return s.commit(t, old, next), nil
}

// setStatus gives an object a new status, which the store takes over.
func (s *server) setStatus(t *table, old client.Object, status reflect.Value) client.Object {
	next := successor(old)
	into, _ := part(next, "Status")
	into.Set(status)
	return s.replace(t, old, next)
}

// commit stores the next state of an object, with what an update cannot change.
func (s *server) commit(t *table, old, next client.Object) client.Object {
	bare(next)
	next.SetUID(old.GetUID())
	next.SetCreationTimestamp(old.GetCreationTimestamp())
	next.SetDeletionTimestamp(old.GetDeletionTimestamp())
	next.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	next.SetGeneration(old.GetGeneration())
	was, ok := part(old, "Spec")
	is, _ := part(next, "Spec")
	if ok && !equality.Semantic.DeepEqual(was.Interface(), is.Interface()) {
		next.SetGeneration(old.GetGeneration() + 1)
	}
	stored := s.replace(t, old, next)
	if stored.GetDeletionTimestamp() != nil && len(stored.GetFinalizers()) == 0 && graceOf(stored) == 0 {
		s.remove(t, stored)
	}
	return stored
}

func graceOf(o client.Object) int64 {
	if g := o.GetDeletionGracePeriodSeconds(); g != nil {
		return *g
	}
	return 0
}

// fresh checks the preconditions of a write.
func fresh(t *table, o client.Object, uid types.UID, version string) error {
	switch {
	case uid != "" && uid != o.GetUID():
		return apierrors.NewConflict(t.resource(), o.GetName(), fmt.Errorf(
			"precondition failed: UID in precondition: %s, UID in object meta: %s", uid, o.GetUID()))
	case version != "" && version != o.GetResourceVersion():
		return apierrors.NewConflict(t.resource(), o.GetName(), errors.New(
			"the object has been modified; please apply your changes to the latest version and try again"))
	}
	return nil
}

// patch changes an object, or its status only, by a merge or strategic merge patch.
func (s *server) patch(t *table, key types.NamespacedName, kind types.PatchType, data []byte, statusOnly bool) (client.Object, error) {
	old := t.get(key)
	if old == nil {
		return nil, apierrors.NewNotFound(t.resource(), key.Name)
	}
	if statusOnly && kind == types.MergePatchType {
		return s.patchStatus(t, old, data)
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a %T: %w", old, err)
	}
	var after []byte
	switch kind {
	case types.MergePatchType:
		after, err = mergePatch(before, data)
	case types.StrategicMergePatchType:
		after, err = strategicpatch.StrategicMergePatch(before, data, old)
	case types.JSONPatchType, types.ApplyYAMLPatchType, types.ApplyCBORPatchType:
		err = fmt.Errorf("patches of type %s are not simulated: use a merge patch", kind)
	default:
		err = fmt.Errorf("unknown patch type %s", kind)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	next, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(old).Elem()))
	if !ok {
		return nil, fmt.Errorf("cannot make a new %T", old)
	}
	if err := json.Unmarshal(after, next); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return s.update(t, next, statusOnly)
}

// patchStatus changes the status of an object by a merge patch. It does what patch
// does, without the detour over the JSON of the whole object.
func (s *server) patchStatus(t *table, old client.Object, data []byte) (client.Object, error) {
	var patch struct {
		Metadata struct {
			UID             types.UID `json:"uid"`
			ResourceVersion string    `json:"resourceVersion"`
		} `json:"metadata"`
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err := fresh(t, old, patch.Metadata.UID, patch.Metadata.ResourceVersion); err != nil {
		return nil, err
	}
	was, ok := part(old, "Status")
	if !ok {
		return nil, apierrors.NewNotFound(t.resource(), old.GetName())
	}
	if len(patch.Status) == 0 {
		return old, nil
	}
	status := reflect.New(was.Type())
	status.Elem().Set(was)
	if err := mergeInto(status.Elem(), patch.Status); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return s.setStatus(t, old, status.Elem()), nil
}

// mergePatch applies a JSON merge patch (RFC 7386).
func mergePatch(document, patch []byte) ([]byte, error) {
	var d, p any
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("the object is not JSON: %w", err)
	}
	if err := json.Unmarshal(patch, &p); err != nil {
		return nil, fmt.Errorf("the patch is not JSON: %w", err)
	}
	out, err := json.Marshal(merge(d, p))
	if err != nil {
		return nil, fmt.Errorf("cannot encode the patched object: %w", err)
	}
	return out, nil
}

func merge(d, p any) any {
	patch, ok := p.(map[string]any)
	if !ok {
		return p
	}
	out, ok := d.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for k, v := range patch {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = merge(out[k], v)
		}
	}
	return out
}

// deletion is how an object is to be deleted.
type deletion struct {
	uid     types.UID
	version string
	// grace is the period that a pod gets to end, nil for its own.
	grace       *int64
	propagation metav1.DeletionPropagation
}

// delete deletes an object: at once, or when its pod has ended and its finalizers
// are gone.
func (s *server) delete(t *table, key types.NamespacedName, how deletion) error {
	old := t.get(key)
	if old == nil {
		return apierrors.NewNotFound(t.resource(), key.Name)
	}
	if err := fresh(t, old, how.uid, how.version); err != nil {
		return err
	}
	finalizers, grace := old.GetFinalizers(), int64(0)
	if pod, ok := old.(*corev1.Pod); ok {
		grace = podGrace(pod, how.grace)
	}
	switch {
	case old.GetDeletionTimestamp() != nil:
	case how.propagation == metav1.DeletePropagationForeground:
		finalizers = append(slices.Clone(finalizers), metav1.FinalizerDeleteDependents)
	case how.propagation == metav1.DeletePropagationOrphan:
		finalizers = append(slices.Clone(finalizers), metav1.FinalizerOrphanDependents)
	}
	_, isPod := old.(*corev1.Pod)
	goes, marked := len(finalizers) == 0 && grace == 0, old.GetDeletionTimestamp() != nil && grace >= graceOf(old)
	if !marked && (isPod || !goes) { // A pod is marked first, even if it goes at once.
		old = s.replace(t, old, s.terminated(old, finalizers, grace))
	}
	if goes {
		s.remove(t, old)
	}
	return nil
}

// terminated is an object whose deletion is requested, or whose grace period is shortened.
func (s *server) terminated(old client.Object, finalizers []string, grace int64) client.Object {
	next := successor(old)
	next.SetFinalizers(finalizers)
	now := s.now().Truncate(time.Second)
	at := now.Add(time.Duration(grace) * time.Second)
	if was := old.GetDeletionTimestamp(); was != nil {
		at = was.Add(time.Duration(grace-graceOf(old)) * time.Second)
		if at.Before(now) && !s.keepsRequest {
			at, grace = now, min(grace, 1)
		}
	} else {
		next.SetGeneration(old.GetGeneration() + 1)
	}
	next.SetDeletionTimestamp(&metav1.Time{Time: at})
	next.SetDeletionGracePeriodSeconds(&grace)
	return next
}

// podGrace is how long a pod may take to end when it is deleted.
func podGrace(pod *corev1.Pod, wanted *int64) int64 {
	switch {
	case pod.Spec.NodeName == "", ended(pod):
		return 0
	case wanted != nil:
		return *wanted
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		return *pod.Spec.TerminationGracePeriodSeconds
	default:
		return corev1.DefaultTerminationGracePeriodSeconds
	}
}
