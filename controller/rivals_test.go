package controller_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jobkit/jobkit/examples/testjob"
)

// TestTwoControllers checks that a job that another controller runs, too, says so.
func TestTwoControllers(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(2))
	at := metav1.NewTime(time.Unix(1_700_000_000, 0))
	wrote := func(o client.Object, manager string) {
		at = metav1.NewTime(at.Add(time.Second))
		o.SetManagedFields(append(o.GetManagedFields(), metav1.ManagedFieldsEntry{Manager: manager, Time: &metav1.Time{Time: at.Time}, Subresource: "status"}))
	}
	b.intercept(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			err := c.SubResource(sub).Patch(ctx, o, p, opts...)
			wrote(o, "testjob-controller")
			return err
		},
	})
	for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodSucceeded} {
		job := b.job()
		wrote(job, "training-operator.v1")
		for i := range job.Status.Conditions {
			job.Status.Conditions[i].LastUpdateTime = at
		}
		b.clock.SetTime(b.clock.Now().Add(2 * time.Second))
		if _, _, err := b.reconcileStale(job); err != nil {
			t.Fatal(err)
		}
		b.setPhase(phase)
	}
	var warnings []string
	for _, e := range b.recorder.events {
		if strings.Contains(e, "TwoControllers") {
			warnings = append(warnings, e)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], `another controller, "training-operator.v1", writes the status of the same jobs`) {
		t.Errorf("the job says once that two controllers run it, got %q", warnings)
	}
	if lines := b.metricLines(); !slices.Contains(lines, "jobkit_foreign_status_writes_total{framework=test} 2") {
		t.Errorf("two writes of the other controller are counted, for the first came before ours, got %q", lines)
	}
}
