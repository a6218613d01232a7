package controller_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// metrics lists the metrics of the bench, a line each: "name{labels} value", and for
// histograms the number of observations and their sum.
func (b *bench) metricLines() []string {
	b.t.Helper()
	families, err := b.metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := fmt.Sprint(m.GetCounter().GetValue())
			if h := m.GetHistogram(); h != nil {
				value = fmt.Sprintf("%d in %gs", h.GetSampleCount(), h.GetSampleSum())
			}
			out = append(out, fmt.Sprintf("%s{%s} %s", f.GetName(), strings.Join(labels, ","), value))
		}
	}
	return out
}

// TestMetrics follows a job that fails once, runs again, and succeeds. Known-bugs
// rows 80 and 81: each thing is counted once, and is served by the manager's
// registry.
func TestMetrics(t *testing.T) {
	job := testJob(2)
	job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	job.CreationTimestamp = metav1.Unix(1_800_000_000, 0)
	b := newBench(t, testjob.Controller{}, job)
	mustReconcile(t, b)
	b.clock.SetTime(b.clock.Now().Add(4 * time.Second))
	b.setPhase(corev1.PodRunning)
	mustReconcile(t, b)
	b.setPhase(corev1.PodFailed) // without an exit code: an infrastructure failure
	for range 4 {
		mustReconcile(t, b)
	}
	b.setPhase(corev1.PodSucceeded)
	for range 3 {
		mustReconcile(t, b)
	}
	want := []string{
		"jobkit_children_total{framework=test,resource=pod,verb=create} 4",
		"jobkit_children_total{framework=test,resource=pod,verb=delete} 2",
		"jobkit_children_total{framework=test,resource=service,verb=create} 1",
		"jobkit_children_total{framework=test,resource=service,verb=delete} 1",
		"jobkit_foreign_status_writes_total{framework=test} 0",
		"jobkit_job_launch_duration_seconds{framework=test} 1 in 4s",
		"jobkit_job_seconds_total{cause=,framework=test,job_namespace=ns,state=hung} 0",
		"jobkit_job_seconds_total{cause=,framework=test,job_namespace=ns,state=running} 0",
		"jobkit_job_seconds_total{cause=,framework=test,job_namespace=ns,state=starting} 0",
		"jobkit_job_seconds_total{cause=,framework=test,job_namespace=ns,state=suspended} 0",
		"jobkit_job_seconds_total{cause=,framework=test,job_namespace=ns,state=waiting} 4",
		"jobkit_job_seconds_total{cause=deleted,framework=test,job_namespace=ns,state=restarting} 0",
		"jobkit_job_seconds_total{cause=disrupted,framework=test,job_namespace=ns,state=restarting} 0",
		"jobkit_job_seconds_total{cause=failed,framework=test,job_namespace=ns,state=restarting} 0",
		"jobkit_job_seconds_total{cause=hung,framework=test,job_namespace=ns,state=restarting} 0",
		"jobkit_reconcile_duration_seconds{framework=test} 9 in 0s",
		"jobkit_restarts_total{cause=disrupted,framework=test} 2",
		"jobkit_restarts_total{cause=failed,framework=test} 0",
		"jobkit_restarts_total{cause=hung,framework=test} 0",
		"jobkit_restarts_total{cause=ignored,framework=test} 0",
		"jobkit_restarts_total{cause=in_place,framework=test} 0",
		"training_operator_jobs_created_total{framework=test,job_namespace=ns} 1",
		"training_operator_jobs_restarted_total{framework=test,job_namespace=ns} 2",
		"training_operator_jobs_successful_total{framework=test,job_namespace=ns} 1",
	}
	if diff := cmp.Diff(want, b.metricLines()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTimeMetrics follows the time of a job: each second is counted in one state, and once.
func TestTimeMetrics(t *testing.T) {
	job := testJob(1)
	job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	job.CreationTimestamp = metav1.Unix(1_800_000_000, 0)
	b := newBench(t, testjob.Controller{}, job)
	step := func(after int, phase corev1.PodPhase, passes int) {
		b.clock.SetTime(b.clock.Now().Add(time.Duration(after) * time.Second))
		pod := &corev1.Pod{}
		if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job-worker-0"}, pod); err != nil {
			t.Fatal(err)
		}
		pod.Spec.NodeName = "node-1"
		if err := b.client.Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		b.setPhase(phase)
		for range passes {
			mustReconcile(t, b)
		}
	}
	mustReconcile(t, b)
	step(4, corev1.PodRunning, 2)
	step(100, corev1.PodFailed, 4)
	step(30, corev1.PodRunning, 2)
	step(50, corev1.PodSucceeded, 3)
	want := []string{
		"jobkit_job_recovery_duration_seconds{cause=failed,framework=test} 1 in 30s",
		"jobkit_job_seconds_total{cause=,framework=test,job_namespace=ns,state=running} 150",
		"jobkit_job_seconds_total{cause=,framework=test,job_namespace=ns,state=starting} 4",
		"jobkit_job_seconds_total{cause=failed,framework=test,job_namespace=ns,state=restarting} 30",
		"jobkit_restarts_by_node_total{cause=failed,node=node-1} 1",
	}
	got := slices.DeleteFunc(b.metricLines(), func(line string) bool {
		return strings.HasSuffix(line, " 0") || !strings.Contains(line, "_seconds_total") && !strings.Contains(line, "recovery") && !strings.Contains(line, "by_node")
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestControllersShareMetrics: two kinds in one process register the same names.
func TestControllersShareMetrics(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(1))
	again := &controller.JobController[*testv1.TestJob]{
		Controller: testjob.Controller{}, Client: b.client, Recorder: b.recorder, Metrics: b.metrics,
	}
	if err := again.Init(b.client.Scheme()); err != nil {
		t.Fatal(err)
	}
	mustReconcile(t, b)
	if lines := b.metricLines(); len(lines) == 0 {
		t.Error("no metrics")
	}
}
