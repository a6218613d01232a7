//go:build integration

package page

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// launched is a job whose launcher has no index in its name, and whose pods have two containers.
const launched = `
apiVersion: kubeflow.org/v1
kind: MPIJob
metadata: {name: launched}
spec:
  mpiReplicaSpecs:
    Launcher:
      replicas: 1
      template: {spec: {containers: [{name: proxy, image: example.com/x}, {name: mpi, image: example.com/x}]}}
    Worker:
      replicas: 2
      template: {spec: {containers: [{name: proxy, image: example.com/x}, {name: mpi, image: example.com/x}]}}
`

// TestLogs: logs of pods are shown by the names that they have, of the main container unless another is chosen.
func TestLogs(t *testing.T) {
	job := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(launched), &job.Object); err != nil {
		t.Fatal(err)
	}
	jobs := world.dynamic.Resource(schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "mpijobs"}).Namespace("default")
	if _, err := jobs.Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = jobs.Delete(context.WithoutCancel(t.Context()), "launched", metav1.DeleteOptions{}) })
	ctx := browser(t, 1200, 860)
	const log, selects = `document.querySelector(".log").innerText`, `document.querySelectorAll(".tools select")`
	choose := func(i, value string) action {
		return until(`(() => { const s = ` + selects + `[` + i + `]; s.value = "` + value + `"; s.dispatchEvent(new Event("change")); return s.value === "` + value + `"; })()`)
	}
	run(ctx, t, chromedp.Navigate(world.address(t)), says("launched"), click(`a[href$="/launched"]`), says("2 running"),
		until(`[...`+selects+`[0].options].map((o) => o.value).join() === "launched-launcher,launched-worker-0,launched-worker-1"`),
		press("g"), press("Enter"), says("this is mpi of launched-launcher"), says("2%|## |"), picture(t, "log"),
		choose("1", "proxy"), says("this is proxy of launched-launcher"), choose("0", "launched-worker-1"), says("this is proxy of launched-worker-1"),
		choose("1", "mpi"), says("this is mpi of launched-worker-1"), until(log+`.includes("step 3 of launched-worker-1")`),
	)
}
