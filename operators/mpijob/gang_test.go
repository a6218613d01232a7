package mpijob_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/mpijob"
)

// TestGangResources is row 131 of docs/maintainers/known-bugs.md: what a gang needs counts the init
// container that the operator gives its launcher.
func TestGangResources(t *testing.T) {
	scheduler := schedulers.ByName("coscheduling", schedulers.Options{})
	w, err := jobtest.NewWorld[*kubeflowv1.MPIJob](mpijob.Controller{}, optest.Scheme(t), jobtest.Options{
		Gang: scheduler,
		Fate: func(*corev1.Pod) jobtest.Fate { return jobtest.Fate{Start: time.Second, Run: time.Hour} },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Client().Create(t.Context(), newJob(2)); err != nil {
		t.Fatal(err)
	}
	if err := w.RunFor(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(scheduler.Kinds()[0].GetObjectKind().GroupVersionKind())
	if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "pi-mpijob"}, u); err != nil {
		t.Fatal(err)
	}
	got, _, _ := unstructured.NestedMap(u.Object, "spec", "minResources")
	if diff := cmp.Diff(map[string]any{"cpu": "100m", "memory": "512Mi", "ephemeral-storage": "5Gi"}, got); diff != "" {
		t.Errorf("minResources (-want +got):\n%s", diff)
	}
}
