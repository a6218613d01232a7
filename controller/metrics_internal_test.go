package controller

import (
	"fmt"
	"strconv"
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

// TestNativeHistograms: each histogram has native buckets beside the classic ones, which stay.
func TestNativeHistograms(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry, "test")
	if err != nil {
		t.Fatal(err)
	}
	m.reconcile.WithLabelValues("test").Observe(0.5)
	m.launch.WithLabelValues("test").Observe(5)
	m.time.recovery.WithLabelValues("test", "failed").Observe(50)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range families {
		for _, one := range f.GetMetric() {
			h := one.GetHistogram()
			if h == nil {
				continue
			}
			found++
			if len(h.GetPositiveSpan()) == 0 || h.GetSchema() < 2 {
				t.Errorf("%s has no native buckets that are 10 %% apart", f.GetName())
			}
			if len(h.GetBucket()) < 10 {
				t.Errorf("%s has %d classic buckets: alerts and dashboards need them", f.GetName(), len(h.GetBucket()))
			}
		}
	}
	if found != 3 {
		t.Errorf("%d histograms, want 3: is a new one made by withNative?", found)
	}
}

// TestNodesAreBounded: of many nodes the metric has those with the newest failures, and counts each
// by cause.
func TestNodesAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newTimeMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	again, err := newTimeMetrics(registry)
	if err != nil || again.nodes != m.nodes {
		t.Fatalf("another kind has metrics of its own: %v", err)
	}
	node := func(i int, cause commonv1.RestartCause) []plan.NodeFailure {
		return []plan.NodeFailure{{Node: "node-" + strconv.Itoa(i), Cause: cause}}
	}
	for i := range 3 * maxNodesCounted {
		m.nodes.add(node(i, commonv1.RestartFailed))
		again.nodes.add(node(0, commonv1.RestartHung))
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	got := map[string]float64{}
	for _, s := range families[0].GetMetric() {
		got[s.GetLabel()[1].GetValue()+" "+s.GetLabel()[0].GetValue()] = s.GetCounter().GetValue()
	}
	if len(got) != maxNodesCounted+1 || got["node-0 hung"] != 3*maxNodesCounted || got["node-0 failed"] != 1 || got["node-599 failed"] != 1 {
		t.Errorf("got %d series: %v", len(got), got)
	}
}

// TestNamespacesAreForgotten: clusters with a namespace for each experiment do not fill the memory of the operator
// and of Prometheus with the series of namespaces that have no jobs any more.
func TestNamespacesAreForgotten(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newMetrics(registry, "test")
	if err != nil {
		t.Fatal(err)
	}
	series := func() int {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range families {
			n += len(f.GetMetric())
		}
		return n
	}
	before := series()
	const n = 2000
	for i := range n {
		in := &plan.Input{Job: plan.Job{Namespace: fmt.Sprint("ci-", i), Name: "job", UID: types.UID(strconv.Itoa(i))}}
		p := &plan.Plan{Status: commonv1.JobStatus{Conditions: []commonv1.JobCondition{{Type: commonv1.JobCreated, Status: "True"}}}}
		m.recordStatus(in, p)
		in.Status = p.Status
		m.observeJob(in, func(types.UID) bool { return false })
		m.jobDeleted(types.NamespacedName{Namespace: in.Job.Namespace, Name: "job"}, in.Job.UID)
	}
	if got := series() - before; got > (maxEmptyNamespaces+1)*20 {
		t.Errorf("%d namespaces, in none of which there is a job any more, have %d series", n, got)
	}
}
