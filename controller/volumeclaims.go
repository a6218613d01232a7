package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// volumeClaimKind is the kind of the claims of replicas.
func volumeClaimKind() schema.GroupVersionKind {
	return corev1.SchemeGroupVersion.WithKind(plan.VolumeClaimKind)
}

// claimIndex is the name of the cache index of volume claims by the name of their job: those
// that outlive jobs have no controller.
func claimIndex(operator string) string { return "jobkit.jobName/" + operator }

// byJobName indexes the volume claims of an operator's jobs.
func byJobName(operator string) client.IndexerFunc {
	return func(o client.Object) []string {
		if l := o.GetLabels(); l[commonv1.OperatorNameLabel] == operator && l[commonv1.JobNameLabel] != "" {
			return []string{l[commonv1.JobNameLabel]}
		}
		return nil
	}
}

// keepsClaims reports whether objects of a kind are the volume claims of replicas, which the
// library keeps itself.
func (s *settings[J]) keepsClaims(kind string) bool {
	return s.kind.VolumeClaims && kind == plan.VolumeClaimKind
}

// kindNamed is the kind of an object that the plan of a job names: of the author, of the gang
// scheduler, or of a volume claim.
func (s *settings[J]) kindNamed(kind string) (schema.GroupVersionKind, bool) {
	if s.keepsClaims(kind) {
		return volumeClaimKind(), true
	}
	i := slices.IndexFunc(s.objectKinds, func(k schema.GroupVersionKind) bool { return k.Kind == kind })
	if i < 0 {
		return schema.GroupVersionKind{}, false
	}
	return s.objectKinds[i], true
}

// observeVolumeClaims finds the volume claims of a job, if jobs of its kind have some.
func (c *JobController[J]) observeVolumeClaims(ctx context.Context, job J, in *plan.Input) error {
	if !in.Kind.VolumeClaims {
		return nil
	}
	var list corev1.PersistentVolumeClaimList
	var by client.ListOption = client.MatchingLabels(in.Kind.JobLabels(in.Job.Name))
	if c.set.cache.indexed {
		by = client.MatchingFields{claimIndex(in.Kind.OperatorName): in.Job.Name}
	}
	if err := c.set.cache.reader.List(ctx, &list, client.InNamespace(in.Job.Namespace), by, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("cannot list the volume claims of %s %s/%s: %w", in.Kind.Name, in.Job.Namespace, in.Job.Name, err)
	}
	for i := range list.Items {
		claim := &list.Items[i]
		if metav1.IsControlledBy(claim, job) || metav1.GetControllerOf(claim) == nil && plan.HasJobLabels(in, claim) {
			in.VolumeClaims = append(in.VolumeClaims, claim)
		}
	}
	shown := len(in.VolumeClaims)
	in.VolumeClaims = withPendingWrites(c.set.pending, job, plan.VolumeClaimKind, in.VolumeClaims, in.Now)
	in.Uncached = in.Uncached || len(in.VolumeClaims) > shown
	return nil
}

// shortVolumeClaim is a cache.TransformFunc that drops of volume claims what the library does
// not read: all but whose they are.
func shortVolumeClaim(o any) (any, error) {
	if claim, ok := o.(*corev1.PersistentVolumeClaim); ok {
		claim.ManagedFields = nil
		claim.Labels, claim.Annotations = bounded(claim.Labels), nil
		claim.Finalizers, claim.OwnerReferences = leading(claim.Finalizers), owners(claim)
		claim.Spec, claim.Status = corev1.PersistentVolumeClaimSpec{}, corev1.PersistentVolumeClaimStatus{}
	}
	return o, nil
}
