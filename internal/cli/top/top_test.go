package top_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/top"
)

func pod(phase corev1.PodPhase, requests ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: corev1.PodStatus{Phase: phase}}
	for i, text := range requests {
		list := corev1.ResourceList{}
		for part := range strings.SplitSeq(text, " ") {
			name, amount, _ := strings.Cut(part, "=")
			list[corev1.ResourceName(name)] = resource.MustParse(amount)
		}
		c := corev1.Container{Resources: corev1.ResourceRequirements{Requests: list}}
		if i == 0 {
			p.Spec.Containers = append(p.Spec.Containers, c)
		} else {
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		}
	}
	return p
}

func job(name string, pods ...*corev1.Pod) jobs.Found {
	return jobs.Found{Pods: pods, Object: &unstructured.Unstructured{Object: map[string]any{
		"kind": "JAXJob", "metadata": map[string]any{"name": name, "namespace": "n"},
		"spec": map[string]any{"jaxReplicaSpecs": map[string]any{"Worker": map[string]any{"replicas": int64(3)}}},
	}}}
}

func TestTable(t *testing.T) {
	t.Parallel()
	got := "\n" + strings.Join(top.Table(top.Of([]jobs.Found{
		job("small"),
		job("large",
			pod(corev1.PodRunning, "cpu=500m memory=1536Mi nvidia.com/gpu=2"),
			pod(corev1.PodPending, "cpu=2 memory=1Gi", "cpu=4 memory=1Mi"), // the init container needs more CPU for a while
			pod(corev1.PodSucceeded, "cpu=64 memory=1Ti"),                  // what has ended uses nothing
		),
	})), "\n") + "\n"
	want := `
JOB    KIND    STATE      WANTED  PENDING  RUNNING  SUCCEEDED  FAILED   CPU  MEMORY  OTHER
large  JAXJob  Submitted       3        1        1          1       -  4500m   2.5Gi  nvidia.com/gpu=2
small  JAXJob  Submitted       3        -        -          -       -     -       -
total                          6        1        1          1       -  4500m   2.5Gi  nvidia.com/gpu=2
`
	want = strings.NewReplacer("FAILED   CPU", "FAILED    CPU", "  -     -       -", "  -      -       -").Replace(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRequests: what the scheduler reserves counts, and what is not known is not nothing.
func TestRequests(t *testing.T) {
	t.Parallel()
	whole := pod(corev1.PodRunning, "cpu=1 memory=1Gi")
	whole.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8")}}
	hidden := job("hidden")
	hidden.NoPods = errors.New("forbidden")
	var got []string
	for _, j := range []jobs.Found{job("whole", whole), hidden} {
		fields := strings.Fields(top.Table(top.Of([]jobs.Found{j}))[1])
		got = append(got, strings.Join(fields[8:], " "))
	}
	if diff := cmp.Diff([]string{"8 1Gi", "? ?"}, got); diff != "" {
		t.Errorf("requests of the pod as a whole, and of pods that may not be listed (-want +got):\n%s", diff)
	}
}
