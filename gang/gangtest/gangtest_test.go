package gangtest_test

import (
	"testing"
	"time"

	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/gangtest"
)

func TestExercise(t *testing.T) {
	backends := map[string]gangtest.Backend{
		"kubernetes": {Refuse: refuseWorkload, Admit: admitWorkload, Says: "3 Insufficient nvidia.com/gpu"},
		"volcano": {
			Admit:  func(o client.Object) { status(o, map[string]any{"phase": "Inqueue"}) },
			Refuse: refuseVolcano, Says: "queue resource quota insufficient",
		},
		"coscheduling": {},
		"my-scheduler": {},
	}
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			b.Scheduler = gang.ByName(name, gang.Options{})
			gangtest.Exercise(t, b)
		})
	}
}

func status(o client.Object, s map[string]any) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.Object["status"] = s
	}
}

func refuseVolcano(o client.Object, since time.Time) {
	status(o, map[string]any{"phase": "Pending", "conditions": []any{map[string]any{
		"type": "Unschedulable", "status": "True", "reason": "NotEnoughResources",
		"message": "queue resource quota insufficient", "lastTransitionTime": since.Format(time.RFC3339),
	}}})
}

func refuseWorkload(o client.Object, since time.Time) { initially(o, metav1.ConditionFalse, since) }

func admitWorkload(o client.Object) { initially(o, metav1.ConditionTrue, time.Unix(0, 0)) }

func initially(o client.Object, s metav1.ConditionStatus, since time.Time) {
	if g, ok := o.(*schedulingv1beta1.PodGroup); ok {
		g.Status.Conditions = []metav1.Condition{{
			Type: schedulingv1beta1.PodGroupInitiallyScheduled, Status: s, Reason: schedulingv1beta1.PodGroupReasonUnschedulable,
			Message: "0/3 nodes are available: 3 Insufficient nvidia.com/gpu", LastTransitionTime: metav1.NewTime(since),
		}}
	}
}
