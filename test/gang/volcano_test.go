//go:build integration

package gang

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// TestVolcano runs the operator with objects whose Go types are another project's: the
// CRD is there, its scheduler is not, so the test says what that would say.
func TestVolcano(t *testing.T) {
	flags := []string{
		"--kubeconfig=" + kubeconfig, "--kinds=tfjob", "--gang-scheduler-name=volcano",
		"--metrics-bind-address=0", "--health-probe-bind-address=0",
	}
	binary := filepath.Join(t.TempDir(), "operator")
	build := exec.CommandContext(t.Context(), "go", "build", "-race", "-o", binary, "../../cmd/operator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the operator: %v\n%s", err, out)
	}
	// A process of its own: the loggers of the Kubernetes libraries are global.
	var said log
	operate := func(ctx context.Context) int {
		process := exec.CommandContext(ctx, binary, flags...)
		process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
		process.Stdout, process.Stderr = &said, &said
		_ = process.Run() // The exit code says it.
		return process.ProcessState.ExitCode()
	}
	if code := operate(t.Context()); code != 1 ||
		!strings.Contains(said.String(), "--gang-scheduler-name is volcano, but the cluster does not serve its objects") {
		t.Errorf("without the CRD the operator ends, and says why; got code %d and\n%s", code, said.String())
	}
	create(t, crd())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	eventually(t, "the CRD is served", func() string {
		if err := cluster.List(ctx, podGroups()); err != nil {
			return err.Error()
		}
		return ""
	})
	go func() { ended <- operate(ctx) }()
	defer func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("the operator ended with %d:\n%s", code, said.String())
		}
	}()
	ns := namespace(t)
	template := corev1.PodTemplateSpec{Spec: onePod(ns).Spec}
	template.Spec.Containers[0].Name = "tensorflow"
	job := &kubeflowv1.TFJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "train"}}
	job.Spec.TFReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Worker": {Replicas: new(int32(2)), Template: template}}
	create(t, job)
	group := &unstructured.Unstructured{}
	eventually(t, "the group is there", func() string {
		list := podGroups()
		if err := cluster.List(ctx, list, client.InNamespace(ns)); err != nil || len(list.Items) != 1 {
			return "none yet\n" + said.String()
		}
		group = &list.Items[0]
		return ""
	})
	if n, _, _ := unstructured.NestedInt64(group.Object, "spec", "minMember"); n != 2 || pods(t, ns) != 0 {
		t.Errorf("want a group of two and no pods, got %v and %d pods", group.Object["spec"], pods(t, ns))
	}
	admitted := []byte(`{"status":{"phase":"Inqueue"}}`)
	if err := cluster.Patch(ctx, group, client.RawPatch(types.MergePatchType, admitted)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pods of an admitted group are created", func() string { return expect(pods(t, ns), 2) })
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"runPolicy": map[string]any{"suspend": true}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Patch(ctx, job, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the group of a suspended job goes", func() string {
		list := podGroups()
		if err := cluster.List(ctx, list, client.InNamespace(ns)); err != nil {
			return err.Error()
		}
		return expect(len(list.Items)+pods(t, ns), 0)
	})
}

// log is what the operator writes, from several goroutines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func podGroups() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "scheduling.volcano.sh", Version: "v1beta1", Kind: "PodGroupList"})
	return list
}

// crd is a definition of Volcano's PodGroup that takes any field.
func crd() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "podgroups.scheduling.volcano.sh"},
		"spec": map[string]any{
			"group": "scheduling.volcano.sh", "scope": "Namespaced",
			"names": map[string]any{"kind": "PodGroup", "listKind": "PodGroupList", "plural": "podgroups", "singular": "podgroup"},
			"versions": []any{map[string]any{
				"name": "v1beta1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
}

// pods is how many pods there are.
func pods(t *testing.T, ns string) int {
	t.Helper()
	var list corev1.PodList
	if err := cluster.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}
