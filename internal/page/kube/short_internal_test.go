package kube

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page"
)

// full is a job that has all that the page reads.
const full = `
apiVersion: sim.example.com/v1
kind: SimJob
metadata:
  {name: a, namespace: default, uid: uid-a, resourceVersion: "7", creationTimestamp: "2026-01-02T11:00:00Z",
   annotations: {note: x}, labels: {team: y}, managedFields: [{manager: m}]}
spec:
  mainContainer: sim
  color: blue
  runPolicy:
    {suspend: false, activeDeadlineSeconds: 7200, startDeadlineSeconds: 600, onStartDeadline: RestartJob, ttlSecondsAfterFinished: 60,
     backoffLimit: 3, backoffLimitPerReplica: 2, backoffLimitWindowSeconds: 3600, maxJobRestarts: 4,
     progressPolicy: {stallTimeoutSeconds: 60, startTimeoutSeconds: 600, action: RestartJob},
     avoidNodes: {afterFailures: 1}, podFailurePolicy: {rules: [{action: Ignore}]}}
  cluster:
    simReplicaSpecs:
      Driver: {replicas: 1, template: {metadata: {annotations: {kueue.x-k8s.io/workload: w}}, spec: {containers: [{name: sim}]}}}
      Worker:
        {replicas: 3, restartPolicy: ExitCode, backoffLimit: 2, startAfter: {replicaType: Driver, state: Running},
         template: {metadata: {labels: {x: y}}, spec: {containers: [{name: sim}]}}}
status:
  state: Restarting
  restarts: 2
  attempt: 1
  jobRestarts: 1
  ownField: z
  restartTimes: ["2026-01-02T11:50:00Z"]
  startTime: "2026-01-02T11:01:00Z"
  conditions:
  - {type: Created, status: "True", reason: C, message: c, lastTransitionTime: "2026-01-02T11:00:01Z"}
  - {type: Restarting, status: "True", reason: R, message: r, lastTransitionTime: "2026-01-02T11:50:00Z"}
  replicaStatuses:
    Driver: {active: 1, labelSelector: {matchLabels: {a: b}}, selector: a=b}
    Worker: {active: 1, succeeded: 1, failed: 1, restarts: 2, attempts: {"1": 2}, succeededIndexes: "0", inPlaceRestarts: {"1": {podUID: u, count: 1}}}
  failedNodes: [{name: n, failures: 2, time: "2026-01-02T11:50:00Z"}]
  failures: [{time: "2026-01-02T11:50:00Z", type: Worker, index: 1, attempt: 1, node: n, exitCode: 1}]
  seconds: {running: 100, since: "2026-01-02T11:50:00Z"}
  trainerStatus: {progressPercentage: 10, metrics: [{name: loss, value: "1"}]}
`

// fields are a second job, of a kind whose roles are fields.
const fields = `
apiVersion: sim.example.com/v1
kind: FieldJob
metadata: {name: b, namespace: default, uid: uid-b, deletionTimestamp: "2026-01-02T11:59:00Z", labels: {kueue.x-k8s.io/queue-name: q}}
spec:
  driver: {template: {spec: {containers: [{name: x}]}}}
  workerGroups: [{name: small, replicas: 2, template: {spec: {containers: [{name: x}]}}}]
status: {replicaStatuses: {Driver: {active: 1}, Small: {active: 2}}, completionTime: "2026-01-02T11:58:00Z"}
`

// objects are those of some YAML.
func objects(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		if decoder.Decode(&o.Object) != nil {
			return out
		}
		if o.Object["spec"] != nil {
			data, err := o.MarshalJSON()
			if err != nil || o.UnmarshalJSON(data) != nil { // numbers as a client has them
				t.Fatal(err)
			}
			out = append(out, o)
		}
	}
}

func shorten(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	item, err := shortJob(o.DeepCopy())
	short, ok := item.(*unstructured.Unstructured)
	if err != nil || !ok {
		t.Fatalf("got %v, %v", item, err)
	}
	return short
}

// TestShortJobsAreShownAlike: the page shows the same of what is kept of a job as of the job.
func TestShortJobsAreShownAlike(t *testing.T) {
	t.Parallel()
	all := objects(t, []byte(full+"\n---\n"+fields))
	files, err := filepath.Glob("../../../examples/jobs/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no examples")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects(t, text)...)
	}
	for _, o := range all {
		view := func(o *unstructured.Unstructured) page.View {
			at := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
			pods := []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
				Name: "p", Labels: map[string]string{commonv1.ReplicaTypeLabel: "worker", commonv1.ReplicaIndexLabel: "1"},
			}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}, {Name: "sim"}}}}}
			return page.ViewOf(page.Input{Job: page.Job{Object: o, Pods: pods, Left: leftOf(o)}, Now: at})
		}
		short := shorten(t, o)
		if diff := cmp.Diff(view(o), view(short)); diff != "" {
			t.Errorf("%s %s: what is kept of it is shown differently (-want +got):\n%s", o.GetKind(), o.GetName(), diff)
		}
		if diff := cmp.Diff(short, shorten(t, short)); diff != "" {
			t.Errorf("%s %s: what is short already is changed (-want +got):\n%s", o.GetKind(), o.GetName(), diff)
		}
	}
}

// TestShortJobIsSmall: whatever is in a job, little of it is kept.
func TestShortJobIsSmall(t *testing.T) {
	t.Parallel()
	const large = 200_000
	text, base := strings.Repeat("x", large), objects(t, []byte(full))[0]
	many := func(value any) map[string]any {
		out := map[string]any{}
		for i := range 4000 {
			out[strconv.Itoa(i)] = value
		}
		return out
	}
	for _, c := range []struct {
		reason string
		path   []string
		value  any
		left   string
		most   int
	}{
		{"annotations", []string{"metadata", "annotations"}, map[string]any{"kubectl.kubernetes.io/last-applied-configuration": text}, "", 16 << 10},
		{"labels", []string{"metadata", "labels"}, many("x"), "", 16 << 10},
		{"marks of a queue", []string{"metadata", "labels"}, map[string]any{"kueue.x-k8s.io/queue-name": text}, "", 16 << 10},
		{"owners", []string{"metadata", "ownerReferences"}, []any{map[string]any{"name": text}}, "", 16 << 10},
		{"finalizers", []string{"metadata", "finalizers"}, []any{text}, "", 16 << 10},
		{"a template", []string{"spec", "cluster", "simReplicaSpecs", "Worker", "template", "metadata", "annotations"}, map[string]any{"a": text}, "", 16 << 10},
		{"a claim of a role", []string{"spec", "cluster", "simReplicaSpecs", "Worker", "volumeClaimTemplates"}, []any{text}, "", 16 << 10},
		{"a field of the kind", []string{"spec", "color"}, text, "", 16 << 10},
		{"a rule of the policy", []string{"spec", "runPolicy", "podFailurePolicy"}, text, "", 16 << 10},
		{"a field of the kind's status", []string{"status", "ownField"}, text, "", 16 << 10},
		{"a selector", []string{"status", "replicaStatuses", "Worker", "selector"}, text, "", 16 << 10},
		{"many roles", []string{"spec", "cluster", "simReplicaSpecs"}, many(map[string]any{}), "its specification", 16 << 10},
		{"a limit that is none", []string{"spec", "runPolicy", "avoidNodes"}, many(map[string]any{}), "its specification", 16 << 10},
		{"records", []string{"status", "replicaStatuses", "Worker", "inPlaceRestarts"}, many(map[string]any{"count": int64(1)}), "what its status says of single replicas", 16 << 10},
		{"records that operators write", []string{"status", "replicaStatuses", "Worker", "attempts"}, many(int64(1)), "", maxStatus},
		{"a status", []string{"status", "conditions"}, []any{map[string]any{"message": strings.Repeat(text, 3)}}, "its status", 16 << 10},
	} {
		o := base.DeepCopy()
		if err := unstructured.SetNestedField(o.Object, c.value, c.path...); err != nil {
			t.Fatal(err)
		}
		short := shorten(t, o)
		if got := weight(short.Object); got > c.most {
			t.Errorf("%s: %d bytes are kept, want %d at most", c.reason, got, c.most)
		}
		want := ""
		if c.left != "" {
			want = "too large for this page: " + c.left + "."
		}
		if got := leftOf(short); got != want {
			t.Errorf("%s: it says %q, want %q", c.reason, got, want)
		}
		if diff := cmp.Diff(short, shorten(t, short)); diff != "" {
			t.Errorf("%s: what is short already is changed (-want +got):\n%s", c.reason, diff)
		}
		if next := page.ViewOf(page.Input{Job: page.Job{Object: short, Left: leftOf(short)}}).Head.Next; c.left != "" && !strings.Contains(next[0].Text, c.left) {
			t.Errorf("%s: the page does not say what is left out: %v", c.reason, next)
		}
	}
}

// TestShortPodIsSmall: whatever is in a pod, little of it is kept.
func TestShortPodIsSmall(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "p", Labels: map[string]string{commonv1.AttemptLabel: "1", commonv1.LabelPrefix + "other": "x", "kueue.x-k8s.io/managed": "true"},
		Annotations: map[string]string{"a": "b", kinds.DefaultContainer: "c1"},
	}}
	for i := range 1000 {
		owner := metav1.OwnerReference{Name: fmt.Sprint("o", i), Controller: new(i == 500)}
		pod.OwnerReferences = append(pod.OwnerReferences, owner)
		c := corev1.Container{Name: fmt.Sprint("c", i), Image: "x"}
		pod.Spec.Containers, pod.Spec.InitContainers = append(pod.Spec.Containers, c), append(pod.Spec.InitContainers, c)
		pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: fmt.Sprint("g", i)})
	}
	item, err := shortPod(pod)
	short, ok := item.(*corev1.Pod)
	if err != nil || !ok {
		t.Fatalf("got %v, %v", item, err)
	}
	got := []any{
		slices.Sorted(maps.Keys(short.Labels)), short.Annotations, len(short.OwnerReferences), metav1.GetControllerOf(short).Name,
		len(short.Spec.Containers), len(short.Spec.InitContainers), len(short.Spec.SchedulingGates), short.Spec.Containers[0].Image,
	}
	want := []any{
		[]string{"kueue.x-k8s.io/managed", commonv1.AttemptLabel}, map[string]string{kinds.DefaultContainer: "c1"}, 1, "o500", maxContainers, maxContainers, 1, "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
