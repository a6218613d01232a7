package jobtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDisruptedTwice: as UpdatePodCondition of Kubernetes, what disrupts a pod again keeps the time.
func TestDisruptedTwice(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		again  string
		want   corev1.PodCondition
		reason string
	}{
		"the same reason": {
			again:  corev1.PodReasonPreemptionByScheduler,
			want:   corev1.PodCondition{Reason: corev1.PodReasonPreemptionByScheduler, ObservedGeneration: 1},
			reason: "a condition that differs only in its generation is not written",
		},
		"another reason": {
			again:  "DeletionByTaintManager",
			want:   corev1.PodCondition{Reason: "DeletionByTaintManager", ObservedGeneration: 2},
			reason: "it is written, with the generation of now",
		},
		"the eviction API": {
			again:  "EvictionByEvictionAPI",
			want:   corev1.PodCondition{Reason: "EvictionByEvictionAPI"},
			reason: "it records no generation",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
			disrupt(pod, began, corev1.PodReasonPreemptionByScheduler)
			pod.Generation = 2
			disrupt(pod, began.Add(time.Minute), tc.again)
			tc.want.Type, tc.want.Status, tc.want.LastTransitionTime = corev1.DisruptionTarget, corev1.ConditionTrue, metav1.NewTime(began)
			if diff := cmp.Diff([]corev1.PodCondition{tc.want}, pod.Status.Conditions); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
