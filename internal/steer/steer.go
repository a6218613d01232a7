// Package steer changes a job as a user asks for it. The command line and the page do it in
// the same way: every write names the UID of what the user saw, so it never hits another
// object that has taken its name.
package steer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
)

const (
	fieldManager = "jobkit"
	// deletesAtOnce is how many pods are deleted at the same time.
	deletesAtOnce = 16
)

// Job names one job.
type Job struct {
	Resource        schema.GroupVersionResource
	Namespace, Name string
	UID             types.UID
}

func (j Job) client(c dynamic.Interface) dynamic.ResourceInterface {
	return c.Resource(j.Resource).Namespace(j.Namespace)
}

// Suspend sets the job's spec.runPolicy.suspend. The error is the API server's.
func Suspend(ctx context.Context, c dynamic.Interface, j Job, on bool) error {
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"runPolicy":{"suspend":%t}}}`, j.UID, on)
	_, err := j.client(c).Patch(ctx, j.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	return err //nolint:wrapcheck // the caller says of what
}

// Delete deletes the job, with what it owns. The error is the API server's.
func Delete(ctx context.Context, c dynamic.Interface, j Job) error {
	return j.client(c).Delete(ctx, j.Name, metav1.DeleteOptions{ //nolint:wrapcheck // the caller says of what
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &j.UID},
	})
}

// Restarts reports whether a restart deletes a pod: it has not succeeded, and does not go yet.
func Restarts(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded
}

// Restart deletes those of a job's pods that have not succeeded. The operator creates them
// again, and no limit counts that; by their restart scope, others restart with them. It returns
// the pods that it deleted. The error is the API server's first.
func Restart(ctx context.Context, c dynamic.Interface, pods []*corev1.Pod) ([]*corev1.Pod, error) {
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		first   error
	)
	done := make([]bool, len(pods))
	free := make(chan struct{}, deletesAtOnce)
	for i, pod := range pods {
		if !Restarts(pod) {
			continue
		}
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			only := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}
			err := c.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(pod.Namespace).Delete(ctx, pod.Name, only)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				if first == nil { // thousands of pods have thousands
					first = err
				}
				return
			}
			done[i] = true
		})
	}
	running.Wait()
	var out []*corev1.Pod
	for i, pod := range pods {
		if done[i] {
			out = append(out, pod)
		}
	}
	return out, first
}

// Gone reports whether an error means that the job is gone, or that another one has its name.
func Gone(err error) bool {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return true
	}
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == "metadata.uid" {
			return true
		}
	}
	return false
}
