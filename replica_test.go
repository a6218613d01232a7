package jobkit_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

func TestHost(t *testing.T) {
	tests := map[string]struct {
		reason string
		mode   *commonv1.ServiceMode
		want   string
	}{
		"PerReplica": {reason: "the service of the replica has the pod's name", mode: new(commonv1.ServiceModePerReplica), want: "job-worker-0"},
		"PerJob":     {reason: "the pod is a host of the job's service", mode: new(commonv1.ServiceModePerJob), want: "job-worker-0.job"},
		"Default":    {reason: "one service for the job is the library's default", want: "job-worker-0.job"},
		"None":       {reason: "without services the name is all that there is", mode: new(commonv1.ServiceModeNone), want: "job-worker-0"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, jobkit.JobParts{RunPolicy: &commonv1.RunPolicy{ServiceMode: tc.mode}}.Replicas(jobkit.Kind{}, &metav1.ObjectMeta{Name: "job"})("Master", 0, 0).Host("Worker", 0)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPort(t *testing.T) {
	specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Worker": {Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "sidecar", Ports: []corev1.ContainerPort{{Name: "job-port", ContainerPort: 1}}},
		{Name: "main", Ports: []corev1.ContainerPort{{Name: "other", ContainerPort: 2}, {Name: "job-port", ContainerPort: 3}}},
	}}}}}
	specs["Empty"] = nil
	tests := map[string]struct {
		reason          string
		container, port string
		replicas        commonv1.ReplicaType
		want            int32
	}{
		"There":       {reason: "the port of that name, of that container", container: "main", port: "job-port", replicas: "Worker", want: 3},
		"NoPort":      {reason: "without such a port the kind's counts", container: "main", port: "none", replicas: "Worker", want: 9},
		"NoContainer": {reason: "without such a container too", container: "none", port: "job-port", replicas: "Worker", want: 9},
		"NoType":      {reason: "known-bugs row 76: without such replicas too", container: "main", port: "job-port", replicas: "Master", want: 9},
		"Null":        {reason: "and where they are null", container: "main", port: "job-port", replicas: "Empty", want: 9},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			kind := jobkit.Kind{ContainerName: tc.container, PortName: tc.port, PortNumber: 9}
			if diff := cmp.Diff(tc.want, jobkit.JobParts{ReplicaSpecs: specs}.Replicas(kind, &metav1.ObjectMeta{Name: "job"})("Worker", 0, 0).Port(tc.replicas)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCount(t *testing.T) {
	specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		"Master": {}, "Worker": {Replicas: new(int32(3))}, "PS": {Replicas: new(int32(-1))}, "Evaluator": nil,
	}
	tests := map[string]struct {
		reason string
		types  []commonv1.ReplicaType
		want   int32
	}{
		"All":     {reason: "without types all count; nil and negative numbers are none, an absent number is one", want: 4},
		"Some":    {reason: "only the given types count", types: []commonv1.ReplicaType{"Worker"}, want: 3},
		"Several": {reason: "several add up", types: []commonv1.ReplicaType{"Worker", "Master"}, want: 4},
		"Unknown": {reason: "a type that the job does not have has no replicas", types: []commonv1.ReplicaType{"Chief"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, jobkit.Count(specs, tc.types...)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestReplica: a replica answers for itself.
func TestReplica(t *testing.T) {
	kind := jobkit.Kind{Roles: []jobkit.Role{{Type: "Launcher", Max: 1, Unnumbered: true}, {Type: "Worker"}}}
	replica := jobkit.JobParts{ReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		"Launcher": {}, "Worker": {Replicas: new(int32(3))},
	}}.Replicas(kind, &metav1.ObjectMeta{Name: "job"})
	w := replica("Worker", 2, 5)
	if w.Type() != "Worker" || w.Index() != 2 || w.Attempt() != 5 || w.Name() != "job-worker-2" {
		t.Errorf("got %s %d, attempt %d, name %s", w.Type(), w.Index(), w.Attempt(), w.Name())
	}
	if got := w.Host("Launcher", 0); got != "job-launcher.job" {
		t.Errorf("the only replica of an unnumbered role has no index in its name, got %s", got)
	}
	if all, workers := w.Count(), w.Count("Worker"); all != 4 || workers != 3 {
		t.Errorf("the job has 4 replicas, 3 of them Workers, got %d and %d", all, workers)
	}
}

// TestShared: what replicas share is computed once, whoever asks first.
func TestShared(t *testing.T) {
	replica := jobkit.JobParts{}.Replicas(jobkit.Kind{}, &metav1.ObjectMeta{Name: "job"})
	calls := 0
	var group sync.WaitGroup
	for i := range int32(20) {
		group.Go(func() {
			if got := jobkit.Shared(replica("Worker", i, 0), "hosts", func() string { calls++; return "a,b" }); got != "a,b" {
				t.Errorf("got %q", got)
			}
		})
	}
	group.Wait()
	if calls != 1 {
		t.Errorf("computed %d times, want once", calls)
	}
	first := replica("Worker", 0, 0)
	if got := jobkit.Shared(first, "hosts", func() int { return 7 }); got != 7 {
		t.Errorf("a value of another type is another value, got %d", got)
	}
	if got := jobkit.Shared(first, "ports", func() string { return "1" }); got != "1" {
		t.Errorf("a value of another name is another value, got %q", got)
	}
	other := jobkit.JobParts{}.Replicas(jobkit.Kind{}, &metav1.ObjectMeta{Name: "job"})("Worker", 0, 0)
	if got := jobkit.Shared(other, "hosts", func() string { return "c" }); got != "c" {
		t.Errorf("the next reconcile computes again, got %q", got)
	}
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a panic in the computation reaches each replica")
				}
			}()
			jobkit.Shared(first, "broken", func() string { panic("broken") })
		}()
	}
}
