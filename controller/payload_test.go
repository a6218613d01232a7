package controller_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
)

// cached is what the cache holds of an object.
func cached(t *testing.T, o client.Object) client.Object {
	t.Helper()
	var transform toolscache.TransformFunc
	for of, by := range controller.CacheOptions(&corev1.ConfigMap{}, &unstructured.Unstructured{}).ByObject {
		if reflect.TypeOf(of) == reflect.TypeOf(o) {
			transform = by.Transform
		}
	}
	out, err := transform(o)
	if err != nil {
		t.Fatal(err)
	}
	held, ok := out.(client.Object)
	if !ok {
		t.Fatalf("the cache holds a %T", out)
	}
	return held
}

// TestCacheHoldsNoPayload: known-bugs row 107. Whoever may create an object may give it the
// operator's label, so what the cache holds of it is small, whatever it holds.
func TestCacheHoldsNoPayload(t *testing.T) {
	long := strings.Repeat("x", 900<<10)
	meta := func(change func(*metav1.ObjectMeta)) metav1.ObjectMeta {
		m := metav1.ObjectMeta{
			Namespace: "ns", Name: "foreign", UID: "u", ResourceVersion: "7",
			Labels: map[string]string{commonv1.OperatorNameLabel: "mpijob-controller", commonv1.JobNameLabel: "j"},
		}
		change(&m)
		return m
	}
	nothing := func(*metav1.ObjectMeta) {}
	finalizers := func(m *metav1.ObjectMeta) {
		m.Finalizers = strings.Split(strings.Repeat("example.com/f ", 10_000), " ")
	}
	owners := func(m *metav1.ObjectMeta) { m.OwnerReferences = make([]metav1.OwnerReference, 10_000) }
	gates := make([]corev1.PodSchedulingGate, 10_000)
	for name, tc := range map[string]struct {
		reason string
		object client.Object
	}{
		"Data":       {"the data of a ConfigMap", &corev1.ConfigMap{ObjectMeta: meta(nothing), Data: map[string]string{"k": long}}},
		"BinaryData": {"its binary data", &corev1.ConfigMap{ObjectMeta: meta(nothing), BinaryData: map[string][]byte{"k": []byte(long)}}},
		"Annotations": {"annotations", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{"a": long}
		})}},
		"Labels": {"many labels", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			for i := range 10_000 {
				m.Labels[fmt.Sprintf("%slabel-%d", commonv1.LabelPrefix, i)] = "x"
			}
		})}},
		"Owners": {"many owners", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.OwnerReferences = make([]metav1.OwnerReference, 10_000)
		})}},
		"Finalizers": {"many finalizers", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Finalizers = strings.Split(strings.Repeat("example.com/f ", 10_000), " ")
		})}},
		"Untyped": {"an object without a Go type", &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Group", "spec": map[string]any{"k": long},
			"metadata": map[string]any{"namespace": "ns", "name": "foreign", "uid": "u", "resourceVersion": "7"},
		}}},
		"Pod": {"a pod with large annotations and many labels", &corev1.Pod{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{"a": long}
			for i := range 10_000 {
				m.Labels[fmt.Sprintf("label-%d", i)] = "x"
			}
		})}},
		"PodFinalizers":     {"a pod with many finalizers", &corev1.Pod{ObjectMeta: meta(finalizers)}},
		"PodOwners":         {"a pod with many owners", &corev1.Pod{ObjectMeta: meta(owners)}},
		"PodGates":          {"a pod with many scheduling gates", &corev1.Pod{ObjectMeta: meta(nothing), Spec: corev1.PodSpec{SchedulingGates: gates}}},
		"ServiceFinalizers": {"a service with many finalizers", &corev1.Service{ObjectMeta: meta(finalizers)}},
		"ServiceOwners":     {"a service with many owners", &corev1.Service{ObjectMeta: meta(owners)}},
		"ServiceAddresses": {"a service with many addresses", &corev1.Service{
			ObjectMeta: meta(nothing), Spec: corev1.ServiceSpec{ExternalIPs: strings.Split(strings.Repeat("192.0.2.1 ", 10_000), " ")},
		}},
		"ServiceSelector": {"a service with a large selector", &corev1.Service{
			ObjectMeta: meta(nothing), Spec: corev1.ServiceSpec{Selector: map[string]string{"a": long}},
		}},
		"PodOwnKey": {"a pod with a large annotation of a label's name", &corev1.Pod{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{commonv1.JobNameLabel: long}
		})}},
		"Service": {"a service with large annotations", &corev1.Service{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{"a": long}
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			held := cached(t, tc.object)
			data, err := json.Marshal(held)
			if err != nil {
				t.Fatal(err)
			}
			if len(data) > 1024 {
				t.Errorf("%s: the cache holds %d bytes: %.300s", tc.reason, len(data), data)
			}
			if held.GetName() != "foreign" || held.GetUID() != "u" || held.GetResourceVersion() != "7" {
				t.Errorf("%s: the cache does not know the object again: %.300s", tc.reason, data)
			}
		})
	}
}

// TestCacheHoldsWhatIsRead: of pods with many labels and large annotations the cache holds those that the
// library and gang schedulers read.
func TestCacheHoldsWhatIsRead(t *testing.T) {
	want := map[string]string{
		commonv1.OperatorNameLabel: "o", commonv1.JobNameLabel: "j", commonv1.ReplicaTypeLabel: "worker", commonv1.ReplicaIndexLabel: "0",
		commonv1.JobRoleLabel: "master", commonv1.AttemptLabel: "3", commonv1.PodGroupLabel: "j", "scheduling.x-k8s.io/pod-group": "j",
	}
	labels := maps.Clone(want)
	for i := range 200 {
		labels[fmt.Sprintf("example.com/label-%d", i)] = strings.Repeat("x", 60)
	}
	marks := map[string]string{"scheduling.k8s.io/group-name": "j", "volcano.sh/task-spec": "worker"}
	annotations := maps.Clone(marks)
	annotations["example.com/large"] = strings.Repeat("x", 200<<10)
	held := cached(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "j-worker-0", Labels: labels, Annotations: annotations}})
	for key, value := range want {
		if got := held.GetLabels()[key]; got != value {
			t.Errorf("the label %s is %q, want %q", key, got, value)
		}
	}
	if diff := cmp.Diff(marks, held.GetAnnotations()); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// TestCacheHoldsSmallObjects: a small object is held whole. A digest that another client has
// written into it is not taken for the cache's.
func TestCacheHoldsSmallObjects(t *testing.T) {
	held, ok := cached(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "c", Annotations: map[string]string{"training.kubeflow.org/content-digest": "abc", "a": "b"}},
		Data:       map[string]string{"k": "v"},
	}).(*corev1.ConfigMap)
	if !ok || held.Data["k"] != "v" || held.Annotations["a"] != "b" || held.Annotations["training.kubeflow.org/content-digest"] != "" {
		t.Errorf("the cache holds %+v", held)
	}
}

// TestDigest: the digest of a large object changes with what it says, and with nothing else.
func TestDigest(t *testing.T) {
	large := func(change func(*unstructured.Unstructured)) string {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Group", "spec": map[string]any{"k": strings.Repeat("x", 10_000)},
			"metadata": map[string]any{"namespace": "ns", "name": "g"},
		}}
		change(u)
		return cached(t, u).GetAnnotations()["training.kubeflow.org/content-digest"]
	}
	was := large(func(*unstructured.Unstructured) {})
	if was == "" {
		t.Fatal("a large object has no digest")
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*unstructured.Unstructured)
		same   bool
	}{
		"Status": {"a status that changes all the time is no reason to read", func(u *unstructured.Unstructured) {
			u.Object["status"] = map[string]any{"replicas": int64(3)}
		}, true},
		"Version":    {"nor is the version", func(u *unstructured.Unstructured) { u.SetResourceVersion("8") }, true},
		"Content":    {"what it says is", func(u *unstructured.Unstructured) { u.Object["spec"].(map[string]any)["k2"] = "y" }, false},
		"Label":      {"and so are labels", func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"a": "b"}) }, false},
		"Annotation": {"and annotations", func(u *unstructured.Unstructured) { u.SetAnnotations(map[string]string{"a": "b"}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := large(tc.change) == was; same != tc.same {
				t.Errorf("%s: the digest is the same: %t", tc.reason, same)
			}
		})
	}
}
