//go:build integration

package kinds

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"weak"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// departures are the pods that are gone, by namespace, as the operators' cache held them. Of each it is
// the status of a container, which copies of a pod share. What nothing refers to any longer is nil after a
// garbage collection.
type departures struct {
	mu   sync.Mutex
	pods map[string][]weak.Pointer[corev1.ContainerStatus]
}

// note takes a pod that is gone.
func (d *departures) note(o any) {
	pod, ok := o.(*corev1.Pod)
	if !ok || len(pod.Status.ContainerStatuses) == 0 {
		return // A watch that began again shows what it missed in another form.
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pods == nil {
		d.pods = map[string][]weak.Pointer[corev1.ContainerStatus]{}
	}
	d.pods[pod.Namespace] = append(d.pods[pod.Namespace], weak.Make(&pod.Status.ContainerStatuses[0]))
}

// held returns how many pods of a namespace are gone, and how many of them are in memory still.
func (d *departures) held(namespace string) (gone, held int) {
	runtime.GC()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, pod := range d.pods[namespace] {
		gone++
		if pod.Value() != nil {
			held++
		}
	}
	return gone, held
}

// forgotten: when a job and its pods are gone, no controller of any kind keeps them in memory (row 183).
// All kinds run in one process and see the pods of all.
func forgotten(t *testing.T, k *kind) {
	j := submit(t, k, k.manifest(manifest{run: "cleanPodPolicy: None", policy: "Never"}))
	j.awaitAllActive(t)
	all := slices.Collect(maps.Keys(j.pods(t.Context(), t)))
	j.end(t, 0, all...)
	j.await(t, k.isCreated(), j.wasRunning(), j.hasSucceeded())
	if err := cluster.client.Delete(t.Context(), j.shell(), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	j.awaitObjects(t, nil, nil)
	eventually(t, "the pods are forgotten", func(context.Context) string {
		// The last event of a watch stays in the hands of its handlers until the next one comes.
		if gone, held := cluster.departures.held(j.namespace); gone < len(all) || held > 1 {
			return fmt.Sprintf("of %d pods, %d are gone, of which %d are in memory", len(all), gone, held)
		}
		return ""
	})
}
