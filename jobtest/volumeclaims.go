package jobtest

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// claimProtection is the finalizer that keeps a volume claim as long as a pod uses it.
const claimProtection = "kubernetes.io/pvc-protection"

// claimTable holds the volume claims.
func (s *store) claimTable() *table {
	return s.table(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
}

// claimsOf are the names of the volume claims that a pod uses.
func claimsOf(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		if c := pod.Spec.Volumes[i].PersistentVolumeClaim; c != nil {
			names = append(names, c.ClaimName)
		}
	}
	return names
}

// lackedClaim is the first claim of a pod that does not exist or is being deleted, or "".
func (s *store) lackedClaim(pod *corev1.Pod) string {
	for _, name := range claimsOf(pod) {
		c := s.claimTable().get(types.NamespacedName{Namespace: pod.Namespace, Name: name})
		if c == nil || c.GetDeletionTimestamp() != nil {
			return name
		}
	}
	return ""
}

// lackedCondition is what the scheduler says of a pod whose claim does not exist.
func (k *kubelet) lackedCondition(pod *corev1.Pod) corev1.PodCondition {
	return corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message:            "0/3 nodes are available: persistentvolumeclaim \"" + k.server.lackedClaim(pod) + "\" not found.",
		LastTransitionTime: metav1.NewTime(k.server.now().Truncate(time.Second)),
	}
}

// saysLacked reports whether a pod lacks a claim, and the scheduler has said so.
func (k *kubelet) saysLacked(pod *corev1.Pod) bool {
	if k.server.lackedClaim(pod) == "" || len(pod.Status.Conditions) == 0 {
		return false
	}
	return pod.Status.Conditions[0].Message == k.lackedCondition(pod).Message
}

// releaseClaims does what the controller that protects volume claims does: one that is being
// deleted goes when no pod uses it that has not ended.
func (s *server) releaseClaims(namespace string, names ...string) {
	t := s.claimTable()
	for _, name := range names {
		c := t.get(types.NamespacedName{Namespace: namespace, Name: name})
		if c == nil || c.GetDeletionTimestamp() == nil || s.claimInUse(c) {
			continue
		}
		next := clone(c)
		next.SetFinalizers(slices.DeleteFunc(slices.Clone(c.GetFinalizers()), func(f string) bool { return f == claimProtection }))
		s.commit(t, c, next)
	}
}

func (s *server) claimInUse(c client.Object) bool {
	for _, o := range s.table(corev1.SchemeGroupVersion.WithKind("Pod")).objects {
		// A pod that no node has taken does not keep it.
		if pod, ok := o.(*corev1.Pod); ok && pod.Namespace == c.GetNamespace() && !ended(pod) && pod.Spec.NodeName != "" &&
			slices.Contains(claimsOf(pod), c.GetName()) {
			return true
		}
	}
	return false
}

// claimChanged lets go of the claims that a change may have made free.
func (w *World) claimChanged(c change) {
	switch o := c.object.(type) {
	case *corev1.Pod:
		if c.verb == deleted || ended(o) {
			w.server.releaseClaims(o.Namespace, claimsOf(o)...)
		}
	case *corev1.PersistentVolumeClaim:
		if c.verb == modified && o.DeletionTimestamp != nil {
			w.server.releaseClaims(o.Namespace, o.Name)
		}
	}
}

// claimPolicy is the retention policy of the type whose claim has these labels.
func (m *monitor) claimPolicy(job, claim client.Object) commonv1.VolumeClaimRetentionPolicy {
	for t, spec := range m.w.parts(job).ReplicaSpecs {
		if spec != nil && spec.PersistentVolumeClaimRetentionPolicy != nil &&
			strings.EqualFold(string(t), claim.GetLabels()[commonv1.ReplicaTypeLabel]) {
			return *spec.PersistentVolumeClaimRetentionPolicy
		}
	}
	return commonv1.VolumeClaimRetentionPolicy{}
}

// outlives reports whether a claim is to be kept when its job is deleted.
func (m *monitor) outlives(job, claim client.Object) bool {
	for t, spec := range m.w.parts(job).ReplicaSpecs {
		if spec != nil && strings.EqualFold(string(t), claim.GetLabels()[commonv1.ReplicaTypeLabel]) {
			return m.claimPolicy(job, claim).WhenDeleted != commonv1.VolumeClaimDelete
		}
	}
	return false // With its type, its policy is gone.
}

// wantedClaims are the names of the claims that the replicas of a job have.
func (m *monitor) wantedClaims(job client.Object) map[string]bool {
	names := map[string]bool{}
	for t, spec := range m.w.parts(job).ReplicaSpecs {
		for i := range wantedReplicas(spec) {
			for _, template := range spec.VolumeClaimTemplates {
				names[template.Name+"-"+m.kind.PodName(job.GetName(), t, i)] = true
			}
		}
	}
	return names
}

// claimDeleteAsked checks that a claim is deleted only when the retention policy says so: never
// because its replica restarts.
func (m *monitor) claimDeleteAsked(p *process, op call, claim *corev1.PersistentVolumeClaim, job client.Object) {
	policy, parts := m.claimPolicy(job, claim), m.w.parts(job)
	suspended := parts.RunPolicy.Suspend != nil && *parts.RunPolicy.Suspend
	switch {
	case parts.Status.Finished() && policy.WhenFinished == commonv1.VolumeClaimDelete:
	case suspended && policy.WhenSuspended == commonv1.VolumeClaimDelete:
	case !parts.Status.Finished() && !suspended && !m.wantedClaims(job)[claim.Name] && policy.WhenScaled == commonv1.VolumeClaimDelete:
	default:
		m.w.violatef("volume claims", "%s wants to %s, which the retention policy %+v keeps", p.name, op, policy)
	}
}

// claimUpdateAsked reports whether a patch changes the owner of a claim that is the job's, or
// that carries its labels and has no controller, and nothing else.
func (m *monitor) claimUpdateAsked(op call, claim *corev1.PersistentVolumeClaim, job client.Object) bool {
	var body map[string]map[string]any
	if json.Unmarshal(op.patch, &body) != nil || len(body) != 1 {
		return false
	}
	for key := range body["metadata"] {
		if key != "uid" && key != "resourceVersion" && key != "ownerReferences" {
			return false
		}
	}
	owner := metav1.GetControllerOf(claim)
	if owner != nil {
		return owner.UID == job.GetUID()
	}
	return claim.Labels[commonv1.OperatorNameLabel] != "" && claim.Labels[commonv1.JobNameLabel] == job.GetName()
}

// checkClaims checks that the pods of a job that goes on have their claims, and that those are
// gone which the retention policy does not keep.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkClaims(job client.Object) {
	if !m.kind.VolumeClaims {
		return
	}
	parts, wanted := m.w.parts(job), m.wantedClaims(job)
	status, suspended := parts.Status, parts.RunPolicy.Suspend != nil && *parts.RunPolicy.Suspend
	pods, _ := m.children(job)
	for _, o := range m.w.server.claimTable().all() {
		claim, ok := o.(*corev1.PersistentVolumeClaim)
		if !ok || !metav1.IsControlledBy(claim, job) || m.stuck(claim) {
			continue
		}
		policy, why := m.claimPolicy(job, claim), ""
		switch {
		case status.Finished():
			if policy.WhenFinished == commonv1.VolumeClaimDelete && !slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return !ended(p) }) {
				why = "has finished"
			}
		case suspended:
			if policy.WhenSuspended == commonv1.VolumeClaimDelete {
				why = "is suspended"
			}
		case !wanted[claim.Name] && policy.WhenScaled == commonv1.VolumeClaimDelete && !obstructed(status):
			why = "does not want its replica"
		}
		if m.outlives(job, claim) && (status.Finished() || !obstructed(status)) {
			m.w.violatef("volume claims", "job %s owns claim %s, which is to outlive it", job.GetName(), claim.Name)
		}
		if why != "" {
			m.w.violatef("volume claims", "job %s %s, but claim %s, which is to be deleted then, exists", job.GetName(), why, claim.Name)
		}
	}
	for _, pod := range pods {
		// What a user deletes under a pod that has a node goes when the pod has ended.
		if name := m.w.server.lackedClaim(pod); name != "" && pod.Spec.NodeName == "" && !ended(pod) && pod.DeletionTimestamp == nil && !status.Finished() && !suspended {
			m.w.violatef("volume claims", "pod %s of job %s lacks its claim %s", pod.Name, job.GetName(), name)
		}
	}
}
