package autoscale_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/operators/internal/autoscale"
)

func TestObjects(t *testing.T) {
	metrics := []autoscalingv2.MetricSpec{{Type: autoscalingv2.PodsMetricSourceType}}
	hpa := func(least *int32, metrics []autoscalingv2.MetricSpec) []jobkit.Object {
		return []jobkit.Object{&autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Name: "train"},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "group/v1", Kind: "Job", Name: "train"},
				MinReplicas:    least, MaxReplicas: 4, Metrics: metrics,
			},
		}}
	}
	tests := map[string]struct {
		reason      string
		least, most *int32
		metrics     []autoscalingv2.MetricSpec
		want        []jobkit.Object
	}{
		"Metrics":   {reason: "the autoscaler has the job's name, limits and metrics", least: new(int32(2)), most: new(int32(4)), metrics: metrics, want: hpa(new(int32(2)), metrics)},
		"Empty":     {reason: "an empty list, which is not nil, leaves the metrics to Kubernetes", most: new(int32(4)), metrics: metrics[:0], want: hpa(nil, metrics[:0])},
		"NoMetrics": {reason: "without metrics there is no autoscaler", least: new(int32(2)), most: new(int32(4))},
		"Crossed":   {reason: "the API server refuses one whose minimum is above its maximum", least: new(int32(5)), most: new(int32(4)), metrics: metrics},
		"NoMinimum": {reason: "and one of 0, which a job of v1 may have", least: new(int32(0)), most: new(int32(4)), metrics: metrics},
		"NoneAtAll": {reason: "at most 0 are none to scale", most: new(int32(0)), metrics: metrics},
		"NoMaximum": {reason: "without a maximum, which the API requires, there is none either", least: new(int32(2)), metrics: metrics},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := autoscale.Objects(schema.GroupVersionKind{Group: "group", Version: "v1", Kind: "Job"}, "train", tc.least, tc.most, tc.metrics)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
