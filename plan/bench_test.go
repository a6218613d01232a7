package plan_test

import (
	"fmt"
	"testing"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/plan"
)

// BenchmarkDecide is one look at a job whose pods all run: what an operator does most.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int32{1, 100, 10_000} {
		b.Run(fmt.Sprintf("replicas=%d", n), func(b *testing.B) {
			m := steadyJob(n)
			b.ReportAllocs()
			for b.Loop() {
				plan.Decide(&m.in, plan.TallyOf(&m.in), nil)
			}
		})
	}
}

// BenchmarkDecideCreate is the look at which all pods are missing.
func BenchmarkDecideCreate(b *testing.B) {
	for _, n := range []int32{1, 100, 10_000} {
		b.Run(fmt.Sprintf("replicas=%d", n), func(b *testing.B) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: n})
			b.ReportAllocs()
			for b.Loop() {
				plan.Decide(&m.in, plan.TallyOf(&m.in), nil)
			}
		})
	}
}

// TestAllocationsGrowWithReplicas: the work per replica does not depend on how many
// there are. Allocations are counted, because they are the same on every machine; a
// number below 100 becomes a string without one, so jobs that small are no measure.
func TestAllocationsGrowWithReplicas(t *testing.T) {
	perReplica := func(n int32) float64 {
		m := steadyJob(n)
		return testing.AllocsPerRun(3, func() { plan.Decide(&m.in, plan.TallyOf(&m.in), nil) }) / float64(n)
	}
	few, many := perReplica(1_000), perReplica(10_000)
	t.Logf("allocations per replica: %.2f of 1,000, %.2f of 10,000", few, many)
	if many > 1.5*few {
		t.Errorf("a look allocates %.2f times per replica of 10,000, and %.2f of 1,000: want at most 1.5 times as much", many, few)
	}
}

// steadyJob is a job at rest.
func steadyJob(workers int32) *model {
	m := newModel(map[commonv1.ReplicaType]int32{worker: workers})
	m.settle()
	m.run()
	m.settle()
	return m
}
