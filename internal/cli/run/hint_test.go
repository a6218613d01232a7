package run

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

func TestHints(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	submitted := func(manager string) manifest.Job {
		return manifest.Job{
			Document: manifest.Document{Object: &unstructured.Unstructured{Object: map[string]any{
				"spec": map[string]any{"runPolicy": map[string]any{"managedBy": manager}},
			}}},
			Resource: schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "testjobs"},
		}
	}
	quiet := jobview.Job{Kind: "TestJob", Namespace: "n", Name: "a"}
	taken := quiet
	taken.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobCreated, Status: corev1.ConditionTrue}}
	for _, c := range []struct {
		name, reason string
		job          jobview.Job
		manager      string
		after        []time.Duration
		want         []string
	}{
		{"patient", "an operator may take a moment", quiet, "", []time.Duration{9 * time.Second}, nil},
		{
			"once", "the hint is given once", quiet, "",
			[]time.Duration{10 * time.Second, 20 * time.Second},
			[]string{"no operator has taken up TestJob n/a within 10s: is the operator of testjobs.kubeflow.org running?"},
		},
		{
			"other manager", "a job that asks for another controller waits for that one", quiet, "kueue.x-k8s.io/multikueue",
			[]time.Duration{10 * time.Second},
			[]string{
				"no operator has taken up TestJob n/a within 10s: is the operator of testjobs.kubeflow.org running?" +
					` Its spec.runPolicy.managedBy leaves it to "kueue.x-k8s.io/multikueue".`,
			},
		},
		{"taken up", "all is well", taken, "", []time.Duration{10 * time.Second}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := hinter{jobs: []manifest.Job{submitted(c.manager)}, since: begun}
			var got []string
			for _, after := range c.after {
				got = append(got, h.hints(&jobview.Snapshot{At: begun.Add(after), Jobs: []jobview.Job{c.job}})...)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}
