package controller

import (
	"context"
	"encoding/json"
	"fmt"

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

// UpdateService implements ServiceControl. It sends ports and selector only, and the type if
// it has one, so that what others set in the service stays.
func (w *writer[J]) UpdateService(ctx context.Context, _ J, service *corev1.Service) error {
	spec := map[string]any{"selector": service.Spec.Selector, "ports": service.Spec.Ports}
	if service.Spec.Type != "" {
		spec["type"] = service.Spec.Type
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
	patch := client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{})
	err := w.client.Status().Patch(ctx, changed, patch, client.FieldValidation(metav1.FieldValidationStrict), w.name)
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
	w.rivals.recordWrite(changed)
	return nil
}
