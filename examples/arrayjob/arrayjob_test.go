package arrayjob_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/arrayjob"
	arrayv1 "github.com/jobkit/jobkit/examples/arrayjob/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// arrayJob is a job with a number of indexes.
func arrayJob(n int32, arguments ...string) *arrayv1.ArrayJob {
	job := &arrayv1.ArrayJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job"}}
	job.Spec.Arguments = arguments
	job.Spec.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{arrayv1.Task: {Replicas: &n, Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: arrayv1.ContainerName, Image: "program"}}},
	}}}
	return job
}

// knownTypes is the scheme of the tests.
func knownTypes(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, arrayv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return known
}

func TestConformance(t *testing.T) {
	conformance.Run(t, arrayjob.Controller{}, arrayJob(3))
}

// TestLimits: what becomes of a job of five indexes, by how indexes 1 and 3 fail.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		reason   string
		change   func(*arrayv1.ArrayJob)
		exits    map[string][]int32 // of each attempt, by index
		state    commonv1.JobConditionType
		message  string
		complete string
	}{
		{"all succeed", nil, nil, commonv1.JobSucceeded, "successfully completed", "0-4"},
		{"two restarts of one index are allowed", nil, map[string][]int32{"1": {137, 137}}, commonv1.JobSucceeded, "successfully completed", "0-4"},
		{"three are not", nil, map[string][]int32{"3": {137, 137, 137}}, commonv1.JobFailed, "backoffLimitPerReplica is 2", "0-2,4"},
		{"restarts of several indexes do not add up", nil, map[string][]int32{"1": {137, 137}, "3": {137, 137}}, commonv1.JobSucceeded, "", "0-4"},
		{"the limit of the job, not that of the kind", func(j *arrayv1.ArrayJob) {
			j.Spec.RunPolicy.BackoffLimitPerReplica = new(int32(0))
		}, map[string][]int32{"1": {137}}, commonv1.JobFailed, "backoffLimitPerReplica is 0", "0,2-4"},
		{"one that fails for good does not stop the others", nil, map[string][]int32{"1": {1}, "3": {137, 2}}, commonv1.JobFailed, "exit code", "0,2,4"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			job := arrayJob(5)
			if tt.change != nil {
				tt.change(job)
			}
			status := run(t, job, tt.exits)
			if status.State != tt.state || !strings.Contains(status.Condition(tt.state).Message, tt.message) || status.CompletedIndexes != tt.complete {
				t.Errorf("want %s, %q and %s, got %+v", tt.state, tt.message, tt.complete, status)
			}
		})
	}
}

// run runs a job to its end. Attempts without an exit code succeed.
func run(t *testing.T, job *arrayv1.ArrayJob, exits map[string][]int32) *arrayv1.ArrayJobStatus {
	t.Helper()
	world, err := jobtest.NewWorld[*arrayv1.ArrayJob](arrayjob.Controller{}, knownTypes(t), jobtest.Options{Fate: func(pod *corev1.Pod) jobtest.Fate {
		fate := jobtest.Fate{Start: time.Second, Run: time.Minute}
		codes, attempt := exits[pod.Labels[commonv1.ReplicaIndexLabel]], 0
		if _, err := fmt.Sscan(pod.Labels[commonv1.AttemptLabel], &attempt); err == nil && attempt < len(codes) {
			fate.Exits, fate.Run = codes[attempt:attempt+1], 2*time.Minute
		}
		return fate
	}})
	if err == nil {
		err = world.Client().Create(t.Context(), job)
	}
	if err == nil {
		err = world.Run(t.Context())
	}
	if err == nil {
		err = world.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &job.Status
}

// TestSetClusterSpec: each index gets its argument, and nothing but pods is created.
func TestSetClusterSpec(t *testing.T) {
	objects, err := jobtest.Render[*arrayv1.ArrayJob](arrayjob.Controller{}, knownTypes(t), arrayJob(2, "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			t.Fatalf("%T %s", o, o.GetName())
		}
		text := pod.Name
		var textSb120 strings.Builder
		for _, v := range pod.Spec.Containers[0].Env {
			textSb120.WriteString(" " + v.Name + "=" + v.Value)
		}
		text += textSb120.String()
		got = append(got, text)
	}
	want := []string{"job-task-0 TASK_INDEX=0 TASK_COUNT=2 TASK_ARGUMENT=a", "job-task-1 TASK_INDEX=1 TASK_COUNT=2 TASK_ARGUMENT=b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

// TestArguments: a number of arguments that suits no index is the user's mistake.
func TestArguments(t *testing.T) {
	status := run(t, arrayJob(3, "a"), nil)
	if c := status.Condition(commonv1.JobFailed); c == nil || !strings.Contains(c.Message, "set one for each of the 3 indexes, or none") {
		t.Errorf("got %+v", status)
	}
}
