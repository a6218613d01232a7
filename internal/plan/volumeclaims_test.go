package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// claimTemplate is a valid template of a name.
func claimTemplate(name string) corev1.PersistentVolumeClaimTemplate {
	return corev1.PersistentVolumeClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"tier": "fast"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

func TestVolumeClaimTemplatesThatAreNotValid(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*commonv1.ReplicaSpec, *plan.Input)
		want   string
	}{
		"Valid": {reason: "claims of a kind that keeps them", change: func(*commonv1.ReplicaSpec, *plan.Input) {}},
		"KindKeepsNone": {
			reason: "an operator that may not touch claims must not be asked to",
			change: func(_ *commonv1.ReplicaSpec, in *plan.Input) { in.Kind.VolumeClaims = false },
			want:   `spec.testReplicaSpecs[Worker].volumeClaimTemplates: Forbidden: the operator of TestJob keeps no volume claims: remove it, or use a volume of the pod template`,
		},
		"NoName": {
			reason: "the claim and the volume are named after it",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) { s.VolumeClaimTemplates[0].Name = "" },
			want:   `spec.testReplicaSpecs[Worker].volumeClaimTemplates[0].metadata.name: Required value: the claim and the volume are named after it: add a name`,
		},
		"BadName": {
			reason: "a volume of a pod could not have it",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) { s.VolumeClaimTemplates[0].Name = "Data" },
			want:   `spec.testReplicaSpecs[Worker].volumeClaimTemplates[0].metadata.name: Invalid value: "Data": names a volume: use 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends`,
		},
		"NameTwice": {
			reason: "two volumes of one pod cannot have one name",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) {
				s.VolumeClaimTemplates = append(s.VolumeClaimTemplates, claimTemplate("data"))
			},
			want: `spec.testReplicaSpecs[Worker].volumeClaimTemplates[1].metadata.name: Duplicate value: "data"`,
		},
		"NoSize": {
			reason: "the API server would refuse the claim, after the job was taken up",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) { s.VolumeClaimTemplates[0].Spec.Resources.Requests = nil },
			want:   `spec.testReplicaSpecs[Worker].volumeClaimTemplates[0].spec.resources.requests.storage: Required value: say how large the volume is, for example 10Gi`,
		},
		"ZeroSize": {
			reason: "so it would if there is no room in it",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) {
				s.VolumeClaimTemplates[0].Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("0")}
			},
			want: `spec.testReplicaSpecs[Worker].volumeClaimTemplates[0].spec.resources.requests.storage: Required value: say how large the volume is, for example 10Gi`,
		},
		"NoAccessMode": {
			reason: "so it would",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) { s.VolumeClaimTemplates[0].Spec.AccessModes = nil },
			want:   `spec.testReplicaSpecs[Worker].volumeClaimTemplates[0].spec.accessModes: Required value: add at least one, for example ReadWriteOnce`,
		},
		"KeptButDeleted": {
			reason: "a claim that outlives the job is not the job's to delete",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) {
				s.PersistentVolumeClaimRetentionPolicy = &commonv1.VolumeClaimRetentionPolicy{WhenFinished: commonv1.VolumeClaimDelete}
			},
			want: `spec.testReplicaSpecs[Worker].persistentVolumeClaimRetentionPolicy.whenFinished: Invalid value: "Delete": a claim that outlives the job cannot be deleted earlier: set whenDeleted to Delete, too, or remove it`,
		},
		"AllDeleted": {
			reason: "the claims do not outlive the job",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) {
				all := commonv1.VolumeClaimDelete
				s.PersistentVolumeClaimRetentionPolicy = &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: all, WhenScaled: all, WhenSuspended: all, WhenFinished: all}
			},
		},
		"UnknownRetentions": {
			reason: "each of them is checked",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) {
				s.PersistentVolumeClaimRetentionPolicy = &commonv1.VolumeClaimRetentionPolicy{WhenScaled: "Keep", WhenSuspended: "Keep", WhenFinished: "Keep"}
			},
			want: `[spec.testReplicaSpecs[Worker].persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete", ` +
				`spec.testReplicaSpecs[Worker].persistentVolumeClaimRetentionPolicy.whenSuspended: Unsupported value: "Keep": supported values: "Retain", "Delete", ` +
				`spec.testReplicaSpecs[Worker].persistentVolumeClaimRetentionPolicy.whenFinished: Unsupported value: "Keep": supported values: "Retain", "Delete"]`,
		},
		"UnknownRetention": {
			reason: "the words are StatefulSet's",
			change: func(s *commonv1.ReplicaSpec, _ *plan.Input) {
				s.PersistentVolumeClaimRetentionPolicy = &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: "Keep"}
			},
			want: `spec.testReplicaSpecs[Worker].persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported values: "Retain", "Delete"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 2})
			m.in.Kind.VolumeClaims = true
			spec := m.in.Replicas[worker]
			spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaimTemplate{claimTemplate("data")}
			tc.change(spec, &m.in)
			got := ""
			if errs := plan.Validate(&m.in); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestVolumesOfClaims: the pod's volume of the template's name is the claim, in place of any
// other of that name.
func TestVolumesOfClaims(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{worker: 2})
	m.in.Replicas[worker].VolumeClaimTemplates = []corev1.PersistentVolumeClaimTemplate{claimTemplate("data"), claimTemplate("logs")}
	template := m.in.Replicas[worker].Template.DeepCopy()
	template.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "other"}}
	pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-1", Type: worker, Index: 1}, template)
	claim := func(name string) corev1.VolumeSource {
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
	}
	want := []corev1.Volume{
		{Name: "other"}, {Name: "data", VolumeSource: claim("data-job-worker-1")}, {Name: "logs", VolumeSource: claim("logs-job-worker-1")},
	}
	if diff := cmp.Diff(want, pod.Spec.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
}

// TestOwnerOfClaims: the job owns a claim exactly if it is to be deleted with the job.
func TestOwnerOfClaims(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		policy *commonv1.VolumeClaimRetentionPolicy
		owned  bool
	}{
		"Default": {reason: "data is kept unless the user says otherwise"},
		"Retain":  {reason: "the user says so", policy: &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimRetain}},
		"Delete":  {reason: "the garbage collector deletes it with the job", policy: &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete}, owned: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 2})
			m.in.Replicas[worker].PersistentVolumeClaimRetentionPolicy = tc.policy
			template := claimTemplate("data")
			template.Annotations = map[string]string{"a": "b"}
			claim := plan.NewVolumeClaim(&m.in, worker, 0, &template)
			if got := metav1.GetControllerOf(claim) != nil; got != tc.owned {
				t.Errorf("%s: owned is %t, want %t", tc.reason, got, tc.owned)
			}
			if diff := cmp.Diff(template.Spec, claim.Spec); diff != "" || claim.Namespace != "ns" || claim.Annotations["a"] != "b" {
				t.Errorf("%s: it is what the template says, in the job's namespace: %+v (-want +got):\n%s", tc.reason, claim, diff)
			}
			if claim.Labels["tier"] != "fast" || !plan.HasJobLabels(&m.in, claim) {
				t.Errorf("%s: labels %v, want those of the template and of the job", tc.reason, claim.Labels)
			}
		})
	}
}

// claimed is a job of two workers with a claim each that is deleted whenever that can be said,
// which runs and has its claims.
func claimed() *model {
	m := newModel(workers(2))
	m.in.Kind.VolumeClaims = true
	all := commonv1.VolumeClaimDelete
	m.in.Replicas[worker].VolumeClaimTemplates = []corev1.PersistentVolumeClaimTemplate{claimTemplate("data")}
	m.in.Replicas[worker].PersistentVolumeClaimRetentionPolicy = &commonv1.VolumeClaimRetentionPolicy{
		WhenDeleted: all, WhenScaled: all, WhenSuspended: all, WhenFinished: all,
	}
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	return m
}

// claim finds a volume claim by its name.
func (m *model) claim(name string) *corev1.PersistentVolumeClaim {
	for _, c := range m.in.VolumeClaims {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// claimActions are what a plan does about volume claims, with the UID of what it deletes or
// changes, in one line each.
func claimActions(p plan.Plan) (out []string) {
	for _, a := range p.Actions {
		switch a := a.(type) {
		case plan.CreateObject:
			out = append(out, fmt.Sprintf("%s, shared: %t", a, a.Shared))
		case plan.UpdateObject:
			out = append(out, fmt.Sprintf("%s, %s at %s", a, a.UID, a.Version))
		case plan.DeleteObject:
			out = append(out, fmt.Sprintf("%s, %s", a, a.UID))
		}
	}
	return out
}

// TestVolumeClaims: claims exist as long as the job says, and what the job does not own is
// neither deleted nor made again.
func TestVolumeClaims(t *testing.T) {
	const second = "PersistentVolumeClaim data-job-worker-1"
	retention := func(m *model) *commonv1.VolumeClaimRetentionPolicy {
		return m.in.Replicas[worker].PersistentVolumeClaimRetentionPolicy
	}
	lost := func(m *model) *corev1.Pod {
		m.in.VolumeClaims = m.in.VolumeClaims[:1]
		unschedulable(m, "worker-1", `0/3 nodes are available: persistentvolumeclaim "data-job-worker-1" not found.`)
		return m.pod("worker-1")
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   []string
	}{
		"AtRest": {reason: "each replica has its claim", change: func(*model) {}},
		"Scaled": {
			reason: "a claim of a replica that is gone is of no use", change: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.drop(m.pod("worker-1"))
			},
			want: []string{"delete " + second + ": the job no longer wants its replica, claim-1"},
		},
		"ScaledPodExists": {
			reason: "its pod may still write to it", change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(1)) },
		},
		"ScaledRetain": {
			reason: "a user may want the data back when the job grows again", change: func(m *model) {
				retention(m).WhenScaled = commonv1.VolumeClaimRetain
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.drop(m.pod("worker-1"))
			},
		},
		"ScaledForeign": {
			reason: "a claim that the job does not own is not the job's to delete", change: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.drop(m.pod("worker-1"))
				m.claim("data-job-worker-1").OwnerReferences[0].UID = "other"
			},
		},
		"ScaledGoes": {
			reason: "it is deleted once", change: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.drop(m.pod("worker-1"))
				m.claim("data-job-worker-1").DeletionTimestamp = new(metav1.NewTime(epoch))
			},
		},
		"TypeUnknown": {
			reason: "the policy of which type holds is in the label; without it the claim is kept", change: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.drop(m.pod("worker-1"))
				m.claim("data-job-worker-1").Labels = nil
			},
		},
		"TemplateRemoved": {
			reason: "the last template is gone, and so is the pod", change: func(m *model) {
				m.in.Replicas[worker].VolumeClaimTemplates = nil
				m.drop(m.pod("worker-0"))
			},
			want: []string{"delete PersistentVolumeClaim data-job-worker-0: the job no longer wants its replica, claim-0"},
		},
		"TemplateRemovedOfOne": {
			reason: "the only claim is no less surplus", change: func(m *model) {
				m.in.Replicas[worker].VolumeClaimTemplates = nil
				m.in.VolumeClaims = m.in.VolumeClaims[:1]
				m.drop(m.pod("worker-0"))
			},
			want: []string{"delete PersistentVolumeClaim data-job-worker-0: the job no longer wants its replica, claim-0"},
		},
		"Suspended": {
			reason: "all of them", change: func(m *model) { m.in.RunPolicy.Suspend = new(true) },
			want: []string{
				"delete PersistentVolumeClaim data-job-worker-0: the job is suspended, claim-0", "delete " + second + ": the job is suspended, claim-1",
			},
		},
		"SuspendedRetain": {
			reason: "the job goes on with its data", change: func(m *model) {
				m.in.RunPolicy.Suspend = new(true)
				retention(m).WhenSuspended = ""
			},
		},
		"Finished": {
			reason: "nothing runs any more", change: func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) },
			want: []string{
				"delete PersistentVolumeClaim data-job-worker-0: the job has finished, claim-0", "delete " + second + ": the job has finished, claim-1",
			},
		},
		"FinishedRetain": {
			reason: "the result may be there", change: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.end(m.pod("worker-1"), 0)
				retention(m).WhenFinished = ""
			},
		},
		"FinishedRuns": {
			reason: "a pod that is kept still uses its claim", change: func(m *model) { m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(0)) },
		},
		"PolicyToRetain": {
			reason: "what is to outlive the job must not be its own", change: func(m *model) { *retention(m) = commonv1.VolumeClaimRetentionPolicy{} },
			want: []string{
				"update PersistentVolumeClaim data-job-worker-0: persistentVolumeClaimRetentionPolicy.whenDeleted was changed, claim-0 at 7",
				"update " + second + ": persistentVolumeClaimRetentionPolicy.whenDeleted was changed, claim-1 at 7",
			},
		},
		"PolicyToRetainScaled": {
			reason: "so must the claim of a replica that is gone, which is kept for when the job grows again", change: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.drop(m.pod("worker-1"))
				*retention(m) = commonv1.VolumeClaimRetentionPolicy{}
			},
			want: []string{
				"update PersistentVolumeClaim data-job-worker-0: persistentVolumeClaimRetentionPolicy.whenDeleted was changed, claim-0 at 7",
				"update " + second + ": persistentVolumeClaimRetentionPolicy.whenDeleted was changed, claim-1 at 7",
			},
		},
		"PolicyToDeleteScaled": {
			reason: "data of an earlier job that had more replicas is not this job's", change: func(m *model) {
				m.in.Replicas[worker].Replicas = new(int32(1))
				m.drop(m.pod("worker-1"))
				m.claim("data-job-worker-1").OwnerReferences = nil
			},
		},
		"TypeRemoved": {
			reason: "with the type its policy is gone: nothing says that the claim is to outlive the job", change: func(m *model) {
				m.in.Replicas[master] = m.in.Replicas[worker]
				delete(m.in.Replicas, worker)
				m.in.Replicas[master].VolumeClaimTemplates = nil
			},
		},
		"PolicyToRetainGoes": {
			reason: "it is too late for a claim that goes", change: func(m *model) {
				*retention(m) = commonv1.VolumeClaimRetentionPolicy{}
				m.claim("data-job-worker-0").DeletionTimestamp = new(metav1.NewTime(epoch))
			},
			want: []string{"update " + second + ": persistentVolumeClaimRetentionPolicy.whenDeleted was changed, claim-1 at 7"},
		},
		"PolicyToDelete": {
			reason: "the claim of an earlier job becomes this job's", change: func(m *model) { m.claim("data-job-worker-1").OwnerReferences = nil },
			want: []string{"update " + second + ": persistentVolumeClaimRetentionPolicy.whenDeleted was changed, claim-1 at 7"},
		},
		"Grown": {
			reason: "with the pod comes its claim", change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(3)) },
			want: []string{"create PersistentVolumeClaim data-job-worker-2: replica 2 of Worker needs it, shared: false"},
		},
		"GrownRetain": {
			reason: "data of an earlier job is used as it is", change: func(m *model) {
				for _, c := range m.in.VolumeClaims {
					c.OwnerReferences = nil
				}
				m.in.Replicas[worker].PersistentVolumeClaimRetentionPolicy = nil
				m.in.Replicas[worker].Replicas = new(int32(3))
			},
			want: []string{"create PersistentVolumeClaim data-job-worker-2: replica 2 of Worker needs it, shared: true"},
		},
		"Lost": {
			reason: "the pod would wait for it forever", change: func(m *model) { lost(m) },
			want: []string{"create " + second + ": replica 1 of Worker needs it, shared: false"},
		},
		"LostOther":     {reason: "it waits for something else", change: func(m *model) { lost(m).Status.Conditions[0].Message = `persistentvolumeclaim "other" not found` }},
		"LostScheduled": {reason: "it waits for nothing", change: func(m *model) { lost(m).Status.Conditions = nil }},
		"LostOnNode":    {reason: "it has a node, and with it the volume", change: func(m *model) { lost(m).Spec.NodeName = "node" }},
		"LostGoes":      {reason: "a pod that goes needs none", change: func(m *model) { m.terminate(lost(m)) }},
		"LostRuns":      {reason: "what was deleted while it is in use stays until the pod ends", change: func(m *model) { m.in.VolumeClaims = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			m := claimed()
			tc.change(m)
			if diff := cmp.Diff(tc.want, claimActions(m.decide())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestPolicyOfClaimsChangesAtRest: a job that has finished, or is suspended, still lets go of the
// claims that are to outlive it, before it is deleted.
func TestPolicyOfClaimsChangesAtRest(t *testing.T) {
	finish := func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) }
	suspend := func(m *model) { m.in.RunPolicy.Suspend = new(true) }
	retain := commonv1.VolumeClaimRetentionPolicy{}
	changed := func(i int) string {
		return fmt.Sprintf("update PersistentVolumeClaim data-job-worker-%d: persistentVolumeClaimRetentionPolicy.whenDeleted was changed, claim-%[1]d at 7", i)
	}
	both := []string{changed(0), changed(1)}
	for name, tc := range map[string]struct {
		reason string
		rest   func(*model)
		to     commonv1.VolumeClaimRetentionPolicy
		change func(*model)
		want   []string
		delete bool // the job is deleted in the end
	}{
		"Finished":  {reason: "the result is to be kept", rest: finish, to: retain, want: both},
		"Suspended": {reason: "so is what a suspended job has computed", rest: suspend, to: retain, want: both},
		"FinishedToDelete": {
			reason: "a change of the policy is for all", rest: finish, to: commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete},
			change: func(m *model) { m.claim("data-job-worker-0").OwnerReferences = nil }, want: both[:1],
		},
		"Unchanged": {
			reason: "there is nothing to do", rest: finish, to: commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete},
		},
		"TimeToLive": {
			reason: "the job is not deleted before its claims are no longer its own", rest: finish, to: retain, want: both, delete: true,
			change: func(m *model) { m.in.RunPolicy.TTLSecondsAfterFinished = new(int32(0)) },
		},
		"Mistake": {
			reason: "where it says both, the data are kept", rest: suspend,
			to: commonv1.VolumeClaimRetentionPolicy{WhenSuspended: commonv1.VolumeClaimDelete}, want: both,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := claimed()
			p := m.in.Replicas[worker].PersistentVolumeClaimRetentionPolicy
			*p = commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete}
			tc.rest(m)
			m.reconcileUntilStable()
			*p = tc.to
			m.in.Job.Generation++
			if tc.change != nil {
				tc.change(m)
			}
			first := m.decide()
			if diff := cmp.Diff(tc.want, claimActions(first)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			deletes := func(p plan.Plan) bool {
				return slices.ContainsFunc(p.Actions, func(a plan.Action) bool { _, ok := a.(plan.DeleteJob); return ok })
			}
			if deletes(first) || tc.delete && first.RequeueAfter == 0 {
				t.Errorf("%s: the first pass deletes the job: %t; the next is after %v", tc.reason, deletes(first), first.RequeueAfter)
			}
			for _, c := range m.in.VolumeClaims {
				c.OwnerReferences = nil
			}
			if got := deletes(m.decide()); got != tc.delete {
				t.Errorf("%s: once the claims are not the job's, it is deleted: %t", tc.reason, got)
			}
		})
	}
}

// TestOwnersOfClaims: other owners of a claim stay what they are.
func TestOwnersOfClaims(t *testing.T) {
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x"}
	for name, tc := range map[string]struct {
		reason string
		delete bool // with the job
		owners func(own metav1.OwnerReference) []metav1.OwnerReference
		want   func(own metav1.OwnerReference) any
	}{
		"Only": {
			reason: "null removes the list, where an empty one would stay",
			owners: func(own metav1.OwnerReference) []metav1.OwnerReference { return []metav1.OwnerReference{own} },
			want:   func(metav1.OwnerReference) any { return nil },
		},
		"Other": {
			reason: "only the job is removed",
			owners: func(own metav1.OwnerReference) []metav1.OwnerReference { return []metav1.OwnerReference{other, own} },
			want:   func(metav1.OwnerReference) any { return []metav1.OwnerReference{other} },
		},
		"Added": {
			reason: "only the job is added", delete: true,
			owners: func(metav1.OwnerReference) []metav1.OwnerReference { return []metav1.OwnerReference{other} },
			want:   func(own metav1.OwnerReference) any { return []metav1.OwnerReference{other, own} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := claimed()
			c := m.claim("data-job-worker-1")
			own := c.OwnerReferences[0]
			c.OwnerReferences = tc.owners(own)
			if !tc.delete {
				m.in.Replicas[worker].PersistentVolumeClaimRetentionPolicy = nil
				m.in.VolumeClaims = []*corev1.PersistentVolumeClaim{c}
			}
			var got []map[string]any
			for _, a := range m.decide().Actions {
				if u, ok := a.(plan.UpdateObject); ok && u.Kind == plan.VolumeClaimKind {
					got = append(got, u.Patch)
				}
			}
			want := []map[string]any{{"metadata": map[string]any{"ownerReferences": tc.want(own)}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestClaimThatGoes: a pod is not created with a claim that is being deleted, with which it would
// never start; the job is requeued.
func TestClaimThatGoes(t *testing.T) {
	m := claimed()
	m.drop(m.pod("worker-0"))
	m.drop(m.pod("worker-1"))
	m.claim("data-job-worker-1").DeletionTimestamp = new(metav1.NewTime(epoch))
	p := m.decide()
	want := []string{"create pod job-worker-0 (attempt 0): replica 0 of Worker is missing"}
	if diff := cmp.Diff(want, actions(p)); diff != "" || p.RequeueAfter != 5*time.Second {
		t.Errorf("requeued after %s, and does (-want +got):\n%s", p.RequeueAfter, diff)
	}
}

// TestVolumeClaimStuckTerminating: a claim that is deleted and does not go keeps a pod from
// being created, and the job says so.
func TestVolumeClaimStuckTerminating(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   string // "" if the job is not stalled
	}{
		"AnotherPodUsesIt": {
			reason: "the claim and what to do",
			change: func(m *model) { m.killed("worker-1") },
			want: "waits for PersistentVolumeClaim data-job-worker-1, deleted and still terminating: " +
				"delete the pods that use it (kubectl describe names them), or remove the finalizer that keeps it.",
		},
		"ItsPodRuns": {
			reason: "as long as its own pod runs, nothing is wrong",
			change: func(*model) {},
		},
		"NotWanted": {
			reason: "a claim of a replica that the job does not want delays nothing",
			change: func(m *model) {
				m.drop(m.pod("worker-1"))
				m.in.Replicas[worker].Replicas = new(int32(1))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := claimed()
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
			m.claim("data-job-worker-1").DeletionTimestamp = &metav1.Time{Time: m.in.Now}
			m.in.Now = m.in.Now.Add(time.Hour)
			tc.change(m)
			m.reconcileUntilStable()
			gone := m.in.Now
			for _, at := range []struct {
				after   time.Duration
				stalled bool
			}{{9 * time.Second, false}, {10 * time.Second, tc.want != ""}} {
				m.in.Now = gone.Add(at.after)
				p := m.decide()
				got := ""
				if c := p.Status.Condition(commonv1.JobStalled); c != nil {
					got = strings.TrimPrefix(c.Reason+": "+c.Message, "TestJobVolumeClaimStuckTerminating: TestJob ns/job ")
				}
				want := tc.want
				if !at.stalled {
					want = ""
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, after %s (-want +got):\n%s", tc.reason, at.after, diff)
				}
				m.in.Status = p.Status
			}
			m.in.VolumeClaims = m.in.VolumeClaims[:1]
			m.reconcileUntilStable()
			if m.in.Status.IsTrue(commonv1.JobStalled) || tc.want != "" && m.pod("worker-1") == nil {
				t.Error("once the claim is gone, the pod is created, and the job is no longer stalled")
			}
		})
	}
}

// TestClaimsThatGoInTheMessage: the wait counts from when the first claim was deleted, and claims
// are listed by name.
func TestClaimsThatGoInTheMessage(t *testing.T) {
	m := newModel(workers(1))
	m.in.Kind.VolumeClaims = true
	m.in.Replicas[worker].VolumeClaimTemplates = []corev1.PersistentVolumeClaimTemplate{claimTemplate("z"), claimTemplate("a")}
	for i, name := range []string{"z-job-worker-0", "a-job-worker-0"} {
		m.in.VolumeClaims = append(m.in.VolumeClaims, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Name: name, DeletionTimestamp: new(metav1.NewTime(epoch.Add(time.Hour + time.Duration(i)*time.Minute))),
		}})
	}
	m.reconcileUntilStable()
	for _, tc := range []struct {
		reason string
		after  time.Duration
		want   string
	}{
		{reason: "a claim that was just deleted may go yet, however old the job is", after: time.Hour + 9*time.Second},
		{
			reason: "10 seconds are enough", after: time.Hour + 10*time.Second,
			want: "TestJob ns/job waits for PersistentVolumeClaim a-job-worker-0, z-job-worker-0, deleted and still terminating: " +
				"delete the pods that use it (kubectl describe names them), or remove the finalizer that keeps it.",
		},
	} {
		m.in.Now = epoch.Add(tc.after)
		got := ""
		p := m.decide()
		if c := p.Status.Condition(commonv1.JobStalled); c != nil {
			got = c.Message
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
		}
	}
}
