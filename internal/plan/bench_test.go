package plan_test

import (
	"fmt"
	"testing"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// BenchmarkDecide is one pass over a job whose pods all run: what an operator does most.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int32{1, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("replicas=%d", n), func(b *testing.B) {
			m := steadyJob(n)
			b.ReportAllocs()
			for b.Loop() {
				plan.Decide(&m.in, plan.TallyOf(&m.in), nil)
			}
		})
	}
}

// BenchmarkDecideServiceEach is the same pass where each replica has a service.
func BenchmarkDecideServiceEach(b *testing.B) {
	for _, n := range []int32{1, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("replicas=%d", n), func(b *testing.B) {
			m := steadyJobServiceEach(n)
			b.ReportAllocs()
			for b.Loop() {
				plan.Decide(&m.in, plan.TallyOf(&m.in), nil)
			}
		})
	}
}

// BenchmarkDecideCreate is the pass in which all pods are missing.
func BenchmarkDecideCreate(b *testing.B) {
	for _, n := range []int32{1, 100, 1_000, 10_000} {
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
	tests := map[string]struct {
		reason string
		job    func(workers int32) *model
		most   float64 // allocations per replica
	}{
		"AtRest": {reason: "a pass that finds nothing to do makes nothing per replica, or a slice that grows", job: steadyJob, most: 0.01},
		"AtRestServiceEach": {
			reason: "nor does it where each replica has a service, but the table in which they are found",
			job:    steadyJobServiceEach, most: 0.05,
		},
		"Create": {
			reason: "a pass in which all pods are missing makes a few things per replica, however many there are",
			job:    func(n int32) *model { return newModel(map[commonv1.ReplicaType]int32{worker: n}) }, most: 8,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			allocations := func(n int32) float64 {
				m := tc.job(n)
				return testing.AllocsPerRun(3, func() { plan.Decide(&m.in, plan.TallyOf(&m.in), nil) })
			}
			each := (allocations(10_000) - allocations(1_000)) / 9_000
			t.Logf("%.3f allocations for each replica beyond 1,000", each)
			if each > tc.most {
				t.Errorf("%s: want at most %.2f allocations for each replica beyond 1,000, got %.3f", tc.reason, tc.most, each)
			}
		})
	}
}

// steadyJob is a job at rest.
func steadyJob(workers int32) *model {
	return atRest(newModel(map[commonv1.ReplicaType]int32{worker: workers}))
}

// steadyJobServiceEach is one whose replicas have a service each.
func steadyJobServiceEach(workers int32) *model {
	m := newModel(map[commonv1.ReplicaType]int32{worker: workers})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
	return atRest(m)
}

func atRest(m *model) *model {
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	return m
}
