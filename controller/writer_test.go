package controller_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jobkit/jobkit/examples/testjob"
)

// TestRestartThatCannotBeCounted checks known-bugs row 111: an API server that would drop
// the count of a restart refuses the write, and nothing is restarted.
func TestRestartThatCannotBeCounted(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(2))
	if _, _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
	b.setPhase(corev1.PodRunning)
	if _, _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
	b.setPhase(corev1.PodFailed)

	// What an API server does whose CRD is that of training-operator v1.
	var validation []string
	b.intercept(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			options := &client.SubResourcePatchOptions{}
			options.ApplyOptions(opts)
			validation = append(validation, options.FieldValidation+" as "+options.FieldManager)
			if options.FieldValidation != metav1.FieldValidationStrict {
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			}
			return apierrors.NewInvalid(schema.GroupKind{Group: "kubeflow.org", Kind: "TestJob"}, "job", field.ErrorList{
				field.Invalid(field.NewPath("patch"), "{}", `strict decoding error: unknown field "status.restarts"`),
			})
		},
	})
	calls, _, err := b.reconcile()
	if err == nil || !strings.Contains(err.Error(), "the API server would drop status.restarts: the CustomResourceDefinition is older than the operator") {
		t.Errorf("the error is %v", err)
	}
	if diff := cmp.Diff([]string{"Strict as testjob-controller"}, validation); diff != "" {
		t.Errorf("how the status was written (-want +got):\n%s", diff)
	}
	if len(calls) > 0 {
		t.Errorf("nothing is done that was not counted, got %v", calls)
	}
}
