package explain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/explain"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

func failed() jobview.Job {
	return jobview.Job{
		Kind: "TestJob", Namespace: "default", Name: "a", Created: noon().Add(-time.Minute),
		Status: commonv1.JobStatus{Conditions: []commonv1.JobCondition{
			{Type: commonv1.JobCreated, Status: corev1.ConditionTrue, Reason: "TestJobCreated", Message: "TestJob a is created."},
			{Type: commonv1.JobFailed, Status: corev1.ConditionTrue, Reason: "TestJobFailed", Message: "It failed,\nbecause."},
		}},
		Replicas: map[commonv1.ReplicaType]int{"Worker": 2},
		Pods:     []jobview.Pod{{Name: "a-worker-0", Phase: corev1.PodFailed}, {Name: "a-worker-1", Phase: corev1.PodPending, Problem: "not scheduled: full"}},
	}
}

func event(name, kind, object, reason string, ago time.Duration) corev1.Event {
	return corev1.Event{
		TypeMeta:       metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: "default"},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: object},
		Type:           "Normal", Reason: reason, Message: "m",
		LastTimestamp: metav1.NewTime(noon().Add(-ago)),
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	many := failed()
	for range 10 {
		many.Pods = append(many.Pods, jobview.Pod{Name: "a-worker-x", Phase: corev1.PodRunning})
	}
	for _, c := range []struct {
		name, reason string
		job          jobview.Job
		events       []corev1.Event
		want         string
	}{
		{
			name: "all", reason: "events come in the order of time, and messages on one line",
			job:    failed(),
			events: []corev1.Event{event("2", "Pod", "a-worker-0", "Second", 3*time.Second), event("1", "TestJob", "a", "First", 90*time.Second)},
			want: `  conditions:
    Created     True    TestJobCreated: TestJob a is created.
    Failed      True    TestJobFailed: It failed, because.
  pods:
    a-worker-0  Failed
    a-worker-1  Pending    not scheduled: full
  last events:
    1m30s ago  Normal   TestJob/a  First: m
      3s ago  Normal   Pod/a-worker-0  Second: m
`,
		},
		{
			name: "nothing", reason: "what is missing is reported, because that is information",
			job: jobview.Job{Name: "a", Pods: []jobview.Pod{}},
			want: `  conditions:
    none: no operator has taken up the job
  pods:
    none
`,
		},
		{
			name: "no pods", reason: "pods that may not be read are not taken for none",
			job: jobview.Job{Name: "a"},
			want: `  conditions:
    none: no operator has taken up the job
  pods:
    not known: they may not be read
`,
		},
		{
			name: "many pods", reason: "a large job does not flood the screen",
			job: many,
			want: `  conditions:
    Created     True    TestJobCreated: TestJob a is created.
    Failed      True    TestJobFailed: It failed, because.
  pods:
    a-worker-0  Failed
    a-worker-1  Pending    not scheduled: full
` + strings.Repeat("    a-worker-x  Running\n", 8) + "    and 2 more\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(explain.Report(c.job, c.events, noon()), "\n") + "\n"
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestJob(t *testing.T) {
	t.Parallel()
	var objects []runtime.Object
	for _, e := range []corev1.Event{
		event("1", "TestJob", "a", "OfTheJob", 50*time.Second),
		event("2", "Pod", "a-worker-0", "OfItsPod", 40*time.Second),
		event("3", "Pod", "ab-worker-0", "OfAnotherJob", 30*time.Second),
		event("4", "OtherJob", "a", "OfAnotherKind", 20*time.Second),
		event("5", "TestJob", "a", "OfAnOlderJobOfTheName", time.Hour),
	} {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&e)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, &unstructured.Unstructured{Object: content})
	}
	events := corev1.SchemeGroupVersion.WithResource("events")
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{events: "EventList"}, objects...)
	job := failed()
	lines := explain.Job(t.Context(), client, job, noon())
	want := []string{"  last events:", "     50s ago  Normal   TestJob/a  OfTheJob: m", "     40s ago  Normal   Pod/a-worker-0  OfItsPod: m"}
	if diff := cmp.Diff(want, lines[len(lines)-3:]); diff != "" {
		t.Errorf("only the events of this job are shown (-want +got):\n%s", diff)
	}
	client.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	lines = explain.Job(t.Context(), client, job, noon())
	if got, want := lines[len(lines)-1], "  events: cannot read the events: forbidden"; got != want {
		t.Errorf("events that may not be read: got %q, want %q", got, want)
	}
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	job := failed()
	job.UID = "job"
	job.Replicas = map[commonv1.ReplicaType]int{"Launcher": 1, "Worker": 2}
	job.Pods = append(job.Pods, jobview.Pod{Name: "a-odd", UID: "pod"})
	job.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{"PS": {}}
	for _, c := range []struct {
		reason, kind, name string
		uid                types.UID
		want               bool
	}{
		{"the job", "TestJob", "a", "job", true},
		{"an older job of the name, deleted in the same second", "TestJob", "a", "older", false},
		{"a job of another kind", "TFJob", "a", "other", false},
		{"its service", "Service", "a", "s", true},
		{"one of its pods, whatever its name is", "Pod", "a-odd", "pod", true},
		{"one that is gone", "Pod", "a-worker-1", "gone", true},
		{"one that has no number", "Pod", "a-launcher", "gone", true},
		{"one of a type that the job does not ask for any more", "Pod", "a-ps-0", "gone", true},
		{"a pod of another job whose name begins so", "Pod", "a-eval-worker-0", "other", false},
		{"and one whose name is that of a type", "Pod", "a-worker-worker-0", "other", false},
		{"a pod of no job", "Pod", "a-worker-x7f2k", "other", false},
		{"the service of a replica", "Service", "a-worker-0", "s", true},
		{"the service of a role", "Service", "a-worker-svc", "s", true},
		{"a pod has no such name", "Pod", "a-worker-svc", "other", false},
		{"another service", "Service", "a-eval-worker-0", "other", false},
		{"another object", "ConfigMap", "a-worker-0", "other", false},
	} {
		e := event("1", c.kind, c.name, "R", time.Second)
		e.InvolvedObject.UID = c.uid
		if got := explain.Concerns(e, job); got != c.want {
			t.Errorf("%s: got %t for %s %s", c.reason, got, c.kind, c.name)
		}
	}
}
