//go:build integration

package kinds

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Conditions over time, with + for True and - for False.
var (
	ran           = []string{"Created+ Running+"}
	restartedOnce = []string{"Created+ Running+", "Created+ Restarting+", "Created+ Running+"}
)

// TestKinds plays every scenario with every kind.
func TestKinds(t *testing.T) {
	scenarios := map[string]func(*testing.T, *kind){
		"ExitCodePermanent": exitCodePermanent,
		"OnFailure":         onFailure,
		"EvictedNever":      evictedNever,
		"EvictedOnFailure":  evicted("OnFailure"),
		"EvictedAlways":     evicted("Always"),
		"EvictedExitCode":   evicted("ExitCode"),
		"BackoffLimit":      backoffLimit,
		"Deadline":          deadline,
		"Suspend":           suspend,
		"ManagedBy":         managedBy,
		"Scale":             scale,
		"CleanAll":          cleanAll,
		"CleanNone":         cleanNone,
		"CleanFailed":       cleanFailed,
		"TTL":               ttl,
		"Defaults":          defaults,
		"Forgotten":         forgotten,
	}
	// These depend on the replica types.
	byTypes := map[string]func(*testing.T, *kind){
		"Success":             success,
		"Never":               never,
		"LeaderFails":         leaderFails,
		"ExitCodeRetryable":   exitCodeRetryable,
		"LeaderIsKilled":      leaderIsKilled,
		"WholeJob":            wholeJob,
		"SuspendWhileRunning": suspendWhileRunning,
		"CleanRunning":        cleanRunning,
		"Clients":             clients,
	}
	for _, k := range kinds() {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			plays := maps.Clone(byTypes)
			if !k.alternative {
				maps.Copy(plays, scenarios)
			}
			for name, play := range plays {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					play(t, k)
				})
			}
		})
	}
}

// success: the leading replicas succeed, the others keep running.
func success(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{}))
	pods, services := k.names(2)
	j.awaitObjects(t, pods, services)
	j.checkPods(t)
	j.checkServices(t)

	j.awaitAllActive(t)
	j.end(t, 0, k.deciders...)
	status := j.await(t, k.isCreated(), j.wasRunning(), j.hasSucceeded())
	j.checkStates(t, "Created+ Running+", "Created+ Running- Succeeded+")
	j.awaitCounts(t, j.leaderSucceeded())
	for typ, rs := range status.ReplicaStatuses {
		want := fmt.Sprintf("training.kubeflow.org/job-name=job,training.kubeflow.org/operator-name=%s-controller,training.kubeflow.org/replica-type=%s",
			strings.ToLower(k.kind), strings.ToLower(string(typ)))
		if rs.Selector != want {
			t.Errorf("the selector of %s is %q, want %q", typ, rs.Selector, want)
		}
	}
	if status.StartTime == nil || status.CompletionTime == nil || status.CompletionTime.Before(status.StartTime) {
		t.Errorf("the job started at %v and ended at %v", status.StartTime, status.CompletionTime)
	}
	if status.Restarts != 0 {
		t.Errorf("nothing was restarted, and %d restarts are counted", status.Restarts)
	}
	want := []string{"SuccessfulCreatePod", k.kind + "Succeeded"}
	if k.leaderLast {
		want = append(want, "SuccessfulCreatePod") // one for the Workers, and one for the launcher
	}
	if !k.noServices {
		want = append(want, "SuccessfulCreateService")
	}
	if j.allEnd() {
		want = append(want, "SuccessfulDeleteService")
	}
	slices.Sort(want)
	eventually(t, "every event is reported once", func(ctx context.Context) string { return cmp.Diff(want, j.eventReasons(ctx, t)) })
}

// replicas are the counts of a job whose replicas of a type are in this state. Those of all
// other types run.
func (k *kind) replicas(typ string, of counts) map[string]counts {
	out := map[string]counts{}
	for _, other := range k.types {
		out[other] = counts{active: int32(len(k.podsOf(other)))}
	}
	out[typ] = of
	return out
}

// leaderSucceeded are the counts of a job whose deciding replicas have succeeded.
func (k *kind) leaderSucceeded() map[string]counts {
	ended := int32(len(k.deciders))
	return k.replicas(k.leader, counts{succeeded: ended, active: int32(len(k.podsOf(k.leader))) - ended})
}

// allEnd reports whether nothing runs when the deciding replicas have ended.
func (k *kind) allEnd() bool {
	pods, _ := k.names(2)
	return len(k.deciders) == len(pods)
}

// checkPods checks that the pods have the labels that clients select them by, and
// that the job owns them.
func (j *job) checkPods(t *testing.T) {
	t.Helper()
	want, got := map[string]map[string]string{}, map[string]map[string]string{}
	for _, typ := range j.types {
		for i, name := range j.podsOf(typ) {
			want[name] = map[string]string{
				"training.kubeflow.org/job-name": "job", "training.kubeflow.org/operator-name": strings.ToLower(j.kind.kind) + "-controller",
				"training.kubeflow.org/replica-type": strings.ToLower(typ), "training.kubeflow.org/replica-index": strconv.Itoa(i),
				"training.kubeflow.org/attempt": "0",
			}
			if slices.Contains(j.masters, name) {
				want[name]["training.kubeflow.org/job-role"] = "master"
			}
		}
	}
	for name, pod := range j.pods(t.Context(), t) {
		got[name] = maps.Clone(pod.Labels)
		maps.DeleteFunc(got[name], func(label, _ string) bool { return !strings.HasPrefix(label, commonv1.LabelPrefix) })
		j.checkOwner(t, &pod)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the labels of the pods (-want +got):\n%s", diff)
	}
}

// checkOwner checks that the job is the controller of an object.
func (j *job) checkOwner(t *testing.T, o metav1.Object) {
	t.Helper()
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.APIVersion != "kubeflow.org/v1" || owner.Kind != j.kind.kind || owner.Name != j.name || owner.UID == "" {
		t.Errorf("the job is the controller of %s, which says %+v", o.GetName(), owner)
	}
}

// checkServices checks that every replica has its headless service.
func (j *job) checkServices(t *testing.T) {
	t.Helper()
	for name, service := range j.services(t.Context(), t) {
		pod := j.pods(t.Context(), t)[name]
		j.checkOwner(t, &service)
		if service.Spec.ClusterIP != corev1.ClusterIPNone {
			t.Errorf("the service %s is not headless: %s", name, service.Spec.ClusterIP)
		}
		for label, value := range service.Spec.Selector {
			if pod.Labels[label] != value {
				t.Errorf("the service %s selects %s=%s, its pod has %q", name, label, value, pod.Labels[label])
			}
		}
		if want := pod.Spec.Containers[0].Ports[0]; len(service.Spec.Ports) != 1 || service.Spec.Ports[0].Port != want.ContainerPort || service.Spec.Ports[0].Name != want.Name {
			t.Errorf("the service %s has the ports %+v, its pod has %+v", name, service.Spec.Ports, want)
		}
	}
}

// never: a failure ends the job, even with an exit code that others retry.
func never(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{policy: "Never"}))
	j.awaitAllActive(t)
	j.end(t, 137, "job-worker-0")
	j.checkFailed(t, worker, "job-worker-0, exit code 137, restart policy Never.")
}

func exitCodePermanent(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{policy: "ExitCode"}))
	j.awaitAllActive(t)
	j.end(t, 1, "job-worker-0")
	j.checkFailed(t, worker, "job-worker-0, exit code 1, restart policy ExitCode.")
}

// leaderFails: a replica that decides whether the job succeeds fails permanently.
func leaderFails(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{policy: "Never"}))
	j.awaitAllActive(t)
	j.end(t, 3, k.deciders[0])
	j.checkFailed(t, k.leader, k.deciders[0]+", exit code 3, restart policy Never.")
}

// checkFailed waits until the job has failed because of a replica, and checks how.
func (j *job) checkFailed(t *testing.T, typ, first string) {
	t.Helper()
	status := j.await(t, j.isCreated(), j.wasRunning(), j.hasFailed("1 "+typ+" replica(s) failed. First failure: pod "+first))
	j.checkStates(t, "Created+ Running+", "Created+ Running- Failed+")
	if status.CompletionTime == nil {
		t.Error("row 33: a job that failed has a completion time")
	}
	if status.Restarts != 0 {
		t.Errorf("nothing was restarted, and %d restarts are counted", status.Restarts)
	}
	// By default nothing is cleaned up: the others keep running, or run to their end.
	j.awaitCounts(t, j.replicas(typ, counts{active: int32(len(j.podsOf(typ)) - 1), failed: 1}))
	pods, _ := j.names(2)
	if got := slices.Sorted(maps.Keys(j.pods(t.Context(), t))); !slices.Equal(got, slices.Sorted(slices.Values(pods))) {
		t.Errorf("the pods of a failed job stay, with their logs: there are %v, want %v", got, pods)
	}
	eventually(t, "the failure is reported once, and no restart is", func(ctx context.Context) string {
		got := slices.DeleteFunc(j.eventReasons(ctx, t), func(r string) bool { return !strings.HasPrefix(r, j.kind.kind) })
		return cmp.Diff([]string{j.failedReason}, got)
	})
}

func exitCodeRetryable(t *testing.T, k *kind) { restarted(t, k, worker) }

// leaderIsKilled: a replica that decides whether the job succeeds is restarted.
func leaderIsKilled(t *testing.T, k *kind) { restarted(t, k, k.leader) }

// restarted: replica 0 of a type is killed and made again, and then the job succeeds.
func restarted(t *testing.T, k *kind, typ string) {
	j := submit(t, k, k.manifest(manifest{policy: "ExitCode"}))
	j.awaitAllActive(t)
	j.end(t, 137, k.podsOf(typ)[0])
	j.awaitAttempts(t, k.podsOf(typ)[0])
	j.awaitAllActive(t)
	j.checkRestartedOnce(t, false)
	j.end(t, 0, k.deciders...)
	status := j.await(t, j.isCreated(), j.wasRunning(), j.hasSucceeded())
	if status.Restarts != 1 {
		t.Errorf("one pod was restarted, and %d restarts are counted", status.Restarts)
	}
	message := fmt.Sprintf("%s job is restarting because 1 %s replica(s) failed.", j.kind.kind, typ)
	if !slices.ContainsFunc(j.history(), func(s *commonv1.JobStatus) bool {
		c := s.Condition(commonv1.JobRestarting)
		return c != nil && c.Reason == j.kind.kind+"Restarting" && c.Message == message
	}) {
		t.Errorf("the condition Restarting never had the message %q", message)
	}
}

// awaitAttempts waits until these pods are of the second attempt, and the others of
// the first.
func (j *job) awaitAttempts(t *testing.T, second ...string) {
	t.Helper()
	names, _ := j.names(2)
	want := map[string]string{}
	for _, name := range names {
		want[name] = "0"
		if slices.Contains(second, name) {
			want[name] = "1"
		}
	}
	eventually(t, "the pods are of the right attempts", func(ctx context.Context) string {
		got := map[string]string{}
		for name, pod := range j.pods(ctx, t) {
			got[name] = pod.Labels[commonv1.AttemptLabel]
		}
		return cmp.Diff(want, got)
	})
}

// onFailure: the node restarts the containers of Worker 0.
func onFailure(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{policy: "OnFailure"}))
	j.awaitAllActive(t)
	if got := j.pods(t.Context(), t)["job-worker-0"].Spec.RestartPolicy; got != corev1.RestartPolicyOnFailure {
		t.Errorf("the node restarts containers that fail: the pod's restart policy is %s", got)
	}
	j.report(t, "job-worker-0", func(status *corev1.PodStatus) { status.ContainerStatuses[0].RestartCount = 1 })
	eventually(t, "a restart in place counts", func(ctx context.Context) string {
		if got := j.status(ctx, t).Restarts; got != 1 {
			return fmt.Sprintf("%d restarts are counted, want 1", got)
		}
		return ""
	})
	j.awaitAttempts(t)
	j.checkStates(t, ran...)
}

// evicted: a pod is evicted, which every policy but Never retries (rows 34, 39).
func evicted(policy string) func(*testing.T, *kind) {
	return func(t *testing.T, k *kind) {
		j := submit(t, k, k.manifest(manifest{policy: policy}))
		j.awaitAllActive(t)
		j.evict(t, "job-worker-0")
		j.awaitAttempts(t, "job-worker-0")
		j.awaitAllActive(t)
		j.checkRestartedOnce(t, false)
		status := j.await(t, k.isCreated(), j.isRunning())
		if status.Restarts != 1 || len(status.Failures) != 1 || status.Failures[0].Reason != "Evicted" {
			t.Errorf("one eviction was one restart: %d are counted, and remembered are %+v", status.Restarts, status.Failures)
		}
	}
}

func evictedNever(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{policy: "Never"}))
	j.awaitAllActive(t)
	j.evict(t, "job-worker-0")
	j.await(t, k.isCreated(), j.wasRunning(), j.hasFailed("1 Worker replica(s) failed. First failure: pod job-worker-0, Evicted, restart policy Never."))
	j.awaitCounts(t, k.replicas(worker, counts{active: 1, failed: 1}))
}

// awaitAllActive waits until all replicas of a job run.
func (j *job) awaitAllActive(t *testing.T) {
	t.Helper()
	j.awaitCounts(t, j.replicas(worker, counts{active: 2}))
	eventually(t, "the job runs", func(ctx context.Context) string {
		if s := j.status(ctx, t); s.State != commonv1.JobRunning {
			return fmt.Sprintf("its state is %q", s.State)
		}
		return ""
	})
}

func backoffLimit(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "backoffLimit: 1", policy: "ExitCode"}))
	j.awaitAllActive(t)
	j.end(t, 137, "job-worker-0")
	j.awaitAttempts(t, "job-worker-0")
	j.awaitAllActive(t)
	j.checkRestartedOnce(t, false)
	j.end(t, 137, "job-worker-0")
	status := j.await(t, k.isCreated(), j.wasRunning(), j.hasReachedLimit(
		"it has reached the specified backoff limit: runPolicy.backoffLimit is 1. First failure: pod job-worker-0, exit code 137, restart policy ExitCode."))
	if status.Restarts != 1 {
		t.Errorf("one restart is allowed, and %d are counted", status.Restarts)
	}
	pods, _ := k.names(2)
	if got := slices.Sorted(maps.Keys(j.pods(t.Context(), t))); !slices.Equal(got, slices.Sorted(slices.Values(pods))) {
		t.Errorf("row 44: the pods of a job that failed at a limit stay, with their logs: there are %v, want %v", got, pods)
	}
}

// deadline: the job's time is up, and nothing else happens to it (rows 25, 26).
func deadline(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{}))
	j.awaitAllActive(t)
	limit := int(time.Since(j.status(t.Context(), t).StartTime.Time).Seconds()) + 4
	j.patch(t, fmt.Sprintf("spec: {runPolicy: {activeDeadlineSeconds: %d}}", limit))
	status := j.await(t, k.isCreated(), j.wasRunning(), j.hasReachedLimit(
		fmt.Sprintf("it was active longer than specified deadline: runPolicy.activeDeadlineSeconds is %d.", limit)))
	if took := status.CompletionTime.Sub(status.StartTime.Time); took < time.Duration(limit)*time.Second {
		t.Errorf("the job had %d s and was given %s", limit, took)
	}
}

// wholeJob: one failure restarts all replicas, and counts once.
func wholeJob(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "restartScope: Job", policy: "ExitCode"}))
	j.awaitAllActive(t)
	j.end(t, 137, "job-worker-0")
	pods, _ := k.names(2)
	j.awaitAttempts(t, pods...)
	j.awaitAllActive(t)
	j.checkRestartedOnce(t, true)
	j.end(t, 0, k.deciders...)
	status := j.await(t, k.isCreated(), j.wasRunning(), j.hasSucceeded())
	if status.Restarts != 1 || status.Attempt != 1 {
		t.Errorf("the job was restarted once: %d restarts are counted, and it is at attempt %d", status.Restarts, status.Attempt)
	}
}

// isSuspended is the condition Suspended of a job that is, or was, suspended.
func (k *kind) isSuspended(suspended bool) string {
	if !suspended {
		return fmt.Sprintf("Suspended False %sResumed: %s job is resumed.", k.kind, k.kind)
	}
	return fmt.Sprintf("Suspended True %sSuspended: %s job is suspended.", k.kind, k.kind)
}

// nothing are the counts of a job that has no pods.
func (k *kind) nothing() map[string]counts {
	out := map[string]counts{}
	for _, typ := range k.types {
		out[typ] = counts{}
	}
	return out
}

// suspend: a job that is created suspended has no objects until it is resumed.
func suspend(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "suspend: true"}))
	status := j.await(t, k.isCreated(), k.isSuspended(true))
	j.awaitObjects(t, nil, nil)
	j.awaitCounts(t, k.nothing())
	if status.StartTime != nil {
		t.Errorf("a job that was never started has the start time %v", status.StartTime)
	}
	j.patch(t, "spec: {runPolicy: {suspend: false}}")
	status = j.await(t, k.isCreated(), k.isSuspended(false), j.isRunning())
	j.checkStates(t, "Created+ Suspended+", "Created+ Suspended-", "Created+ Suspended- Running+")
	if status.StartTime == nil {
		t.Error("a job that was resumed has a start time")
	}
	pods, services := k.names(2)
	j.awaitObjects(t, pods, services)
}

// suspendWhileRunning: the pods of a running job end slowly.
func suspendWhileRunning(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{life: "stop-delay: 4s"}))
	j.awaitAllActive(t)
	started := j.status(t.Context(), t).StartTime
	j.patch(t, "spec: {runPolicy: {suspend: true}}")
	denied := fmt.Sprintf("Running False %sSuspended: %s job is suspended.", k.kind, k.kind)
	j.await(t, k.isCreated(), denied, k.isSuspended(true))
	j.awaitObjects(t, nil, nil)
	j.awaitCounts(t, k.nothing())
	status := j.status(t.Context(), t)
	if !status.StartTime.Equal(started) {
		t.Errorf("the start time of a suspended job was %v and is %v", started, status.StartTime)
	}
	for _, s := range j.history() {
		if s.IsTrue(commonv1.JobSuspended) {
			if diff := cmp.Diff(k.replicas(worker, counts{active: 2}), countsOf(s), cmp.AllowUnexported(counts{})); diff != "" {
				t.Errorf("row 84: pods that are still ending are counted active (-want +got):\n%s", diff)
			}
			break
		}
	}
	j.patch(t, "spec: {runPolicy: {suspend: false}}")
	j.await(t, k.isCreated(), k.isSuspended(false), j.isRunning())
	j.awaitAllActive(t)
	j.checkStates(t, "Created+ Running+", "Created+ Running- Suspended+", "Created+ Running- Suspended-", "Created+ Suspended- Running+")
	status = j.status(t.Context(), t)
	if !started.Before(status.StartTime) {
		t.Errorf("the job started at %v, and was resumed at %v: its time begins again", started, status.StartTime)
	}
	if status.Restarts != 0 {
		t.Errorf("to suspend a job is not a restart, and %d are counted", status.Restarts)
	}
	pods, services := k.names(2)
	j.awaitObjects(t, pods, services)
	for _, reason := range []string{k.kind + "Suspended", k.kind + "Resumed"} {
		eventually(t, "to suspend and to resume is reported once", func(ctx context.Context) string {
			reasons := slices.DeleteFunc(j.eventReasons(ctx, t), func(r string) bool { return r != reason })
			return cmp.Diff([]string{reason}, reasons)
		})
	}
}

// managedBy: a job that belongs to MultiKueue is left alone, as long as another runs
// and ends.
func managedBy(t *testing.T, k *kind) {
	ns := namespace(t)
	theirs := submitTo(t, k, ns, strings.Replace(k.manifest(manifest{run: "managedBy: kueue.x-k8s.io/multikueue"}), "name: job", "name: theirs", 1))
	ours := submitTo(t, k, ns, k.manifest(manifest{run: "managedBy: kubeflow.org/training-operator"}))
	ours.awaitAllActive(t)
	ours.end(t, 0, k.deciders...)
	ours.await(t, k.isCreated(), ours.wasRunning(), ours.hasSucceeded())
	pods, _ := k.names(2)
	if got := slices.Sorted(maps.Keys(ours.pods(t.Context(), t))); !slices.Equal(got, slices.Sorted(slices.Values(pods))) {
		t.Errorf("the namespace has the pods %v, want %v", got, pods)
	}
	u := k.object()
	if !get(t.Context(), t, ns, theirs.name, u) || u.Object["status"] != nil {
		t.Errorf("the job of another has the status %v", u.Object["status"])
	}
}

// scale: Workers come and go, by the scale subresource.
func scale(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{}))
	j.awaitAllActive(t)
	for _, n := range []int{3, 1, 2} {
		patch := mergePatch(t, fmt.Sprintf("spec: {replicas: %d}", n))
		if err := cluster.client.SubResource("scale").Patch(t.Context(), j.shell(), patch); err != nil {
			t.Fatal(err)
		}
		pods, services := k.names(n)
		j.awaitObjects(t, pods, services)
		j.awaitCounts(t, k.replicas(worker, counts{active: int32(n)}))
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale"}}
		if err := cluster.client.SubResource("scale").Get(t.Context(), j.shell(), u); err != nil {
			t.Fatal(err)
		}
		got := &autoscalingv1.Scale{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, got); err != nil {
			t.Fatal(err)
		}
		want := autoscalingv1.ScaleStatus{
			Replicas: int32(n),
			Selector: fmt.Sprintf("training.kubeflow.org/job-name=job,training.kubeflow.org/operator-name=%s-controller,training.kubeflow.org/replica-type=worker", strings.ToLower(k.kind)),
		}
		if diff := cmp.Diff(want, got.Status); diff != "" || got.Spec.Replicas != int32(n) {
			t.Errorf("what an autoscaler sees (-want +got):\n%s\nand the job is to have %d Workers, want %d", diff, got.Spec.Replicas, n)
		}
	}
	j.checkStates(t, "Created+ Running+")
	if got := j.status(t.Context(), t).Restarts; got != 0 {
		t.Errorf("to scale is not a restart, and %d are counted", got)
	}
}

func cleanAll(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "cleanPodPolicy: All"}))
	j.awaitAllActive(t)
	j.end(t, 0, k.deciders...)
	j.await(t, k.isCreated(), j.wasRunning(), j.hasSucceeded())
	j.awaitObjects(t, nil, nil)
	j.awaitCounts(t, k.decidersSucceeded())
}

// decidersSucceeded are the counts of a job whose pods were cleaned up after its success:
// those that clean-up stopped did not succeed (row 114).
func (k *kind) decidersSucceeded() map[string]counts {
	out := map[string]counts{}
	for _, typ := range k.types {
		ended := slices.DeleteFunc(slices.Clone(k.podsOf(typ)), func(pod string) bool { return !slices.Contains(k.deciders, pod) })
		out[typ] = counts{succeeded: int32(len(ended))}
	}
	return out
}

func cleanRunning(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "cleanPodPolicy: Running"}))
	j.awaitAllActive(t)
	j.end(t, 0, k.deciders...)
	j.await(t, k.isCreated(), j.wasRunning(), j.hasSucceeded())
	j.awaitCounts(t, k.decidersSucceeded())
	j.awaitObjects(t, slices.Clone(k.deciders), nil)
}

// cleanNone: what runs stays, and the services that it may need.
func cleanNone(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "cleanPodPolicy: None"}))
	j.awaitAllActive(t)
	j.end(t, 0, k.deciders...)
	j.await(t, k.isCreated(), j.wasRunning(), j.hasSucceeded())
	j.awaitCounts(t, k.leaderSucceeded())
	pods, services := k.names(2)
	if k.allEnd() {
		services = nil
	}
	j.awaitObjects(t, pods, services)
}

// cleanFailed: a job that failed is cleaned up as well. What was stopped did not fail.
func cleanFailed(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "cleanPodPolicy: Running", policy: "Never"}))
	j.awaitAllActive(t)
	j.end(t, 2, "job-worker-1")
	j.await(t, k.isCreated(), j.wasRunning(), j.hasFailed("1 Worker replica(s) failed. First failure: pod job-worker-1, exit code 2, restart policy Never."))
	j.awaitObjects(t, []string{"job-worker-1"}, nil)
	want := k.nothing()
	want[worker] = counts{failed: 1}
	j.awaitCounts(t, want)
}

func ttl(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "ttlSecondsAfterFinished: 2"}))
	j.awaitAllActive(t)
	j.end(t, 0, k.deciders...)
	eventually(t, "the job is deleted", func(ctx context.Context) string {
		if get(ctx, t, j.namespace, j.name, j.object()) {
			return fmt.Sprint("it exists: ", j.states())
		}
		return ""
	})
	j.awaitObjects(t, nil, nil)
	if got := j.states(); len(got) == 0 || got[len(got)-1] != "Created+ Running- Succeeded+" {
		t.Errorf("the job was deleted in the state %v", got)
	}
}

// defaults: unset fields act as if they had their defaults (row 73). Types are spelled in full: in
// another letter case they are refused (row 129).
func defaults(t *testing.T, k *kind) {
	write := func(policy, port string) string {
		var out strings.Builder
		for _, typ := range k.types {
			_, _ = fmt.Fprintf(&out, "    %s:\n      template: {spec: {containers: [{name: %s, image: train%s}]}}\n", typ, k.container, port)
			if policy != "" {
				_, _ = fmt.Fprintf(&out, "      restartPolicy: %s\n      replicas: %d\n", policy, k.defaultReplicas(typ))
			}
		}
		return fmt.Sprintf("apiVersion: kubeflow.org/v1\nkind: %s\nmetadata: {name: job}\nspec:\n  %s:\n%s", k.kind, k.field, out.String())
	}
	port := ""
	if k.defaultPort != "" {
		port = ", ports: [" + k.defaultPort + "]"
	}
	minimal := submit(t, k, write("", ""))
	full := submit(t, k, write(k.defaultPolicy, port)+"  runPolicy: {cleanPodPolicy: None, suspend: false}\n")
	var pods, services []string
	for _, typ := range k.types {
		if k.defaultReplicas(typ) > 0 {
			pods = append(pods, k.podsOf(typ)[0])
		}
	}
	if !k.noServices {
		services = slices.Clone(pods)
	}
	for _, j := range []*job{minimal, full} {
		j.awaitObjects(t, pods, services)
		eventually(t, "the job runs", func(ctx context.Context) string {
			if s := j.status(ctx, t); !s.IsTrue(commonv1.JobRunning) {
				return fmt.Sprint(conditions(s))
			}
			return ""
		})
	}
	if diff := cmp.Diff(full.essence(t), minimal.essence(t)); diff != "" {
		t.Errorf("what is left open is as if it were written (-written +left open):\n%s", diff)
	}
}

func (k *kind) defaultReplicas(typ string) int {
	if k.kind == "MPIJob" && typ == worker {
		return 0
	}
	return 1
}

// essence is what the job's pods and services are asked for, with NS in place of the
// namespace.
func (j *job) essence(t *testing.T) string {
	t.Helper()
	out := map[string]any{}
	for name, pod := range j.pods(t.Context(), t) {
		pod.Spec.NodeName = ""
		pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Projected != nil })
		for i := range pod.Spec.Containers {
			pod.Spec.Containers[i].VolumeMounts = slices.DeleteFunc(pod.Spec.Containers[i].VolumeMounts, func(m corev1.VolumeMount) bool {
				return strings.HasPrefix(m.Name, "kube-api-access")
			})
		}
		for i := range pod.Spec.InitContainers {
			pod.Spec.InitContainers[i].VolumeMounts = slices.DeleteFunc(pod.Spec.InitContainers[i].VolumeMounts, func(m corev1.VolumeMount) bool {
				return strings.HasPrefix(m.Name, "kube-api-access")
			})
		}
		delete(pod.Labels, corev1.LabelTopologyZone) // its node's
		out["pod "+name] = []any{pod.Labels, pod.Annotations, pod.Spec}
	}
	for name, service := range j.services(t.Context(), t) {
		out["service "+name] = []any{service.Labels, service.Spec}
	}
	return strings.ReplaceAll(text(t, out), j.namespace, "NS")
}
