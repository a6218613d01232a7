package jobtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// batchTwin knows the rules of a batch/v1 Job: those that its API server enforces for
// every status (k8s.io/kubernetes/pkg/apis/batch/validation, JobStatusValidationOptions)
// and those that its documentation states. It is deliberately dumb: it keeps nothing
// but what it was shown, and compares that with the pods that there really were.
//
// A job of ours is an indexed Job of as many completions as it has replicas. Restart
// policy ExitCode is restartPolicy Never with a podFailurePolicy that fails the job
// for exit codes 1 to 127; Never is one that fails it for any.
//
// Where the two differ on purpose, the twin does not compare:
//   - failed and succeeded count the pods that exist (the contract of
//     kubeflow.org/v1), so they may fall until the job has finished;
//   - a job is Failed at once, and its pods are deleted after that; batch/v1 waits;
//   - completionTime is set for failed jobs too;
//   - startTime stays while a job is suspended.
type batchTwin struct {
	w *World
	// ends holds the status with which each job finished.
	ends map[types.UID]*commonv1.JobStatus
}

func newBatchTwin(w *World) *batchTwin {
	return &batchTwin{w: w, ends: map[types.UID]*commonv1.JobStatus{}}
}

func (b *batchTwin) violatef(format string, args ...any) { b.w.violatef("batch/v1", format, args...) }

// wrote records every status that the operator writes.
func (b *batchTwin) wrote(before, after client.Object) {
	old, status := b.w.parts(before).Status, b.w.parts(after).Status
	b.counts(after, status)
	b.times(old, status)
	b.terminal(after, status)
}

// counts: no count is negative, and none is higher than there are such pods.
func (b *batchTwin) counts(job client.Object, status *commonv1.JobStatus) {
	pods := b.w.monitor.ledger(job.GetUID()).pods
	for t, rs := range status.ReplicaStatuses {
		if rs.Active < 0 || rs.Succeeded < 0 || rs.Failed < 0 {
			b.violatef("the counts of %s are negative: %+v", t, rs)
		}
		if n := int32(len(pods)); rs.Active > n || rs.Succeeded > n || rs.Failed > n {
			b.violatef("the counts of %s are %d active, %d succeeded, %d failed, but there were %d pods", t, rs.Active, rs.Succeeded, rs.Failed, n)
		}
	}
}

// times: a job that started and was not resumed keeps its startTime; completionTime
// comes with the end, not before startTime, and stays.
func (b *batchTwin) times(old, status *commonv1.JobStatus) {
	switch {
	case old.StartTime != nil && status.StartTime == nil:
		b.violatef("startTime was removed")
	case old.StartTime != nil && !old.StartTime.Equal(status.StartTime) && !old.IsTrue(commonv1.JobSuspended):
		b.violatef("startTime changed from %v to %v although the job was not suspended", old.StartTime, status.StartTime)
	case status.Finished() && status.CompletionTime == nil:
		b.violatef("the job has finished without completionTime")
	case !status.Finished() && status.CompletionTime != nil:
		b.violatef("completionTime is set, but the job goes on")
	case status.IsTrue(commonv1.JobSucceeded) && status.StartTime == nil:
		b.violatef("the job succeeded without startTime")
	case status.StartTime != nil && status.CompletionTime != nil && status.CompletionTime.Before(status.StartTime):
		b.violatef("completionTime is before startTime")
	}
}

// terminal: a job ends once, in one way, and no condition changes after that.
func (b *batchTwin) terminal(job client.Object, status *commonv1.JobStatus) {
	end := b.ends[job.GetUID()]
	switch {
	case end == nil && !status.Finished():
	case end == nil:
		b.ends[job.GetUID()] = status.DeepCopy()
	case !status.Finished():
		b.violatef("the job had finished and goes on")
	default:
		if diff := cmp.Diff(end.Conditions, status.Conditions); diff != "" {
			b.violatef("conditions changed after the end (-before +after):\n%s", diff)
		}
		if !end.StartTime.Equal(status.StartTime) || !end.CompletionTime.Equal(status.CompletionTime) || end.Restarts != status.Restarts {
			b.violatef("the times or restarts changed after the end")
		}
	}
	if status.IsTrue(commonv1.JobSucceeded) && status.IsTrue(commonv1.JobFailed) {
		b.violatef("the job both succeeded and failed")
	}
}

// outcome adds, for a job of one role that no one meddled with, why it ended: Succeeded
// when each index has had a pod that succeeded, Failed when one failed for good, there
// were more failures than backoffLimit, or the deadline had passed.
func (b *batchTwin) outcome(before, after client.Object) {
	b.wrote(before, after)
	job, old, status := after, b.w.parts(before).Status, b.w.parts(after).Status
	if old.Finished() || !status.Finished() {
		return
	}
	parts := b.w.parts(job)
	succeeded, permanent, failures := b.truth(job)
	spec := parts.ReplicaSpecs[testv1.Worker]
	if status.IsTrue(commonv1.JobSucceeded) {
		if int32(len(succeeded)) < wantedReplicas(spec) {
			b.violatef("the job succeeded, but only the indexes %v did", succeeded)
		}
		return
	}
	limit, deadline := parts.RunPolicy.BackoffLimit, parts.RunPolicy.ActiveDeadlineSeconds
	switch {
	case permanent:
	case limit != nil && failures > int(*limit):
	case deadline != nil && !b.w.now.Before(status.StartTime.Add(time.Duration(*deadline)*time.Second)):
	default:
		b.violatef("the job failed after %d failures, none for good; backoffLimit is %d", failures, *limit)
	}
}

// truth is what really became of a job's pods: which succeeded, whether one failed for
// good, and how many failed by themselves.
func (b *batchTwin) truth(job client.Object) (succeeded map[string]bool, permanent bool, failures int) {
	succeeded = map[string]bool{}
	never := b.w.parts(job).ReplicaSpecs[testv1.Worker].RestartPolicy == commonv1.RestartPolicyNever
	for uid, pod := range b.w.monitor.ledger(job.GetUID()).pods {
		switch {
		case b.w.monitor.succeeded[uid]:
			succeeded[pod.Name] = true
		case b.w.monitor.failed[uid] || b.w.monitor.doubtful[uid]:
			failures++
			permanent = permanent || never || b.everForGood(pod)
		}
	}
	return succeeded, permanent, failures
}

// everForGood reports whether a pod ever seemed to have failed for good: its node may
// have been lost after that.
func (b *batchTwin) everForGood(pod *corev1.Pod) bool {
	return slices.ContainsFunc(b.w.kubelet.pods.log, func(c change) bool {
		was, ok := c.object.(*corev1.Pod)
		return ok && was.UID == pod.UID && forGood(was)
	})
}

// forGood reports whether restart policy ExitCode does not retry a pod.
func forGood(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.DisruptionTarget {
			return false
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].State.Terminated; t != nil && t.ExitCode >= 1 && t.ExitCode <= 127 {
			return true
		}
	}
	return false
}

// atRest: a job that goes on has had no failure for good and no more than backoffLimit
// counts; one that ended has no pods that run, one that is suspended none at all.
func (b *batchTwin) atRest(job *testv1.TestJob) {
	active, pods := int32(0), 0
	for _, o := range b.w.kubelet.pods.all() {
		if pod, ok := o.(*corev1.Pod); ok && !b.w.monitor.stuck(pod) {
			pods++
			if pod.Status.Phase == corev1.PodRunning {
				active++
			}
		}
	}
	status := &job.Status
	switch limit := job.Spec.RunPolicy.BackoffLimit; {
	case status.Finished() && active > 0:
		b.violatef("the job has finished, but %d pods run", active)
	case status.Finished():
	case job.Spec.RunPolicy.Suspend != nil && *job.Spec.RunPolicy.Suspend:
		if pods > 0 {
			b.violatef("the job is suspended, but %d pods exist", pods)
		}
	case limit != nil && status.Restarts > *limit:
		b.violatef("the job goes on after %d restarts, backoffLimit is %d", status.Restarts, *limit)
	}
}

// randomBatchRun is a run of a job that a batch/v1 Job could be, with users who do
// only what they can do to one.
func randomBatchRun(c *Chance) error {
	job := newJob(jobKey.Name, int32(1+c.Pick(3)), func(j *testv1.TestJob) {
		j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = oneOf(c, commonv1.RestartPolicyExitCode, commonv1.RestartPolicyNever)
		p := &j.Spec.RunPolicy
		p.BackoffLimit = oneOf(c, new(int32(6)), new(int32(0)), new(int32(1)), new(int32(2)))
		p.ActiveDeadlineSeconds = oneOf(c, nil, nil, nil, new(int64(25)))
		p.ServiceMode = oneOf(c, nil, new(commonv1.ServiceModeNone))
	})
	w, err := NewWorld[*testv1.TestJob](testjob.Controller{}, testScheme, Options{
		Chance: c, Fate: randomFates(c), Operators: 1 + c.pick(2, 70),
	})
	if err != nil {
		return err
	}
	randomClocks(c, w)
	twin := newBatchTwin(w)
	w.onStatus = twin.outcome
	kinds := []func(*Chance, *World, time.Duration, *testv1.TestJob){actNothing, actSuspend, actQuota, actNode, actOutage, actPod, actDisrupt}
	for range c.Pick(4) {
		kinds[c.Pick(len(kinds))](c, w, time.Duration(c.Pick(40))*time.Second, job)
	}
	if err := w.Client().Create(context.Background(), job.DeepCopy()); err != nil {
		return err
	}
	if err := w.Run(context.Background()); err != nil {
		return err
	}
	if err := w.Client().Get(context.Background(), jobKey, job); err != nil {
		return err
	}
	twin.atRest(job)
	return w.err()
}

func actPod(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	name := oneOf(c, "j-worker-0", "j-worker-1")
	w.At(at, "deletes pod "+name, deletePod(name))
}

// TestBatchRules compares jobs of one role with what a batch/v1 Job promises.
func TestBatchRules(t *testing.T) { Search(t, 100, randomBatchRun) }
