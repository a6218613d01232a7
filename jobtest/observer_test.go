package jobtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestObserver has an observer see what becomes of a pod that is made to exit, and a run that
// ends when something has happened.
func TestObserver(t *testing.T) {
	var phases []corev1.PodPhase
	var events []string
	o := Options{Observer: Observer{
		Changed: func(before, after client.Object) {
			pod, ok := after.(*corev1.Pod)
			old, _ := before.(*corev1.Pod)
			if ok && (old == nil || old.Status.Phase != pod.Status.Phase) {
				phases = append(phases, pod.Status.Phase)
			}
		},
		Recorded: func(e Event) { events = append(events, e.Reason) },
	}}
	w, err := NewWorld[*testv1.TestJob](testjob.Controller{}, testScheme, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Client().Create(t.Context(), newJob("a", 1)); err != nil {
		t.Fatal(err)
	}
	pod := types.NamespacedName{Namespace: "default", Name: "a-worker-0"}
	if w.Exit(pod, 1) {
		t.Error("a pod that does not exist cannot exit")
	}
	running := func() bool { return len(phases) > 1 }
	if err := w.RunUntil(t.Context(), time.Hour, running); err != nil || !running() {
		t.Fatalf("the pod should run, got %v, %v", phases, err)
	}
	if since := w.Now().Sub(epoch()); since > time.Minute {
		t.Errorf("the run should end when the pod runs, and went on for %s", since)
	}
	if !w.Exit(pod, 3) {
		t.Error("a pod that runs should exit")
	}
	if err := w.RunFor(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodFailed}, phases); diff != "" {
		t.Errorf("the observer sees each change once, in order (-want +got):\n%s", diff)
	}
	if len(events) != len(w.Events()) || len(events) == 0 {
		t.Errorf("the observer sees all events: got %v, want %d", events, len(w.Events()))
	}
}
