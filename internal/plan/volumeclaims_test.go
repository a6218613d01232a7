package plan_test

import (
	"testing"

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
			claim := plan.NewVolumeClaim(&m.in, worker, 0, &template)
			if got := metav1.GetControllerOf(claim) != nil; got != tc.owned {
				t.Errorf("%s: owned is %t, want %t", tc.reason, got, tc.owned)
			}
			if claim.Labels["tier"] != "fast" || !plan.HasJobLabels(&m.in, claim) {
				t.Errorf("%s: labels %v, want those of the template and of the job", tc.reason, claim.Labels)
			}
		})
	}
}
