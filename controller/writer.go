package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// background lets the garbage collector delete what an object owns.
const background = client.PropagationPolicy(metav1.DeletePropagationBackground)

// writer creates, deletes and writes where the author does not. It implements PodControl,
// ServiceControl and StatusWriter.
type writer[J client.Object] struct {
	client  client.Client
	status  func(J) *commonv1.JobStatus
	pending *pendingWrites[J]
	rivals  *rivals
	// name is that of the operator, by which others recognize what it wrote.
	name client.FieldOwner
	// gate is asked to check the schema of the jobs again; nil if there is none.
	gate *schemaGate
}

// CreatePod implements PodControl.
func (w *writer[J]) CreatePod(ctx context.Context, _ J, pod *corev1.Pod) error {
	return w.client.Create(ctx, pod) //nolint:wrapcheck // its kind decides what follows
}

// DeletePod implements PodControl.
func (w *writer[J]) DeletePod(ctx context.Context, _ J, pod *corev1.Pod) error {
	return deleteIfUnchanged(ctx, w.client, pod)
}

// CreateService implements ServiceControl.
func (w *writer[J]) CreateService(ctx context.Context, _ J, service *corev1.Service) error {
	return w.client.Create(ctx, service) //nolint:wrapcheck // its kind decides what follows
}

// UpdateService implements ServiceControl. It sends ports and selector only, the type if it has one,
// and that replicas are found before they are ready if they are to be, so that what others set in
// the service stays.
func (w *writer[J]) UpdateService(ctx context.Context, _ J, service *corev1.Service) error {
	spec := map[string]any{"selector": service.Spec.Selector, "ports": service.Spec.Ports}
	if service.Spec.Type != "" {
		spec["type"] = service.Spec.Type
	}
	if service.Spec.PublishNotReadyAddresses {
		spec["publishNotReadyAddresses"] = true
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": service.UID, "resourceVersion": service.ResourceVersion},
		"spec":     spec,
	})
	if err != nil {
		return fmt.Errorf("cannot write the update of service %s: %w", service.Name, err)
	}
	return w.client.Patch(ctx, service, client.RawPatch(types.MergePatchType, body)) //nolint:wrapcheck // its kind decides what follows
}

// DeleteService implements ServiceControl.
func (w *writer[J]) DeleteService(ctx context.Context, _ J, service *corev1.Service) error {
	return deleteIfUnchanged(ctx, w.client, service)
}

// deleteIfUnchanged deletes an object on condition that it has the UID, and the resource
// version if there is one.
func deleteIfUnchanged(ctx context.Context, c client.Client, o client.Object) error {
	uid := o.GetUID()
	preconditions := client.Preconditions{UID: &uid}
	if version := o.GetResourceVersion(); version != "" {
		preconditions.ResourceVersion = &version
	}
	options := []client.DeleteOption{preconditions, background}
	if grace := o.GetDeletionGracePeriodSeconds(); grace != nil {
		options = append(options, client.GracePeriodSeconds(*grace))
	}
	return c.Delete(ctx, o, options...) //nolint:wrapcheck // its kind decides what follows
}

// WriteStatus implements StatusWriter. It sends only the differences, so that fields of the
// status that this version does not know survive. The API server is asked to refuse fields that
// it would drop: a restart that the status does not count must not happen.
func (w *writer[J]) WriteStatus(ctx context.Context, job J, status *commonv1.JobStatus) error {
	changed, ok := job.DeepCopyObject().(J)
	if !ok {
		return fmt.Errorf("the deep copy of a %T is a %T", job, changed)
	}
	return w.writeJobStatus(ctx, job, changed, status)
}

// writeJobStatus writes the status of a job and those fields of its kind's own that differ in
// changed, which it fills.
func (w *writer[J]) writeJobStatus(ctx context.Context, job, changed J, status *commonv1.JobStatus) error {
	own := w.status(changed)
	if own == nil {
		return fmt.Errorf("Parts() of %T %s returns no Status: point at the job's own field, as in Status: &job.Status", job, client.ObjectKeyFromObject(job))
	}
	*own = *status.DeepCopy()
	err := w.client.Status().Patch(ctx, changed, statusPatch{before: job}, client.FieldValidation(metav1.FieldValidationStrict), w.name)
	if err != nil {
		if apierrors.IsNotFound(err) {
			w.gate.refused() // Either the job is gone, or the kind has no status.
		}
		if dropped := wouldDrop(err); dropped != nil {
			w.gate.refused()
			return dropped
		}
		return err //nolint:wrapcheck // its kind decides what follows
	}
	w.pending.recordStatusWrite(changed)
	w.rivals.recordWrite(changed, w.status(changed))
	return nil
}

// statusPatch is a merge patch of the status of a job, on condition that the job has the resource
// version of before. It compares the jobs without their specifications, which may be large, and
// which no write of a status changes.
type statusPatch struct{ before client.Object }

// Type implements client.Patch.
func (statusPatch) Type() types.PatchType { return types.MergePatchType }

// Data implements client.Patch.
func (p statusPatch) Data(after client.Object) ([]byte, error) {
	patch := client.MergeFromWithOptions(withoutSpec(p.before), client.MergeFromWithOptimisticLock{})
	return patch.Data(withoutSpec(after)) //nolint:wrapcheck // its kind decides what follows
}

// withoutSpec is an object without its specification and without metadata that only describes
// it. It shares the rest with the object.
func withoutSpec(o client.Object) client.Object {
	v := reflect.ValueOf(o)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return o
	}
	next := reflect.New(v.Type().Elem())
	next.Elem().Set(v.Elem())
	spec, meta := next.Elem().FieldByName("Spec"), next.Elem().FieldByName("ObjectMeta")
	out, ok := reflect.TypeAssert[client.Object](next)
	if !ok || !spec.IsValid() || !spec.CanSet() || !meta.IsValid() {
		return o
	}
	spec.SetZero()
	out.SetLabels(nil)
	out.SetAnnotations(nil)
	out.SetOwnerReferences(nil)
	out.SetManagedFields(nil)
	return out
}
