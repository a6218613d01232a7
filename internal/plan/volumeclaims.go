package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// VolumeClaimKind is the kind of the claims of replicas, as actions name it.
const VolumeClaimKind = "PersistentVolumeClaim"

// claimRequeue is how long a pod waits at a time for a claim of its name that is being
// deleted. No event of a claim that the job does not own reaches the job.
const claimRequeue = 5 * time.Second

// volumeClaimName is the name of a replica's claim, as a StatefulSet names it.
func volumeClaimName(template, pod string) string { return template + "-" + pod }

// NewVolumeClaim makes a claim of a replica from its template. The job owns it if the claim
// is to be deleted with the job.
func NewVolumeClaim(
	in *Input, t commonv1.ReplicaType, index int32, template *corev1.PersistentVolumeClaimTemplate,
) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{Spec: *template.Spec.DeepCopy()}
	claim.ObjectMeta = metav1.ObjectMeta{
		Name: volumeClaimName(template.Name, in.Kind.PodName(in.Job.Name, t, index)), Namespace: in.Job.Namespace,
		Labels:      withOwn(&in.Kind, template.Labels, replicaLabels(in.Kind, in.Job.Name, t, index)),
		Annotations: maps.Clone(template.Annotations),
	}
	if in.claimRetention(t).WhenDeleted == commonv1.VolumeClaimDelete {
		claim.OwnerReferences = []metav1.OwnerReference{in.ownerReference()}
	}
	return claim
}

// addClaimVolumes gives the pod of a replica the volumes of its claims. As in a StatefulSet, a
// claim replaces a volume of the same name.
func addClaimVolumes(in *Input, t commonv1.ReplicaType, pod *corev1.Pod) {
	for i := range in.Replicas[t].VolumeClaimTemplates {
		name := in.Replicas[t].VolumeClaimTemplates[i].Name
		volume := corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: volumeClaimName(name, pod.Name)},
		}}
		pod.Spec.Volumes = append(slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }), volume)
	}
}

// claimRetention is the retention policy of a type's claims; the zero value keeps them.
func (in *Input) claimRetention(t commonv1.ReplicaType) commonv1.VolumeClaimRetentionPolicy {
	if spec := in.Replicas[t]; spec != nil && spec.PersistentVolumeClaimRetentionPolicy != nil {
		return *spec.PersistentVolumeClaimRetentionPolicy
	}
	return commonv1.VolumeClaimRetentionPolicy{}
}

// syncVolumeClaims creates the claims of the pods that are about to be created, and of those
// that no node can take because a claim was deleted; keeps their owner as the retention policy
// has it; and deletes those of replicas that the job no longer wants, if the policy says so.
func syncVolumeClaims(d *decision) bool {
	if len(d.in.VolumeClaims) == 0 && !d.usesVolumeClaims() {
		return false
	}
	have := make(map[string]bool, len(d.in.VolumeClaims))
	for _, c := range d.in.VolumeClaims {
		have[c.Name] = true
	}
	due := map[*replica]bool{}
	for _, r := range d.missing() {
		due[r] = true
	}
	wanted := d.wantedClaims()
	d.keepClaimOwners(wanted)
	var create []Action
	d.eachClaim(func(r *replica, template *corev1.PersistentVolumeClaimTemplate, name string) {
		if !have[name] && (due[r] || d.lacksClaim(r, name)) {
			create = append(create, d.createClaim(r, template))
		}
	})
	d.act(create...)
	d.deleteUnwantedClaims(wanted)
	return false
}

// eachClaim calls f for each claim that the job wants, with its name.
func (d *decision) eachClaim(f func(r *replica, template *corev1.PersistentVolumeClaimTemplate, name string)) {
	d.tally.each(func(r *replica) {
		templates := d.in.Replicas[r.typ].VolumeClaimTemplates
		for i := range templates {
			f(r, &templates[i], volumeClaimName(templates[i].Name, r.name))
		}
	})
}

// wantedClaims are the types of the claims that the job wants, by their names; nil if the job has
// no claim with which to compare them.
func (d *decision) wantedClaims() map[string]commonv1.ReplicaType {
	if len(d.in.VolumeClaims) == 0 {
		return nil
	}
	wanted := map[string]commonv1.ReplicaType{}
	d.eachClaim(func(r *replica, _ *corev1.PersistentVolumeClaimTemplate, name string) { wanted[name] = r.typ })
	return wanted
}

// usesVolumeClaims reports whether any replica of the job has claims.
func (d *decision) usesVolumeClaims() bool {
	for _, spec := range d.in.Replicas {
		if spec != nil && len(spec.VolumeClaimTemplates) > 0 {
			return true
		}
	}
	return false
}

// createClaim is the action that creates a claim. One that outlives the job is used as it is
// if it exists: that is how a job goes on with the data of an earlier one.
func (d *decision) createClaim(r *replica, template *corev1.PersistentVolumeClaimTemplate) Action {
	claim := NewVolumeClaim(d.in, r.typ, r.index, template)
	return CreateObject{
		Kind: VolumeClaimKind, Name: claim.Name, Object: claim, Shared: len(claim.OwnerReferences) == 0,
		Reason: fmt.Sprintf("replica %d of %s needs it", r.index, r.typ),
	}
}

// lacksClaim reports whether the scheduler says that a pod has no node because a claim is not
// found. Without the claim the pod would wait forever.
func (d *decision) lacksClaim(r *replica, claim string) bool {
	if r.pod == nil || !IsLive(r.pod) || r.pod.Spec.NodeName != "" {
		return false
	}
	c := unschedulable(r.pod)
	return c != nil && strings.Contains(c.Message, `persistentvolumeclaim "`+claim+`" not found`)
}

// keepClaimOwners makes claims the job's, or takes them from the job, when the retention policy
// was changed: also of a job that is suspended or has ended, whose claims would go with it. The
// claim of a replica that the job does not want is only taken from it: it may be of an earlier
// job, which had more replicas. It returns whether any is to change.
func (d *decision) keepClaimOwners(wanted map[string]commonv1.ReplicaType) bool {
	before := len(d.plan.Actions)
	for _, c := range d.in.VolumeClaims {
		t, ok := wanted[c.Name]
		if !ok && d.ownsClaim(c) {
			t = d.in.typeOfClaim(c)
		}
		if t != "" { // With its type, the policy of a claim is gone. It stays as it is.
			d.keepClaimOwner(t, c)
		}
	}
	return len(d.plan.Actions) > before
}

func (d *decision) keepClaimOwner(t commonv1.ReplicaType, c *corev1.PersistentVolumeClaim) {
	owned, shouldBe := d.ownsClaim(c), d.in.claimRetention(t).WhenDeleted == commonv1.VolumeClaimDelete
	if owned == shouldBe || c.DeletionTimestamp != nil {
		return
	}
	owners := slices.DeleteFunc(slices.Clone(c.OwnerReferences), func(o metav1.OwnerReference) bool { return o.UID == d.in.Job.UID })
	if shouldBe {
		owners = append(owners, d.in.ownerReference())
	}
	var list any // null removes the list
	if len(owners) > 0 {
		list = owners
	}
	d.act(UpdateObject{
		Kind: VolumeClaimKind, Name: c.Name, UID: c.UID, Version: c.ResourceVersion,
		Patch:  map[string]any{"metadata": map[string]any{"ownerReferences": list}},
		Reason: "persistentVolumeClaimRetentionPolicy.whenDeleted was changed",
	})
}

// ownsClaim reports whether the job owns a claim. It deletes no other.
func (d *decision) ownsClaim(c *corev1.PersistentVolumeClaim) bool {
	owner := metav1.GetControllerOf(c)
	return owner != nil && owner.UID == d.in.Job.UID
}

// deleteUnwantedClaims deletes the claims of replicas that the job no longer wants, once their
// pods are gone.
func (d *decision) deleteUnwantedClaims(wanted map[string]commonv1.ReplicaType) {
	pods := make(map[string]bool, len(d.in.Pods))
	for _, p := range d.in.Pods {
		pods[p.Name] = true
	}
	d.deleteClaims("the job no longer wants its replica", func(c *corev1.PersistentVolumeClaim, p commonv1.VolumeClaimRetentionPolicy) bool {
		return wanted[c.Name] == "" && p.WhenScaled == commonv1.VolumeClaimDelete && !endsInOneOf(c.Name, pods)
	})
}

// endsInOneOf reports whether the name of a claim ends in a dash and the name of a pod. The
// template, which comes first, may no longer exist.
func endsInOneOf(claim string, pods map[string]bool) bool {
	for i := range len(claim) {
		if claim[i] == '-' && pods[claim[i+1:]] {
			return true
		}
	}
	return false
}

// deleteClaims deletes those claims that the job owns and that a retention policy does not keep.
// Where a policy says that they outlive the job and go earlier, which is a mistake, they are kept.
func (d *decision) deleteClaims(reason string, unwanted func(*corev1.PersistentVolumeClaim, commonv1.VolumeClaimRetentionPolicy) bool) {
	for _, c := range d.in.VolumeClaims {
		if c.DeletionTimestamp != nil || !d.ownsClaim(c) {
			continue
		}
		if p := d.in.claimRetention(d.in.typeOfClaim(c)); p.WhenDeleted == commonv1.VolumeClaimDelete && unwanted(c, p) {
			d.act(DeleteObject{Kind: VolumeClaimKind, Name: c.Name, UID: c.UID, Reason: reason})
		}
	}
}

// typeOfClaim is the replica type that the label of a claim says, or "".
func (in *Input) typeOfClaim(c *corev1.PersistentVolumeClaim) commonv1.ReplicaType {
	for _, t := range in.types() {
		if strings.EqualFold(string(t), c.Labels[commonv1.ReplicaTypeLabel]) {
			return t
		}
	}
	return ""
}

// deleteClaimsOfSuspended deletes the claims of a suspended job that are not to be kept.
func (d *decision) deleteClaimsOfSuspended() {
	d.deleteClaims("the job is suspended", func(_ *corev1.PersistentVolumeClaim, p commonv1.VolumeClaimRetentionPolicy) bool {
		return p.WhenSuspended == commonv1.VolumeClaimDelete
	})
}

// deleteClaimsOfFinished deletes the claims of a finished job that are not to be kept.
func (d *decision) deleteClaimsOfFinished() {
	d.deleteClaims("the job has finished", func(_ *corev1.PersistentVolumeClaim, p commonv1.VolumeClaimRetentionPolicy) bool {
		return p.WhenFinished == commonv1.VolumeClaimDelete
	})
}

// terminatingClaims are the claims that are being deleted, by name.
func (in *Input) terminatingClaims() map[string]*corev1.PersistentVolumeClaim {
	var claims map[string]*corev1.PersistentVolumeClaim
	for _, c := range in.VolumeClaims {
		if c.DeletionTimestamp == nil {
			continue
		}
		if claims == nil {
			claims = map[string]*corev1.PersistentVolumeClaim{}
		}
		claims[c.Name] = c
	}
	return claims
}

// usedOf are those of some claims that the pod of a replica would use.
func (d *decision) usedOf(claims map[string]*corev1.PersistentVolumeClaim, r *replica) []*corev1.PersistentVolumeClaim {
	if len(claims) == 0 {
		return nil
	}
	var used []*corev1.PersistentVolumeClaim
	templates := d.in.Replicas[r.typ].VolumeClaimTemplates
	for i := range templates {
		if c := claims[volumeClaimName(templates[i].Name, r.name)]; c != nil {
			used = append(used, c)
		}
	}
	return used
}

// claimWaits says which volume claims were deleted and still exist, so that their pods cannot
// be created: another pod uses them, or a finalizer keeps them.
func (d *decision) claimWaits() wait {
	w := wait{reason: reasonClaimTerminating, patience: waitPatience}
	terminating := d.in.terminatingClaims()
	if len(terminating) == 0 {
		return w
	}
	var names []string
	for _, r := range d.missing() {
		for _, c := range d.usedOf(terminating, r) {
			names = append(names, c.Name)
			w.since = earliest(w.since, c.DeletionTimestamp.Time)
		}
	}
	if len(names) == 0 {
		return w
	}
	// A claim that was deleted while its own pod ran goes a moment after that pod.
	for i := range d.plan.Status.Conditions {
		if c := &d.plan.Status.Conditions[i]; c.Type != commonv1.JobStalled && c.LastUpdateTime.After(w.since) {
			w.since = c.LastUpdateTime.Time
		}
	}
	slices.Sort(names)
	w.why = fmt.Sprintf("%s waits for %s %s, deleted and still terminating: "+
		"delete the pods that use it (kubectl describe names them), or remove the finalizer that keeps it.",
		d.jobName(), VolumeClaimKind, andMore(names))
	return w
}

// validateVolumeClaims checks the claims of one replica type.
func validateVolumeClaims(in *Input, t commonv1.ReplicaType, path *field.Path) field.ErrorList {
	spec := in.Replicas[t]
	templates := path.Child("volumeClaimTemplates")
	if len(spec.VolumeClaimTemplates) > 0 && !in.Kind.VolumeClaims {
		return field.ErrorList{field.Forbidden(templates, fmt.Sprintf(
			"the operator of %s keeps no volume claims: remove it, or use a volume of the pod template", in.Kind.Name))}
	}
	var errs field.ErrorList
	names := map[string]bool{}
	for i := range spec.VolumeClaimTemplates {
		c, at := &spec.VolumeClaimTemplates[i], templates.Index(i)
		switch name := at.Child("metadata", "name"); {
		case c.Name == "":
			errs = append(errs, field.Required(name, "the claim and the volume are named after it: add a name"))
		case len(validation.IsDNS1123Label(c.Name)) > 0:
			errs = append(errs, field.Invalid(name, c.Name, "names a volume: use 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends"))
		case names[c.Name]:
			errs = append(errs, field.Duplicate(name, c.Name))
		}
		names[c.Name] = true
		if len(c.Spec.AccessModes) == 0 {
			errs = append(errs, field.Required(at.Child("spec", "accessModes"), "add at least one, for example ReadWriteOnce"))
		}
		if q, ok := c.Spec.Resources.Requests[corev1.ResourceStorage]; !ok || q.Sign() <= 0 {
			size := at.Child("spec", "resources", "requests", "storage")
			errs = append(errs, field.Required(size, "say how large the volume is, for example 10Gi"))
		}
	}
	retention := path.Child("persistentVolumeClaimRetentionPolicy")
	return append(errs, validateClaimRetention(spec.PersistentVolumeClaimRetentionPolicy, retention)...)
}

// validateClaimRetention checks when claims are deleted.
func validateClaimRetention(p *commonv1.VolumeClaimRetentionPolicy, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		says commonv1.VolumeClaimRetention
	}{{"whenDeleted", p.WhenDeleted}, {"whenScaled", p.WhenScaled}, {"whenSuspended", p.WhenSuspended}, {"whenFinished", p.WhenFinished}} {
		if f.says != "" {
			errs = append(errs, oneOf(path.Child(f.name), &f.says, commonv1.VolumeClaimRetain, commonv1.VolumeClaimDelete)...)
		}
		if f.says == commonv1.VolumeClaimDelete && p.WhenDeleted != commonv1.VolumeClaimDelete {
			errs = append(errs, field.Invalid(path.Child(f.name), string(f.says),
				"a claim that outlives the job cannot be deleted earlier: set whenDeleted to Delete, too, or remove it"))
		}
	}
	return errs
}
