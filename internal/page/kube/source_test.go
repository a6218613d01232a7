package kube_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/page"
	"github.com/jobkit/jobkit/internal/page/kube"
)

// hangs is after how long a test takes what it waits for to hang.
const hangs = time.Minute

func resource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "testjobs"}
}

func refA() page.Ref {
	return page.Ref{Resource: "testjobs.v1.kubeflow.org", Namespace: "default", Name: "a"}
}

func job() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubeflow.org/v1", "kind": "TestJob", "metadata": map[string]any{"name": "a", "namespace": "default", "uid": "uid-a"},
		"spec": map[string]any{"testReplicaSpecs": map[string]any{"Worker": map[string]any{
			"replicas": int64(2), "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"x": "y"}}, "spec": map[string]any{"large": "template"}},
		}}},
	}}
}

func pod(name, owner string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default", UID: types.UID("uid-" + name), Labels: map[string]string{commonv1.OperatorNameLabel: "o", "private": "x"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "kubeflow.org/v1", Kind: "TestJob", Name: "a", UID: types.UID(owner), Controller: new(true)}},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "x", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "secret"}}}}},
		Status: corev1.PodStatus{Phase: phase},
	}
}

// world is a cluster, and its fakes.
type world struct {
	*kube.Cluster

	dynamic *dynamicfake.FakeDynamicClient
	client  *fake.Clientset
	changed chan page.Ref
}

func start(t *testing.T, pods ...runtime.Object) *world {
	t.Helper()
	w := newWorld(pods...)
	w.start(t)
	return w
}

// newWorld has fakes. Set what they answer before start: they are not made to
// be changed while they are asked.
func newWorld(pods ...runtime.Object) *world {
	return &world{
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
			map[schema.GroupVersionResource]string{resource(): "TestJobList"}, job()),
		client: fake.NewClientset(pods...), changed: make(chan page.Ref, 1000),
	}
}

// start watches the cluster until the end of the test.
func (w *world) start(t *testing.T) {
	t.Helper()
	var err error
	w.Cluster, err = kube.New(w.dynamic, w.client, []kube.Kind{{Kind: "TestJob", Resource: resource()}}, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Watch(ctx, func(r page.Ref) { w.changed <- r }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// await waits until the job has as many pods.
func (w *world) await(t *testing.T, pods int) page.Job {
	t.Helper()
	late := time.After(hangs)
	for {
		if job, ok := w.Job(refA()); ok && job.Pods != nil && len(job.Pods) == pods {
			return job
		}
		select {
		case <-w.changed:
		case <-time.After(10 * time.Millisecond): // the list of pods is known a moment after its pods
		case <-late:
			t.Fatal("the job or its pods do not appear")
		}
	}
}

func TestJobAndPods(t *testing.T) {
	t.Parallel()
	w := start(t, pod("a-worker-0", "uid-a", corev1.PodRunning), pod("a-worker-1", "uid-of-an-older-a", corev1.PodRunning))
	got := w.await(t, 1)
	if p := got.Pods[0]; p.Name != "a-worker-0" || p.Spec.Containers[0].Env != nil || p.Labels["private"] != "" {
		t.Errorf("of the pods that the job's UID owns, only what is shown is kept: %+v", p)
	}
	want := map[string]any{"replicaSpecs": map[string]any{"Worker": map[string]any{"replicas": int64(2)}}}
	if diff := cmp.Diff(any(want), got.Object.Object["spec"]); diff != "" {
		t.Errorf("of the specification only what is shown is kept (-want +got):\n%s", diff)
	}
	if _, ok := w.Job(page.Ref{Resource: "secrets.v1.", Namespace: "default", Name: "a"}); ok {
		t.Error("what is no job was found")
	}
}

// TestWithoutJobs: what is not there is known to be not there, and a watch that works again is no trouble,
// although nothing ever comes of it.
func TestWithoutJobs(t *testing.T) {
	t.Parallel()
	w := newWorld()
	if err := w.dynamic.Tracker().Delete(resource(), "default", "a"); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	again := make(chan struct{})
	w.dynamic.PrependWatchReactor("testjobs", func(clienttesting.Action) (bool, watch.Interface, error) {
		if calls.Add(1) == 1 {
			return true, nil, apierrors.NewServiceUnavailable("the API server starts")
		}
		<-again
		return false, nil, nil
	})
	w.start(t)
	late := time.After(hangs)
	until := func(what string, is func() bool) {
		t.Helper()
		for !is() {
			select {
			case <-time.After(time.Millisecond):
			case <-late:
				t.Fatalf("%s: it is not so; troubles: %v", what, w.Troubles())
			}
		}
	}
	until("a watch that fails is a trouble", func() bool { return len(w.Troubles()) > 0 })
	if got := <-w.changed; got != (page.Ref{Resource: refA().Resource}) || !w.Known(refA()) {
		t.Errorf("that all jobs are known is said: got %v, %t", got, w.Known(refA()))
	}
	close(again)
	until("a watch that works is none", func() bool { return len(w.Troubles()) == 0 })
}

func TestDo(t *testing.T) {
	t.Parallel()
	deleting := pod("a-worker-2", "uid-a", corev1.PodRunning)
	deleting.DeletionTimestamp, deleting.Finalizers = new(metav1.Now()), []string{"x"}
	w := newWorld(pod("a-worker-0", "uid-a", corev1.PodRunning), pod("a-worker-1", "uid-a", corev1.PodSucceeded), deleting)
	var done []string
	w.dynamic.PrependReactor("*", "testjobs", func(a clienttesting.Action) (bool, runtime.Object, error) {
		switch a := a.(type) {
		case clienttesting.PatchAction:
			done = append(done, "patch "+string(a.GetPatch()))
			return true, job(), nil
		case clienttesting.DeleteAction:
			options := a.GetDeleteOptions()
			done = append(done, fmt.Sprintf("delete %s %s %s", a.GetName(), *options.Preconditions.UID, *options.PropagationPolicy))
			return true, nil, nil
		}
		return false, nil, nil
	})
	w.dynamic.PrependReactor("delete", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a, ok := a.(clienttesting.DeleteAction); ok {
			options := a.GetDeleteOptions()
			done = append(done, fmt.Sprintf("delete %s %s", a.GetName(), *options.Preconditions.UID))
		}
		return true, nil, nil
	})
	w.start(t)
	w.await(t, 3)
	for _, action := range []page.Action{page.Suspend, page.Resume, page.Restart, page.Delete} {
		if err := w.Do(t.Context(), refA(), "uid-a", action); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	patch := func(suspend bool) string {
		return fmt.Sprintf(`patch {"metadata":{"uid":"uid-a"},"spec":{"runPolicy":{"suspend":%t}}}`, suspend)
	}
	want := []string{patch(true), patch(false), "delete a-worker-0 uid-a-worker-0", "delete a uid-a Background"}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Errorf("each write names the UID of its object, and what has succeeded or stops already is left alone (-want +got):\n%s", diff)
	}
	if err := w.Do(t.Context(), refA(), "uid-of-another", page.Restart); !errors.Is(err, page.ErrChanged) {
		t.Errorf("another job's pods: %v", err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	group := resource().GroupResource()
	for _, c := range []struct{ answer, want error }{
		{apierrors.NewForbidden(group, "a", errors.New("no")), page.ErrForbidden},
		{apierrors.NewNotFound(group, "a"), page.ErrChanged},
		{apierrors.NewConflict(group, "a", errors.New("the UID in the precondition")), page.ErrChanged},
	} {
		w := newWorld()
		w.dynamic.PrependReactor("delete", "testjobs", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, c.answer })
		w.start(t)
		if err := w.Do(t.Context(), refA(), "uid-a", page.Delete); !errors.Is(err, c.want) {
			t.Errorf("%v: got %v, want %v", c.answer, err, c.want)
		}
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var asked []string
	w.client.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := a.(clienttesting.CreateAction)
		if !ok {
			return false, nil, nil
		}
		review, ok := create.GetObject().(*authorizationv1.SelfSubjectAccessReview)
		if !ok {
			return false, nil, nil
		}
		r := review.Spec.ResourceAttributes
		asked = append(asked, fmt.Sprintf("%s %s/%s %s/%s", r.Verb, r.Resource, r.Subresource, r.Namespace, r.Name))
		review.Status.Allowed = r.Verb != "delete"
		return true, review, nil
	})
	w.start(t)
	rights, err := w.Rights(t.Context(), refA())
	if diff := cmp.Diff(page.Rights{Change: true, Logs: true}, rights); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want := []string{"patch testjobs/ default/a", "delete testjobs/ default/a", "delete pods/ default/", "get pods/log default/"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	event := func(name, object string) *corev1.Event {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: object},
			Reason: "R", LastTimestamp: metav1.Now(),
		}
	}
	w := start(t, event("1", "a-worker-0"), event("2", "b-worker-0"))
	w.await(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	err := w.Events(ctx, refA(), func(events []corev1.Event, trouble string) {
		if len(events) == 1 && events[0].Name == "1" && trouble == "" {
			cancel()
		}
	})
	if err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("the events of the job alone: %v", err)
	}
}

// TestEventsThatMayNotBeRead: a job whose events may not be read does not seem to have none, and when they may be read
// the trouble is over, although there are none.
func TestEventsThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var allowed atomic.Bool
	answer := func() error {
		if allowed.Load() {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New("no"))
	}
	w.client.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		err := answer()
		return err != nil, nil, err
	})
	w.client.PrependWatchReactor("events", func(clienttesting.Action) (bool, watch.Interface, error) {
		err := answer()
		return err != nil, nil, err
	})
	w.start(t)
	w.await(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	var said []string
	err := w.Events(ctx, refA(), func(_ []corev1.Event, trouble string) {
		said = append(said, trouble)
		allowed.Store(true)
		if trouble == "" {
			cancel()
		}
	})
	if diff := cmp.Diff([]string{"You may not read events here.", ""}, said); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
