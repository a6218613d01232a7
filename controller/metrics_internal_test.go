package controller

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestDeletedJobsAreCountedOnce: a pass that began before its job was deleted, and sees what the
// cache had shown, does not make the job known again.
func TestDeletedJobsAreCountedOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry, "test")
	if err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: "ns", Name: "job"}
	in := &plan.Input{Job: plan.Job{Namespace: key.Namespace, Name: key.Name, UID: "u"}}
	in.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobCreated, Status: "True"}}
	deleted := false
	for range 2 {
		m.observeJob(in, func(types.UID) bool { return deleted })
		deleted = true
		m.jobDeleted(key, in.Job.UID)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "training_operator_jobs_deleted_total" {
			if n := f.GetMetric()[0].GetCounter().GetValue(); n != 1 {
				t.Errorf("one job was deleted, and %v are counted", n)
			}
			return
		}
	}
	t.Error("no deleted job is counted")
}
