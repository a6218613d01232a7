//go:build integration

package gang

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// TestVolcano runs the operator with objects whose Go types are another project's: the
// CRD is installed, its scheduler is not, so the test writes what that would write.
func TestVolcano(t *testing.T) {
	operator := operatorFor(t, "volcano", "tfjob")
	serve(t, &volcanoCRD)
	operator.start(t)
	ctx, said := t.Context(), &operator.said
	ns := namespace(t)
	template := corev1.PodTemplateSpec{Spec: onePod(ns).Spec}
	template.Spec.Containers[0].Name = "tensorflow"
	job := &kubeflowv1.TFJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "train"}}
	job.Spec.TFReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Worker": {Replicas: new(int32(2)), Template: template}}
	create(t, job)
	group := &unstructured.Unstructured{}
	eventually(t, "the group exists", func() string {
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
	quietGroup(t, group)
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

func podGroups() *unstructured.UnstructuredList { return listOf(volcanoCRD.group) }

// pods is how many pods there are.
func pods(t *testing.T, ns string) int {
	t.Helper()
	var list corev1.PodList
	if err := cluster.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}
