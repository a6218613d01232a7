package fakenodes

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestTakesPods(t *testing.T) {
	ready := func(i int) corev1.Node {
		n := node(i, nil)
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		return *n
	}
	tainted := ready(1)
	tainted.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
	for _, tt := range []struct {
		reason string
		nodes  []corev1.Node
		want   bool
	}{
		{"all are ready", []corev1.Node{ready(0), ready(1)}, true},
		{"one is missing", []corev1.Node{ready(0)}, false},
		{"one is not ready", []corev1.Node{ready(0), *node(1, nil)}, false},
		{"one has its first taint still", []corev1.Node{ready(0), tainted}, false},
		{"another node does not stand in", []corev1.Node{ready(0), ready(7)}, false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if got := takesPods(tt.nodes, 2); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestParseResources(t *testing.T) {
	list, err := ParseResources(map[string]string{"cpu": "1500m", "nvidia.com/gpu": "8"})
	if err != nil || list.Cpu().MilliValue() != 1500 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := ParseResources(map[string]string{"cpu": "lots"}); err == nil {
		t.Error("no error for a quantity that is none")
	}
}

// TestDeleteOnlyOwn is about the pod that came after the one to be deleted.
func TestDeleteOnlyOwn(t *testing.T) {
	terminating := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "old", DeletionTimestamp: &metav1.Time{}, Finalizers: []string{"x"}}}
	alive := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "new"}}
	for _, tt := range []struct {
		reason string
		pod    *corev1.Pod
		want   []string // UIDs of the delete requests
	}{
		{"a pod that is being deleted goes, by UID", terminating, []string{"old"}},
		{"a pod that is not stays", alive, nil},
		{"a pod that is gone is not an error", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "n"}}, nil},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			client := fake.NewClientset(tt.pod)
			if err := (ownPodsOnly{client}).CoreV1().Pods("n").Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range client.Actions() {
				if d, ok := a.(clienttesting.DeleteActionImpl); ok {
					got = append(got, string(*d.DeleteOptions.Preconditions.UID))
				}
			}
			if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
				t.Errorf("deleted %v, want %v", got, tt.want)
			}
		})
	}
}
