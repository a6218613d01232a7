package controller_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// evictFast evicts a pod of a job as the eviction API does. The pod stops at once.
func evictFast(b *bench, pod *corev1.Pod) {
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
		LastTransitionTime: metav1.NewTime(b.clock.Now()),
	}}
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &metav1.Time{Time: b.clock.Now()}, new(int64)
	stopWith(pod, corev1.PodFailed, 143)
}

func stopWith(pod *corev1.Pod, phase corev1.PodPhase, code int32) {
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: testv1.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
	}}
}

// removeEnded ends a pod by itself, and then has someone delete it, which needs no grace period.
func removeEnded(b *bench, pod *corev1.Pod, phase corev1.PodPhase, code int32) {
	before := pod.DeepCopy()
	stopWith(pod, phase, code)
	at := &metav1.Time{Time: b.clock.Now()}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{
		Subresource: "status", Time: at, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:phase":{}}}`),
	}}
	b.controller.PodSeen(before, pod)
	before = pod.DeepCopy()
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = at, new(int64)
	b.controller.PodSeen(before, pod)
}

// TestGoneBeforeThePass: known-bugs rows 169 and 174. What a watch showed of a pod that is gone before the
// next pass counts as if the pass had seen it.
func TestGoneBeforeThePass(t *testing.T) {
	disrupted := func(a commonv1.PodFailurePolicyAction) *commonv1.PodFailurePolicy {
		return &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{{
			Action:          a,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget}},
		}}}
	}
	type outcome struct {
		State             commonv1.JobConditionType
		Restarts, Attempt int32
		Failures          int
		Succeeded         string
	}
	cases := map[string]struct {
		reason string
		change func(*testv1.TestJob)
		ends   func(*bench, *corev1.Pod)
		want   outcome
	}{
		"Evicted": {
			reason: "a disruption is a failure, once",
			ends:   evictFast,
			want:   outcome{State: commonv1.JobRestarting, Restarts: 1, Attempt: 1, Failures: 1},
		},
		"FailJobOnDisruption": {
			reason: "the rules are asked",
			change: func(j *testv1.TestJob) {
				j.Spec.RunPolicy.PodFailurePolicy = disrupted(commonv1.PodFailurePolicyActionFailJob)
			},
			ends: evictFast,
			want: outcome{State: commonv1.JobFailed, Failures: 1},
		},
		"IgnoreDisruption": {
			reason: "the rules are asked",
			change: func(j *testv1.TestJob) {
				j.Spec.RunPolicy.PodFailurePolicy = disrupted(commonv1.PodFailurePolicyActionIgnore)
			},
			ends: evictFast,
			want: outcome{State: commonv1.JobRestarting, Attempt: 1, Failures: 1},
		},
		"Failed": {
			reason: "someone removed the failed pod",
			ends:   func(b *bench, p *corev1.Pod) { removeEnded(b, p, corev1.PodFailed, 137) },
			want:   outcome{State: commonv1.JobRestarting, Restarts: 1, Attempt: 1, Failures: 1},
		},
		"Succeeded": {
			reason: "someone removed the pod that was done: it does not run again",
			ends:   func(b *bench, p *corev1.Pod) { removeEnded(b, p, corev1.PodSucceeded, 0) },
			want:   outcome{State: commonv1.JobRunning, Succeeded: "1"},
		},
		"Deleted": {
			reason: "a deletion by hand restarts the gang, and counts for nothing",
			ends: func(b *bench, p *corev1.Pod) {
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: b.clock.Now()}, new(int64)
				stopWith(p, corev1.PodFailed, 143)
			},
			want: outcome{State: commonv1.JobRestarting, Attempt: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			job := testJob(3)
			job.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
			if tc.change != nil {
				tc.change(job)
			}
			b := newBench(t, testjob.Controller{}, job)
			runPods(b)
			pod := takeAway(b, "job-worker-1", tc.ends)
			if _, _, err := b.reconcile(); err != nil {
				t.Fatalf("got %v", err)
			}
			s := b.job().Status
			got := outcome{s.State, s.Restarts, s.Attempt, len(s.Failures), s.ReplicaStatuses[testv1.Worker].SucceededIndexes}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", tc.reason, diff)
			}
			for _, call := range b.calls {
				if call == "delete pod "+pod.Name {
					t.Errorf("a pod that is gone is not deleted: %v", b.calls)
				}
			}
			if s.State != commonv1.JobRestarting {
				return
			}
			mustReconcile(t, b)
			mustReconcile(t, b)
			if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil || pod.Labels[commonv1.AttemptLabel] != "1" {
				t.Errorf("want the pod of the next attempt, got one of %q, %v", pod.Labels[commonv1.AttemptLabel], err)
			}
			if s := b.job().Status; s.Attempt != 1 || s.Restarts != tc.want.Restarts {
				t.Errorf("%s, once: attempt %d, %d restarts", tc.reason, s.Attempt, s.Restarts)
			}
		})
	}
}

// runPods has the pods of a job created, and run on a node.
func runPods(b *bench) {
	b.t.Helper()
	mustReconcile(b.t, b)
	var pods corev1.PodList
	if err := b.client.List(b.t.Context(), &pods); err != nil {
		b.t.Fatal(err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		p.Spec.NodeName = "node"
		if err := b.client.Update(b.t.Context(), p); err != nil {
			b.t.Fatal(err)
		}
	}
	b.setPhase(corev1.PodRunning)
	mustReconcile(b.t, b)
	b.clock.SetTime(b.clock.Now().Add(time.Minute))
	mustReconcile(b.t, b)
}

// takeAway ends a pod and takes it away, as the watch of pods shows it.
func takeAway(b *bench, name string, ends func(*bench, *corev1.Pod)) *corev1.Pod {
	b.t.Helper()
	pod := &corev1.Pod{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, pod); err != nil {
		b.t.Fatal(err)
	}
	if err := b.client.Delete(b.t.Context(), pod.DeepCopy()); err != nil {
		b.t.Fatal(err)
	}
	ends(b, pod)
	b.controller.PodDeleted(pod)
	return pod
}

// TestEndsThatNoPassRecords: what a watch shows of pods that are gone does not stay in memory while the passes over
// their job record no ends. Whoever may create pods can make any number of them, one after the other.
func TestEndsThatNoPassRecords(t *testing.T) {
	const gone = 1200
	for name, tc := range map[string]struct {
		reason string
		most   int // how many may stay in memory
		change func(*testv1.TestJob)
	}{
		"Recorded": {reason: "a job that goes on records them", change: func(*testv1.TestJob) {}},
		"Deleted": {reason: "a finalizer keeps a job that is being deleted for as long as it likes", change: func(j *testv1.TestJob) {
			j.DeletionTimestamp, j.Finalizers = &metav1.Time{Time: j.CreationTimestamp.Time}, []string{"example.com/mine"}
		}},
		"Unreadable": {
			reason: "a job that cannot be decoded may be corrected", most: 1000,
			change: func(j *testv1.TestJob) { j.SetSelfLink("unreadable:spec: a duration abc") },
		},
		"InvalidEdit": {reason: "and so may an invalid edit", most: 1000, change: func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(-1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testjob.Controller{}, testJob(2))
			mustReconcile(t, b)
			runPods(b)
			mustReconcile(t, b)
			job := b.job()
			tc.change(job)
			pods := make([]weak.Pointer[corev1.Pod], gone)
			for i := range pods {
				p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
					Namespace: "ns", Name: fmt.Sprint("any-", i), UID: typesUID(fmt.Sprint("any-", i)),
					OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, testv1.GroupVersion.WithKind("TestJob"))},
				}}
				evictFast(b, p)
				pods[i] = weak.Make(p)
				b.controller.PodDeleted(p)
			}
			for range 3 { // The first may write the status, and record afterwards.
				if _, err := b.controller.ReconcileJobs(t.Context(), job.DeepCopy()); err != nil {
					t.Fatal(err)
				}
			}
			runtime.GC()
			kept := 0
			for _, p := range pods {
				if p.Value() != nil {
					kept++
				}
			}
			if kept > tc.most {
				t.Errorf("%s: %d of %d pods that are gone are kept in memory, at most %d may be", tc.reason, kept, gone, tc.most)
			}
			runtime.KeepAlive(b)
		})
	}
}
