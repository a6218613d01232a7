package controller_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jobkit/jobkit/examples/testjob"
)

// TestReadRefused: a permission to read that the operator lacks is what the jobs that need it say,
// until the operator has it; all else of them stays as it is.
func TestReadRefused(t *testing.T) {
	running := "TestJobRunning: TestJob ns/job is running."
	cases := map[string]struct {
		reason  string
		fail    error
		ended   bool
		wantErr bool
		want    []string
	}{
		"Forbidden": {
			reason: "no retry helps, and no user sees the operator's log",
			fail:   apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New(`User "operator" cannot list resource "pods"`)),
			want: []string{running, `TestJobReadRefused: TestJob ns/job cannot continue: cannot list the pods of TestJob ns/job: ` +
				`pods is forbidden: User "operator" cannot list resource "pods": the operator's service account needs this permission`},
		},
		"Finished": {
			reason: "such a job is not stalled, but its time to live must not pass unseen", ended: true, wantErr: true,
			fail: apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no")),
			want: []string{"TestJobSucceeded: TestJob ns/job successfully completed."},
		},
		"Busy": {
			reason: "that passes by itself", fail: apierrors.NewTooManyRequests("busy", 1), wantErr: true, want: []string{running},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testjob.Controller{}, testJob(1))
			mustReconcile(t, b)
			b.setPhase(corev1.PodRunning)
			mustReconcile(t, b)
			if tc.ended {
				b.setPhase(corev1.PodSucceeded)
				mustReconcile(t, b)
			}
			before := b.job().Status
			var refused bool
			b.intercept(interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if _, ok := list.(*corev1.PodList); ok && refused {
					return tc.fail
				}
				return c.List(ctx, list, opts...)
			}})
			refused = true
			for range 2 { // The second time it is known.
				calls, result, err := b.reconcile()
				if (err != nil) != tc.wantErr || err == nil && result.RequeueAfter == 0 {
					t.Errorf("%s: error %v, again after %s, calls %q", tc.reason, err, result.RequeueAfter, calls)
				}
			}
			if diff := cmp.Diff(tc.want, b.conditions()[1:]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before.ReplicaStatuses, b.job().Status.ReplicaStatuses); diff != "" {
				t.Errorf("the counts stay (-before +after):\n%s", diff)
			}
			refused = false
			mustReconcile(t, b)
			mustReconcile(t, b)
			if diff := cmp.Diff(tc.want[:1], b.conditions()[1:]); diff != "" {
				t.Errorf("when they may be read the job goes on (-want +got):\n%s", diff)
			}
		})
	}
}
