package mpijob_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/mpijob"
)

const (
	launcher = kubeflowv1.MPIJobReplicaTypeLauncher
	worker   = kubeflowv1.MPIJobReplicaTypeWorker
)

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "mpi", Image: "mpi-pi"}}}}
}

// newJob is an MPIJob with Workers, changed as a test needs it.
func newJob(workers int32, change ...func(*kubeflowv1.MPIJob)) *kubeflowv1.MPIJob {
	job := &kubeflowv1.MPIJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pi"},
		Spec: kubeflowv1.MPIJobSpec{MPIReplicaSpecs: kubeflowv1.ReplicaSpecs{
			launcher: {Template: template()},
			worker:   {Replicas: &workers, Template: template()},
		}},
	}
	for _, f := range change {
		f(job)
	}
	return job
}

// restart sets the restart policy of a replica type.
func restart(t commonv1.ReplicaType, p commonv1.RestartPolicy) func(*kubeflowv1.MPIJob) {
	return func(job *kubeflowv1.MPIJob) { job.Spec.MPIReplicaSpecs[t].RestartPolicy = p }
}

// start makes a World with a job in it.
func start(t *testing.T, job *kubeflowv1.MPIJob, fate func(*corev1.Pod) jobtest.Fate) *jobtest.World {
	t.Helper()
	w, err := jobtest.NewWorld[*kubeflowv1.MPIJob](mpijob.Controller{}, optest.Scheme(t), jobtest.Options{Fate: fate})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Client().Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs the World until it is at rest, and reads the job.
func run(t *testing.T, w *jobtest.World, job *kubeflowv1.MPIJob) {
	t.Helper()
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
}

// fates makes Workers run until they are deleted, and the launcher run for a minute.
// An attempt that is named ("launcher/0", "worker-1/0") has that fate.
func fates(attempts map[string]jobtest.Fate) func(*corev1.Pod) jobtest.Fate {
	return func(pod *corev1.Pod) jobtest.Fate {
		if f, ok := attempts[strings.TrimPrefix(pod.Name, "pi-")+"/"+pod.Labels[commonv1.AttemptLabel]]; ok {
			return f
		}
		if pod.Labels[commonv1.ReplicaTypeLabel] == "launcher" {
			return jobtest.Fate{Start: time.Second, Run: time.Minute}
		}
		return jobtest.Fate{Start: time.Second, Forever: true}
	}
}

// conditions are those of a job in their order, as "Type Status Reason: Message".
func conditions(job *kubeflowv1.MPIJob) []string {
	var out []string
	for _, c := range job.Status.Conditions {
		out = append(out, fmt.Sprintf("%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}

const created = "Created True MPIJobCreated: MPIJob pi is created."

func TestStatus(t *testing.T) {
	fails := func(code int32) jobtest.Fate {
		return jobtest.Fate{Start: time.Second, Run: 10 * time.Second, Exits: []int32{code}}
	}
	evicted := jobtest.Fate{Start: time.Second, Run: 10 * time.Second, Evicted: true}
	ran := "Running False MPIJobRunning: MPIJob pi is running."
	succeeded := []string{created, ran, "Succeeded True MPIJobSucceeded: MPIJob pi is successfully completed."}
	failed := func(t commonv1.ReplicaType, cause string) []string {
		return []string{created, ran, fmt.Sprintf("Failed True MPIJobMPIJobFailed: MPIJob pi is failed because 1 %s replica(s) failed. First failure: pod pi-%s.", t, cause)}
	}
	tests := map[string]struct {
		reason   string
		change   []func(*kubeflowv1.MPIJob)
		attempts map[string]jobtest.Fate
		want     []string
		restarts int32
	}{
		"Success": {
			reason: "the launcher decides: Workers never end by themselves",
			want:   succeeded,
		},
		"LauncherNever": {
			reason:   "a launcher that fails and may not be restarted fails the job, with the reason that v1's clients know",
			attempts: map[string]jobtest.Fate{"launcher/0": fails(1)},
			want:     failed(launcher, "launcher, exit code 1, restart policy Never"),
		},
		"Row39_LauncherOnFailureEvicted": {
			reason:   "known-bugs rows 34, 39: an evicted launcher with OnFailure is made again, and the job goes on",
			change:   []func(*kubeflowv1.MPIJob){restart(launcher, commonv1.RestartPolicyOnFailure)},
			attempts: map[string]jobtest.Fate{"launcher/0": evicted},
			want:     succeeded, restarts: 1,
		},
		"Row39_LauncherAlwaysEvicted": {
			reason:   "known-bugs row 39: with Always too",
			change:   []func(*kubeflowv1.MPIJob){restart(launcher, commonv1.RestartPolicyAlways)},
			attempts: map[string]jobtest.Fate{"launcher/0": evicted, "launcher/1": {Start: time.Second, Forever: true}},
			want:     []string{created, "Running True MPIJobRunning: MPIJob pi is running."},
			restarts: 1,
		},
		"Row40_LauncherNeverEvicted": {
			reason:   "known-bugs row 40: an eviction reaches the status",
			attempts: map[string]jobtest.Fate{"launcher/0": evicted},
			want:     failed(launcher, "launcher, Evicted, restart policy Never"),
		},
		"LauncherOnFailureInPlace": {
			reason:   "a launcher with OnFailure whose program fails is restarted in place, which counts",
			change:   []func(*kubeflowv1.MPIJob){restart(launcher, commonv1.RestartPolicyOnFailure)},
			attempts: map[string]jobtest.Fate{"launcher/0": {Start: time.Second, Run: 10 * time.Second, Exits: []int32{1, 0}}},
			want:     succeeded, restarts: 1,
		},
		"Row39_LauncherExitCodeRetryable": {
			reason:   "known-bugs row 39: an exit code of 128 or more restarts the launcher, instead of leaving the job Restarting forever",
			change:   []func(*kubeflowv1.MPIJob){restart(launcher, commonv1.RestartPolicyExitCode)},
			attempts: map[string]jobtest.Fate{"launcher/0": fails(137)},
			want:     succeeded, restarts: 1,
		},
		"LauncherExitCodePermanent": {
			reason:   "an exit code below 128 is permanent",
			change:   []func(*kubeflowv1.MPIJob){restart(launcher, commonv1.RestartPolicyExitCode)},
			attempts: map[string]jobtest.Fate{"launcher/0": fails(2)},
			want:     failed(launcher, "launcher, exit code 2, restart policy ExitCode"),
		},
		"WorkerNever": {
			reason:   "a Worker that fails ends the job",
			attempts: map[string]jobtest.Fate{"worker-1/0": fails(1)},
			want:     failed(worker, "worker-1, exit code 1, restart policy Never"),
		},
		"Row39_WorkerOnFailureEvicted": {
			reason:   "known-bugs rows 34, 39: an evicted Worker with OnFailure is made again and does not fail the job",
			change:   []func(*kubeflowv1.MPIJob){restart(worker, commonv1.RestartPolicyOnFailure)},
			attempts: map[string]jobtest.Fate{"worker-1/0": evicted},
			want:     succeeded, restarts: 1,
		},
		"Row39_WorkerExitCodeRetryable": {
			reason:   "known-bugs row 39: a Worker that was killed is made again",
			change:   []func(*kubeflowv1.MPIJob){restart(worker, commonv1.RestartPolicyExitCode)},
			attempts: map[string]jobtest.Fate{"worker-0/0": fails(137)},
			want:     succeeded, restarts: 1,
		},
		"Row36_BothAtOnce": {
			reason:   "known-bugs row 36: when a Worker fails as the launcher succeeds, the launcher decides, whatever the order of the types",
			attempts: map[string]jobtest.Fate{"launcher/0": {Start: time.Second, Run: 8900 * time.Millisecond}, "worker-0/0": {Start: time.Second, Run: 10 * time.Second, Exits: []int32{1}}},
			want:     succeeded,
		},
		"Row26_Deadline": {
			reason: "known-bugs row 26: the deadline needs no other event",
			change: []func(*kubeflowv1.MPIJob){func(job *kubeflowv1.MPIJob) { job.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(20)) }},
			want: []string{
				created, ran,
				"Failed True MPIJobFailed: MPIJob pi is failed because it was active longer than specified deadline: runPolicy.activeDeadlineSeconds is 20.",
			},
		},
		"Row77_Invalid": {
			reason: "known-bugs row 77: a mistake is reported in a condition, once, instead of being tried forever",
			change: []func(*kubeflowv1.MPIJob){func(job *kubeflowv1.MPIJob) { delete(job.Spec.MPIReplicaSpecs, launcher) }},
			want: []string{
				created,
				"Failed True MPIJobFailedValidation: MPIJob default/pi is not valid: spec.mpiReplicaSpecs[Launcher]: Required value: every MPIJob needs the replica type Launcher: add it",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			job := newJob(2, tc.change...)
			w := start(t, job, fates(tc.attempts))
			run(t, w, job)
			if tc.want != nil {
				if diff := cmp.Diff(tc.want, conditions(job)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
				}
			}
			if job.Status.Restarts != tc.restarts {
				t.Errorf("%s: there were %d restarts, want %d", tc.reason, job.Status.Restarts, tc.restarts)
			}
			checkEvents(t, w, tc.restarts)
		})
	}
}

// checkEvents checks that no event is reported twice, and that none has a reason with
// spaces (known-bugs row 82), or is about the scheduler (row 69). A launcher is created
// alone, and once more for each restart.
func checkEvents(t *testing.T, w *jobtest.World, restarts int32) {
	t.Helper()
	seen, launchers := map[jobtest.Event]bool{}, int32(0)
	for _, e := range w.Events() {
		if e.Message == "Created pod: pi-launcher" && launchers < 1+restarts {
			launchers++
			continue
		}
		if seen[e] {
			t.Errorf("known-bugs row 82: the event %q is reported twice", e.Message)
		}
		seen[e] = true
		if strings.Contains(e.Reason, " ") || strings.Contains(e.Reason, "Scheduler") {
			t.Errorf("known-bugs rows 69, 82: an event has the reason %q", e.Reason)
		}
	}
}

// objects are the names of all that a job has.
func objects(t *testing.T, w *jobtest.World) []string {
	t.Helper()
	var names []string
	for _, list := range []client.ObjectList{
		&corev1.PodList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{}, &corev1.ServiceAccountList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
	} {
		if err := w.Client().List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		kind := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", list), "*v1."), "List")
		if err := meta.EachListItem(list, func(o runtime.Object) error {
			names = append(names, kind+" "+o.(jobkit.Object).GetName())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// file is a file of the job's ConfigMap.
func file(t *testing.T, w *jobtest.World, name string) string {
	t.Helper()
	config := &corev1.ConfigMap{}
	if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "pi-config"}, config); err != nil {
		t.Fatal(err)
	}
	return config.Data[name]
}

// edit changes a job as its user.
func edit(change func(*kubeflowv1.MPIJob)) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		job := &kubeflowv1.MPIJob{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: "default", Name: "pi"}, job); err != nil {
			return err
		}
		change(job)
		return c.Update(ctx, job)
	}
}

// TestSuspend checks that a suspended job has nothing, and gets all of it back.
func TestSuspend(t *testing.T) {
	job := newJob(2)
	w := start(t, job, fates(nil))
	w.At(20*time.Second, "suspends", edit(func(job *kubeflowv1.MPIJob) { job.Spec.RunPolicy.Suspend = new(true) }))
	w.At(60*time.Second, "resumes", edit(func(job *kubeflowv1.MPIJob) { job.Spec.RunPolicy.Suspend = new(false) }))
	all := []string{
		"Pod pi-launcher", "Pod pi-worker-0", "Pod pi-worker-1", "ConfigMap pi-config", "ServiceAccount pi-launcher",
		"Role pi-launcher", "RoleBinding pi-launcher",
	}
	at := func(d time.Duration, reason string, want []string) {
		t.Helper()
		if err := w.RunFor(t.Context(), d-w.Now().Sub(job.CreationTimestamp.Time)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, objects(t, w)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
	}
	at(10*time.Second, "a job that runs has all its objects, and no service", all)
	at(59*time.Second, "a suspended job has nothing", nil)
	at(80*time.Second, "a job that was resumed has all of them again", all)
	run(t, w, job)
	if diff := cmp.Diff(commonv1.JobSucceeded, job.Status.State); diff != "" {
		t.Errorf("a job that was resumed runs to its end (-want +got):\n%s", diff)
	}
}

// TestHostsFollowWorkers checks that discover_hosts.sh follows Workers that come and
// go, and that hostfile and Role follow their number.
func TestHostsFollowWorkers(t *testing.T) {
	scale := func(n int32) func(context.Context, client.Client) error {
		return edit(func(job *kubeflowv1.MPIJob) { job.Spec.MPIReplicaSpecs[worker].Replicas = &n })
	}
	job := newJob(3, restart(worker, commonv1.RestartPolicyExitCode), func(job *kubeflowv1.MPIJob) { job.Spec.SlotsPerWorker = new(int32(4)) })
	w := start(t, job, fates(map[string]jobtest.Fate{
		"launcher/0": {Start: time.Second, Run: time.Hour},
		"worker-0/0": {Start: 5 * time.Second, Forever: true},
		"worker-1/0": {Start: time.Second, Run: 19 * time.Second, Exits: []int32{137}},
		"worker-1/1": {Start: 10 * time.Second, Forever: true},
	}))
	w.At(50*time.Second, "scales down", scale(1))
	w.At(70*time.Second, "scales up", scale(2))
	w.At(90*time.Second, "scales to none", scale(0))
	steps := []struct {
		at              time.Duration
		reason          string
		workers, active []int
	}{
		{at: 3 * time.Second, reason: "only those are discovered that run", workers: []int{0, 1, 2}, active: []int{1, 2}},
		{at: 15 * time.Second, reason: "the order is that of their indices, not that in which they came", workers: []int{0, 1, 2}, active: []int{0, 1, 2}},
		{at: 25 * time.Second, reason: "one that failed is not discovered while its successor starts", workers: []int{0, 1, 2}, active: []int{0, 2}},
		{at: 45 * time.Second, reason: "its successor is", workers: []int{0, 1, 2}, active: []int{0, 1, 2}},
		{at: 65 * time.Second, reason: "known-bugs row 88: scaled down", workers: []int{0}, active: []int{0}},
		{at: 85 * time.Second, reason: "scaled up", workers: []int{0, 1}, active: []int{0, 1}},
		{at: 105 * time.Second, reason: "without Workers no pod may be reached at all"},
	}
	for _, s := range steps {
		if err := w.RunFor(t.Context(), s.at-w.Now().Sub(job.CreationTimestamp.Time)); err != nil {
			t.Fatal(err)
		}
		var hosts, found strings.Builder
		_, _ = found.WriteString("#!/bin/sh\n")
		var allowed []string
		for _, i := range s.workers {
			_, _ = fmt.Fprintf(&hosts, "pi-worker-%d slots=4\n", i)
			allowed = append(allowed, fmt.Sprintf("pi-worker-%d", i))
		}
		for _, i := range s.active {
			_, _ = fmt.Fprintf(&found, "echo pi-worker-%d:4\n", i)
		}
		if diff := cmp.Diff([]string{hosts.String(), found.String()}, []string{file(t, w, "hostfile"), file(t, w, "discover_hosts.sh")}); diff != "" {
			t.Errorf("%v: %s (-want +got):\n%s", s.at, s.reason, diff)
		}
		role := &rbacv1.Role{}
		if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "pi-launcher"}, role); err != nil {
			t.Fatal(err)
		}
		rules := slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return !slices.Contains(r.Resources, "pods/exec") })
		var names []string
		for _, r := range rules {
			names = append(names, r.ResourceNames...)
		}
		if diff := cmp.Diff(allowed, names); diff != "" || len(rules) > len(s.workers) {
			t.Errorf("%v: %s: there are %d rules about exec, for (-want +got):\n%s", s.at, s.reason, len(rules), diff)
		}
	}
}

// TestRandom checks the promises of the library for MPIJobs in many runs with faults.
func TestRandom(t *testing.T) {
	known := optest.Scheme(t)
	jobtest.Search(t, 150, func(chance *jobtest.Chance) error {
		job := newJob(int32(chance.Pick(3)), restart(worker, commonv1.RestartPolicyExitCode), restart(launcher, commonv1.RestartPolicyOnFailure))
		if chance.Percent(30) {
			job.Spec.LauncherCreationPolicy = new(kubeflowv1.LauncherCreationAtStartup)
		}
		attempts := map[string]jobtest.Fate{}
		if chance.Percent(50) {
			attempts["worker-0/0"] = jobtest.Fate{Start: time.Second, Run: 5 * time.Second, Exits: []int32{137}}
		}
		if chance.Percent(50) {
			attempts["launcher/0"] = jobtest.Fate{Start: time.Second, Run: 8 * time.Second, Evicted: true}
		}
		w, err := jobtest.NewWorld[*kubeflowv1.MPIJob](mpijob.Controller{}, known, jobtest.Options{Chance: chance, Fate: fates(attempts)})
		if err != nil {
			return err
		}
		if err := w.Client().Create(t.Context(), job); err != nil {
			return err
		}
		if chance.Percent(30) {
			w.At(3*time.Second, "suspends", edit(func(job *kubeflowv1.MPIJob) { job.Spec.RunPolicy.Suspend = new(true) }))
			w.At(40*time.Second, "resumes", edit(func(job *kubeflowv1.MPIJob) { job.Spec.RunPolicy.Suspend = nil }))
		}
		if chance.Percent(30) {
			foreign := []jobkit.Object{
				&corev1.Pod{ObjectMeta: theirs("pi-worker-0"), Spec: template().Spec}, &rbacv1.Role{ObjectMeta: theirs("pi-launcher")},
				&corev1.ServiceAccount{ObjectMeta: theirs("pi-launcher")},
			}[chance.Pick(3)]
			exchange := chance.Percent(50)
			at := time.Duration(chance.Pick(8)) * time.Second
			w.At(at, "takes a name of the job's", func(ctx context.Context, c client.Client) error {
				there := foreign.DeepCopyObject().(jobkit.Object)
				if err := c.Get(ctx, client.ObjectKeyFromObject(foreign), there); err == nil && exchange {
					if err := c.Delete(ctx, there); err != nil {
						return err
					}
				}
				if err := c.Create(ctx, foreign); !apierrors.IsAlreadyExists(err) {
					return err
				}
				return nil
			})
			w.At(at+time.Duration(1+chance.Pick(20))*time.Second, "gives it back", func(ctx context.Context, c client.Client) error {
				there := foreign.DeepCopyObject().(jobkit.Object)
				if err := c.Get(ctx, client.ObjectKeyFromObject(foreign), there); err != nil || there.GetLabels()["theirs"] == "" {
					return client.IgnoreNotFound(err)
				}
				return c.Delete(ctx, there)
			})
		}
		return w.Run(t.Context())
	})
}
