package fakenodes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
)

// pollInterval of AwaitReady; short, because start-up is over in 3 seconds.
const pollInterval = 50 * time.Millisecond

// Shape says how many nodes there are and what each of them can hold.
type Shape struct {
	Count     int
	Resources corev1.ResourceList
}

// ParseResources turns resource names and quantities into a list.
func ParseResources(quantities map[string]string) (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for name, text := range quantities {
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, fmt.Errorf("cannot parse node resource %s=%s: %w", name, text, err)
		}
		list[corev1.ResourceName(name)] = q
	}
	return list, nil
}

// Create makes the nodes that do not exist yet; it leaves the others as they are.
func Create(ctx context.Context, client kubernetes.Interface, s Shape) error {
	errs := make([]error, s.Count)
	workqueue.ParallelizeUntil(ctx, parallelism, s.Count, func(i int) {
		_, err := client.CoreV1().Nodes().Create(ctx, node(i, s.Resources), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			errs[i] = fmt.Errorf("cannot create node %s: %w", nodeName(i), err)
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// AwaitReady returns once all nodes of the shape are managed by k and take pods.
func (k *Kubelets) AwaitReady(ctx context.Context, client kubernetes.Interface, s Shape) error {
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		if len(k.controller.ListNodes()) < s.Count {
			return false, nil
		}
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return false, nil //nolint:nilerr // asked again until ctx ends: a start has such moments
		}
		return takesPods(nodes.Items, s.Count), nil
	})
	if err != nil {
		return fmt.Errorf("cannot get %d nodes ready: %w", s.Count, context.Cause(ctx))
	}
	return nil
}

// takesPods reports whether the first count fake nodes are Ready and free of
// taints, such as the one that every new node has until a controller removes it.
func takesPods(nodes []corev1.Node, count int) bool {
	ready := map[string]bool{}
	for _, n := range nodes {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && len(n.Spec.Taints) == 0 {
				ready[n.Name] = true
			}
		}
	}
	for i := range count {
		if !ready[nodeName(i)] {
			return false
		}
	}
	return true
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

func node(i int, resources corev1.ResourceList) *corev1.Node {
	name := nodeName(i)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{fakeAnnotation: fakeValue},
			Labels: map[string]string{
				corev1.LabelHostname:   name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: "amd64",
				// Three zones, for topology spread and affinity.
				corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%3),
			},
		},
		Status: corev1.NodeStatus{Capacity: resources, Allocatable: resources},
	}
}
