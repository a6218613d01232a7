package mpijob_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/mpijob"
)

func theirs(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"theirs": "yes"}}
}

// TestForeignObjects has someone else own a name that the job would use: the job grants
// nothing, and continues when the object is deleted.
func TestForeignObjects(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		foreign jobkit.Object
		want    []string
		stalled string
	}{
		"Pod": {
			reason:  "the launcher could run commands in a pod of someone else",
			foreign: &corev1.Pod{ObjectMeta: theirs("pi-worker-0"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "w", Image: "x"}}}},
			want:    []string{"Pod pi-worker-0", "Pod pi-worker-1", "ConfigMap pi-config", "ServiceAccount pi-launcher"},
			stalled: "MPIJob default/pi cannot create pod pi-worker-0: a pod of that name exists and belongs to no job: delete or rename it, or give the job another name",
		},
		"Role": {
			reason:  "the launcher would get the permissions of someone else's role",
			foreign: &rbacv1.Role{ObjectMeta: theirs("pi-launcher"), Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"delete"}}}},
			want:    []string{"Pod pi-worker-0", "Pod pi-worker-1", "ConfigMap pi-config", "ServiceAccount pi-launcher", "Role pi-launcher"},
			stalled: "MPIJob default/pi cannot create Role pi-launcher: a Role of that name exists and belongs to no job: delete or rename it, or give the job another name",
		},
		"RoleBinding": {
			reason:  "someone else's binding may grant anything",
			foreign: &rbacv1.RoleBinding{ObjectMeta: theirs("pi-launcher"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "x"}},
			want:    []string{"Pod pi-worker-0", "Pod pi-worker-1", "ConfigMap pi-config", "ServiceAccount pi-launcher", "Role pi-launcher", "RoleBinding pi-launcher"},
			stalled: "MPIJob default/pi cannot create RoleBinding pi-launcher: a RoleBinding of that name exists and belongs to no job: delete or rename it, or give the job another name",
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob(2)
			w := start(t, job, fates(nil))
			if err := w.Client().Create(t.Context(), tc.foreign); err != nil {
				t.Fatal(err)
			}
			w.At(2*time.Minute, "deletes what is in the way", func(ctx context.Context, c client.Client) error {
				if diff := cmp.Diff(tc.want, objects(t, w)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
				}
				if err := c.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
					return err
				}
				if c := job.Status.Condition(commonv1.JobStalled); c == nil || c.Message != tc.stalled {
					t.Errorf("%s: the job says %+v, want %s", tc.reason, c, tc.stalled)
				}
				if err := c.Get(ctx, client.ObjectKeyFromObject(tc.foreign), tc.foreign); err != nil || tc.foreign.GetLabels()["theirs"] == "" {
					t.Errorf("what is not the job's stays as it is, got %+v, %v", tc.foreign, err)
				}
				return c.Delete(ctx, tc.foreign)
			})
			run(t, w, job)
			if diff := cmp.Diff(commonv1.JobSucceeded, job.Status.State); diff != "" {
				t.Errorf("the job goes on when nothing is in the way (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRoleIsExchanged has someone else replace the job's role: the binding is deleted, and
// not created again before the role.
func TestRoleIsExchanged(t *testing.T) {
	job := newJob(1, func(job *kubeflowv1.MPIJob) {
		job.Spec.MPIReplicaSpecs[launcher].RestartPolicy = commonv1.RestartPolicyNever
	})
	w := start(t, job, fates(map[string]jobtest.Fate{"launcher/0": {Start: time.Second, Run: time.Hour}}))
	foreign := &rbacv1.Role{ObjectMeta: theirs("pi-launcher")}
	w.At(time.Minute, "puts a role in the place of the job's", func(ctx context.Context, c client.Client) error {
		if err := c.Delete(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pi-launcher"}}); err != nil {
			return err
		}
		return c.Create(ctx, foreign)
	})
	w.At(3*time.Minute, "takes it away", func(ctx context.Context, c client.Client) error {
		if slices.Contains(objects(t, w), "RoleBinding pi-launcher") {
			t.Error("the launcher has the permissions of someone else's role")
		}
		return c.Delete(ctx, foreign)
	})
	w.At(10*time.Minute, "check", func(context.Context, client.Client) error {
		if has := objects(t, w); !slices.Contains(has, "RoleBinding pi-launcher") || !slices.Contains(has, "Role pi-launcher") {
			t.Errorf("the launcher gets its own permissions back, got %q", has)
		}
		return nil
	})
	run(t, w, job)
}

// TestServiceAccountOfAUser: a service account of the launcher's name that existed
// before is used as it is.
func TestServiceAccountOfAUser(t *testing.T) {
	job := newJob(2, restart(worker, commonv1.RestartPolicyExitCode))
	w := start(t, job, fates(map[string]jobtest.Fate{"worker-0/0": {Start: time.Second, Run: 20 * time.Second, Exits: []int32{137}}}))
	account := &corev1.ServiceAccount{ObjectMeta: theirs("pi-launcher"), ImagePullSecrets: []corev1.LocalObjectReference{{Name: "secret"}}}
	if err := w.Client().Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	before := account.DeepCopy()
	w.At(30*time.Second, "check", func(context.Context, client.Client) error {
		if has := objects(t, w); !slices.Contains(has, "Pod pi-launcher") || !slices.Contains(has, "RoleBinding pi-launcher") {
			t.Errorf("the job runs, with its permissions, got %q", has)
		}
		return nil
	})
	run(t, w, job)
	if diff := cmp.Diff(commonv1.JobSucceeded, job.Status.State); diff != "" {
		t.Errorf("it is not an obstacle (-want +got):\n%s", diff)
	}
	if err := w.Client().Get(t.Context(), client.ObjectKeyFromObject(account), account); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, account, cmp.FilterPath(func(p cmp.Path) bool { return strings.HasPrefix(p.String(), "TypeMeta") }, cmp.Ignore())); diff != "" {
		t.Errorf("it is neither changed nor deleted (-before +after):\n%s", diff)
	}
	for _, e := range w.Events() {
		if e.Reason == "MPIJobNameConflict" {
			t.Errorf("it is not a conflict: %s", e.Message)
		}
	}
}

// admit has Volcano admit all groups to their queue.
func admit(ctx context.Context, c client.Client) error {
	groups := &unstructured.UnstructuredList{}
	groups.SetGroupVersionKind(schema.GroupVersionKind{Group: "scheduling.volcano.sh", Version: "v1beta1", Kind: "PodGroupList"})
	if err := c.List(ctx, groups); err != nil {
		return err
	}
	for i := range groups.Items {
		groups.Items[i].Object["status"] = map[string]any{"phase": "Inqueue"}
		if err := c.Update(ctx, &groups.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// TestLauncherComesAfterTheWorkers checks when the launcher is created: a Worker takes
// twelve seconds to start.
func TestLauncherComesAfterTheWorkers(t *testing.T) {
	atStartup := func(job *kubeflowv1.MPIJob) {
		job.Spec.LauncherCreationPolicy = new(kubeflowv1.LauncherCreationAtStartup)
	}
	for name, tc := range map[string]struct {
		reason    string
		change    []func(*kubeflowv1.MPIJob)
		scheduler string
		worker    jobtest.Fate
		after     time.Duration
	}{
		"Ready":         {reason: "mpirun gives up on a Worker that does not run", worker: jobtest.Fate{Start: 12 * time.Second, Forever: true}, after: 12 * time.Second},
		"AtStartup":     {reason: "as training-operator v1", change: []func(*kubeflowv1.MPIJob){atStartup}, worker: jobtest.Fate{Start: 12 * time.Second, Forever: true}},
		"NoWorkers":     {reason: "there is no one to wait for", change: []func(*kubeflowv1.MPIJob){func(job *kubeflowv1.MPIJob) { job.Spec.MPIReplicaSpecs[worker].Replicas = new(int32(0)) }}},
		"NoScheduler":   {reason: "a scheduler that does not show itself may wait for all pods", worker: jobtest.Fate{Unschedulable: true}, after: 10 * time.Second},
		"Volcano":       {reason: "the gang is admitted when all its pods exist", scheduler: "volcano", worker: jobtest.Fate{Unschedulable: true}},
		"Coscheduling":  {reason: "the gang is admitted when all its pods exist", scheduler: "coscheduling", worker: jobtest.Fate{Unschedulable: true}},
		"GangIsRunning": {reason: "Workers of a gang that have a node are waited for as others are", scheduler: "coscheduling", worker: jobtest.Fate{Start: 12 * time.Second, Forever: true}},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob(2, tc.change...)
			w, err := jobtest.NewWorld[*kubeflowv1.MPIJob](mpijob.Controller{}, optest.Scheme(t), jobtest.Options{
				Gang: schedulers.ByName(tc.scheduler, schedulers.Options{}), Fate: fates(map[string]jobtest.Fate{"worker-1/0": tc.worker, "launcher/0": {Start: time.Second, Forever: true}}),
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Client().Create(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			if tc.scheduler == "volcano" {
				w.At(100*time.Millisecond, "admits the gang", admit)
			}
			if err := w.RunFor(t.Context(), 2*time.Minute); err != nil {
				t.Fatal(err)
			}
			pod := &corev1.Pod{}
			if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "pi-launcher"}, pod); err != nil {
				t.Fatalf("%s: %v\n%s", tc.reason, err, w.Transcript())
			}
			if after := pod.CreationTimestamp.Sub(job.CreationTimestamp.Time); after < tc.after || after > tc.after+2*time.Second && name != "GangIsRunning" {
				t.Errorf("%s: the launcher was created after %v, want %v\n%s", tc.reason, after, tc.after, w.Transcript())
			}
		})
	}
}

// TestAccountThatIsMissing is known-bugs row 291: the template of the launcher names a service account that
// does not exist. No Worker takes a GPU before it does.
func TestAccountThatIsMissing(t *testing.T) {
	job := newJob(2, func(job *kubeflowv1.MPIJob) {
		job.Spec.MPIReplicaSpecs[launcher].Template.Spec.ServiceAccountName = "mine"
	})
	w := start(t, job, fates(nil))
	account := &corev1.ServiceAccount{ObjectMeta: theirs("mine")}
	w.At(5*time.Minute, "creates the account", func(ctx context.Context, c client.Client) error {
		if has := objects(t, w); !slices.Equal(has, []string{"ConfigMap pi-config"}) {
			t.Errorf("there is no pod yet, got %q", has)
		}
		if err := c.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		want := "MPIJobObjectMissing: MPIJob default/pi cannot use ServiceAccount mine: there is no ServiceAccount of that name in the namespace default: create it, or have the job name another one"
		if c := job.Status.Condition(commonv1.JobStalled); c == nil || c.Reason+": "+c.Message != want {
			t.Errorf("the job says what it waits for, got %v", c)
		}
		return c.Create(ctx, account)
	})
	w.At(6*time.Minute+10*time.Second, "check", func(context.Context, client.Client) error {
		if has := objects(t, w); !slices.Contains(has, "Pod pi-launcher") || slices.Contains(has, "ServiceAccount pi-launcher") {
			t.Errorf("a minute later the job runs, got %q", has)
		}
		return nil
	})
	run(t, w, job)
	if diff := cmp.Diff(commonv1.JobSucceeded, job.Status.State); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before := account.DeepCopy()
	if err := w.Client().Get(t.Context(), client.ObjectKeyFromObject(account), account); err != nil {
		t.Fatalf("row 88: it stays: %v", err)
	}
	if diff := cmp.Diff(before.ObjectMeta, account.ObjectMeta); diff != "" {
		t.Errorf("it is not changed (-before +after):\n%s", diff)
	}
}
