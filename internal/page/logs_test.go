package page_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page"
)

// mpi is an MPIJob a.
func mpi(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	o := object(t, "a", spec, "{conditions: ["+created+"]}")
	o.SetKind("MPIJob")
	return o
}

// named gives a pod the name, the type and the containers of a replica.
func named(name, role string, containers ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Name, p.Labels[commonv1.ReplicaTypeLabel] = name, role
		p.Spec.Containers = nil
		for _, c := range containers {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
		}
	}
}

const launcherAndWorkers = "{mpiReplicaSpecs: {Launcher: {replicas: 1}, Worker: {replicas: 3}}}"

// TestLogPods: logs are offered of the pods that exist, by their own names.
func TestLogPods(t *testing.T) {
	t.Parallel()
	o := mpi(t, launcherAndWorkers)
	launcher := pod(0, 0, corev1.PodRunning, named("a-launcher", "launcher", "mpi"))
	second := pod(2, 0, corev1.PodRunning, func(p *corev1.Pod) { p.Spec.Containers = []corev1.Container{{Name: "mpi"}} })
	first := pod(0, 0, corev1.PodRunning, named("a-worker-0", "worker", "proxy", "mpi"))
	for _, c := range []struct {
		reason string
		pods   []*corev1.Pod
		want   []page.LogPods
	}{
		{"the launcher has no index in its name, and worker 1 has no pod", []*corev1.Pod{second, launcher}, []page.LogPods{
			{Names: []string{"a-launcher", "a-worker-2"}, Containers: []string{"mpi"}},
		}},
		{"pods with other containers are another group", []*corev1.Pod{first, second, launcher}, []page.LogPods{
			{Names: []string{"a-launcher"}, Containers: []string{"mpi"}},
			{Names: []string{"a-worker-0"}, Containers: []string{"mpi", "proxy"}},
			{Names: []string{"a-worker-2"}, Containers: []string{"mpi"}},
		}},
		{"pods that may not be read", nil, []page.LogPods{}},
	} {
		view := page.ViewOf(page.Input{Ref: ref("a"), Job: page.Job{Object: o, Pods: c.pods}, Now: noon()})
		if diff := cmp.Diff(c.want, view.Pods); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

// TestManyLogPods: the list of names is bounded.
func TestManyLogPods(t *testing.T) {
	t.Parallel()
	pods := make([]*corev1.Pod, 2500)
	for i := range pods {
		pods[i] = pod(i, 0, corev1.PodRunning)
	}
	view := page.ViewOf(page.Input{Ref: ref("a"), Now: noon(), Job: page.Job{
		Object: object(t, "a", fmt.Sprintf("{testReplicaSpecs: {Worker: {replicas: %d}}}", len(pods)), "{}"), Pods: pods,
	}})
	if len(view.Pods) != 1 || len(view.Pods[0].Names) != 2000 {
		t.Errorf("want the names of 2000 pods in one group")
	}
}

// TestDetailWithoutPod: a replica without a pod says why there is no log.
func TestDetailWithoutPod(t *testing.T) {
	t.Parallel()
	o := mpi(t, launcherAndWorkers)
	for _, c := range []struct {
		reason, name, noPod string
		pods                []*corev1.Pod
	}{
		{"it has one", "a-launcher", "", []*corev1.Pod{pod(0, 0, corev1.PodRunning, named("a-launcher", "launcher", "mpi"))}},
		{"it has none", "", "It has no pod now, so there is no log.", []*corev1.Pod{}},
		{"pods may not be read", "", "Its pod is not known: pods cannot be read here now, so there is no log.", nil},
	} {
		detail, ok := page.DetailOf(page.Input{Ref: ref("a"), Job: page.Job{Object: o, Pods: c.pods}, Now: noon()}, "Launcher", 0)
		if !ok || detail.Pod != c.name || detail.NoPod != c.noPod {
			t.Errorf("%s: got %+v", c.reason, detail)
		}
	}
}

// TestLogContainer: the API server answers no request for the log of a pod with several containers that names none.
func TestLogContainer(t *testing.T) {
	t.Parallel()
	annotated := func(p *corev1.Pod) { p.Annotations = map[string]string{kinds.DefaultContainer: "second"} }
	for _, c := range []struct {
		reason, kind, spec, query, want string
		containers                      []string
		change                          func(*corev1.Pod)
	}{
		{reason: "the only one", want: "first", containers: []string{"first"}},
		{reason: "the first", want: "first", containers: []string{"first", "second"}},
		{reason: "the one that the pod names", want: "second", containers: []string{"first", "second"}, change: annotated},
		{reason: "a pod that names one that it has not", want: "first", containers: []string{"first", "third"}, change: annotated},
		{reason: "the main one of the kind", kind: "PyTorchJob", want: "pytorch", containers: []string{"first", "second", "pytorch"}, change: annotated},
		{reason: "of a job that names it", kind: "MPIJob", spec: "mainContainer: third, ", want: "third", containers: []string{"first", "mpi", "third"}},
		{reason: "the one that is asked for", kind: "PyTorchJob", query: "?container=first", want: "first", containers: []string{"first", "pytorch"}},
	} {
		s := start(t, true)
		o := object(t, "a", "{"+c.spec+"testReplicaSpecs: {Worker: {replicas: 1}}}", "{}")
		if c.kind != "" {
			o.SetKind(c.kind)
		}
		p := pod(0, 0, corev1.PodRunning, named("a-worker-0", "worker", c.containers...))
		if c.change != nil {
			c.change(p)
		}
		s.jobs.put("a", page.Job{Object: o, Pods: []*corev1.Pod{p}})
		if w := s.ask(t, http.MethodGet, jobA+"/logs/a-worker-0"+c.query, ""); w.Code != http.StatusOK {
			t.Errorf("%s: code %d: %s", c.reason, w.Code, w.Body)
		}
		if len(s.jobs.logged) != 1 || s.jobs.logged[0].Container != c.want {
			t.Errorf("%s: asked for %+v, want the container %s", c.reason, s.jobs.logged, c.want)
		}
	}
}
