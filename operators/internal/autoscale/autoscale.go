// Package autoscale gives jobs a HorizontalPodAutoscaler, for kinds whose CRD has the
// scale subresource: the autoscaler changes the number of replicas in the job, and the
// job's controller does the rest.
package autoscale

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
)

// ObjectKinds is what the controller of such a kind returns from its method of the
// same name.
func ObjectKinds() []jobkit.Object { return []jobkit.Object{&autoscalingv2.HorizontalPodAutoscaler{}} }

// Objects returns the autoscaler of a job, which has the job's name, or nothing if
// metrics is nil, or no autoscaler can have the limits. Call it from the method Objects
// of a controller as long as the job has not finished: a finished job is not scaled.
func Objects(kind schema.GroupVersionKind, job string, least, most *int32, metrics []autoscalingv2.MetricSpec) []jobkit.Object {
	if metrics == nil || most == nil || *most < 1 || least != nil && (*least < 1 || *least > *most) {
		return nil
	}
	return []jobkit.Object{&autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: job},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: job,
			},
			MinReplicas: least,
			MaxReplicas: *most,
			Metrics:     metrics,
		},
	}}
}
