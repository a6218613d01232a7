//go:build integration

package kinds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// clients does with a job what Kueue, Katib and the SDK do, and reads what they read,
// without our types: Kueue queues it, admits it, evicts it, and admits it again.
func clients(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "suspend: true", life: "stop-delay: 3s"}))
	j.awaitView(t, "it waits in the queue", func(v *view) bool { return v.isTrue("Suspended") && !v.active() })

	// Kueue sets where the pods go when it admits the job.
	j.patch(t, j.podSets("spec: {nodeSelector: {kubernetes.io/os: linux}}, metadata: {labels: {team: vision}}", "false"))
	j.awaitView(t, "its pods are ready, as Kueue sees it", func(v *view) bool { return v.isTrue("Running") && v.active() && !v.isTrue("Suspended") })
	pods, services := k.names(2)
	j.awaitObjects(t, pods, services)
	j.checkClientsPods(t)

	// It needs the room for another job, and gives it away when nothing is active.
	j.patch(t, j.podSets("spec: {nodeSelector: null}, metadata: {labels: null}", "true"))
	j.awaitView(t, "its room is free, as Kueue sees it", func(v *view) bool { return v.isTrue("Suspended") && !v.active() })
	for _, pod := range j.live(t, nil) {
		if pod.Status.Phase == corev1.PodRunning {
			t.Errorf("row 84: the job is not active, and %s runs", pod.Name)
		}
	}

	j.patch(t, j.podSets("metadata: {labels: {team: audio}}", "false"))
	j.awaitAllActive(t)
	for _, pod := range j.live(t, nil) {
		if pod.Spec.NodeSelector != nil || pod.Labels["team"] != "audio" {
			t.Errorf("%s is not as it was admitted: %v, %v", pod.Name, pod.Spec.NodeSelector, pod.Labels)
		}
	}
	j.end(t, 0, k.deciders...)
	v := j.awaitView(t, "it has ended, as Kueue and Katib see it", func(v *view) bool { return v.isTrue("Succeeded") })
	if v.isTrue("Failed") || v.isTrue("Running") || v.isTrue("Suspended") {
		t.Errorf("a job that has succeeded is nothing else: %v", v.conditions())
	}
	if got := v.message("Succeeded"); got != j.in(k.succeeded) {
		t.Errorf("the message that Kueue passes on is %q, want %q", got, j.in(k.succeeded))
	}
}

// podSets is a patch of all pod templates.
func (j *job) podSets(template, suspend string) string {
	specs := make([]string, 0, len(j.types))
	for _, typ := range j.types {
		specs = append(specs, fmt.Sprintf("%s: {template: {%s}}", typ, template))
	}
	return fmt.Sprintf("spec: {runPolicy: {suspend: %s}, %s: {%s}}", suspend, j.field, strings.Join(specs, ", "))
}

// live are the pods that the API server finds by labels.
func (j *job) live(t *testing.T, labels client.MatchingLabels) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := cluster.client.List(t.Context(), &list, client.InNamespace(j.namespace), labels); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// checkClientsPods checks what clients find out about the pods by their labels.
func (j *job) checkClientsPods(t *testing.T) {
	t.Helper()
	// Katib's metrics collector and the SDK's logs want the one pod that stands for the job.
	var masters []string
	for _, pod := range j.live(t, client.MatchingLabels{"training.kubeflow.org/job-name": "job", "training.kubeflow.org/job-role": "master"}) {
		masters = append(masters, pod.Name)
	}
	if !slices.Equal(masters, j.masters) {
		t.Errorf("the pods with job-role=master are %v, want %v", masters, j.masters)
	}
	for _, typ := range j.types {
		// Kueue places the pods of a type by their index.
		pods := j.live(t, client.MatchingLabels{"training.kubeflow.org/job-name": "job", "training.kubeflow.org/replica-type": strings.ToLower(typ)})
		var indexes []string
		for i := range pods {
			indexes = append(indexes, pods[i].Labels["training.kubeflow.org/replica-index"])
			if pods[i].Spec.NodeSelector["kubernetes.io/os"] != "linux" || pods[i].Labels["team"] != "vision" {
				t.Errorf("%s is not as it was admitted: %v, %v", pods[i].Name, pods[i].Spec.NodeSelector, pods[i].Labels)
			}
		}
		slices.Sort(indexes)
		if want := []string{"0", "1"}[:len(j.podsOf(typ))]; !slices.Equal(indexes, want) {
			t.Errorf("the indexes of the pods of %s are %v, want %v", typ, indexes, want)
		}
	}
}

// view is a job as a client without our types sees it.
type view struct{ *unstructured.Unstructured }

// awaitView waits until a client sees something in the job.
func (j *job) awaitView(t *testing.T, what string, seen func(*view) bool) *view {
	t.Helper()
	v := &view{}
	eventually(t, what, func(ctx context.Context) string {
		v.Unstructured = j.object()
		if !get(ctx, t, j.namespace, j.name, v.Unstructured) || !seen(v) {
			return fmt.Sprint(v.Object["status"])
		}
		return ""
	})
	return v
}

func (v *view) conditions() []any {
	list, _, _ := unstructured.NestedSlice(v.Object, "status", "conditions")
	return list
}

// isTrue reports whether some condition of a type is True: the order does not matter to
// Kueue and Katib.
func (v *view) isTrue(typ string) bool {
	return slices.ContainsFunc(v.conditions(), func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == typ && m["status"] == "True"
	})
}

func (v *view) message(typ string) string {
	for _, c := range v.conditions() {
		if m, _ := c.(map[string]any); m["type"] == typ {
			return fmt.Sprint(m["message"])
		}
	}
	return ""
}

// active reports whether some replica counts as active.
func (v *view) active() bool {
	replicas, _, _ := unstructured.NestedMap(v.Object, "status", "replicaStatuses")
	for _, rs := range replicas {
		m, _ := rs.(map[string]any)
		if n, ok := m["active"].(int64); ok && n > 0 {
			return true
		}
	}
	return false
}
