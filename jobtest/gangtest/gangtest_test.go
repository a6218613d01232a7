package gangtest_test

import (
	"testing"
	"time"

	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/gang/kubernetes"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/jobtest/gangtest"
)

func TestExercise(t *testing.T) {
	backends := map[string]gangtest.Backend{
		"kubernetes": {Refuse: refuseWorkload, Admit: admitWorkload, Says: "3 Insufficient nvidia.com/gpu"},
		"volcano": {
			Admit:  func(o jobkit.Object) { status(o, map[string]any{"phase": "Inqueue"}) },
			Refuse: refuseVolcano, Says: "queue resource quota insufficient",
		},
		"coscheduling": {},
		"my-scheduler": {},
	}
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			b.Scheduler = schedulers.ByName(name, schedulers.Options{})
			gangtest.Exercise(t, b)
		})
	}
	for _, version := range kubernetes.Versions() {
		b := gangtest.Backend{Refuse: refuseUntyped, Admit: admitUntyped, Says: "3 Insufficient nvidia.com/gpu", Fixed: version == "v1alpha2"}
		if version == "v1beta1" {
			b = backends["kubernetes"]
		}
		t.Run("kubernetes/"+version, func(t *testing.T) {
			b.Scheduler = schedulers.ByName("kubernetes", schedulers.Options{Version: version})
			gangtest.Exercise(t, b)
		})
	}
}

// TestGroupThatCannotShrink: with the API of Kubernetes v1.36 a group keeps its size, and
// says so when the job has become smaller.
func TestGroupThatCannotShrink(t *testing.T) {
	for _, tc := range []struct {
		reason, version string
		done            int32
		want            string
	}{
		{"the size is right", "v1alpha2", 0, ""},
		{"it is too large, and stays so", "v1alpha2", 1, "PodGroup job-testjob needs 4 pods, the job has 3 left to schedule, and v1alpha2 of the API does not let a group change: suspend and resume the job"},
		{"it will be fixed", "v1alpha3", 1, ""},
	} {
		s := schedulers.ByName("kubernetes", schedulers.Options{Version: tc.version})
		job := gangtest.Job()
		found := s.Objects(job)
		job.Done = tc.done
		if got := s.State(job, found); got.Why != tc.want || got.Hold {
			t.Errorf("%s: want %q, got %+v", tc.reason, tc.want, got)
		}
	}
}

func refuseUntyped(o jobkit.Object, since time.Time) { initiallyUntyped(o, "False", since) }

func admitUntyped(o jobkit.Object) { initiallyUntyped(o, "True", time.Unix(0, 0)) }

// initiallyUntyped is what the scheduler says, in the words of each version.
func initiallyUntyped(o jobkit.Object, is string, since time.Time) {
	kind := o.GetObjectKind().GroupVersionKind()
	typ := "PodGroupInitiallyScheduled"
	if kind.Version == "v1alpha2" {
		typ = "PodGroupScheduled"
	}
	if kind.Kind == "PodGroup" {
		status(o, map[string]any{"conditions": []any{map[string]any{
			"type": typ, "status": is, "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu",
			"lastTransitionTime": since.UTC().Format(time.RFC3339),
		}}})
	}
}

func status(o jobkit.Object, s map[string]any) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.Object["status"] = s
	}
}

func refuseVolcano(o jobkit.Object, since time.Time) {
	status(o, map[string]any{"phase": "Pending", "conditions": []any{map[string]any{
		"type": "Unschedulable", "status": "True", "reason": "NotEnoughResources",
		"message": "queue resource quota insufficient", "lastTransitionTime": since.Format(time.RFC3339),
	}}})
}

func refuseWorkload(o jobkit.Object, since time.Time) { initially(o, metav1.ConditionFalse, since) }

func admitWorkload(o jobkit.Object) { initially(o, metav1.ConditionTrue, time.Unix(0, 0)) }

func initially(o jobkit.Object, s metav1.ConditionStatus, since time.Time) {
	if g, ok := o.(*schedulingv1beta1.PodGroup); ok {
		g.Status.Conditions = []metav1.Condition{{
			Type: schedulingv1beta1.PodGroupInitiallyScheduled, Status: s, Reason: schedulingv1beta1.PodGroupReasonUnschedulable,
			Message: "0/3 nodes are available: 3 Insufficient nvidia.com/gpu", LastTransitionTime: metav1.NewTime(since),
		}}
	}
}
