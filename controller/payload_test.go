package controller_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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

// ofAJob is the owner of an object that may be a job's.
func ofAJob() []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "kubeflow.org/v1", Kind: "MPIJob", Name: "j", UID: "job-uid", Controller: new(true)}}
}

// aContainer is what each pod has at least: the API server takes none without.
func aContainer() []corev1.Container { return []corev1.Container{{Name: "main"}} }

// TestCacheHoldsNoPayload: known-bugs row 107. Any client that may create an object may give it the
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
		most   int // bytes, if that is more than 1024
	}{
		"Data":       {"the data of a ConfigMap", &corev1.ConfigMap{ObjectMeta: meta(nothing), Data: map[string]string{"k": long}}, 0},
		"BinaryData": {"its binary data", &corev1.ConfigMap{ObjectMeta: meta(nothing), BinaryData: map[string][]byte{"k": []byte(long)}}, 0},
		"Annotations": {"annotations", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{"a": long}
		})}, 0},
		"Labels": {"many labels", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			for i := range 10_000 {
				m.Labels[fmt.Sprintf("%slabel-%d", commonv1.LabelPrefix, i)] = "x"
			}
		})}, 0},
		"Owners": {"many owners", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.OwnerReferences = make([]metav1.OwnerReference, 10_000)
		})}, 0},
		"Finalizers": {"many finalizers", &corev1.ConfigMap{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Finalizers = strings.Split(strings.Repeat("example.com/f ", 10_000), " ")
		})}, 0},
		"Untyped": {"an object without a Go type", &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Group", "spec": map[string]any{"k": long},
			"metadata": map[string]any{"namespace": "ns", "name": "foreign", "uid": "u", "resourceVersion": "7"},
		}}, 0},
		"Pod": {"a pod with large annotations and many labels", &corev1.Pod{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{"a": long}
			for i := range 10_000 {
				m.Labels[fmt.Sprintf("label-%d", i)] = "x"
			}
		})}, 0},
		"PodFinalizers":     {"a pod with many finalizers", &corev1.Pod{ObjectMeta: meta(finalizers)}, 0},
		"PodOwners":         {"a pod with many owners", &corev1.Pod{ObjectMeta: meta(owners)}, 0},
		"PodGates":          {"a pod with many scheduling gates", &corev1.Pod{ObjectMeta: meta(nothing), Spec: corev1.PodSpec{SchedulingGates: gates}}, 0},
		"ServiceFinalizers": {"a service with many finalizers", &corev1.Service{ObjectMeta: meta(finalizers)}, 0},
		"ServiceOwners":     {"a service with many owners", &corev1.Service{ObjectMeta: meta(owners)}, 0},
		"ServiceAddresses": {"a service with many addresses", &corev1.Service{
			ObjectMeta: meta(nothing), Spec: corev1.ServiceSpec{ExternalIPs: strings.Split(strings.Repeat("192.0.2.1 ", 10_000), " ")},
		}, 0},
		"ServiceSelector": {"a service with a large selector", &corev1.Service{
			ObjectMeta: meta(nothing), Spec: corev1.ServiceSpec{Selector: map[string]string{"a": long}},
		}, 0},
		"PodOwnKey": {"a pod with a large annotation of a label's name", &corev1.Pod{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{commonv1.JobNameLabel: long}
		})}, 0},
		"PodTexts": {"a pod with long texts in its status", &corev1.Pod{ObjectMeta: meta(nothing), Status: corev1.PodStatus{
			Reason: long, Message: long, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Reason: long, Message: long}},
			ContainerStatuses: []corev1.ContainerStatus{{RestartCount: 1, State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: long, Message: long},
			}, LastTerminationState: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: long, Message: long},
			}}},
			InitContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: long, Message: long}}}},
		}}, 7 << 10},
		"PodMessages": {"a pod with many messages", &corev1.Pod{ObjectMeta: meta(nothing), Status: corev1.PodStatus{
			Conditions: slices.Repeat([]corev1.PodCondition{{Type: "t", Message: strings.Repeat("x", 1<<10)}}, 1000),
			ContainerStatuses: slices.Repeat([]corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: strings.Repeat("x", 200)},
			}}}, 1000),
		}}, 20 << 10},
		"PodSidecars": {"a pod with many native sidecars", &corev1.Pod{
			ObjectMeta: meta(nothing),
			Spec:       corev1.PodSpec{InitContainers: slices.Repeat([]corev1.Container{{Name: "c", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}, 10_000)},
			Status:     corev1.PodStatus{InitContainerStatuses: slices.Repeat([]corev1.ContainerStatus{{Name: "c"}}, 10_000)},
		}, 0},
		"PodContainers": {"a pod with many containers", &corev1.Pod{ObjectMeta: meta(nothing), Status: corev1.PodStatus{
			ContainerStatuses:     slices.Repeat([]corev1.ContainerStatus{{Name: strings.Repeat("c", 63)}}, 10_000),
			InitContainerStatuses: slices.Repeat([]corev1.ContainerStatus{{Name: strings.Repeat("i", 63)}}, 10_000),
		}}, 16 << 10},
		"ServicePorts": {"a service with many ports", &corev1.Service{ObjectMeta: meta(nothing), Spec: corev1.ServiceSpec{
			Ports: slices.Repeat([]corev1.ServicePort{{Name: "port", AppProtocol: new(strings.Repeat("x", 300)), NodePort: 30_000}}, 10_000),
		}}, 2 << 10},
		"Service": {"a service with large annotations", &corev1.Service{ObjectMeta: meta(func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{"a": long}
		})}, 0},
	} {
		for _, owner := range []string{"", "OfAJob"} {
			t.Run(name+owner, func(t *testing.T) {
				object, ok := tc.object.DeepCopyObject().(client.Object)
				if !ok {
					t.Fatal("no object")
				}
				if pod, ok := object.(*corev1.Pod); ok {
					pod.Spec.Containers = aContainer()
				}
				if owner != "" {
					object.SetOwnerReferences(append(object.GetOwnerReferences(), ofAJob()...))
				}
				held := cached(t, object)
				data, err := json.Marshal(held)
				if err != nil {
					t.Fatal(err)
				}
				if len(data) > max(1024, tc.most) {
					t.Errorf("%s: the cache holds %d bytes: %.300s", tc.reason, len(data), data)
				}
				if held.GetName() != "foreign" || held.GetUID() != "u" || held.GetResourceVersion() != "7" {
					t.Errorf("%s: the cache does not recognize the object: %.300s", tc.reason, data)
				}
				if again := cached(t, held); !equality.Semantic.DeepEqual(held, again) {
					t.Errorf("%s: what is short already stays as it is:\n%s", tc.reason, cmp.Diff(held, again))
				}
			})
		}
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
	held := cached(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "j-worker-0", Labels: labels, Annotations: annotations, OwnerReferences: ofAJob()},
		Spec:       corev1.PodSpec{Containers: aContainer()},
	})
	for key, value := range want {
		if got := held.GetLabels()[key]; got != value {
			t.Errorf("the label %s is %q, want %q", key, got, value)
		}
	}
	if diff := cmp.Diff(marks, held.GetAnnotations()); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// TestCacheHoldsSmallObjects: a small object of a job is held whole. A digest that another client has
// written into it is not taken for the cache's.
func TestCacheHoldsSmallObjects(t *testing.T) {
	held, ok := cached(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: "c", Annotations: map[string]string{"training.kubeflow.org/content-digest": "abc", "a": "b"}, OwnerReferences: ofAJob(),
		},
		Data: map[string]string{"k": "v"},
	}).(*corev1.ConfigMap)
	if !ok || held.Data["k"] != "v" || held.Annotations["a"] != "b" || held.SelfLink != "" { //nolint:staticcheck // the cache keeps the digest there
		t.Errorf("the cache holds %+v", held)
	}
}

// TestCacheHoldsLittleOfForeign: of what has the operator's label and no controller, and so is no job's, the
// cache holds which object it is, and no more, however small it is.
func TestCacheHoldsLittleOfForeign(t *testing.T) {
	some := strings.Repeat("x", 3<<10)
	meta := metav1.ObjectMeta{
		Namespace: "ns", Name: "foreign", UID: "u", ResourceVersion: "7", Finalizers: []string{"example.com/f"},
		Labels: map[string]string{commonv1.OperatorNameLabel: "o", "more": "x"}, Annotations: map[string]string{"a": "b"},
	}
	for name, tc := range map[string]struct {
		reason string
		object client.Object
	}{
		"Object": {"the data of an object", &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"k": some}}},
		"Pod": {"the status of a pod", &corev1.Pod{
			ObjectMeta: meta, Spec: corev1.PodSpec{Containers: aContainer()}, Status: corev1.PodStatus{Phase: corev1.PodRunning, Message: some},
		}},
		"Service": {"the selector of a service", &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: map[string]string{"k": some}}}},
	} {
		t.Run(name, func(t *testing.T) {
			held := cached(t, tc.object)
			want := metav1.ObjectMeta{
				Namespace: "ns", Name: "foreign", UID: "u", ResourceVersion: "7", Labels: map[string]string{commonv1.OperatorNameLabel: "o"},
				SelfLink: held.GetSelfLink(), //nolint:staticcheck // the cache keeps the digest there
			}
			data, err := json.Marshal(held)
			if err != nil {
				t.Fatal(err)
			}
			got, err := metadataOf(held)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" || len(data) > 1024 {
				t.Errorf("%s is not held (-want +got):\n%s\n%d bytes", tc.reason, diff, len(data))
			}
		})
	}
}

// metadataOf is the metadata of an object.
func metadataOf(o client.Object) (metav1.ObjectMeta, error) {
	var out metav1.PartialObjectMetadata
	data, err := json.Marshal(o)
	if err != nil {
		return out.ObjectMeta, err
	}
	err = json.Unmarshal(data, &out)
	return out.ObjectMeta, err
}

// TestDigest: the digest of a large object changes with what it says, and with nothing else.
func TestDigest(t *testing.T) {
	large := func(change func(*unstructured.Unstructured)) string {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Group", "spec": map[string]any{"k": strings.Repeat("x", 10_000)},
			"metadata": map[string]any{"namespace": "ns", "name": "g"},
		}}
		change(u)
		return cached(t, u).GetSelfLink()
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
