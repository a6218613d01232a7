//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// hangs has replica 0 of the first attempt hang a second after its start; all others run for
// three seconds.
func hangs(n int32) *commonv1.ReplicaSpec {
	return replicas(n, "hang-after", "1s", "fail-index", "0", "fail-until-attempt", "1", "run-for", "3s")
}

// byReadiness is a job that hangs 10 seconds after it was ready last.
func byReadiness(ns, name string, action commonv1.ProgressAction) *testv1.TestJob {
	job := newJob(ns, name, nil, hangs(2))
	job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	job.Spec.RunPolicy.ProgressPolicy = &commonv1.ProgressPolicy{
		Source: commonv1.ProgressSourceReadiness, StallTimeoutSeconds: new(int64(10)), Action: action,
	}
	return job
}

// TestHangs: a replica that hangs is restarted once, and its job finishes; or the job says so.
func TestHangs(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	replica, whole := byReadiness(ns, "replica", commonv1.ProgressActionRestartReplica), byReadiness(ns, "whole", commonv1.ProgressActionRestartJob)
	told, fails := byReadiness(ns, "told", ""), byReadiness(ns, "fails", commonv1.ProgressActionFailJob)
	silent := newJob(ns, "silent", nil, replicas(1))
	silent.Spec.RunPolicy.ProgressPolicy = &commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(30)), Action: commonv1.ProgressActionFailJob}
	for _, job := range []*testv1.TestJob{replica, whole, told, fails, silent} {
		create(t, job)
	}
	for _, job := range []*testv1.TestJob{replica, whole} {
		eventually(t, job.Name+" succeeds after one restart", func(ctx context.Context) string {
			if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
				return err.Error()
			}
			s := &job.Status
			if !s.IsTrue(commonv1.JobSucceeded) || s.Restarts != 1 || len(s.Failures) != 1 || s.Failures[0].Reason != "Hung" || s.Failures[0].Node == "" {
				return fmt.Sprintf("%s, %d restarts, failures %+v", s.State, s.Restarts, s.Failures)
			}
			return ""
		})
	}
	eventually(t, "a job says that it hangs", func(ctx context.Context) string {
		return condition(ctx, told, commonv1.JobHung, metav1.ConditionTrue, "TestJobHung", "pod told-worker-0 on node ")
	})
	eventually(t, "a job fails because it hangs", func(ctx context.Context) string {
		return condition(ctx, fails, commonv1.JobFailed, metav1.ConditionTrue, "TestJobHung", "First failure: pod fails-worker-0, Hung, runPolicy.progressPolicy says FailJob.")
	})
	eventually(t, "a job says that no report can come, and runs", func(ctx context.Context) string {
		return condition(ctx, silent, commonv1.JobHung, metav1.ConditionUnknown, "TestJobNoProgressServer", "receives no reports")
	})
	if silent.Status.State != commonv1.JobRunning {
		t.Errorf("without a server it is %s", silent.Status.State)
	}
}

// condition says how a condition of a job differs from what it should be.
func condition(ctx context.Context, job *testv1.TestJob, of commonv1.JobConditionType, status metav1.ConditionStatus, reason, says string) string {
	if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
		return err.Error()
	}
	c := job.Status.Condition(of)
	if c == nil || string(c.Status) != string(status) || c.Reason != reason || !strings.Contains(c.Message, says) {
		return fmt.Sprintf("got %+v", c)
	}
	return ""
}

// TestReportsSurvive: what another client reports in the status stays there when the operator
// writes it, and what makes no sense is refused.
func TestReportsSurvive(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", nil, replicas(1, "run-for", "6s"))
	create(t, job)
	report := func(ctx context.Context, percent int) error {
		body := fmt.Sprintf(`{"metadata":{"uid":%q},"status":{"trainerStatus":{"progressPercentage":%d,"receivedTime":"2026-11-28T00:02:50.801969Z","metrics":[{"name":"loss","value":"0.5"}]}}}`, job.UID, percent)
		return cluster.client.Status().Patch(ctx, job.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)), client.FieldOwner("jobkit-progress"))
	}
	eventually(t, "it runs and is reported about", func(ctx context.Context) string {
		var pod corev1.Pod
		if err := cluster.client.Get(ctx, client.ObjectKey{Namespace: ns, Name: "job-worker-0"}, &pod); err != nil || pod.Status.Phase != corev1.PodRunning {
			return fmt.Sprintf("%s, %v", pod.Status.Phase, err)
		}
		if err := report(ctx, 40); err != nil {
			return err.Error()
		}
		return ""
	})
	if err := report(t.Context(), 101); err == nil {
		t.Error("the API server takes 101 percent")
	}
	eventually(t, "it succeeds, and the report is kept", func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err.Error()
		}
		ts := job.Status.TrainerStatus
		if !job.Status.IsTrue(commonv1.JobSucceeded) || ts == nil || *ts.ProgressPercentage != 40 || len(ts.Metrics) != 1 || ts.ReceivedTime.Nanosecond() != 801969000 {
			return fmt.Sprintf("%s, report %+v", job.Status.State, ts)
		}
		return ""
	})
}

// TestProgressPolicyIsChecked: the API server refuses a policy that says nothing.
func TestProgressPolicyIsChecked(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for name, tc := range map[string]struct {
		policy commonv1.ProgressPolicy
		want   string
	}{
		"short":   {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(9))}, "spec.runPolicy.progressPolicy.stallTimeoutSeconds: Invalid value: 9"},
		"report":  {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(29))}, "must be at least 30 with source Report, because the status may be 12.5 seconds behind the last report: raise it, or set source to Readiness"},
		"named":   {commonv1.ProgressPolicy{Source: commonv1.ProgressSourceReport, StallTimeoutSeconds: new(int64(10))}, "must be at least 30 with source Report"},
		"enough":  {commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(30))}, ""},
		"ready":   {commonv1.ProgressPolicy{Source: commonv1.ProgressSourceReadiness, StallTimeoutSeconds: new(int64(10))}, ""},
		"long":    {commonv1.ProgressPolicy{StartTimeoutSeconds: new(int64(31536001))}, "spec.runPolicy.progressPolicy.startTimeoutSeconds: Invalid value: 31536001"},
		"source":  {commonv1.ProgressPolicy{Source: commonv1.ProgressSourceReadiness}, "Readiness says nothing without a timeout: add stallTimeoutSeconds or startTimeoutSeconds"},
		"action":  {commonv1.ProgressPolicy{Action: commonv1.ProgressActionFailJob}, "it says nothing without a timeout: add stallTimeoutSeconds or startTimeoutSeconds, or remove it"},
		"unknown": {commonv1.ProgressPolicy{Source: "Logs"}, `spec.runPolicy.progressPolicy.source: Unsupported value: "Logs"`},
		"reports": {commonv1.ProgressPolicy{}, ""},
	} {
		job := newJob(ns, name, nil, replicas(1))
		job.Spec.RunPolicy.ProgressPolicy = &tc.policy
		err := cluster.client.Create(t.Context(), job)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: want %q, got %v", name, tc.want, err)
		}
	}
}
