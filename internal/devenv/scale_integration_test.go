//go:build integration

package devenv_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/util/workqueue"
)

// TestManyPods measures how fast pods are created, run and are deleted, and the cost. It
// fails only if they do not.
func TestManyPods(t *testing.T) {
	const count, writers = 1000, 16
	cluster, client, ns := shared(t)
	t.Logf("idle: %s", cost(cluster.PID()))
	pods := client.CoreV1().Pods(ns)
	// An informer, because listing again and again would cost more than the rest.
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(ns))
	seen := factory.Core().V1().Pods().Informer().GetStore()
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())

	begun := time.Now()
	workqueue.ParallelizeUntil(t.Context(), writers, count, func(i int) {
		if _, err := pods.Create(t.Context(), in(ns, newPod(fmt.Sprintf("p-%d", i), corev1.RestartPolicyNever, nil, nil)), metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
	})
	created := time.Since(begun)
	inPhase := func(want corev1.PodPhase) (n int) {
		for _, p := range seen.List() {
			if p.(*corev1.Pod).Status.Phase == want {
				n++
			}
		}
		return n
	}
	eventually(t, 2*time.Minute, "all pods run", func() bool { return inPhase(corev1.PodRunning) == count })
	running := time.Since(begun)
	t.Logf("%d pods created in %s, running after %s (%.0f a second): %s", count, created.Round(time.Millisecond),
		running.Round(time.Millisecond), count/running.Seconds(), cost(cluster.PID()))

	begun = time.Now()
	if err := pods.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "all pods are gone", func() bool { return len(seen.ListKeys()) == 0 })
	t.Logf("deleted in %s: %s", time.Since(begun).Round(time.Millisecond), cost(cluster.PID()))
}

// cost is the CPU time and the resident memory of a process, where /proc has them.
func cost(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "cost unknown"
	}
	// After the command in parentheses; see proc(5), fields 14, 15 and 24.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	number := func(field int) int {
		n, _ := strconv.Atoi(fields[field-3])
		return n
	}
	const ticks = 100 // a second
	return fmt.Sprintf("%.1f s of CPU so far, %d MiB", float64(number(14)+number(15))/ticks, number(24)*os.Getpagesize()>>20)
}
