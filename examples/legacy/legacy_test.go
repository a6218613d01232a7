package legacy_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/legacy"
	"github.com/jobkit/jobkit/examples/legacy/old"
	"github.com/jobkit/jobkit/examples/legacy/ported"
	bagv1 "github.com/jobkit/jobkit/examples/legacy/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// controllers are the old one, adapted, and its port.
func controllers() map[string]jobkit.ControllerInterface[*bagv1.BagJob] {
	return map[string]jobkit.ControllerInterface[*bagv1.BagJob]{"Adapted": old.Adapted(), "Ported": ported.Controller{}}
}

// bagJob is a job with a Master and two Workers.
func bagJob() *bagv1.BagJob {
	spec := func(n int32) *commonv1.ReplicaSpec {
		return &commonv1.ReplicaSpec{Replicas: &n, RestartPolicy: commonv1.RestartPolicyExitCode, Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: bagv1.ContainerName, Image: "program"}}},
		}}
	}
	job := &bagv1.BagJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job"}}
	job.Spec.BagReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{bagv1.Master: spec(1), bagv1.Worker: spec(2)}
	return job
}

func knownTypes(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, bagv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return known
}

func TestConformance(t *testing.T) {
	for name, c := range controllers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Suite[*bagv1.BagJob]{Author: c, Job: bagJob(), Scheme: knownTypes(t)}.Run(t)
		})
	}
}

// TestSameObjects: the port creates what the old controller creates, byte for byte.
func TestSameObjects(t *testing.T) {
	objects := map[string][]client.Object{}
	for name, c := range controllers() {
		var err error
		if objects[name], err = jobtest.Render(c, knownTypes(t), bagJob()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(objects["Adapted"], objects["Ported"]); diff != "" || len(objects["Ported"]) != 6 {
		t.Errorf("%d objects (-adapted +ported):\n%s", len(objects["Ported"]), diff)
	}
}

// TestSameLives: both go through the same states, whatever becomes of the pods.
func TestSameLives(t *testing.T) {
	for _, tt := range []struct {
		reason string
		exits  map[string]int32 // of the first attempt, by type
		want   string
	}{
		{"the Master decides", nil, "Succeeded: BagJob job is empty."},
		{"the old code called that a failure; it is a restart", map[string]int32{"master": 137}, "Succeeded: BagJob job is empty."},
		{"a Worker is restarted, too", map[string]int32{"worker": 137}, "Succeeded: BagJob job is empty."},
		{"a failure for good", map[string]int32{"master": 1}, "Failed: BagJob ns/job has failed because 1 Master replica(s) failed. " +
			"First failure: pod job-master-0, exit code 1, restart policy ExitCode."},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			statuses := map[string]commonv1.JobStatus{}
			for name, c := range controllers() {
				statuses[name] = live(t, c, tt.exits)
			}
			if diff := cmp.Diff(statuses["Adapted"], statuses["Ported"]); diff != "" {
				t.Errorf("statuses (-adapted +ported):\n%s", diff)
			}
			status := statuses["Ported"]
			if got := string(status.State) + ": " + status.Condition(status.State).Message; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// live runs the job to its end.
func live(t *testing.T, c jobkit.ControllerInterface[*bagv1.BagJob], exits map[string]int32) commonv1.JobStatus {
	t.Helper()
	world, err := jobtest.NewWorld(c, knownTypes(t), jobtest.Options{Fate: func(pod *corev1.Pod) jobtest.Fate {
		fate := jobtest.Fate{Start: time.Second, Run: time.Minute}
		if code := exits[pod.Labels[commonv1.ReplicaTypeLabel]]; code > 0 && pod.Labels[commonv1.AttemptLabel] == "0" {
			fate.Exits = []int32{code}
		}
		return fate
	}})
	job := bagJob()
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
	return job.Status
}

const page = "../../docs/authors/from-kubeflow-common.md"

// TestPageAnswers: the page says of each of the 18 methods of the predecessor, and of each
// function and method that it exports, where it went.
func TestPageAnswers(t *testing.T) {
	rows := tableRows(t)
	answered := map[string]bool{}
	for _, row := range rows {
		if row[0] == "" || row[1] == "" {
			t.Errorf("a row without an answer: %q", row)
		}
		for _, word := range regexp.MustCompile(`\w+`).FindAllString(strings.Join(regexp.MustCompile("`[^`]+`").FindAllString(row[0], -1), " "), -1) {
			answered[word] = true
		}
	}
	methods := reflect.TypeFor[legacy.ControllerInterface]()
	if methods.NumMethod() != 18 {
		t.Errorf("the predecessor's interface had 18 methods, not %d", methods.NumMethod())
	}
	for method := range methods.Methods() {
		if name := method.Name; !answered[name] {
			t.Errorf("the method %s has no row", name)
		}
	}
	text, err := os.ReadFile("testdata/kubeflow-common-v0.4.7.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(text)) {
		name = strings.TrimSpace(name)
		if strings.HasPrefix(name, "#") || strings.HasPrefix(name, "package ") {
			continue
		}
		of, method, isMethod := strings.Cut(name, ".")
		// What is said of a type other than JobController is said of its methods.
		if !answered[of] && (!isMethod || !answered[method]) || of == "JobController" && !answered[method] {
			t.Errorf("%s has no row", name)
		}
	}
	for _, whole := range []string{"reconciler", "expectation"} {
		if !answered[whole] {
			t.Errorf("package %s has no row", whole)
		}
	}
}

// tableRows are the rows of the tables of the page, their two columns.
func tableRows(t *testing.T) [][2]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][2]string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if strings.HasPrefix(line, "| `") && len(cells) == 2 {
			rows = append(rows, [2]string{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1])})
		} else if strings.HasPrefix(line, "| `") {
			t.Errorf("a row with %d columns: %s", len(cells), line)
		}
	}
	return rows
}
