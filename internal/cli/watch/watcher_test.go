package watch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/jobkit/jobkit/internal/cli/watch"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

func jobs() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "testjobs"}
}

func podResource() schema.GroupVersionResource { return corev1.SchemeGroupVersion.WithResource("pods") }

// job makes a job in a state.
func job(name, uid, state string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubeflow.org/v1", "kind": "TestJob",
		"metadata": map[string]any{"name": name, "namespace": "default", "uid": uid},
	}}
	if state != "" {
		u.Object["status"] = map[string]any{
			"conditions": []any{map[string]any{"type": state, "status": "True"}},
			"replicaStatuses": map[string]any{
				"Worker": map[string]any{"active": int64(9)},
			},
		}
	}
	return u
}

// pod makes a running pod of a job.
func pod(name, jobName string, owner types.UID) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "status": map[string]any{"phase": "Running"},
	}}
	u.SetName(name)
	u.SetNamespace("default")
	u.SetLabels(map[string]string{"training.kubeflow.org/job-name": jobName})
	yes := true
	u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "kubeflow.org/v1", Kind: "TestJob", Name: jobName, UID: owner, Controller: &yes}})
	return u
}

func newClient(objects ...runtime.Object) *fake.FakeDynamicClient {
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{jobs(): "TestJobList", podResource(): "PodList"}, objects...)
}

// seen is what is compared of a job.
type seen struct {
	Name, State string
	Tally       jobview.Tally
}

// hangs is after how long a test takes what it waits for to hang, on however slow a machine.
const hangs = 2 * time.Minute

// await waits until the watcher sees what is wanted.
func await(t *testing.T, w *watch.Watcher, reason string, want ...seen) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	for {
		var got []seen
		for _, j := range w.Snapshot(time.Time{}).Jobs {
			got = append(got, seen{j.Name, j.State(), j.Tally()})
		}
		diff := cmp.Diff(want, got)
		if diff == "" {
			return
		}
		select {
		case <-w.Changes():
		case <-ctx.Done():
			t.Fatalf("%s (-want +got):\n%s", reason, diff)
		}
	}
}

func start(t *testing.T, client *fake.FakeDynamicClient, objects ...*unstructured.Unstructured) *watch.Watcher {
	t.Helper()
	var targets []watch.Target
	for _, o := range objects {
		targets = append(targets, watch.Target{Resource: jobs(), Namespace: "default", Name: o.GetName(), Object: o})
	}
	ctx, cancel := context.WithCancel(t.Context())
	w, err := watch.Start(ctx, client, targets)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		w.Wait()
	})
	return w
}

func TestWatch(t *testing.T) {
	a, b := job("a", "uid-a", ""), job("b", "uid-b", "")
	client := newClient(a, b,
		pod("a-worker-0", "a", "uid-a"), pod("a-worker-1", "a", "uid-a"),
		pod("a-worker-2", "a", "uid-of-another-a"), // a leftover of an older job of this name
	)
	w := start(t, client, a, b)
	await(t, w, "pods are found by the UID of their owner", seen{"a", "Submitted", jobview.Tally{Running: 2}}, seen{"b", "Submitted", jobview.Tally{}})
	resource := client.Resource(jobs()).Namespace("default")
	_, err := resource.Update(t.Context(), job("a", "uid-a", "Succeeded"), metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	await(t, w, "a change is seen", seen{"a", "Succeeded", jobview.Tally{Running: 2}}, seen{"b", "Submitted", jobview.Tally{}})
	for _, name := range []string{"a", "b"} {
		err = resource.Delete(t.Context(), name, metav1.DeleteOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, w, "a job that finished before it was deleted keeps its end; the other is lost",
		seen{"a", "Succeeded", jobview.Tally{Running: 2}}, seen{"b", "Deleted", jobview.Tally{}})
	_, err = resource.Create(t.Context(), job("b", "uid-of-another-b", "Succeeded"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	await(t, w, "another job of the same name is not mistaken for it",
		seen{"a", "Succeeded", jobview.Tally{Running: 2}}, seen{"b", "Deleted", jobview.Tally{}})
}

// TestWatchDeletedJob has a job that was deleted before the watch
// began: no watch event will ever report it.
func TestWatchDeletedJob(t *testing.T) {
	w := start(t, newClient(), job("a", "uid-a", ""))
	await(t, w, "a job that is not there at all is gone", seen{"a", "Deleted", jobview.Tally{}})
}

func TestWatchWithoutRightToPods(t *testing.T) {
	a := job("a", "uid-a", "Running")
	client := newClient(a)
	client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(podResource().GroupResource(), "", errors.New("no"))
	})
	w := start(t, client, a)
	await(t, w, "without the right to see pods, the status says what runs", seen{"a", "Running", jobview.Tally{Running: 9}})
	if err := w.Trouble(); err != nil {
		t.Errorf("seeing less is not an error: %v", err)
	}
}

func TestWatchTrouble(t *testing.T) {
	a := job("a", "uid-a", "")
	client := newClient(a)
	client.PrependReactor("list", "testjobs", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection refused")
	})
	w := start(t, client, a)
	for w.Trouble() == nil {
		select {
		case <-w.Changes():
		case <-time.After(hangs):
			t.Fatal("an unreachable cluster is not reported")
		}
	}
	if got := w.Snapshot(time.Time{}).Jobs[0]; got.Gone {
		t.Error("a job that cannot be seen is not gone")
	}
}
