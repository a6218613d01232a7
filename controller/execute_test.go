package controller_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/examples/testjob"
)

func TestSlowStart(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(100))
	b.fail = func(call string) error {
		if strings.HasPrefix(call, "create pod") {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("no"))
		}
		return nil
	}
	writes, _, err := b.reconcile()
	if err != nil {
		t.Fatal(err)
	}
	// The first batch: the service and seven pods.
	want := []string{
		"create pod job-worker-0", "create pod job-worker-1", "create pod job-worker-2", "create pod job-worker-3",
		"create pod job-worker-4", "create pod job-worker-5", "create pod job-worker-6",
		"create service job", "write status of testjob job",
	}
	if diff := cmp.Diff(want, sorted(writes)); diff != "" {
		t.Errorf("creates that are bound to fail are not tried a hundred times (-want +got):\n%s", diff)
	}
}
