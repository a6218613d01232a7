package jobtest

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// withClaims is the controller of TestJobs whose replicas may have volume claims.
type withClaims struct{ testjob.Controller }

// Kind implements jobkit.ControllerInterface.
func (c withClaims) Kind() jobkit.Kind {
	k := c.Controller.Kind()
	k.VolumeClaims = true
	return k
}

// claimed gives the Workers of a job a volume claim each.
func claimed(policy *commonv1.VolumeClaimRetentionPolicy) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		spec := j.Spec.TestReplicaSpecs[testv1.Worker]
		spec.PersistentVolumeClaimRetentionPolicy = policy
		spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaimTemplate{{
			ObjectMeta: metav1.ObjectMeta{Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}}
	}
}

// deleteAllClaims is the retention policy that keeps nothing.
func deleteAllClaims() *commonv1.VolumeClaimRetentionPolicy {
	return &commonv1.VolumeClaimRetentionPolicy{
		WhenDeleted: commonv1.VolumeClaimDelete, WhenScaled: commonv1.VolumeClaimDelete,
		WhenSuspended: commonv1.VolumeClaimDelete, WhenFinished: commonv1.VolumeClaimDelete,
	}
}

// randomRetention chooses what becomes of claims.
func randomRetention(c *Chance) *commonv1.VolumeClaimRetentionPolicy {
	p := &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: oneOf(c, "", commonv1.VolumeClaimRetain, commonv1.VolumeClaimDelete, commonv1.VolumeClaimDelete)}
	if p.WhenDeleted == commonv1.VolumeClaimDelete {
		p.WhenScaled = oneOf(c, "", commonv1.VolumeClaimDelete)
		p.WhenSuspended = oneOf(c, "", commonv1.VolumeClaimDelete)
		p.WhenFinished = oneOf(c, "", commonv1.VolumeClaimDelete)
	}
	return p
}

// actClaim deletes a volume claim, makes one that a replica would have, or changes the
// retention policy.
func actClaim(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: jobKey.Namespace, Name: "data-" + oneOf(c, "j-worker-0", "j-worker-1"),
	}}
	switch c.Pick(3) {
	case 0:
		w.At(at, "deletes claim "+claim.Name, func(ctx context.Context, c client.Client) error {
			return client.IgnoreNotFound(c.Delete(ctx, claim.DeepCopy()))
		})
	case 1:
		w.At(at, "creates claim "+claim.Name, func(ctx context.Context, c client.Client) error {
			if err := c.Create(ctx, claim.DeepCopy()); apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
				return err
			}
			return nil // Admission may refuse it.
		})
		w.At(at+time.Minute, "deletes it if it is of no job", func(ctx context.Context, c client.Client) error {
			there := &corev1.PersistentVolumeClaim{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(claim), there); err != nil || there.Labels != nil {
				return client.IgnoreNotFound(err)
			}
			return c.Delete(ctx, there)
		})
	case 2:
		policy := randomRetention(c)
		w.At(at, "changes the retention policy", edit(func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Worker].PersistentVolumeClaimRetentionPolicy = policy
		}))
	}
}

// claimNames lists the volume claims of a World.
func claimNames(t *testing.T, w *World) map[string]types.UID {
	t.Helper()
	var list corev1.PersistentVolumeClaimList
	if err := w.Client().List(context.Background(), &list); err != nil {
		t.Fatal(err)
	}
	names := map[string]types.UID{}
	for i := range list.Items {
		names[list.Items[i].Name] = list.Items[i].UID
	}
	return names
}

func TestVolumeClaims(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		policy *commonv1.VolumeClaimRetentionPolicy
		change func(*testv1.TestJob)
		fate   func(*corev1.Pod) Fate
		users  func(*World)
		want   []string
	}{
		"kept": {
			reason: "without a policy claims outlive the job's pods",
			want:   []string{"data-j-worker-0", "data-j-worker-1"},
		},
		"kept when deleted": {
			reason: "and the job itself",
			users: func(w *World) {
				w.At(30*time.Second, "deletes the job", deleteJob(metav1.DeletePropagationBackground))
			},
			want: []string{"data-j-worker-0", "data-j-worker-1"},
		},
		"deleted with the job": {
			reason: "the garbage collector deletes what the job owns",
			policy: &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete},
			users: func(w *World) {
				w.At(30*time.Second, "deletes the job", deleteJob(metav1.DeletePropagationBackground))
			},
		},
		"deleted when finished": {
			reason: "whenFinished is Delete",
			policy: &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete, WhenFinished: commonv1.VolumeClaimDelete},
		},
		"kept when finished": {
			reason: "whenFinished is Retain by default",
			policy: &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete},
			want:   []string{"data-j-worker-0", "data-j-worker-1"},
		},
		"deleted when suspended": {
			reason: "whenSuspended is Delete, and pods that still run keep them until they end",
			policy: deleteAllClaims(),
			users:  func(w *World) { w.At(5*time.Second, "suspends", edit(suspend(true))) },
		},
		"kept when suspended": {
			reason: "whenSuspended is Retain by default",
			users:  func(w *World) { w.At(5*time.Second, "suspends", edit(suspend(true))) },
			want:   []string{"data-j-worker-0", "data-j-worker-1"},
		},
		"deleted when scaled": {
			reason: "whenScaled is Delete: the claim goes after its pod",
			policy: &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete, WhenScaled: commonv1.VolumeClaimDelete},
			users:  func(w *World) { w.At(5*time.Second, "scales to 1", edit(scaleTo(1))) },
			want:   []string{"data-j-worker-0"},
		},
		"kept when scaled": {
			reason: "whenScaled is Retain by default",
			users:  func(w *World) { w.At(5*time.Second, "scales to 1", edit(scaleTo(1))) },
			want:   []string{"data-j-worker-0", "data-j-worker-1"},
		},
		"the policy is changed": {
			reason: "claims that were kept are deleted with the job once the policy says so",
			users: func(w *World) {
				w.At(5*time.Second, "edits the policy", edit(func(j *testv1.TestJob) {
					j.Spec.TestReplicaSpecs[testv1.Worker].PersistentVolumeClaimRetentionPolicy = deleteAllClaims()
				}))
			},
		},
		"the policy is changed after the end": {
			reason: "claims that were to go with the job are kept",
			policy: &commonv1.VolumeClaimRetentionPolicy{WhenDeleted: commonv1.VolumeClaimDelete},
			users: func(w *World) {
				w.At(time.Hour, "edits the policy", edit(func(j *testv1.TestJob) {
					j.Spec.TestReplicaSpecs[testv1.Worker].PersistentVolumeClaimRetentionPolicy = nil
				}))
				w.At(2*time.Hour, "deletes the job", deleteJob(metav1.DeletePropagationBackground))
			},
			want: []string{"data-j-worker-0", "data-j-worker-1"},
		},
		"deleted under a pending pod": {
			reason: "a pod whose claim was deleted before it had a node gets a new one",
			users: func(w *World) {
				w.At(5*time.Second, "deletes a claim", func(ctx context.Context, c client.Client) error {
					return c.Delete(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data-j-worker-0"}})
				})
				w.At(6*time.Second, "deletes its pod", deletePod("j-worker-0"))
			},
			want: []string{"data-j-worker-0", "data-j-worker-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := NewWorld[*testv1.TestJob](withClaims{}, testScheme, Options{Fate: tc.fate})
			if err != nil {
				t.Fatal(err)
			}
			job := newJob("j", 2, claimed(tc.policy))
			if tc.users != nil {
				tc.users(w)
			}
			if err := w.Client().Create(context.Background(), job); err != nil {
				t.Fatal(err)
			}
			if err := w.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := claimNames(t, w)
			if len(got) != len(tc.want) {
				t.Errorf("%s: claims %v, want %v\n%s", tc.reason, got, tc.want, w.Transcript())
			}
			for _, name := range tc.want {
				if got[name] == "" {
					t.Errorf("%s: no claim %s", tc.reason, name)
				}
			}
		})
	}
}

// TestClaimsAreKeptAcrossRestarts: the replica that failed, and the next job of the same name,
// go on with the same claim.
func TestClaimsAreKeptAcrossRestarts(t *testing.T) {
	fate := func(pod *corev1.Pod) Fate {
		f := Fate{Start: time.Second, Run: 5 * time.Second}
		if attemptLabel(pod) == 0 {
			f.Exits = []int32{130}
		}
		return f
	}
	w, err := NewWorld[*testv1.TestJob](withClaims{}, testScheme, Options{Fate: fate})
	if err != nil {
		t.Fatal(err)
	}
	job := newJob("j", 2, claimed(nil), func(j *testv1.TestJob) {
		j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	})
	again := job.DeepCopy()
	if err := w.Client().Create(context.Background(), job); err != nil {
		t.Fatal(err)
	}
	var first map[string]types.UID
	w.At(4*time.Second, "notes the claims", func(context.Context, client.Client) error { first = claimNames(t, w); return nil })
	w.At(time.Minute, "deletes the job", deleteJob(metav1.DeletePropagationBackground))
	w.At(2*time.Minute, "creates it again", func(ctx context.Context, c client.Client) error { return c.Create(ctx, again) })
	if err := w.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := claimNames(t, w)
	if len(first) != 2 || len(got) != 2 {
		t.Fatalf("claims %v, then %v, want the same two\n%s", first, got, w.Transcript())
	}
	for name, uid := range first {
		if got[name] != uid {
			t.Errorf("claim %s is not the one that the first pod had", name)
		}
	}
}

// TestClaimOfAnotherJob: a claim that holds another job's data is neither used nor touched.
func TestClaimOfAnotherJob(t *testing.T) {
	w, err := NewWorld[*testv1.TestJob](withClaims{}, testScheme, Options{})
	if err != nil {
		t.Fatal(err)
	}
	other := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "data-j-worker-0", Labels: map[string]string{commonv1.JobNameLabel: "other", commonv1.OperatorNameLabel: "tfjob-controller"},
	}}
	for _, o := range []client.Object{other, newJob("j", 2, claimed(nil))} {
		if err := w.Client().Create(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	w.At(5*time.Minute, "deletes the claim", func(ctx context.Context, c client.Client) error {
		var job testv1.TestJob
		if err := c.Get(ctx, jobKey, &job); err != nil {
			return err
		}
		if !job.Status.IsTrue(commonv1.JobStalled) {
			t.Errorf("a claim of another job: the state is %s, want Stalled", job.Status.State)
		}
		return c.Delete(ctx, other)
	})
	if err := w.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}
