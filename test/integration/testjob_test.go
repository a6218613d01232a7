//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

func TestPodsAndServices(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", replicas(1), replicas(2))
	create(t, job)
	waitFor(t, job, commonv1.JobRunning)
	waitForNames(t, ns, []string{"job-master-0", "job-worker-0", "job-worker-1"}, []string{"job"})

	owner := []metav1.OwnerReference{{
		APIVersion: "kubeflow.org/v1", Kind: "TestJob", Name: "job", UID: job.UID, Controller: new(true), BlockOwnerDeletion: new(true),
	}}
	master := pods(t.Context(), t, ns)["job-master-0"]
	wantLabels := map[string]string{
		commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller", commonv1.ReplicaTypeLabel: "master",
		commonv1.ReplicaIndexLabel: "0", commonv1.JobRoleLabel: "master", commonv1.AttemptLabel: "0",
	}
	for k, want := range wantLabels {
		if got := master.Labels[k]; got != want {
			t.Errorf("label %s is %q, want %q", k, got, want)
		}
	}
	if diff := cmp.Diff(owner, master.OwnerReferences); diff != "" {
		t.Errorf("the job owns its pods (-want +got):\n%s", diff)
	}
	wantEnv := []corev1.EnvVar{{Name: "REPLICA", Value: "job-master-0"}, {Name: "FIRST_REPLICA", Value: "job-master-0.job"}}
	if diff := cmp.Diff(wantEnv, master.Spec.Containers[0].Env); diff != "" {
		t.Errorf("SetClusterSpec was called (-want +got):\n%s", diff)
	}
	if master.Spec.Hostname != "job-master-0" || master.Spec.Subdomain != "job" {
		t.Errorf("the pod is to be reached as job-master-0.job: hostname %q, subdomain %q", master.Spec.Hostname, master.Spec.Subdomain)
	}

	service := services(t.Context(), t, ns)["job"]
	wantPorts := []corev1.ServicePort{{Name: "job-port", Protocol: corev1.ProtocolTCP, Port: 2222, TargetPort: intstr.FromInt32(2222)}}
	if diff := cmp.Diff(wantPorts, service.Spec.Ports); diff != "" {
		t.Errorf("the service has the main container's port (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(owner, service.OwnerReferences); diff != "" || service.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the service is headless and the job's (-want +got):\n%s", diff)
	}

	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 2})
	if s := job.Status; s.StartTime == nil || s.ObservedGeneration != job.Generation || s.CompletionTime != nil {
		t.Errorf("start time, observed generation, completion time: %+v", s)
	}
	want := []string{"SuccessfulCreatePod: Created 3 pods", "SuccessfulCreateService: Created service: job"}
	eventually(t, "each event is reported once", func(context.Context) string { return cmp.Diff(want, events(t, job)) })
}

// waitForCounts waits until the counts of a replica type are these.
func waitForCounts(t *testing.T, job *testv1.TestJob, typ commonv1.ReplicaType, want commonv1.ReplicaStatus) {
	t.Helper()
	eventually(t, "the replicas are counted", func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err.Error()
		}
		got := job.Status.ReplicaStatuses[typ]
		if got == nil || got.Active != want.Active || got.Succeeded != want.Succeeded || got.Failed != want.Failed {
			return fmt.Sprintf("%s counts %+v, want %+v", typ, got, want)
		}
		return ""
	})
}

func TestSuccess(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", replicas(1), replicas(2))
	create(t, job)
	waitFor(t, job, commonv1.JobRunning) // A program that ends within a pass has never been seen to run.
	finish(t, ns, "job-master-0")
	waitFor(t, job, commonv1.JobSucceeded)
	waitForNames(t, ns, []string{"job-master-0"}, nil) // cleanPodPolicy Running is TestJob's default
	want := []string{
		"Created=True TestJobCreated", "Running=False TestJobRunning", "Succeeded=True TestJobSucceeded",
	}
	var got []string
	for _, c := range job.Status.Conditions {
		got = append(got, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions in the order of their last change (-want +got):\n%s", diff)
	}
	if job.Status.CompletionTime == nil {
		t.Error("the completion time is not set")
	}
	waitForCounts(t, job, testv1.Master, commonv1.ReplicaStatus{Succeeded: 1})
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{}) // Clean-up stopped them: they did not succeed.
}

// finish has the program of a pod end by itself, and well.
func finish(t *testing.T, ns, name string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"devcluster.jobkit.dev/run-for":"1ms"}}}`))
	if err := cluster.client.Patch(t.Context(), pod, patch); err != nil {
		t.Fatal(err)
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", nil, replicas(3, "run-for", "300ms", "exit-code", "3", "fail-index", "1"))
	job.Spec.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyNone)
	create(t, job)
	waitFor(t, job, commonv1.JobFailed)
	want := fmt.Sprintf("TestJob %s/job has failed because 1 Worker replica(s) failed. First failure: pod job-worker-1, exit code 3, restart policy Never.", ns)
	if got := job.Status.Condition(commonv1.JobFailed).Message; got != want {
		t.Errorf("the message says which pod and why:\n got %s\nwant %s", got, want)
	}
	waitForNames(t, ns, []string{"job-worker-0", "job-worker-1", "job-worker-2"}, nil)
}

func TestRestarts(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason   string
		worker   *commonv1.ReplicaSpec
		policy   commonv1.RestartPolicy
		run      commonv1.RunPolicy
		state    commonv1.JobConditionType
		restarts int32
	}{
		"ExitCodeRetryable": {
			reason: "137 is retried", policy: commonv1.RestartPolicyExitCode,
			worker: replicas(2, "run-for", "300ms", "exit-code", "137", "fail-until-attempt", "1", "fail-index", "0"),
			state:  commonv1.JobSucceeded, restarts: 1,
		},
		"ExitCodePermanent": {
			reason: "1 is not", policy: commonv1.RestartPolicyExitCode,
			worker: replicas(2, "run-for", "300ms", "exit-code", "1", "fail-index", "0"),
			state:  commonv1.JobFailed,
		},
		"Evicted": {
			reason: "a pod that fails as a whole is recreated", policy: commonv1.RestartPolicyOnFailure,
			worker: replicas(2, "run-for", "300ms", "fail-reason", "Evicted", "fail-until-attempt", "1"),
			state:  commonv1.JobSucceeded, restarts: 2,
		},
		"InPlace": {
			reason: "the node restarts the containers; that counts too", policy: commonv1.RestartPolicyOnFailure,
			worker: replicas(2, "run-for", "300ms", "exit-code", "1", "fail-until-attempt", "1"),
			state:  commonv1.JobSucceeded, restarts: 2,
		},
		"BackoffLimit": {
			reason: "one restart is allowed, the second failure ends it", policy: commonv1.RestartPolicyExitCode,
			worker: replicas(1, "run-for", "300ms", "exit-code", "137"), run: commonv1.RunPolicy{BackoffLimit: new(int32(1))},
			state: commonv1.JobFailed, restarts: 1,
		},
		"WholeJob": {
			reason: "one failure restarts both, counted once", policy: commonv1.RestartPolicyExitCode,
			worker: replicas(2, "run-for", "300ms", "exit-code", "137", "fail-until-attempt", "1", "fail-index", "0"),
			run:    commonv1.RunPolicy{RestartScope: new(commonv1.RestartScopeJob)},
			state:  commonv1.JobSucceeded, restarts: 1,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			job := newJob(ns, "job", nil, tc.worker)
			job.Spec.RunPolicy, tc.worker.RestartPolicy = tc.run, tc.policy
			create(t, job)
			waitFor(t, job, tc.state)
			if job.Status.Restarts != tc.restarts {
				t.Errorf("%s: %d restarts, want %d; %s", tc.reason, job.Status.Restarts, tc.restarts, conditions(job))
			}
		})
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", replicas(1), replicas(1))
	job.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
	create(t, job)
	for _, workers := range []int32{3, 1, 0, 2} {
		update(t, job, func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = &workers })
		names := []string{"job-master-0"}
		for i := range workers {
			names = append(names, fmt.Sprintf("job-worker-%d", i))
		}
		waitForNames(t, ns, names, names)
	}
	if job.Status.Restarts != 0 {
		t.Errorf("scaling is not a restart: %d", job.Status.Restarts)
	}
}

func TestScaleSubresource(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", nil, replicas(1))
	create(t, job)
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 1})
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":3}}`))
	if err := cluster.client.SubResource("scale").Patch(t.Context(), job, patch); err != nil {
		t.Fatal(err)
	}
	waitForNames(t, ns, []string{"job-worker-0", "job-worker-1", "job-worker-2"}, []string{"job"})
}

func TestDeletionLeavesNothing(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", replicas(1), replicas(2))
	create(t, job)
	waitFor(t, job, commonv1.JobRunning)
	if err := cluster.client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	waitForNames(t, ns, nil, nil)
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(job), job); !apierrors.IsNotFound(err) {
		t.Errorf("the job is to be gone: %v", err)
	}
}

func TestForeignPod(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	foreign := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "job-worker-0", Labels: map[string]string{commonv1.JobNameLabel: "job"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
	}
	create(t, foreign)
	job := newJob(ns, "job", nil, replicas(2))
	create(t, job)
	waitFor(t, job, commonv1.JobStalled)
	want := fmt.Sprintf("TestJob %s/job cannot create pod job-worker-0: a pod of that name exists and belongs to no job: delete or rename it, or give the job another name", ns)
	if got := job.Status.Condition(commonv1.JobStalled).Message; got != want {
		t.Errorf("the job says what is in the way:\n got %s\nwant %s", got, want)
	}
	waitForNames(t, ns, []string{"job-worker-0", "job-worker-1"}, []string{"job"})
	if got := pods(t.Context(), t, ns)["job-worker-0"]; got.UID != foreign.UID || len(got.OwnerReferences) > 0 {
		t.Error("the foreign pod was touched")
	}
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 1})
	if err := cluster.client.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	waitFor(t, job, commonv1.JobRunning)
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 2})
}

func TestQuota(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "team"}}
	quota.Spec.Hard = corev1.ResourceList{"count/pods": quantity("2")}
	create(t, quota)
	eventually(t, "the quota is in force", func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil || len(quota.Status.Hard) == 0 {
			return "it has no status yet"
		}
		return ""
	})
	job := newJob(ns, "job", nil, replicas(3))
	create(t, job)
	waitFor(t, job, commonv1.JobStalled)
	if got := job.Status.Condition(commonv1.JobStalled).Message; !strings.Contains(got, "exceeded quota: team") {
		t.Errorf("the job says that the quota is exceeded: %s", got)
	}
	update(t, job, func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(2)) })
	waitFor(t, job, commonv1.JobRunning)
}

func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", nil, replicas(2))
	job.Spec.RunPolicy.Suspend = new(true)
	create(t, job)
	waitFor(t, job, commonv1.JobSuspended)
	waitForNames(t, ns, nil, nil)
	if job.Status.StartTime != nil {
		t.Error("a job that was never started has no start time")
	}
	update(t, job, func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(false) })
	waitFor(t, job, commonv1.JobRunning)
	update(t, job, func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(true) })
	waitFor(t, job, commonv1.JobSuspended)
	waitForNames(t, ns, nil, nil)
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{})
}

func TestFiftyJobsAtOnce(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	const n = 50
	for i := range n {
		create(t, newJob(ns, fmt.Sprintf("job-%d", i), replicas(1, "run-for", "2s"), replicas(2)))
	}
	eventually(t, "all jobs succeed", func(ctx context.Context) string {
		var jobs testv1.TestJobList
		if err := cluster.client.List(ctx, &jobs, client.InNamespace(ns)); err != nil {
			return err.Error()
		}
		count := map[commonv1.JobConditionType]int{}
		for i := range jobs.Items {
			count[jobs.Items[i].Status.State]++
		}
		if count[commonv1.JobSucceeded] == n {
			return ""
		}
		return fmt.Sprint(count)
	})
}
