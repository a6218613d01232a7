// Package optest holds what the tests of the operators have in common: golden files
// of what a controller creates, and runs of whole jobs in a simulated cluster.
package optest

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/jobtest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata") //nolint:gochecknoglobals // a flag of test binaries

// Scheme knows the kinds of kubeflow.org/v1 and those of Kubernetes.
func Scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), kubeflowv1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	return s
}

// Job reads a job from a manifest.
func Job[J any](tb testing.TB, manifest string) *J {
	tb.Helper()
	job := new(J)
	if err := yaml.UnmarshalStrict([]byte(manifest), job); err != nil {
		tb.Fatalf("the manifest is not a %T: %v\n%s", job, err, manifest)
	}
	return job
}

// Golden compares the objects that a controller creates for each manifest testdata/<case>.yaml
// with testdata/<case>.golden.yaml. author returns the controller for a case. Run
// with -rewrite to write the golden files again; the diff is then the review.
func Golden[T any, J interface {
	*T
	client.Object
}](t *testing.T, author func(name string) jobkit.ControllerInterface[J]) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".golden.yaml") })
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in testdata: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			manifest, err := os.ReadFile(file) //nolint:gosec // a file of testdata
			if err != nil {
				t.Fatal(err)
			}
			objects, err := jobtest.Render(author(name), Scheme(t), J(Job[T](t, string(manifest))))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", name+".golden.yaml"), Text(t, objects))
		})
	}
}

// compare compares a text with a golden file, or writes the file again.
func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden) //nolint:gosec // a file of testdata
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("what the job gets has changed (-want +got); if it is meant to, run go test . -rewrite:\n%s", diff)
	}
}

// Text is objects as YAML documents, without their statuses.
func Text(t *testing.T, objects []client.Object) string {
	t.Helper()
	var out strings.Builder
	for i, o := range objects {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		delete(content, "status")
		text, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			_, _ = out.WriteString("---\n")
		}
		_, _ = out.Write(text)
	}
	return out.String()
}

// Run is a job's life in a simulated cluster.
type Run struct {
	// Reason is why the job ends like that.
	Reason string
	// Job is its manifest.
	Job string
	// Fates are the fates of pods, by name. Others run forever.
	Fates map[string]Fate
	// Conditions are those of the job at the end: "<type> <status> <reason>: <message>".
	Conditions []string
	// Restarts are how many there were.
	Restarts int32
}

// Fate is the fate of each attempt of a pod. Those beyond the list run forever.
type Fate []jobtest.Fate

// Play runs jobs until they come to rest, and compares how they end. The simulated
// cluster checks the library's promises throughout.
func Play[T any, J interface {
	*T
	client.Object
}](t *testing.T, author jobkit.ControllerInterface[J], runs map[string]Run) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		run := runs[name]
		t.Run(name, func(t *testing.T) {
			status, transcript := play(t, run, author, J(Job[T](t, run.Job)))
			var got []string
			for _, c := range status.Conditions {
				got = append(got, fmt.Sprintf("%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message))
			}
			if diff := gocmp.Diff(run.Conditions, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s\n%s", run.Reason, diff, transcript)
			}
			if diff := gocmp.Diff(run.Restarts, status.Restarts); diff != "" {
				t.Errorf("%s: restarts (-want +got):\n%s", run.Reason, diff)
			}
		})
	}
}

// play runs a job, and returns its status at the end and the transcript.
func play[J client.Object](t *testing.T, run Run, author jobkit.ControllerInterface[J], job J) (*commonv1.JobStatus, string) {
	t.Helper()
	world, err := jobtest.NewWorld(author, Scheme(t), jobtest.Options{Fate: run.fate})
	if err != nil {
		t.Fatal(err)
	}
	job.SetNamespace(cmp.Or(job.GetNamespace(), "ns"))
	if err := world.Client().Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if err := world.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := world.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	return author.Parts(job).Status, world.Transcript()
}

// fate finds the fate of a pod.
func (r Run) fate(pod *corev1.Pod) jobtest.Fate {
	attempts := r.Fates[pod.Name]
	for i, f := range attempts {
		if pod.Labels[commonv1.AttemptLabel] == strconv.Itoa(i) {
			return f
		}
	}
	return jobtest.Fate{Forever: true}
}

// Robust runs jobs that the CRD would refuse, and that must fail with a condition
// instead of a panic.
func Robust[T any, J interface {
	*T
	client.Object
}](t *testing.T, author jobkit.ControllerInterface[J], manifests ...string) {
	t.Helper()
	for _, manifest := range append(manifests, `{metadata: {name: job}}`) {
		objects, err := jobtest.Render(author, Scheme(t), J(Job[T](t, manifest)))
		if err == nil || !strings.Contains(err.Error(), "is not valid") {
			t.Errorf("%s: got %d objects and error %v, want an error that says what is not valid", manifest, len(objects), err)
		}
	}
}

// Env is the environment of the first container of a pod of a new job: "<name>=<value>".
func Env[T any, J interface {
	*T
	client.Object
}](t *testing.T, author jobkit.ControllerInterface[J], manifest, pod string) []string {
	t.Helper()
	objects, err := jobtest.Render(author, Scheme(t), J(Job[T](t, manifest)))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range objects {
		if p, ok := o.(*corev1.Pod); ok && p.Name == pod {
			for _, v := range p.Spec.Containers[0].Env {
				out = append(out, v.Name+"="+v.Value)
			}
		}
	}
	return out
}
