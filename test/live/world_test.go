//go:build live

// Package live runs jobs beside the real Kueue, Volcano and coscheduling plugin. README.md says
// what that needs.
package live

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/devenv"
)

const (
	// patience is how long a test waits for what must happen, on a busy machine.
	patience = 3 * time.Minute
	poll     = 100 * time.Millisecond
	root     = "../.."
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// world is a control plane with the operator and whatever a test adds.
type world struct {
	client           client.WithWatch
	kubeconfig, logs string
}

// start starts the control plane, and the operator with its flags.
func start(t *testing.T, o devenv.Options, flags ...string) *world {
	t.Helper()
	// The CRD of the example is not the operator's.
	files, err := filepath.Glob(filepath.Join(root, "config", "crd", "kubeflow.org_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Base(f) != "kubeflow.org_testjobs.yaml" {
			o.CRDs = append(o.CRDs, f)
		}
	}
	cluster, err := devenv.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{kubeconfig: cluster.Kubeconfig()}
	if w.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme.Scheme}); err != nil {
		t.Fatal(err)
	}
	if w.logs, err = os.MkdirTemp("", "jobkit-live-"); err != nil { //nolint:usetesting // they stay after a failure
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the logs of all programs are in", w.logs)
			return
		}
		_ = os.RemoveAll(w.logs)
	})
	w.run(t, "operator", program{name: "operator", module: root, path: "./cmd/operator", flags: stripped}.build(t), append([]string{
		"--kubeconfig=" + w.kubeconfig, "--metrics-bind-address=0", "--health-probe-bind-address=0",
	}, flags...)...)
	return w
}

// label gives the nodes labels, by their position.
func (w *world) label(t *testing.T, key string, values ...string) {
	t.Helper()
	var nodes corev1.NodeList
	if err := w.client.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != len(values) {
		t.Fatalf("there are %d nodes, want %d", len(nodes.Items), len(values))
	}
	for i := range nodes.Items {
		w.patch(t, &nodes.Items[i], fmt.Sprintf(`{"metadata": {"labels": {%q: %q}}}`, key, values[i]))
	}
}

// namespace makes one for a test.
func (w *world) namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "live-"}}
	w.create(t, ns)
	t.Cleanup(func() {
		if t.Failed() {
			w.report(t, ns.Name)
		}
	})
	return ns.Name
}

func (w *world) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := w.client.Create(t.Context(), o, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatalf("cannot create %T %s: %v", o, o.GetName(), err)
	}
}

// apply creates what a YAML text has.
func (w *world) apply(t *testing.T, text string) {
	t.Helper()
	for _, u := range documents(t, []byte(text)) {
		w.create(t, u)
	}
}

func (w *world) get(t *testing.T, o client.Object) {
	t.Helper()
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
}

func (w *world) remove(t *testing.T, o client.Object) {
	t.Helper()
	if err := w.client.Delete(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// patch merges.
func (w *world) patch(t *testing.T, o client.Object, merge string) {
	t.Helper()
	if err := w.client.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(merge))); err != nil {
		t.Fatal(err)
	}
}

// pods are those of a namespace.
func (w *world) pods(t *testing.T, ns string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := w.client.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// bound is how many pods of a job have a node.
func (w *world) bound(t *testing.T, j *unstructured.Unstructured) int {
	t.Helper()
	n := 0
	for _, p := range w.pods(t, j.GetNamespace()) {
		if p.Labels[commonv1.JobNameLabel] == j.GetName() && p.Spec.NodeName != "" {
			n++
		}
	}
	return n
}

// report logs what is known of a namespace whose test has failed.
func (w *world) report(t *testing.T, ns string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, k := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("kubeflow.org/v1")
		list.SetKind(k.kind + "List")
		_ = w.client.List(ctx, list, client.InNamespace(ns))
		for _, j := range list.Items {
			t.Logf("%s %s: %v", k.kind, j.GetName(), j.Object["status"])
		}
	}
	var pods corev1.PodList
	_ = w.client.List(ctx, &pods, client.InNamespace(ns))
	for _, p := range pods.Items {
		t.Logf("pod %s on %q: %s, gates %v, %v", p.Name, p.Spec.NodeName, p.Status.Phase, p.Spec.SchedulingGates, p.Status.Conditions)
	}
	var events corev1.EventList
	_ = w.client.List(ctx, &events, client.InNamespace(ns))
	for _, e := range events.Items {
		t.Logf("event %s %s: %s %s", e.LastTimestamp.Format(time.TimeOnly), e.InvolvedObject.Name, e.Reason, e.Message)
	}
}

// peak watches how many CPUs the pods of a namespace have that have not ended, until the
// function it returns is called, which says the most that were seen.
func (w *world) peak(t *testing.T, ns string) func() int64 {
	t.Helper()
	return w.watch(t, ns, func(p *corev1.Pod) bool { return len(p.Spec.SchedulingGates) == 0 }) // a gated pod takes nothing yet
}

// watch watches how many CPUs some pods of a namespace have that have not ended, until the
// function it returns is called, which says the most that were seen.
func (w *world) watch(t *testing.T, ns string, counts func(*corev1.Pod) bool) func() int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var most int64
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			var list corev1.PodList
			if w.client.List(ctx, &list, client.InNamespace(ns)) != nil {
				continue
			}
			var now int64
			for i := range list.Items {
				p := &list.Items[i]
				if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed && counts(p) {
					now += p.Spec.Containers[0].Resources.Requests.Cpu().Value()
				}
			}
			most = max(most, now)
			time.Sleep(poll)
		}
	})
	return func() int64 {
		cancel()
		group.Wait()
		return most
	}
}

// kind is a job kind as its manifests spell it.
type kind struct{ kind, field, container string }

var kinds = []kind{
	{"TFJob", "tfReplicaSpecs", "tensorflow"},
	{"PyTorchJob", "pytorchReplicaSpecs", "pytorch"},
	{"XGBoostJob", "xgbReplicaSpecs", "xgboost"},
	{"PaddleJob", "paddleReplicaSpecs", "paddle"},
	{"JAXJob", "jaxReplicaSpecs", "jax"},
	{"MPIJob", "mpiReplicaSpecs", "mpi"},
}

// jobSpec describes a job. Each of its pods wants one CPU, unless cpu says otherwise.
type jobSpec struct {
	kind, name, cpu string
	replicas        map[string]int
	// life are the annotations of the dev control plane, without prefix, by replica type or for all ("").
	life   map[string]map[string]string
	labels map[string]string
	// policy is the run policy, replica what each replica spec has beside, pod what each pod has.
	policy, replica, pod map[string]any
	// meta are labels and annotations of the templates.
	meta map[string]map[string]string
}

func lasts(duration string) map[string]map[string]string {
	return map[string]map[string]string{"": {"run-for": duration}}
}

// job makes the object.
func (s jobSpec) job(ns string) *unstructured.Unstructured {
	var k kind
	for _, k = range kinds {
		if k.kind == s.kind {
			break
		}
	}
	cpu := cmp.Or(s.cpu, "1")
	types := map[string]any{}
	for name, n := range s.replicas {
		annotations := map[string]any{}
		for _, life := range []map[string]string{s.life[""], s.life[name]} {
			for key, value := range life {
				annotations["devcluster.jobkit.dev/"+key] = value
			}
		}
		labels := map[string]any{}
		for key, value := range s.meta["labels"] {
			labels[key] = value
		}
		for key, value := range s.meta["annotations"] {
			annotations[key] = value
		}
		pod := map[string]any{"containers": []any{map[string]any{
			"name": k.container, "image": "busybox", "resources": map[string]any{"requests": map[string]any{"cpu": cpu}},
		}}}
		maps.Copy(pod, s.pod)
		replica := map[string]any{
			"replicas": int64(n), "template": map[string]any{"metadata": map[string]any{"annotations": annotations, "labels": labels}, "spec": pod},
		}
		maps.Copy(replica, s.replica)
		if len(labels) == 0 {
			delete(replica["template"].(map[string]any)["metadata"].(map[string]any), "labels")
		}
		types[name] = replica
	}
	policy := map[string]any{"cleanPodPolicy": "Running"}
	maps.Copy(policy, s.policy)
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(map[string]any{"spec": map[string]any{k.field: types, "runPolicy": policy}})}
	u.SetAPIVersion("kubeflow.org/v1")
	u.SetKind(s.kind)
	u.SetNamespace(ns)
	u.SetName(s.name)
	u.SetLabels(s.labels)
	return u
}

// status reads a job, and returns its status.
func (w *world) status(t *testing.T, j *unstructured.Unstructured) *commonv1.JobStatus {
	t.Helper()
	w.get(t, j)
	var holder struct {
		Status commonv1.JobStatus `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(j.Object, &holder); err != nil {
		t.Fatal(err)
	}
	return &holder.Status
}

// reaches waits until a job is in a state, and fails the test if it ends in another.
func (w *world) reaches(t *testing.T, j *unstructured.Unstructured, want commonv1.JobConditionType) *commonv1.JobStatus {
	t.Helper()
	var s *commonv1.JobStatus
	eventually(t, fmt.Sprintf("%s %s is %s", j.GetKind(), j.GetName(), want), func() error {
		if s = w.status(t, j); s.State != want {
			if s.Finished() {
				t.Fatalf("%s %s has ended: %+v", j.GetKind(), j.GetName(), s.Conditions[len(s.Conditions)-1])
			}
			return fmt.Errorf("it is %q: %+v", s.State, s.Conditions)
		}
		return nil
	})
	return s
}

// says waits until a condition of a job is True with a message that has all parts.
func (w *world) says(t *testing.T, j *unstructured.Unstructured, condition commonv1.JobConditionType, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s says %q", condition, parts), func() error {
		s := w.status(t, j)
		for _, c := range s.Conditions {
			if c.Type != condition || c.Status != corev1.ConditionTrue {
				continue
			}
			for _, p := range parts {
				if !strings.Contains(c.Message, p) {
					return fmt.Errorf("the message is %q", c.Message)
				}
			}
			return nil
		}
		return fmt.Errorf("the conditions are %+v", s.Conditions)
	})
}

// documents are those of a YAML text.
func documents(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: map[string]any{}}
		if err := yaml.Unmarshal(document, &u.Object); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if len(u.Object) > 0 {
			out = append(out, u)
		}
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(poll) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// stays checks that something holds for a while.
func stays(t *testing.T, what string, during time.Duration, check func() error) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(poll) {
		if err := check(); err != nil {
			t.Fatalf("%s: no: %v", what, err)
		}
	}
}
