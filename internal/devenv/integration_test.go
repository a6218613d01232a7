//go:build integration

// These tests run real clusters:
//
//	go test -tags integration ./internal/devenv
package devenv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/jobkit/jobkit/internal/devenv"
)

const (
	prefix  = "devcluster.jobkit.dev/"
	attempt = "training.kubeflow.org/attempt"
	index   = "training.kubeflow.org/replica-index"
)

// start runs a cluster for the length of the test and returns a client.
func start(t *testing.T, o devenv.Options) (*devenv.Cluster, kubernetes.Interface) {
	t.Helper()
	c, client := startFor(t, o)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c, client
}

// startShared starts the cluster of the tests that only need one to be there, with the first of them.
var startShared = sync.OnceValues(func() (*devenv.Cluster, error) {
	c, err := devenv.Start(context.Background(), devenv.Options{})
	if err == nil {
		devenv.AtEnd = c.Stop
	}
	return c, err
})

// shared returns that cluster, and a namespace of the test's own in it.
func shared(t *testing.T) (c *devenv.Cluster, client kubernetes.Interface, ns string) {
	t.Helper()
	c, err := startShared()
	if err != nil {
		t.Fatal(err)
	}
	client = clientOf(t, c)
	made, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c, client, made.Name
}

// in puts a pod into a namespace.
func in(ns string, p *corev1.Pod) *corev1.Pod {
	p.Namespace = ns
	return p
}

// startFor leaves the end of the cluster to the test.
func startFor(t *testing.T, o devenv.Options) (*devenv.Cluster, kubernetes.Interface) {
	t.Helper()
	c, err := devenv.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c, clientOf(t, c)
}

func clientOf(t *testing.T, c *devenv.Cluster) kubernetes.Interface {
	t.Helper()
	config, err := c.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// newPod is a pod of one container; notes lack the prefix.
func newPod(name string, policy corev1.RestartPolicy, labels, notes map[string]string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: labels, Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			RestartPolicy: policy,
			Containers:    []corev1.Container{{Name: "main", Image: "example/image"}},
		},
	}
	for k, v := range notes {
		p.Annotations[prefix+k] = v
	}
	return p
}

// await returns the first state of the pod that satisfies ok.
func await(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, ok func(*corev1.Pod) bool) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	selector := fields.OneTermEqualSelector("metadata.name", pod.Name).String()
	pods := client.CoreV1().Pods(pod.Namespace)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return pods.Watch(ctx, o)
		},
	}
	last := &corev1.Pod{}
	_, err := watchtools.UntilWithSync(ctx, lw, &corev1.Pod{}, nil, func(e watch.Event) (bool, error) {
		p := e.Object.(*corev1.Pod)
		if p.UID != pod.UID {
			return false, nil
		}
		last = p
		if ok(p) {
			return true, nil
		}
		if e.Type == watch.Deleted {
			return false, errors.New("it was deleted")
		}
		return false, nil
	})
	if err != nil {
		return last, fmt.Errorf("cannot wait for pod %s, now %s: %w", pod.Name, last.Status.Phase, err)
	}
	return last, nil
}

func inPhase(phase corev1.PodPhase) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool { return p.Status.Phase == phase }
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}
