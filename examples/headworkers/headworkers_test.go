package headworkers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/headworkers"
	headv1 "github.com/jobkit/jobkit/examples/headworkers/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// story runs a job of a head and two workers in a simulated cluster.
type story struct {
	t     *testing.T
	world *jobtest.World
}

// begin creates the job. Its head is ready five seconds after it runs.
func begin(t *testing.T, fate func(role string, index, attempt string) jobtest.Fate) *story {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, headv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	world, err := jobtest.NewWorld[*headv1.HeadWorkersJob](headworkers.Controller{}, known, jobtest.Options{Fate: func(pod *corev1.Pod) jobtest.Fate {
		f := fate(pod.Labels[commonv1.ReplicaTypeLabel], pod.Labels[commonv1.ReplicaIndexLabel], pod.Labels[commonv1.AttemptLabel])
		f.Start, f.Readiness = time.Second, []time.Duration{5 * time.Second}
		return f
	}})
	if err != nil {
		t.Fatal(err)
	}
	spec := func(n int32) *commonv1.ReplicaSpec {
		return &commonv1.ReplicaSpec{Replicas: &n, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: headv1.ContainerName, Image: "program"}},
		}}}
	}
	job := &headv1.HeadWorkersJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job"}}
	job.Spec.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{headv1.Head: spec(1), headv1.Worker: spec(2)}
	job.Spec.ReplicaSpecs[headv1.Head].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
	if err := world.Client().Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return &story{t: t, world: world}
}

// after lets time pass, and compares the pods that exist, with their attempts.
func (s *story) after(d time.Duration, want ...string) {
	s.t.Helper()
	if err := s.world.RunFor(s.t.Context(), d); err != nil {
		s.t.Fatal(err)
	}
	var pods corev1.PodList
	if err := s.world.Client().List(s.t.Context(), &pods); err != nil {
		s.t.Fatal(err)
	}
	got := []string{}
	for _, p := range pods.Items {
		got = append(got, strings.TrimPrefix(p.Name, "job-")+" "+p.Labels[commonv1.AttemptLabel])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("after %s (-want +got):\n%s\n%s", d, diff, s.world.Transcript())
	}
}

// end runs the job to its end.
func (s *story) end() *commonv1.JobStatus {
	s.t.Helper()
	if err := s.world.Run(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	job := &headv1.HeadWorkersJob{}
	if err := s.world.Client().Get(s.t.Context(), client.ObjectKey{Namespace: "ns", Name: "job"}, job); err != nil {
		s.t.Fatal(err)
	}
	return &job.Status
}

// TestHeadFails: the head goes first, and when it fails everything starts again, with it.
func TestHeadFails(t *testing.T) {
	s := begin(t, func(role, _, attempt string) jobtest.Fate {
		switch {
		case role == "head" && attempt == "0":
			return jobtest.Fate{Run: time.Minute, Exits: []int32{137}}
		case role == "head":
			return jobtest.Fate{Run: time.Hour}
		default:
			return jobtest.Fate{Forever: true}
		}
	})
	s.after(5*time.Second, "head-0 0")
	s.after(5*time.Second, "head-0 0", "worker-0 0", "worker-1 0")
	s.after(54*time.Second, "head-0 1")
	s.after(10*time.Second, "head-0 1", "worker-0 1", "worker-1 1")
	if status := s.end(); status.State != commonv1.JobSucceeded || status.Restarts != 1 || status.Attempt != 1 {
		t.Errorf("the head decides, after one restart of the whole job: %+v", status)
	}
}

// TestWorkerFails: a worker that fails restarts itself, three times.
func TestWorkerFails(t *testing.T) {
	s := begin(t, func(role, index, _ string) jobtest.Fate {
		if role == "worker" && index == "1" {
			return jobtest.Fate{Run: 30 * time.Second, Exits: []int32{137}}
		}
		return jobtest.Fate{Forever: true}
	})
	s.after(20*time.Second, "head-0 0", "worker-0 0", "worker-1 0")
	s.after(25*time.Second, "head-0 0", "worker-0 0", "worker-1 1")
	status := s.end()
	c := status.Condition(commonv1.JobFailed)
	if c == nil || !strings.Contains(c.Message, "Worker has reached its backoff limit: replicaSpecs[Worker].backoffLimit is 3") ||
		status.ReplicaStatuses[headv1.Worker].Restarts != 3 || status.Attempt != 0 {
		t.Errorf("the fourth failure is one too many: %+v", status)
	}
}

// TestDashboard: the service of the Head leads to it, and goes when the job has finished.
func TestDashboard(t *testing.T) {
	s := begin(t, func(role, _, _ string) jobtest.Fate {
		return map[string]jobtest.Fate{"head": {Run: time.Minute}, "worker": {Run: time.Hour}}[role]
	})
	dashboard := func() []string {
		var services corev1.ServiceList
		if err := s.world.Client().List(t.Context(), &services); err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, o := range services.Items {
			if o.Spec.ClusterIP != corev1.ClusterIPNone {
				got = append(got, fmt.Sprint(o.Name, " ", o.Spec.Type, " ", o.Spec.Ports[0].Port, " ", o.Spec.Selector[commonv1.ReplicaTypeLabel]))
			}
		}
		return got
	}
	s.after(20*time.Second, "head-0 0", "worker-0 0", "worker-1 0")
	if diff := cmp.Diff([]string{"job-head-svc ClusterIP 8265 head"}, dashboard()); diff != "" {
		t.Errorf("services of the roles (-want +got):\n%s", diff)
	}
	if s.end(); len(dashboard()) > 0 {
		t.Errorf("the job has finished, but has %v", dashboard())
	}
}

// TestSize: the whole kind, types and main included, has at most 150 lines.
func TestSize(t *testing.T) {
	lines := 0
	for _, pattern := range []string{"*.go", "*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(filepath.Base(name), "zz_") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(string(text), "\n")
		}
	}
	if lines > 150 {
		t.Errorf("it has %d lines", lines)
	}
}
