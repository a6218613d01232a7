package demo

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

const (
	interval    = 50 * time.Millisecond
	longestWait = 30 * time.Second
)

// makeNamespace makes a namespace for one run.
func makeNamespace(ctx context.Context, client dynamic.Interface) (string, error) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": "demo-"},
	}}
	made, err := client.Resource(core("namespaces")).Create(ctx, object, metav1.CreateOptions{FieldManager: "jobkit"})
	if err != nil {
		return "", fmt.Errorf("cannot make a namespace for the demo: %w", err)
	}
	return made.GetName(), nil
}

// awaitServiceAccount waits for the account that pods of a new namespace run as:
// until it exists no pod can be created.
func awaitServiceAccount(ctx context.Context, client dynamic.Interface, namespace string) error {
	accounts := client.Resource(core("serviceaccounts")).Namespace(namespace)
	err := wait.PollUntilContextTimeout(ctx, interval, longestWait, true, func(ctx context.Context) (bool, error) {
		_, err := accounts.Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err //nolint:wrapcheck // it is wrapped below
	})
	if err != nil {
		return fmt.Errorf("cannot find the service account \"default\" of namespace %s, which its pods need: %w", namespace, err)
	}
	return nil
}

// removeNamespace deletes a namespace with all that is in it, and waits until it is
// gone. Pods get no grace period, because they run no real programs.
func removeNamespace(ctx context.Context, client dynamic.Interface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	namespaces := client.Resource(core("namespaces"))
	err := namespaces.Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cannot delete namespace %s: %w", name, err)
	}
	none := int64(0)
	err = client.Resource(core("pods")).Namespace(name).
		DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &none}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("cannot delete the pods of namespace %s: %w", name, err)
	}
	err = wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err //nolint:wrapcheck // it is wrapped below
	})
	if err != nil {
		return fmt.Errorf("namespace %s is being deleted, but is not gone yet: %w", name, err)
	}
	return nil
}

// core is a resource of Kubernetes' core API.
func core(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}
