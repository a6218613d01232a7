//go:build integration

package integration

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// patience is how long a test waits for what must happen. It is generous because
// the machine may be busy; nothing waits longer than it must.
const patience = 3 * time.Minute

func containsRace(log []byte) bool { return bytes.Contains(log, []byte("DATA RACE")) }

// replicas is a replica spec whose pods live as the annotations say (see
// devcluster/README.md): without any they run forever.
func replicas(n int32, life ...string) *commonv1.ReplicaSpec {
	annotations := map[string]string{}
	for i := 0; i+1 < len(life); i += 2 {
		annotations["devcluster.jobkit.dev/"+life[i]] = life[i+1]
	}
	return &commonv1.ReplicaSpec{Replicas: &n, Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "busybox"}}},
	}}
}

// newJob is a TestJob with a master, unless it is nil, and workers.
func newJob(ns, name string, master, worker *commonv1.ReplicaSpec) *testv1.TestJob {
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
	if master != nil {
		job.Spec.TestReplicaSpecs[testv1.Master] = master
	}
	if worker != nil {
		job.Spec.TestReplicaSpecs[testv1.Worker] = worker
	}
	return job
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := cluster.client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// update changes a job on the API server, again if someone else was faster.
func update(t *testing.T, job *testv1.TestJob, change func(*testv1.TestJob)) {
	t.Helper()
	eventually(t, "the job can be changed", func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err.Error()
		}
		change(job)
		if err := cluster.client.Update(ctx, job); err != nil {
			return err.Error()
		}
		return ""
	})
}

// eventually waits until a check returns "", and fails with what it said last.
func eventually(t *testing.T, what string, check func(context.Context) string) {
	t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		// What is said after the time is up is only that it is up.
		if said := check(ctx); ctx.Err() == nil || said == "" {
			last = said
		}
		return last == "", nil
	})
	if err != nil {
		t.Fatalf("%s: %s", what, last)
	}
}

// waitFor waits until the job is in a state.
func waitFor(t *testing.T, job *testv1.TestJob, state commonv1.JobConditionType) {
	t.Helper()
	eventually(t, fmt.Sprintf("job %s becomes %s", job.Name, state), func(ctx context.Context) string {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err.Error()
		}
		if job.Status.State != state {
			return fmt.Sprintf("it is %q: %s", job.Status.State, conditions(job))
		}
		return ""
	})
}

// conditions writes the conditions in one line.
func conditions(job *testv1.TestJob) string {
	out := make([]string, 0, len(job.Status.Conditions))
	for _, c := range job.Status.Conditions {
		out = append(out, fmt.Sprintf("%s=%s %s %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(out, "; ")
}

// pods returns the pods of a namespace by name.
func pods(ctx context.Context, t *testing.T, ns string) map[string]corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := cluster.client.List(ctx, &list, client.InNamespace(ns)); err != nil {
		t.Error(err)
	}
	out := map[string]corev1.Pod{}
	for _, p := range list.Items {
		out[p.Name] = p
	}
	return out
}

// services returns the services of a namespace by name.
func services(ctx context.Context, t *testing.T, ns string) map[string]corev1.Service {
	t.Helper()
	var list corev1.ServiceList
	if err := cluster.client.List(ctx, &list, client.InNamespace(ns)); err != nil {
		t.Error(err)
	}
	out := map[string]corev1.Service{}
	for _, s := range list.Items {
		out[s.Name] = s
	}
	return out
}

// waitForNames waits until the pods and services of a namespace have these names.
func waitForNames(t *testing.T, ns string, wantPods, wantServices []string) {
	t.Helper()
	slices.Sort(wantPods)
	slices.Sort(wantServices)
	eventually(t, "the pods and services are those that should be there", func(ctx context.Context) string {
		gotPods := slices.Sorted(maps.Keys(pods(ctx, t, ns)))
		gotServices := slices.Sorted(maps.Keys(services(ctx, t, ns)))
		if slices.Equal(gotPods, wantPods) && slices.Equal(gotServices, wantServices) {
			return ""
		}
		return fmt.Sprintf("there are pods %v and services %v, want %v and %v", gotPods, gotServices, wantPods, wantServices)
	})
}

// events returns the events of a job as "reason: note", each once.
func events(t *testing.T, job *testv1.TestJob) []string {
	t.Helper()
	var list corev1.EventList
	if err := cluster.client.List(t.Context(), &list, client.InNamespace(job.Namespace)); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list.Items {
		if e.InvolvedObject.UID == job.UID {
			out = append(out, e.Reason+": "+e.Message)
		}
	}
	slices.Sort(out)
	return out
}

// timedEvent is something that a watch said, and when.
type timedEvent struct {
	watch.Event
	at time.Time
}

// watchEvents watches the objects of a kind in a namespace, from now on. The
// channel is closed when the test is over.
func watchEvents(t *testing.T, list client.ObjectList, ns string) <-chan timedEvent {
	t.Helper()
	if err := cluster.client.List(t.Context(), list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	// The API server ends the watches of clients that are slow; this one continues where
	// it was.
	w, err := watchtools.NewRetryWatcherWithContext(t.Context(), list.GetResourceVersion(), watcher{list, ns})
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan timedEvent, 10_000) // Events may be read later than they come.
	go func() {
		defer close(events)
		for e := range w.ResultChan() {
			events <- timedEvent{Event: e, at: time.Now()}
		}
	}()
	t.Cleanup(w.Stop)
	return events
}

// watcher watches the objects of a kind in a namespace.
type watcher struct {
	list client.ObjectList
	ns   string
}

// WatchWithContext implements cache.WatcherWithContext.
func (w watcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return cluster.client.Watch(ctx, w.list, &client.ListOptions{Namespace: w.ns, Raw: &options})
}
